//! File systems that will be full, in bytes or in inodes, if nothing is done.

use crate::check::{Check, Needs, Text};
use crate::forecast;
use crate::found::Outcome;
use crate::host::Host;
use crate::run::Settings;

pub(crate) const CHECK: Check = Check {
    id: "disk.fills-up",
    title: Text { en: "File systems that will be full", zh: "即将写满的文件系统" },
    reads: &["history of metrics: system.filesystem.utilization, system.linux.filesystem.inodes"],
    needs: Needs::HISTORY,
    params: &[forecast::SOON],
    impact: Text {
        en: "When it is full, databases stop, logs and uploads are lost, and services do not start again.",
        zh: "空间用尽后，数据库会停止写入，日志和上传会丢失，服务也无法再次启动。",
    },
    remedy: Text {
        en: "Find what grows: `du -xh --max-depth=2 MOUNT | sort -h | tail` now and in an hour. Give it room, or remove what \
             nobody needs, before the earliest time. Look how often such forecasts came true here before you wake somebody: the \
             confidence is about when it fills up, if it does, and was measured on made-up disks.",
        zh: "查找增长来源：现在和一小时后各运行一次 `du -xh --max-depth=2 挂载点 | sort -h | tail`。请在最早时间之前扩容或清理不再需要的内容。\
             通知他人之前，请先查看此类预测在此主机上的应验情况：置信度只表示若确会用尽时的时间范围，\
             由模拟磁盘数据测得。",
    },
    run,
};

fn run(_: &Host, settings: &Settings<'_>) -> Outcome {
    forecast::tell(settings, &[forecast::Of::Space, forecast::Of::Inodes])
}
