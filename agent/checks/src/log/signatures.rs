//! Lines of logs that always mean trouble.
//!
//! Anybody may put text into a log: what the kernel says is looked for only in lines that bear its name, and what follows
//! `client:` in a web server's line was chosen by a visitor and is neither searched nor shown. Of other programs' lines only
//! the part up to the signature is shown: what follows can hold anything that the program worked with.

use super::text_logs::{Line, TextLog, TextLogs, text_logs};
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::number::span;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use cloud_doctor_proto::time::DAY_SECS;

pub(crate) const CHECK: Check = Check {
    id: "log.signatures",
    title: Text { en: "Lines of logs that mean trouble", zh: "日志中的故障特征" },
    reads: &[
        "/var/log/syslog or /var/log/messages, or the journal of the last day",
        "error logs of nginx, Tengine, OpenResty, HAProxy, Apache: the last MiB",
    ],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[
        Param::above("warning", 0.0, 0.0, "", "our recommendation: each of these lines is an event of its own"),
        Param::above("timeouts", 10.0, 5.0, "", "our recommendation: single timeouts of a backend are normal"),
        Param::plain("recent", 3600.0, "s", "our recommendation: what was within the hour is going on"),
    ],
    impact: Text {
        en: "Requests fail, or data is at risk, while such lines are written.",
        zh: "出现此类日志时，请求会失败或数据面临风险。",
    },
    remedy: Text {
        en: "Read the log around this line, and the findings about the same thing.",
        zh: "请查看该行前后的日志，以及相关的其他检查结果。",
    },
    run,
};

/// Who writes a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Kernel,
    Anybody,
}

/// One kind of line.
struct Signature {
    subject: &'static str,
    /// One of them stands in the line.
    needles: &'static [&'static str],
    writer: Writer,
    /// Whether it is critical while it goes on.
    hurts: bool,
    /// The parameter that it is judged by.
    param: &'static str,
    name: Text,
    remedy: Text,
}

