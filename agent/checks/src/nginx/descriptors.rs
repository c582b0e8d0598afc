//! Whether a worker may open as many files as its connections need: a proxied request costs two connections.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Instance, readable, visit};
use crate::lb::{Place, Setting};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.descriptors",
    title: Text { en: "nginx file descriptors for its connections", zh: "nginx 连接所需的文件描述符" },
    reads: &["the running nginx's configuration", "/proc/PID/limits of a worker"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[Param::above(
        "warning",
        100.0,
        100.0,
        "%",
        "our recommendation: worker_connections x 2 fits into the limit of open files",
    )],
    impact: Text {
        en: "Under load new connections fail with \"too many open files\", although the server has room.",
        zh: "高负载时新连接会因 \"too many open files\" 失败，即使服务器尚有余力。",
    },
    remedy: Text {
        en: "Set worker_rlimit_nofile to at least twice worker_connections in the main configuration, run nginx -t, then nginx -s reload.",
        zh: "在主配置中将 worker_rlimit_nofile 设为 worker_connections 的至少两倍，执行 nginx -t，然后 nginx -s reload。",
    },
    run,
};

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    Ok(readable(host)?.into_iter().map(|instance| judge(host, settings, instance)).collect())
}

fn judge(host: &Host, settings: &Settings<'_>, instance: &Instance) -> Found {
    let subject = instance.subject();
    let (connections, limit) = match (connections(instance), limit(host, instance)) {
        (Ok(connections), Ok(limit)) => (connections, limit),
        (Err(gap), _) | (_, Err(gap)) => {
            let (Gap::NotHere(why) | Gap::Unknown(why)) = gap;
            return Found::new(subject, Status::Unknown, why);
        }
    };
    let (count, files) = (connections.value, limit.value);
    let share = 200.0 * f64::from(count) / f64::from(files.max(1));
    let summary = words!(
        "{count} connections per nginx worker need up to twice as many open files; {files} are allowed",
        "每个 nginx 工作进程 {count} 个连接最多需要两倍的文件描述符，上限为 {files}"
    );
    let found = match settings.level(&subject, share) {
        Status::Ok => Found::new(&subject, Status::Ok, summary),
        // Files are served with one connection and one file, which the limit has room for.
        Status::Unknown | Status::Warning | Status::Critical if count <= files && !proxies(instance) => {
            Found::advice(&subject, summary)
        }
        status @ (Status::Unknown | Status::Warning | Status::Critical) => Found::new(&subject, status, summary),
    };
    let found = connections.show(found.value(share, "%"), "worker_connections");
    limit.show(found, "open files").detail("connections", f64::from(count)).detail("nofile", f64::from(files))
}

fn connections(instance: &Instance) -> Result<Setting<u32>, Gap> {
    let directive = instance.top("events").and_then(|events| events.last("worker_connections"));
    let Some(directive) = directive else {
        return Ok(Setting::default(512, "nginx: worker_connections 512 (ngx_core_module)"));
    };
    let text = directive.arg(0).unwrap_or_default();
    text.parse().map(|count| Setting::at(count, directive.place())).map_err(|_| {
        let text: String = text.chars().take(50).collect();
        Gap::Unknown(words!("worker_connections \"{text}\" is no number", "worker_connections \"{text}\" 不是数字"))
    })
}

/// What a worker may open: what the configuration sets, or what a running worker has.
fn limit(host: &Host, instance: &Instance) -> Result<Setting<u32>, Gap> {
    if let Some(directive) = instance.top("worker_rlimit_nofile")
        && let Some(count) = directive.arg(0).and_then(|text| text.parse().ok())
    {
        return Ok(Setting::at(count, directive.place()));
    }
    let Some(worker) = instance.workers(host).first().map(|worker| worker.pid) else {
        return Err(Gap::Unknown(words!(
            "worker_rlimit_nofile is not set and no worker runs whose limit could be read",
            "未设置 worker_rlimit_nofile，也没有运行中的工作进程可读取其限制"
        )));
    };
    let path = format!("/proc/{worker}/limits");
    let limits = host.must_read(&path)?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next());
    match soft.map(|soft| if soft == "unlimited" { Ok(u32::MAX) } else { soft.parse() }) {
        Some(Ok(count)) => {
            let text = format!("Max open files {}", line.unwrap_or_default().trim());
            Ok(Setting::at(count, Place { file: path, line: 0, text }))
        }
        Some(Err(_)) | None => {
            Err(Gap::Unknown(words!("{path} has no line \"Max open files\"", "{path} 中没有 \"Max open files\" 行")))
        }
    }
}

fn proxies(instance: &Instance) -> bool {
    let mut any = false;
    visit(&instance.tree, &mut |_, directive| any |= directive.name.ends_with("_pass"));
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn limits(soft: &str) -> String {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             31445                31445                processes \nMax open files            {soft}                 524288               files     \n"
        )
    }

    fn fixture(config: &str) -> Fixture {
        Fixture::live()
            .file("/etc/nginx/nginx.conf", config)
            .process(1, 'S', &["nginx: master process /usr/sbin/nginx"])
            .process(7, 'S', &["nginx: worker process"])
    }

    #[test]
    fn lb_25_connections_twice_fit_into_the_limit() {
        let proxy = "http { server { location / { proxy_pass http://a; } } }";
        for (config, soft, expected) in [
            ("events { worker_connections 512; } PROXY", "1024", (Status::Ok, false)),
            ("events { worker_connections 768; } PROXY", "1024", (Status::Warning, false)),
            // Debian's own configuration only serves files.
            ("events { worker_connections 768; }", "1024", (Status::Ok, true)),
            ("events { worker_connections 2048; }", "1024", (Status::Warning, false)),
            ("events { worker_connections 768; } PROXY", "unlimited", (Status::Ok, false)),
            ("events { } PROXY", "1024", (Status::Ok, false)),
            ("worker_rlimit_nofile 65535; events { worker_connections 20000; } PROXY", "1024", (Status::Ok, false)),
            ("worker_rlimit_nofile 1024; events { worker_connections 20000; }", "65535", (Status::Warning, false)),
            ("events { worker_connections lots; }", "1024", (Status::Unknown, false)),
            ("events { }", "x", (Status::Unknown, false)),
        ] {
            let found = fixture(&config.replace("PROXY", proxy)).file("/proc/7/limits", limits(soft)).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), expected, "{config} {soft}");
        }
    }

    #[test]
    fn lb_25_a_limit_that_cannot_be_read_is_told() {
        assert_eq!(fixture("events { }").status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", "events { }").status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
