//! Whether certificates of ACME authorities renew themselves: is there a timer, and did the last runs work?
//! Only what files tell; what a service manager is doing right now is not asked.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "tls.renewal",
    title: Text { en: "Renewal of certificates", zh: "证书自动续期" },
    reads: &[
        "/etc/letsencrypt/renewal",
        "/var/log/letsencrypt",
        "/etc/systemd/system",
        "/etc/cron*",
        "/var/spool/cron",
    ],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[Param::above("warning", 1.0, 0.0, "", "ours: one failure can be the authority's bad day, two are not")],
    impact: Text {
        en: "The certificates will run out, and the sites with them.",
        zh: "证书将会到期，相应站点随之不可用。",
    },
    remedy: Text {
        en: "Try it: `certbot renew --dry-run`. Often port 80 is closed, the name points elsewhere, or a redirect eats \
             /.well-known/acme-challenge/.",
        zh: "先试运行：`certbot renew --dry-run`。常见原因：80 端口未开放、域名解析到了别处，\
             或重定向拦截了 /.well-known/acme-challenge/。",
    },
    run,
};

/// Runs of certbot that are looked at, each in a log of its own; and how much of each.
const RUNS_MAX: usize = 10;
const LOG_BYTES_MAX: u64 = 64 << 10;

/// Whatever starts certbot by the clock on the usual distributions.
const TIMERS: [&str; 7] = [
    "/etc/systemd/system/timers.target.wants/certbot.timer",
    "/etc/systemd/system/timers.target.wants/certbot-renew.timer",
    "/etc/systemd/system/timers.target.wants/snap.certbot.renew.timer",
    "/etc/systemd/system/multi-user.target.wants/certbot.timer",
    "/etc/cron.d/certbot",
    "/etc/cron.daily/certbot",
    "/etc/cron.weekly/certbot",
];

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let renewals = host.glob("/etc/letsencrypt/renewal/*.conf")?;
    if renewals.is_empty() {
        return Err(Gap::NotHere(words!("certbot manages no certificate here", "此主机没有由 certbot 管理的证书")));
    }
    Ok(vec![timer(host, renewals.len()), failures(host, settings)])
}

fn timer(host: &Host, count: usize) -> Found {
    let by_name = TIMERS.iter().find(|path| is_there(host, path)).map(|path| (*path).to_owned());
    let tables =
        ["/etc/crontab", "/etc/cron.d/*", "/etc/cron.daily/*", "/var/spool/cron/*", "/var/spool/cron/crontabs/*"];
    let mut unseen = None;
    let by_line = || {
        tables.iter().find_map(|pattern| {
            let files = host.glob(pattern).map_err(|gap| unseen = Some(gap)).unwrap_or_default();
            files.into_iter().find(|file| host.read(file).is_ok_and(|text| names_certbot(&text)))
        })
    };
    match (by_name.or_else(by_line), unseen) {
        (Some(path), _) => {
            Found::new("timer", Status::Ok, words!("certbot is started by {path}", "certbot 由 {path} 定时启动"))
        }
        (None, Some(Gap::NotHere(why) | Gap::Unknown(why))) => Found::new("timer", Status::Unknown, why),
        (None, None) => Found::new(
            "timer",
            Status::Warning,
            words!(
                "{count} certificates of certbot, and nothing starts it by the clock",
                "certbot 管理着 {count} 个证书，但没有任何定时任务启动它"
            ),
        )
        .evidence("/etc/letsencrypt/renewal", format!("{count} certificates"))
        .remedy(words!(
            "`systemctl enable --now certbot.timer` (RHEL: certbot-renew.timer), then `certbot renew --dry-run`.",
            "`systemctl enable --now certbot.timer`（RHEL 为 certbot-renew.timer），然后执行 `certbot renew --dry-run`。"
        )),
    }
}

/// Also a link that leads nowhere in a copied `/etc`.
fn is_there(host: &Host, path: &str) -> bool {
    host.exists(path) || host.link(path).is_ok()
}

fn names_certbot(text: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("certbot"))
}