const SIGNATURES: [Signature; 8] = [
    Signature {
        subject: "too many open files",
        needles: &["Too many open files"],
        writer: Writer::Anybody,
        hurts: false,
        param: "warning",
        name: Text { en: "a process ran out of open files", zh: "进程打开文件数耗尽" },
        remedy: Text {
            en: "Raise its limit (systemctl edit UNIT, LimitNOFILE=65536; nginx: worker_rlimit_nofile); process.open-files shows who is near it.",
            zh: "提高其上限（systemctl edit UNIT，设置 LimitNOFILE=65536；nginx 设置 worker_rlimit_nofile）；process.open-files 可查看哪些进程接近上限。",
        },
    },
    Signature {
        subject: "connection tracking full",
        needles: &["nf_conntrack: table full", "ip_conntrack: table full"],
        writer: Writer::Kernel,
        hurts: true,
        param: "warning",
        name: Text { en: "the table of tracked connections was full", zh: "连接跟踪表已满" },
        remedy: Text {
            en: "New connections are dropped. Raise net.netfilter.nf_conntrack_max, or take busy ports out of tracking (NOTRACK).",
            zh: "新连接会被丢弃。请调大 net.netfilter.nf_conntrack_max，或对繁忙端口关闭跟踪（NOTRACK）。",
        },
    },
    Signature {
        subject: "no backend left",
        needles: &["no live upstreams while connecting", "has no server available!"],
        writer: Writer::Anybody,
        hurts: true,
        param: "warning",
        name: Text { en: "a load balancer had no living backend", zh: "负载均衡没有可用后端" },
        remedy: Text {
            en: "Every request got 502 or 503. Look at the backends that the line names, and at max_fails and fail_timeout, which can take healthy ones out.",
            zh: "所有请求都会得到 502 或 503。请检查该行所列的后端，以及可能误摘健康后端的 max_fails 与 fail_timeout。",
        },
    },
    Signature {
        subject: "backend timeouts",
        needles: &["upstream timed out"],
        writer: Writer::Anybody,
        hurts: false,
        param: "timeouts",
        name: Text { en: "a backend did not answer in time", zh: "后端响应超时" },
        remedy: Text {
            en: "Look at the backend that the line names: its load, its database, its own log. Raising proxy_read_timeout only makes visitors wait longer.",
            zh: "请检查该行所列的后端：负载、数据库及其日志。调大 proxy_read_timeout 只会让访问者等待更久。",
        },
    },
    Signature {
        subject: "crashes",
        needles: &[" segfault at ", "general protection fault", " trap invalid opcode "],
        writer: Writer::Kernel,
        hurts: false,
        param: "warning",
        name: Text { en: "a program crashed", zh: "程序崩溃" },
        remedy: Text {
            en: "The line names the program and the library. Update both; coredumpctl list shows whether a dump was kept.",
            zh: "该行列出了程序与库。请更新二者；coredumpctl list 可查看是否保留了转储文件。",
        },
    },
    Signature {
        subject: "out of memory",
        needles: &["ut of memory: Kill", "ut of memory (oom_kill_allocating_task): Kill"],
        writer: Writer::Kernel,
        hurts: true,
        param: "warning",
        name: Text { en: "the kernel killed a process for lack of memory", zh: "内核因内存不足杀死了进程" },
        remedy: Text {
            en: "Find what grew (memory findings), give it a limit (MemoryMax=), or give the server more memory.",
            zh: "找出内存增长的程序（参见内存检查），为其设置上限（MemoryMax=），或为服务器增加内存。",
        },
    },
    Signature {
        subject: "SYN flooding",
        needles: &["ossible SYN flooding on port"],
        writer: Writer::Kernel,
        hurts: false,
        param: "warning",
        name: Text {
            en: "a port got more new connections than it could take", zh: "端口收到的新连接超出处理能力"
        },
        remedy: Text {
            en: "Mostly the service is too slow to accept: raise its backlog and net.core.somaxconn. Only if the addresses are strange is it an attack.",
            zh: "多数情况下是服务接受连接过慢：请调大 backlog 与 net.core.somaxconn。仅当来源地址异常时才可能是攻击。",
        },
    },
    Signature {
        subject: "file system errors",
        needles: &["EXT4-fs error", "EXT4-fs (", "XFS (", "Remounting filesystem read-only", "BTRFS error"],
        writer: Writer::Kernel,
        hurts: true,
        param: "warning",
        name: Text { en: "a file system reported errors", zh: "文件系统报错" },
        remedy: Text {
            en: "Make a backup now. Then look at the disk (dmesg, smartctl, the cloud's disk events) and run fsck from a rescue system.",
            zh: "请立即备份。随后检查磁盘（dmesg、smartctl、云盘事件），并在救援系统中运行 fsck。",
        },
    },
];

/// What one signature came to.
#[derive(Default)]
struct Hits<'a> {
    count: u64,
    newest: Option<(&'a TextLog, Line<'a>)>,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let logs = text_logs(host);
    if logs.all().next().is_none() {
        return Err(Gap::Unknown(logs.no_system_log()));
    }
    let all = count(logs);
    let looked_at = logs.paths();
    let mut found: Vec<Found> = SIGNATURES
        .iter()
        .zip(&all)
        .filter_map(|(signature, hits)| judge(settings, signature, hits, &looked_at))
        .collect();
    if found.is_empty() {
        let summary =
            words!("no line of the last day means trouble in {looked_at}", "{looked_at} 最近一天没有故障特征");
        found.push(Found::new("", Status::Ok, summary));
    }
    if logs.system.is_none() {
        found.push(Found::new("system log", Status::Unknown, logs.no_system_log()));
    } else {
        found.extend(logs.left_out.clone().map(left_out));
    }
    found.extend(logs.unread.iter().map(|why: &Words| Found::new("unread logs", Status::Unknown, why.clone())).take(1));
    Ok(found)
}

fn left_out(what: Words) -> Found {
    Found::advice("system log", what)
        .impact(words!("What stands in there was not looked for.", "未读取的部分未参与查找。"))
        .remedy(words!(
            "journalctl --since -24h -p warning shows all of it.",
            "执行 journalctl --since -24h -p warning 可查看全部内容。"
        ))
}

