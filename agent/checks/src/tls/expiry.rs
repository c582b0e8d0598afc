//! Until when certificates are valid: those that services show, and those in files that they will show after a reload.

use super::certificate::Certificate;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::time::DAY_SECS;

pub(crate) const CHECK: Check = Check {
    id: "tls.expiry",
    title: Text { en: "Expiry of certificates", zh: "证书到期时间" },
    reads: &[
        "/etc/{nginx,haproxy,apache2,httpd,postfix,dovecot}",
        "/etc/letsencrypt/live",
        "handshakes with own ports",
    ],
    needs: Needs { root: true, net: true, ..Needs::FILES },
    params: &[
        Param::below("warning", 14.0, 15.0, "days", "netdata health.d/x509check.conf, days until expiration"),
        Param::below("critical", 7.0, 8.0, "days", "netdata health.d/x509check.conf, days until expiration"),
    ],
    impact: Text {
        en: "From that moment browsers and clients refuse to connect: the site is down for everybody.",
        zh: "到期后浏览器和客户端将拒绝连接，网站对所有人不可用。",
    },
    remedy: Text {
        en: "Renew it (`certbot renew`, `acme.sh --renew -d NAME`, or the authority's page), then reload the service that \
             shows it. See tls.renewal for why it was not renewed by itself.",
        zh: "续期证书（`certbot renew`、`acme.sh --renew -d 域名` 或证书机构页面），然后重载使用它的服务。未自动续期的原因见 tls.renewal。",
    },
    run,
};

/// 42 days: three times the warning. A certificate that lives shorter is judged as if it lived this long, so that the
/// warning comes with a third of its life left and the alarm with a sixth.
const SHORT_LIFE_DAYS: f64 = 42.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let known = host.certificates()?;
    let now = i64::try_from(host.now().0).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for file in &known.files {
        let source = file.at.as_deref().unwrap_or(&file.path);
        if file.chain.is_empty() {
            let path = &file.path;
            found.push(Found::new(
                path,
                Status::Unknown,
                words!("{path} holds no certificate that can be read", "{path} 中没有可解析的证书"),
            ));
        }
        for (index, certificate) in file.chain.iter().enumerate() {
            let subject = place(&file.path, index, certificate);
            found.push(judge(settings, now, &subject, source, certificate, file.at.is_some()));
        }
    }
    for served in &known.served {
        for (index, certificate) in served.chain.iter().enumerate() {
            let subject = place(&served.subject, index, certificate);
            found.push(judge(settings, now, &subject, &format!("handshake {}", served.subject), certificate, true));
        }
    }
    found.extend(known.gaps.iter().map(|(place, why)| Found::new(place, Status::Unknown, why.clone())));
    Ok(many(found))
}

/// The first certificate is the server's own; those behind it are named.
fn place(path: &str, index: usize, certificate: &Certificate) -> String {
    if index == 0 { path.to_owned() } else { format!("{path} ({})", certificate.title) }
}

fn judge(
    settings: &Settings<'_>,
    now: i64,
    subject: &str,
    source: &str,
    certificate: &Certificate,
    used: bool,
) -> Found {
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let days = |secs: i64| secs as f64 / DAY_SECS as f64;
    let left = days(certificate.until.saturating_sub(now));
    let life = days(certificate.until.saturating_sub(certificate.from));
    let judged = if life > 0.0 && life < SHORT_LIFE_DAYS { left / life * SHORT_LIFE_DAYS } else { left };
    let (title, date) = (&certificate.title, &certificate.until_date);
    let status = match settings.level(subject, judged) {
        // It may be one that nobody uses any more.
        Status::Critical if !used => Status::Warning,
        status @ (Status::Critical | Status::Warning | Status::Ok | Status::Unknown) => status,
    };
    let found = if certificate.from > now {
        let early = words!("the certificate of {title} is not valid yet", "{title} 的证书尚未生效");
        Found::new(subject, if used { Status::Critical } else { Status::Warning }, early)
    } else if left < 0.0 {
        Found::new(
            subject,
            status,
            words!("the certificate of {title} expired on {date}", "{title} 的证书已于 {date} 过期"),
        )
    } else {
        Found::new(
            subject,
            status,
            words!(
                "the certificate of {title} is valid for {left:.0} more days, until {date}",
                "{title} 的证书还有 {left:.0} 天到期（{date}）"
            ),
        )
    };
    let found = found.value(left, "days").evidence(source, certificate.text());
    if source == subject || source.starts_with("handshake") { found } else { found.evidence(subject, "named there") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::tls::certificate::tests::{INTERMEDIATE, LEAF, SHORT};
    use crate::tls::known::PRETENDED;

    /// 2026-01-30, when the leaf ends.
    const END: u64 = 1_769_731_200;
    const DAY: u64 = DAY_SECS;

    fn named(pem: &str) -> Fixture {
        Fixture::image()
            .file("/etc/nginx/sites-enabled/shop", "server {\n  ssl_certificate /etc/ssl/shop.pem;\n}\n")
            .file("/etc/ssl/shop.pem", pem)
    }

    #[test]
    fn tls_01_expiry_is_judged_by_days() {
        for (now, expected) in [
            (END - 60 * DAY, Status::Ok),
            (END - 13 * DAY, Status::Warning),
            (END - 6 * DAY, Status::Critical),
            (END + DAY, Status::Critical),
            // Somebody's clock is wrong, or it was installed too early.
            (END - 100 * DAY, Status::Critical),
        ] {
            assert_eq!(named(LEAF).now(now).status(&CHECK), expected, "{now}");
        }
    }

    #[test]
    fn tls_01_a_short_life_is_judged_by_its_length() {
        // Six days from 2026-01-01.
        for (hours, expected) in [(48, Status::Ok), (100, Status::Warning), (125, Status::Critical)] {
            let now = 1_767_225_600 + hours * 3600;
            assert_eq!(named(SHORT).now(now).status(&CHECK), expected, "{hours}");
        }
    }

    #[test]
    fn tls_01_every_place_has_its_finding() {
        let host = named(&format!("{LEAF}{INTERMEDIATE}"))
            .file("/etc/letsencrypt/live/old/fullchain.pem", LEAF)
            .file(&format!("{PRETENDED}/127.0.0.1:443"), LEAF)
            .now(END + DAY);
        let found = host.run(&CHECK);
        let seen: Vec<_> = found.iter().map(|one| (one.subject.as_str(), one.status)).collect();
        assert_eq!(
            seen,
            [
                ("/etc/ssl/shop.pem", Status::Critical),
                ("/etc/ssl/shop.pem (Test Intermediate)", Status::Ok),
                ("/etc/letsencrypt/live/old/fullchain.pem", Status::Warning),
                ("127.0.0.1:443", Status::Critical),
            ]
        );
        assert_eq!(found[0].evidence[0].source, "/etc/nginx/sites-enabled/shop:2");
    }

    #[test]
    fn tls_01_what_cannot_be_read_is_unknown() {
        assert_eq!(
            named("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n").status(&CHECK),
            Status::Unknown
        );
        assert_eq!(named("\0\0").status(&CHECK), Status::Unknown);
        let gone = Fixture::image().file("/etc/nginx/nginx.conf", "ssl_certificate /gone.pem;\n");
        assert_eq!(gone.status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
