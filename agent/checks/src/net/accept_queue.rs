//! How many connections wait for each service to accept them.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Listening};
use crate::number::percent;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "net.accept-queue",
    title: Text { en: "Accept queues of services", zh: "服务的接受队列" },
    reads: &["sock_diag(7)"],
    // A socket to the kernel is one.
    needs: Needs { net: true, ..Needs::LIVE },
    params: &[
        Param::above("warning", 80.0, 50.0, "%", "ours: at 100 % connections are dropped"),
        Param::above("critical", 99.0, 80.0, "%", "tcp(7): a full queue drops connections"),
        Param::plain("least", 16.0, "", "ours: connections that wait, below which it is a moment only"),
    ],
    impact: Text {
        en: "The service is too slow to accept connections: clients wait, and when the queue is full they time out.",
        zh: "服务接受连接过慢：客户端需要等待，队列满后会超时。",
    },
    remedy: Text {
        en: "See why the service is busy (more workers, a slow backend). A longer queue only helps against peaks: raise \
             net.core.somaxconn and the service's backlog (nginx: `listen ... backlog=4096`), then restart it.",
        zh: "先查明服务繁忙的原因（增加工作进程、排查慢后端）。加长队列只能应对突发：\
             提高 net.core.somaxconn 和服务的 backlog（nginx：`listen … backlog=4096`）后重启服务。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let queues = host.accept_queues()?;
    if queues.is_empty() {
        return Err(Gap::NotHere(words!("no service accepts TCP connections", "没有监听 TCP 连接的服务")));
    }
    let mut found: Vec<Found> =
        queues.iter().filter_map(|queue| judge(settings, queue)).filter(|found| found.status != Status::Ok).collect();
    if found.is_empty() {
        let (count, most) = (queues.len(), queues.iter().map(|queue| queue.waiting).max().unwrap_or(0));
        found.push(Found::new(
            "",
            Status::Ok,
            words!(
                "no accept queue is full: at most {most} connections wait at one of {count} sockets",
                "接受队列均未满：{count} 个监听套接字中最多有 {most} 个连接在等待"
            ),
        ));
    }
    Ok(found)
}

/// Nothing for a socket that accepts without a queue.
fn judge(settings: &Settings<'_>, queue: &Listening) -> Option<Found> {
    let share = percent(u64::from(queue.waiting), u64::from(queue.backlog))?;
    let (address, waiting, backlog) = (queue.address.to_string(), queue.waiting, queue.backlog);
    let few = f64::from(waiting) < settings.number("least") && waiting < backlog;
    let status = if few { Status::Ok } else { settings.level(&address, share) };
    let found = Found::new(
        &address,
        status,
        words!(
            "{waiting} connections wait at {address}, its queue holds {backlog}",
            "{address} 有 {waiting} 个连接等待接受，队列上限为 {backlog}"
        ),
    );
    let evidence = format!("LISTEN Recv-Q {waiting} Send-Q {backlog}");
    Some(found.value(share, "%").evidence(format!("sock_diag {address}"), evidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::sock_diag::{PRETENDED, tests::recorded};

    #[test]
    fn lb_26_a_full_accept_queue_is_told_with_its_port() {
        for (waiting, backlog, expected) in [
            (0, 128, Status::Ok),
            (3, 4, Status::Ok),
            (110, 128, Status::Warning),
            (129, 128, Status::Critical),
            (6, 5, Status::Critical),
            (0, 0, Status::Ok),
        ] {
            let answer = [recorded(80, 0, 511), recorded(443, waiting, backlog)].concat();
            let host = Fixture::live().file(PRETENDED, answer);
            assert_eq!(host.status(&CHECK), expected, "{waiting} {backlog}");
            assert_eq!(host.run(&CHECK).len(), 1);
        }
        assert_eq!(Fixture::live().file(PRETENDED, vec![1; 20]).status(&CHECK), Status::Unknown);
        assert!(Fixture::live().file(PRETENDED, "").has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