/// How often each signature was written within a day.
fn count(logs: &TextLogs) -> [Hits<'_>; SIGNATURES.len()] {
    let mut all: [Hits<'_>; SIGNATURES.len()] = Default::default();
    for log in logs.all() {
        let is_system = logs.system.as_ref().is_some_and(|system| system.path == log.path);
        for line in log.since(DAY_SECS) {
            let Some(index) = SIGNATURES.iter().position(|one| one.fits(own_part(line.text), is_system)) else {
                continue;
            };
            let Some(hits) = all.get_mut(index) else { continue };
            hits.count += 1;
            if hits.newest.is_none_or(|(_, newest)| line.age <= newest.age) {
                hits.newest = Some((log, line));
            }
        }
    }
    all
}

/// The part of a line that its writer chose: not what a visitor sent.
fn own_part(line: &str) -> &str {
    line.split(", client: ").next().unwrap_or(line)
}

impl Signature {
    fn fits(&self, line: &str, is_system: bool) -> bool {
        let line = match self.writer {
            Writer::Anybody => line,
            // `Jan  1 00:00:00 host kernel: [12.3] text`: its name stands before its words.
            Writer::Kernel => match line
                .split_once(" kernel: ")
                .filter(|(head, _)| is_system && !head.ends_with(':') && !head.contains(": "))
            {
                Some((_, words)) => words,
                None => return false,
            },
        };
        self.needles.iter().any(|needle| match *needle {
            // Both of them write lines about good things too.
            "EXT4-fs (" | "XFS (" => line.contains(needle) && (line.contains("error") || line.contains("orruption")),
            needle => line.contains(needle),
        })
    }

    fn shown(&self, line: &str) -> String {
        let own = own_part(line);
        if self.writer == Writer::Kernel {
            return own.to_owned();
        }
        let ends = self.needles.iter().filter_map(|needle| own.find(needle).map(|at| at + needle.len()));
        let shown = ends.max().and_then(|end| own.get(..end)).unwrap_or_default();
        backend(line).map_or_else(|| shown.to_owned(), |backend| format!("{shown} ... {backend}"))
    }
}

/// The backend in a line of nginx, without the path that a visitor asked for: a quote within the request is escaped there.
fn backend(line: &str) -> Option<&str> {
    let (_, url) = line.split_once(", upstream: \"")?;
    let url = url.split('"').next()?;
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..)?.find('/').map_or(url.len(), |at| host + at);
    url.get(..end)
}

