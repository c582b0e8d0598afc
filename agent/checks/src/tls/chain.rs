//! Whether services show the certificates between their own and a root, each signed by the next. Revocation is not looked
//! at; a kind of signature that is not known here is passed over.

use super::certificate::{Certificate, from_pem};
use super::known::Served;
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "tls.chain",
    title: Text { en: "Certificate chains", zh: "证书链" },
    reads: &["handshakes with own ports", "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"],
    needs: Needs { root: true, net: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "Desktop browsers mend it themselves, but phones, applications and other servers refuse to connect.",
        zh: "桌面浏览器能自行补全，但手机、应用程序和其他服务器会拒绝连接。",
    },
    remedy: Text {
        en: "Serve the full chain: `ssl_certificate` must name fullchain.pem, not cert.pem; append the authority's \
             intermediate certificate to the file, then reload.",
        zh: "使用完整证书链：`ssl_certificate` 应指向 fullchain.pem 而非 cert.pem；将证书机构的中间证书追加到文件后重载服务。",
    },
    run,
};

/// Where distributions keep the roots that they trust.
const ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let known = host.certificates()?;
    let roots = roots(host);
    let found: Vec<Found> = known.served.iter().filter_map(|served| judge(served, &roots)).collect();
    if found.is_empty() {
        let gap = if known.gaps.is_empty() { Gap::NotHere } else { Gap::Unknown };
        return Err(gap(words!("no service here showed its certificates", "没有服务出示证书")));
    }
    Ok(found)
}

/// Certificates by their subject: of some names there are two.
type Roots = BTreeMap<Vec<u8>, Vec<Certificate>>;

/// All roots that this host trusts.
fn roots(host: &Host) -> Roots {
    let bundle = ROOTS.iter().find_map(|path| host.read(path).ok()).unwrap_or_default();
    let mut roots = Roots::new();
    for root in from_pem(&bundle) {
        roots.entry(root.subject.clone()).or_default().push(root);
    }
    roots
}

/// The certificate that nobody shown or trusted has signed, although one of that name is there.
fn unsigned<'a>(chain: &'a [Certificate], roots: &Roots) -> Option<&'a Certificate> {
    let pairs = chain.iter().zip(chain.iter().skip(1));
    let forged = |one: &Certificate, signer: &Certificate| one.is_signed_by(signer) == Some(false);
    let between = pairs.clone().find(|(one, next)| forged(one, next)).map(|(one, _)| one);
    let last = chain
        .last()
        .filter(|last| roots.get(&last.issuer).is_some_and(|roots| roots.iter().all(|root| forged(last, root))));
    between.or(last)
}

fn judge(served: &Served, roots: &Roots) -> Option<Found> {
    let (subject, chain) = (&served.subject, &served.chain);
    let (leaf, last) = (chain.first()?, chain.last()?);
    let with = |found: Found| found.evidence(format!("handshake {subject}"), text(chain));
    let broken = chain.windows(2).find(|pair| matches!(pair, [one, next] if one.issuer != next.subject));
    if let Some([one, next]) = broken {
        let (title, signer, other) = (&one.title, &one.signer, &next.title);
        let wrong = words!(
            "{subject} shows {other} after {title}, which was signed by {signer}",
            "{subject} 在 {title} 之后出示了 {other}，但前者由 {signer} 签发"
        );
        return Some(with(Found::new(subject, Status::Warning, wrong)));
    }
    if let Some(one) = unsigned(chain, roots) {
        let (title, signer) = (&one.title, &one.signer);
        let summary = words!(
            "{subject} shows {title}, but the certificate of {signer} that belongs to it has another key",
            "{subject} 出示的 {title} 与对应的 {signer} 证书密钥不匹配"
        );
        let found = Found::new(subject, Status::Critical, summary);
        return Some(with(found.impact(words!(
            "Clients cannot verify the certificate and refuse to connect.",
            "客户端无法验证该证书，会拒绝连接。"
        ))));
    }
    if leaf.signs_itself() {
        return Some(with(self_signed(subject)));
    }
    let (title, signer) = (&leaf.title, &last.signer);
    if last.signs_itself() || roots.contains_key(&last.issuer) {
        let whole = words!("{subject} shows the whole chain of {title}", "{subject} 出示了 {title} 的完整证书链");
        return Some(Found::new(subject, Status::Ok, whole));
    }
    let summary = words!(
        "{subject} shows {title} without the certificate of {signer}, which it needs",
        "{subject} 出示 {title} 时缺少必需的 {signer} 证书"
    );
    Some(with(if roots.is_empty() {
        Found::new(
            subject,
            Status::Unknown,
            words!(
                "this host has no list of roots to compare {subject} with",
                "此主机没有可用于比对 {subject} 的根证书列表"
            ),
        )
    } else if last.says_signer {
        Found::new(subject, Status::Critical, summary)
    } else {
        // A company's own authority: its clients may have it.
        Found::advice(subject, summary)
    }))
}

fn self_signed(subject: &str) -> Found {
    let own = words!("the certificate of {subject} is signed by itself", "{subject} 的证书是自签名证书");
    let advice = Found::advice(subject, own).impact(words!(
        "Only clients that know this very certificate can trust it.",
        "只有预先信任该证书的客户端才能验证它。"
    ));
    advice.remedy(words!(
        "For visitors, take one of a public authority (`certbot`, `acme.sh`).",
        "面向访客的服务请使用公共证书机构签发的证书（`certbot`、`acme.sh`）。"
    ))
}

fn text(chain: &[Certificate]) -> String {
    chain.iter().map(Certificate::text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::tls::certificate::tests::{IMPOSTOR, INTERMEDIATE, LEAF, ROOT, SHORT};
    use crate::tls::known::PRETENDED;

    #[test]
    fn tls_03_a_chain_must_reach_a_root() {
        let served = |chain: &[&str]| Fixture::live().file(&format!("{PRETENDED}/127.0.0.1:443"), chain.concat());
        for (chain, expected, note) in [
            (&[LEAF, INTERMEDIATE][..], Status::Ok, false),
            (&[LEAF, INTERMEDIATE, ROOT], Status::Ok, false),
            (&[LEAF], Status::Critical, false),
            (&[LEAF, ROOT], Status::Warning, false),
            (&[SHORT], Status::Ok, true),
            (&[LEAF, IMPOSTOR], Status::Critical, false),
        ] {
            let found = served(chain).file(ROOTS[0], ROOT).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (expected, note), "{chain:?}");
        }
        let found = served(&[INTERMEDIATE]).file(ROOTS[0], SHORT).run(&CHECK);
        assert!(found[0].note, "signed by a company's own authority");
        assert_eq!(served(&[LEAF, INTERMEDIATE]).status(&CHECK), Status::Unknown, "no roots to compare with");
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