/// How many runs failed in a row, the newest first.
fn failures(host: &Host, settings: &Settings<'_>) -> Found {
    let (mut failed, mut evidence) = (0.0, None);
    for number in 0..RUNS_MAX {
        let path = match number {
            0 => "/var/log/letsencrypt/letsencrypt.log".to_owned(),
            number => format!("/var/log/letsencrypt/letsencrypt.log.{number}"),
        };
        let text = match host.tail(&path, LOG_BYTES_MAX) {
            Ok(text) => text,
            Err(Gap::Unknown(why)) if number == 0 => return Found::new("last runs", Status::Unknown, why),
            Err(Gap::NotHere(_)) if number == 0 => {
                let none = words!("certbot has left no log", "certbot 没有留下日志");
                return Found::new("last runs", Status::Unknown, none);
            }
            Err(Gap::NotHere(_) | Gap::Unknown(_)) => break,
        };
        // A dry run, a list of certificates: they renew nothing.
        let Some(line) = failure(&text) else {
            if text.contains("no renewal failures") || text.contains("not yet due for renewal") {
                break;
            }
            continue;
        };
        failed += 1.0;
        evidence = evidence.or_else(|| Some((path, line.to_owned())));
    }
    let summary = if failed > 0.0 {
        words!("the last {failed} runs of certbot failed", "certbot 最近 {failed} 次运行均失败")
    } else {
        words!("the last run of certbot did not fail", "certbot 最近一次运行没有失败")
    };
    let found = Found::new("last runs", settings.level("last runs", failed), summary).value(failed, "");
    match evidence {
        Some((path, line)) => found.evidence(path, line),
        None => found,
    }
}

fn failure(text: &str) -> Option<&str> {
    text.lines().find(|line| {
        ["Failed to renew certificate", "renewal failures occurred", "renew failure(s)", "All renewals failed"]
            .iter()
            .any(|part| line.contains(part) && !line.contains("no renewal failures"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const RENEWAL: &str = "/etc/letsencrypt/renewal/shop.conf";
    const FAILED: &str =
        "2026-01-01 03:00:00,1:ERROR:certbot._internal.renewal:Failed to renew certificate shop with error: timeout\n";
    const FINE: &str = "2026-01-01 03:00:00,1:DEBUG:certbot._internal.renewal:no renewal failures\n";
    const LIST: &str = "2026-01-01 03:00:00,1:DEBUG:certbot._internal.main:Arguments: ['certificates']\n";

    #[test]
    fn tls_06_failures_in_a_row_are_told() {
        for (logs, expected) in [
            (&[FINE][..], Status::Ok),
            (&[FAILED, FINE], Status::Ok),
            (&[FAILED, FAILED, FINE], Status::Warning),
            (&[FAILED, LIST, FAILED, FINE], Status::Warning),
            (&[FINE, FAILED, FAILED], Status::Ok),
            (&[], Status::Unknown),
        ] {
            let mut host = Fixture::image().file(RENEWAL, "").file("/etc/cron.d/certbot", "");
            for (number, text) in logs.iter().enumerate() {
                let suffix = if number == 0 { String::new() } else { format!(".{number}") };
                host = host.file(&format!("/var/log/letsencrypt/letsencrypt.log{suffix}"), text);
            }
            assert_eq!(host.status(&CHECK), expected, "{logs:?}");
        }
    }

    #[test]
    fn tls_06_something_must_start_the_renewal() {
        let log = "/var/log/letsencrypt/letsencrypt.log";
        for (path, text, expected) in [
            ("/etc/cron.d/other", "1 1 * * * root backup\n", Status::Warning),
            ("/etc/cron.d/other", "# 1 1 * * * root certbot renew\n", Status::Warning),
            ("/var/spool/cron/crontabs/root", "1 1 * * * /usr/bin/certbot renew -q\n", Status::Ok),
            ("/etc/systemd/system/timers.target.wants/certbot.timer", "", Status::Ok),
        ] {
            let host = Fixture::image().file(RENEWAL, "").file(log, FINE).file(path, text);
            assert_eq!(host.status(&CHECK), expected, "{path} {text}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
