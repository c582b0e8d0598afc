//! Until when certificates are valid: those that services show, and those in files that they will show after a reload.

use super::certificate::Certificate;
use crate::check::{Check, Needs, Param, Text};
use crate::forecast::{Span, record_of_ends};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};

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
        Param::below(
            "renewal",
            30.0,
            30.0,
            "%",
            "ours: certbot and acme.sh renew with a third of the life left; below this several tries have failed",
        ),
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
/// Whoever gives certificates for longer than that does not expect that they renew themselves.
const RENEWS_ITSELF_DAYS: f64 = 100.0;

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let known = host.certificates()?;
    let now = host.now();
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
    now: UnixTime,
    subject: &str,
    source: &str,
    certificate: &Certificate,
    used: bool,
) -> Found {
    #[expect(clippy::cast_precision_loss, reason = "days")]
    let days = |secs: i64| secs as f64 / DAY_SECS as f64;
    let at = i64::try_from(now.0).unwrap_or(i64::MAX);
    let left = days(certificate.until.saturating_sub(at));
    let life = days(certificate.until.saturating_sub(certificate.from));
    let judged = if life > 0.0 && life < SHORT_LIFE_DAYS { left / life * SHORT_LIFE_DAYS } else { left };
    let status = match settings.level(subject, judged) {
        // It may be one that nobody uses any more.
        Status::Critical if !used => Status::Warning,
        status @ (Status::Critical | Status::Warning | Status::Ok | Status::Unknown) => status,
    };
    let is_late = life > 0.0
        && life <= RENEWS_ITSELF_DAYS
        && settings.level_of(subject, 100.0 * left / life, "renewal", "") != Status::Ok;
    let found = if certificate.from > at {
        let title = &certificate.title;
        let early = words!("the certificate of {title} is not valid yet", "{title} 的证书尚未生效");
        Found::new(subject, if used { Status::Critical } else { Status::Warning }, early)
    } else if is_late && status == Status::Ok {
        late(subject, certificate, left, life)
    } else {
        Found::new(subject, status, ends(settings, certificate, left, now))
    };
    let found = Span::new(certificate.from, certificate.until).tell(found, now);
    let found = found.value(left, "days").evidence(source, certificate.text());
    if source == subject || source.starts_with("handshake") { found } else { found.evidence(subject, "named there") }
}
/// When it ends, and how well this host has renewed what was due before.
fn ends(settings: &Settings<'_>, certificate: &Certificate, left: f64, now: UnixTime) -> Words {
    let (title, date) = (&certificate.title, &certificate.until_date);
    if left < 0.0 {
        return words!("the certificate of {title} expired on {date}", "{title} 的证书已于 {date} 过期");
    }
    let Words { en, zh } = words!(
        "the certificate of {title} is valid for {left:.0} more days, until {date}",
        "{title} 的证书还有 {left:.0} 天到期（{date}）"
    );
    let (renewed, ran_out, _) = record_of_ends(&settings.wanted().ledger);
    if renewed + ran_out == 0 || !Span::new(certificate.from, certificate.until).is_due(now) {
        return Words { en, zh };
    }
    words!(
        "{en}; of those that were due on this host, {renewed} were renewed in time and {ran_out} ran out",
        "{zh}；本机此前到期的证书中，{renewed} 个及时续期，{ran_out} 个已过期"
    )
}

/// One that should have renewed itself by now.
fn late(subject: &str, certificate: &Certificate, left: f64, life: f64) -> Found {
    let (title, date) = (&certificate.title, &certificate.until_date);
    let summary = words!(
        "the certificate of {title} has {left:.0} of its {life:.0} days left, until {date}: one that renews itself is renewed before",
        "{title} 的证书有效期 {life:.0} 天，仅剩 {left:.0} 天（{date}）：如已配置自动续期，此时本应已续期"
    );
    let impact = words!(
        "If it is to renew itself, that fails, and nobody has noticed: it will run out.",
        "如应自动续期，则续期正在失败且无人察觉，证书将会过期。"
    );
    Found::advice(subject, summary).impact(impact)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Record;
    use crate::host::fixture::Fixture;
    use crate::run::Ran;
    use crate::tls::certificate::tests::{INTERMEDIATE, LEAF, RENEWED, SHORT};
    use crate::tls::known::PRETENDED;
    use cloud_doctor_proto::finding::{Detail, Finding};

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
    fn tls_01_what_should_have_renewed_itself_is_advice_before_it_is_a_warning() {
        for (days, note) in [(40, false), (28, false), (26, true), (16, true), (13, false)] {
            let found = named(LEAF).now(END - days * DAY).run(&CHECK);
            assert_eq!(found[0].note, note, "{days}");
        }
        // Nobody expects that of one that lives for years.
        let signer = named(INTERMEDIATE).now(END).run(&CHECK);
        assert!(!signer[0].note && signer[0].status == Status::Ok, "{signer:?}");
    }

    #[test]
    fn tls_01_the_end_is_a_forecast_that_is_certain_and_its_record_is_kept_from_run_to_run() {
        let number = |found: &Finding, name: &str| match found.details.get(name) {
            Some(Detail::Number(number)) => *number,
            other => panic!("{name}: {other:?}"),
        };
        let mut file = String::new();
        let mut run = |pem: &str, now: u64| {
            let mut fixture = named(pem).now(now);
            let mut record = Record::read(&file).unwrap();
            record.tell(&mut fixture.wanted, UnixTime(now));
            let found = fixture.run(&CHECK);
            record.learn(&mut [(&CHECK, Ran::Findings(found.clone()))], UnixTime(now));
            file = record.text();
            found.into_iter().next().unwrap()
        };
        let first = run(LEAF, END - 10 * DAY);
        let ends = ["earliest_s", "likely_s", "latest_s"].map(|name| number(&first, name) / 86_400.0);
        assert_eq!((ends, number(&first, "confidence")), ([10.0; 3], 1.0), "{first:?}");
        assert_eq!(first.details.get("rule"), Some(&Detail::Text("not-after".into())));
        assert!((number(&first, "used") - 80.0 / 90.0).abs() < 1e-6 && !first.summary.en.contains("due on this host"));
        // Renewed, and later not.
        assert_eq!(run(RENEWED, END - 9 * DAY).status, Status::Ok);
        assert_eq!(run(RENEWED, END + 50 * DAY).status, Status::Warning);
        assert_eq!(run(RENEWED, END + 61 * DAY).status, Status::Critical);
        let last = run(LEAF, END - 10 * DAY);
        let told = "; of those that were due on this host, 1 were renewed in time and 1 ran out";
        assert!(last.summary.en.ends_with(told), "{}", last.summary.en);
        assert!(last.summary.zh.contains("1 个及时续期，1 个已过期"), "{}", last.summary.zh);
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
