//! Whether services show the certificate that lies on disk: after a renewal without a reload they show the old one.

use super::known::{File, Served};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "tls.stale-served",
    title: Text { en: "Renewed certificates that are not served", zh: "已续期但未生效的证书" },
    reads: &[
        "/etc/{nginx,haproxy,apache2,httpd,postfix,dovecot}",
        "/etc/letsencrypt/live",
        "handshakes with own ports",
    ],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "The certificate was renewed, but visitors still get the old one and will be refused when it expires.",
        zh: "证书已续期，但访客得到的仍是旧证书，到期后连接将被拒绝。",
    },
    remedy: Text {
        en: "Reload the service (`systemctl reload nginx`), and let the renewal do it from now on: certbot \
             `--deploy-hook`, acme.sh `--reloadcmd`.",
        zh: "重载服务（`systemctl reload nginx`），并让续期工具今后自动执行：certbot 使用 `--deploy-hook`，acme.sh 使用 `--reloadcmd`。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let known = host.certificates()?;
    let found: Vec<Found> = known.served.iter().filter_map(|served| judge(served, &known.files)).collect();
    if found.is_empty() {
        let gap = if known.gaps.is_empty() { Gap::NotHere } else { Gap::Unknown };
        return Err(gap(words!(
            "no certificate that a service shows could be compared with a file",
            "没有可与证书文件比对的在用证书"
        )));
    }
    Ok(found)
}

/// Nothing when no file is for the same names.
fn judge(served: &Served, files: &[File]) -> Option<Found> {
    let shown = served.chain.first()?;
    let of_same_names = files.iter().filter_map(|file| {
        let leaf = file.chain.first()?;
        (!leaf.names.is_empty() && leaf.names == shown.names).then_some((file, leaf))
    });
    let (file, newest) = of_same_names.max_by_key(|(_, leaf)| leaf.from)?;
    let (subject, path, title) = (&served.subject, &file.path, &shown.title);
    if newest.from <= shown.from {
        let same = words!("{subject} shows the newest certificate of {title}", "{subject} 使用的是 {title} 的最新证书");
        return Some(Found::new(subject, Status::Ok, same));
    }
    let (old, new) = (&shown.until_date, &newest.until_date);
    let found = Found::new(
        subject,
        Status::Critical,
        words!(
            "{subject} shows a certificate of {title} until {old}, while {path} has one until {new}",
            "{subject} 使用的 {title} 证书到 {old} 为止，而 {path} 中已有到 {new} 的新证书"
        ),
    );
    Some(found.evidence(format!("handshake {subject}"), shown.text()).evidence(path, newest.text()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::tls::certificate::tests::{LEAF, RENEWED, SHORT};
    use crate::tls::known::PRETENDED;

    #[test]
    fn tls_02_an_old_certificate_that_is_still_served_is_critical() {
        let host = |served: &str, file: &str| {
            Fixture::live()
                .file(&format!("{PRETENDED}/127.0.0.1:443 shop.example.com"), served)
                .file("/etc/letsencrypt/live/shop/fullchain.pem", file)
        };
        for (served, file, expected) in [
            (LEAF, LEAF, Status::Ok),
            (LEAF, RENEWED, Status::Critical),
            // The file is the older one: the service has it from elsewhere.
            (RENEWED, LEAF, Status::Ok),
        ] {
            assert_eq!(host(served, file).status(&CHECK), expected);
        }
        assert!(host(SHORT, LEAF).has_none_of(&CHECK), "other names");
        let secret = host(SHORT, LEAF).file("/etc/nginx/nginx.conf", "ssl_certificate /gone.pem;\n");
        assert_eq!(secret.status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
