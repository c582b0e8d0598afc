//! Memory that will be used up if nothing is done: something leaks.

use crate::check::{Check, Needs, Text};
use crate::forecast;
use crate::found::Outcome;
use crate::host::Host;
use crate::run::Settings;

pub(crate) const CHECK: Check = Check {
    id: "memory.fills-up",
    title: Text { en: "Memory that will be used up", zh: "即将用尽的内存" },
    reads: &[
        "history of metrics: system.memory.usage, system.memory.limit, system.paging.usage, system.linux.oom_kills",
    ],
    needs: Needs::HISTORY,
    params: &[forecast::SOON],
    impact: Text {
        en: "When memory is used up, the kernel ends processes, often the largest one: the database.",
        zh: "内存用尽后，内核会强制结束进程，往往是占用最大的进程，例如数据库。",
    },
    remedy: Text {
        en: "Look which process grows (`cloud-doctor top`, or `ps -eo rss,pid,comm --sort=-rss | head` now and in an hour) and \
             restart it at a quiet time; give its unit a MemoryMax, so that it cannot take others with it. \
             Counted are memory and swap together. Look how often such forecasts came true here before you wake somebody: the \
             confidence is about when it is used up, if it is, and was measured on made-up hosts.",
        zh: "查看是哪个进程在增长（`cloud-doctor top`，或现在和一小时后各运行一次 `ps -eo rss,pid,comm --sort=-rss | head`），并在低峰期重启它。\
             请为其单元设置 MemoryMax，避免影响其他服务。\
             此处将内存与交换空间合并计算。通知他人之前，请先查看此类预测在此主机上的应验情况：\
             置信度只表示若确会用尽时的时间范围，由模拟主机数据测得。",
    },
    run,
};

fn run(_: &Host, settings: &Settings<'_>) -> Outcome {
    forecast::tell(settings, &[forecast::Of::Memory])
}
