//! Memory that will be used up if nothing is done: something leaks.

use crate::check::{Check, Needs, Text};
use crate::forecast;
use crate::found::Outcome;
use crate::host::Host;
use crate::run::Settings;

pub(crate) const CHECK: Check = Check {
    id: "memory.fills-up",
    title: Text { en: "Memory that will be used up", zh: "即将用尽的内存" },
    reads: &["history of metrics: system.memory.utilization"],
    needs: Needs::HISTORY,
    params: &[forecast::SOON],
    impact: Text {
        en: "When memory is used up, the kernel ends processes, often the largest one: the database.",
        zh: "内存用尽后，内核会强制结束进程，往往是占用最大的进程，例如数据库。",
    },
    remedy: Text {
        en: "Look which process grows (`cloud-doctor top`, or `ps -eo rss,pid,comm --sort=-rss | head` now and in an hour) and \
             restart it at a quiet time; give its unit a MemoryMax, so that it cannot take others with it. \
             The times have no confidence: forecasts of memory were never measured, it may be used up before the earliest.",
        zh: "查看是哪个进程在增长（`cloud-doctor top`，或现在和一小时后各运行一次 `ps -eo rss,pid,comm --sort=-rss | head`），并在低峰期重启它。\
             请为其单元设置 MemoryMax，避免影响其他服务。\
             所给时间没有置信度：内存预测从未经过测量，内存可能在最早时间之前用尽。",
    },
    run,
};

fn run(_: &Host, settings: &Settings<'_>) -> Outcome {
    forecast::tell(settings, forecast::Of::Memory, |thing| (thing == "memory").then(|| "memory".to_owned()))
}