fn judge(settings: &Settings<'_>, signature: &Signature, hits: &Hits<'_>, looked_at: &str) -> Option<Found> {
    let (log, line) = hits.newest?;
    #[expect(clippy::cast_precision_loss, reason = "lines of a few MiB, and seconds of a day")]
    let (count, age) = (hits.count as f64, line.age as f64);
    let status = match settings.level_of(signature.subject, count, signature.param, "") {
        Status::Warning | Status::Critical if signature.hurts && age <= settings.number("recent") => Status::Critical,
        status @ (Status::Ok | Status::Unknown | Status::Warning | Status::Critical) => status,
    };
    let (ago, Text { en, zh }) = (span(age), signature.name);
    let summary =
        words!("{en}, {count} times within a day, last {ago} ago", "{zh}：一天内 {count} 次，最近一次在 {ago} 前");
    let found = Found::new(signature.subject, status, summary).value(count, "").detail("looked_at", looked_at);
    let found = found.evidence(log.source(line), signature.shown(line.text));
    Some(found.remedy(Words { en: signature.remedy.en.to_owned(), zh: signature.remedy.zh.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::super::text_logs::tests::log;
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::{recorded, recorded_before};

    fn status(system: &str, nginx: &str) -> Status {
        let host = log(Fixture::image(), "/var/log/syslog", 5, system);
        log(host, "/var/log/nginx/error.log", 5, nginx).status(&CHECK)
    }

    const QUIET: &str = "Jan  1 07:59:55 web1 systemd[1]: Started Daily apt download activities.\n";

    fn nginx(text: &str) -> String {
        format!(
            "2026/01/01 07:59:55 [error] 12#12: *7 {text}, client: 10.0.0.9, server: _, request: \"GET /?q=Too many open files HTTP/1.1\", upstream: \"http://10.0.0.7:8080/?q=1\"\n"
        )
    }

    #[test]
    fn log_04_lines_that_mean_trouble_are_found() {
        for (line, expected) in [
            ("web1 kernel: [ 99.1] nf_conntrack: nf_conntrack: table full, dropping packet", Status::Critical),
            ("web1 kernel: Out of memory: Killed process 812 (java) total-vm:8123kB", Status::Critical),
            ("web1 kernel: Memory cgroup out of memory: Killed process 812 (java)", Status::Critical),
            ("web1 kernel: EXT4-fs error (device vda1): ext4_lookup:1855: inode #2: comm ls", Status::Critical),
            ("web1 kernel: EXT4-fs (vda1): mounted filesystem with ordered data mode", Status::Ok),
            ("web1 kernel: XFS (vdb): Metadata corruption detected at xfs_agf_read_verify", Status::Critical),
            ("web1 kernel: php-fpm[99]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6", Status::Warning),
            ("web1 kernel: TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.", Status::Warning),
            ("web1 haproxy[7]: backend web has no server available!", Status::Critical),
            ("web1 sshd[9]: error: accept: Too many open files", Status::Warning),
            // Anybody can say what the kernel says.
            ("web1 mallory: Out of memory: Killed process 1", Status::Ok),
            ("web1 mallory: kernel: Out of memory: Killed process 1", Status::Ok),
        ] {
            assert_eq!(status(&format!("{QUIET}Jan  1 07:59:55 {line}\n"), ""), expected, "{line}");
        }
        // What is older than the hour hurts no more, and what is older than a day is gone.
        let oom = "web1 kernel: Out of memory: Killed process 812 (java)";
        assert_eq!(status(&format!("Jan  1 05:00:00 {oom}\n{QUIET}"), ""), Status::Warning);
        assert_eq!(status(&format!("Dec 30 05:00:00 {oom}\n{QUIET}"), ""), Status::Ok);
    }

    #[test]
    fn log_04_the_journal_stands_in_for_a_system_log() {
        for form in ["regular", "compact"] {
            let found = recorded(Fixture::image(), form).run(&CHECK);
            assert_eq!((found[0].subject.as_str(), found[0].status), ("out of memory", Status::Warning), "{found:?}");
            assert_eq!(found[0].value, Some(1.0), "what was forged does not count");
            assert_eq!(found[0].evidence[0].source, "/var/log/journal/0123456789abcdef0123456789abcdef");
            assert!(found.iter().all(|one| one.subject != "system log"), "all of it was read: {found:?}");
            let found = recorded_before(Fixture::image(), form).run(&CHECK);
            let left_out = found.iter().find(|one| one.subject == "system log").expect("a long message was not read");
            assert!(left_out.note && left_out.summary.en.contains("1 long messages are compressed"), "{left_out:?}");
        }
        // A text log that is in use is preferred.
        let both = log(recorded(Fixture::image(), "compact"), "/var/log/syslog", 5, QUIET);
        assert_eq!(both.status(&CHECK), Status::Ok);
    }

    #[test]
    fn log_04_a_visitors_words_are_neither_searched_nor_shown() {
        assert_eq!(status(QUIET, &nginx("no live upstreams while connecting to upstream")), Status::Critical);
        assert_eq!(status(QUIET, &nginx("access forbidden by rule")), Status::Ok);
        let timeout = nginx("upstream timed out (110: Connection timed out) while reading");
        assert_eq!(status(QUIET, &timeout.repeat(10)), Status::Ok);
        assert_eq!(status(QUIET, &timeout.repeat(11)), Status::Warning);
        let host = log(Fixture::image(), "/var/log/nginx/error.log", 5, &timeout.repeat(11));
        let found = host.run(&CHECK);
        let shown = "2026/01/01 07:59:55 [error] 12#12: *7 upstream timed out ... http://10.0.0.7:8080";
        assert_eq!(found[0].evidence[0].text, shown);
        assert_eq!(found[0].evidence[0].source, "/var/log/nginx/error.log:11");
        // Nothing has what the kernel says.
        assert_eq!((found[1].subject.as_str(), found[1].status), ("system log", Status::Unknown));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
        assert_eq!(log(Fixture::image(), "/var/log/syslog", 90_000, QUIET).status(&CHECK), Status::Unknown);
    }
}
