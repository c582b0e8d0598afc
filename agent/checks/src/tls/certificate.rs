//! What a certificate says: for whom, by whom, until when; and whether another one's key signed it. No private key is
//! looked at.

use cloud_doctor_proto::refusal::one_line;
use rustls::crypto::aws_lc_rs;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer as _;

/// Certificates of one file or bundle.
const CERTIFICATES_MAX: usize = 500;
/// Names of one certificate.
const NAMES_MAX: usize = 200;
/// Of a name; anything can stand in there.
const NAME_CHARS_MAX: usize = 253;
/// RFC 5280 4.2.2.1, id-ad-caIssuers.
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Itself.
    pub(super) der: Vec<u8>,
    /// For people: its common name, or its first name.
    pub(super) title: String,
    /// Who signed it, for people.
    pub(super) signer: String,
    /// The DNS names that it is for, sorted.
    pub(super) names: Vec<String>,
    /// Subject and issuer as they are written in it.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// Seconds since 1970.
    pub(super) from: i64,
    pub(super) until: i64,
    /// The date of `until`.
    pub(super) until_date: String,
    /// Whether it says where its signer's certificate is: public authorities do.
    pub(super) says_signer: bool,
}

impl Certificate {
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let mut names = Vec::new();
        if let Ok(Some(list)) = x509.subject_alternative_name() {
            let dns = list.value.general_names.iter().filter_map(|name| dns_name(name));
            names.extend(dns.take(NAMES_MAX).map(|name| one_line(name, NAME_CHARS_MAX).to_ascii_lowercase()));
        }
        names.sort();
        names.dedup();
        let title = common_name(x509.subject()).or_else(|| names.first().cloned());
        let validity = x509.validity();
        Some(Self {
            der: der.to_vec(),
            title: title.unwrap_or_else(|| one_line(&x509.subject().to_string(), NAME_CHARS_MAX)),
            signer: common_name(x509.issuer()).unwrap_or_else(|| one_line(&x509.issuer().to_string(), NAME_CHARS_MAX)),
            names,
            subject: x509.subject().as_raw().to_vec(),
            issuer: x509.issuer().as_raw().to_vec(),
            from: validity.not_before.timestamp(),
            until: validity.not_after.timestamp(),
            until_date: validity.not_after.to_datetime().date().to_string(),
            says_signer: x509.extensions().iter().any(|one| says_signer(one.parsed_extension())),
        })
    }

    pub(super) fn signs_itself(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether the key of `signer` made the signature; nothing for kinds of signatures and keys that are not known here.
    pub(super) fn is_signed_by(&self, signer: &Self) -> Option<bool> {
        let (_, x509) = X509Certificate::from_der(&signer.der).ok()?;
        let (key_kind, rest) = value(value(x509.public_key().raw)?.0)?;
        let key = bits(value(rest)?.0)?;
        let inside = value(&self.der)?.0;
        let (_, rest) = value(inside)?;
        let signed = inside.get(..inside.len() - rest.len())?;
        let (kind, rest) = value(rest)?;
        let signature = bits(value(rest)?.0)?;
        let known = aws_lc_rs::default_provider().signature_verification_algorithms.all;
        let mut fitting = known
            .iter()
            .filter(|one| one.signature_alg_id().as_ref() == kind && one.public_key_alg_id().as_ref() == key_kind)
            .peekable();
        fitting.peek()?;
        Some(fitting.any(|one| one.verify_signature(key, signed, signature).is_ok()))
    }

    /// A line of evidence.
    pub(super) fn text(&self) -> String {
        format!("{}, signed by {}, until {}", self.title, self.signer, self.until_date)
    }
}

/// What stands in a DER element, and what follows it.
fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ ..0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80).filter(|(bytes, _)| bytes.len() <= 3)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    rest.split_at_checked(length)
}

/// A bit string of whole bytes.
fn bits(value: &[u8]) -> Option<&[u8]> {
    value.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes)
}

fn common_name(name: &x509_parser::x509::X509Name<'_>) -> Option<String> {
    let text = name.iter_common_name().next()?.as_str().ok()?;
    Some(one_line(text, NAME_CHARS_MAX)).filter(|text| !text.is_empty())
}

fn dns_name<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::DNSName(name) = name { Some(name) } else { None }
}

fn says_signer(extension: &ParsedExtension<'_>) -> bool {
    let ParsedExtension::AuthorityInfoAccess(access) = extension else { return false };
    access.iter().any(|one| one.access_method.to_id_string() == CA_ISSUERS)
}

/// The certificates of a PEM file, in their order. Other blocks, private keys among them, are passed over unread.
pub(super) fn from_pem(text: &str) -> Vec<Certificate> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = text.split(BEGIN).skip(1).filter_map(|block| block.split_once(END));
    let blocks = blocks.take(CERTIFICATES_MAX).filter_map(|(inside, _)| {
        let block = format!("{BEGIN}{inside}{END}\n");
        let (_, pem) = x509_parser::pem::parse_x509_pem(block.as_bytes()).ok()?;
        Certificate::parse(&pem.contents)
    });
    blocks.collect()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(in crate::tls) const LEAF: &str = include_str!("testdata/leaf-until-2026-01-30.pem");
    pub(in crate::tls) const RENEWED: &str = include_str!("testdata/leaf-until-2026-03-31.pem");
    pub(in crate::tls) const INTERMEDIATE: &str = include_str!("testdata/intermediate.pem");
    pub(in crate::tls) const ROOT: &str = include_str!("testdata/root.pem");
    /// Another key by the name of the intermediate.
    pub(in crate::tls) const IMPOSTOR: &str = include_str!("testdata/impostor.pem");
    pub(in crate::tls) const SHORT: &str = include_str!("testdata/short.pem");

    #[test]
    fn a_certificate_says_for_whom_and_until_when() {
        let key = "-----BEGIN EC PRIVATE KEY-----\nnever looked at\n-----END EC PRIVATE KEY-----\n";
        let all = from_pem(&format!("{key}some text\n{LEAF}{INTERMEDIATE}"));
        let [leaf, intermediate] = &all[..] else { panic!("{}", all.len()) };
        assert_eq!(leaf.text(), "shop.example.com, signed by Test Intermediate, until 2026-01-30");
        assert_eq!(leaf.names, ["shop.example.com", "www.shop.example.com"]);
        assert_eq!((leaf.until - leaf.from, leaf.says_signer), (90 * 86_400, true));
        assert_eq!(leaf.issuer, intermediate.subject);
        assert!(from_pem(ROOT)[0].signs_itself() && !leaf.signs_itself());
    }

    #[test]
    fn tls_03_signatures_are_verified() {
        let one = |pem: &str| from_pem(pem).remove(0);
        let (leaf, intermediate, root) = (one(LEAF), one(INTERMEDIATE), one(ROOT));
        assert_eq!(leaf.is_signed_by(&intermediate), Some(true));
        assert_eq!(intermediate.is_signed_by(&root), Some(true));
        assert_eq!(root.is_signed_by(&root), Some(true));
        assert_eq!(leaf.is_signed_by(&root), Some(false));
        assert_eq!(leaf.is_signed_by(&one(IMPOSTOR)), Some(false), "the same name, another key");
        let at = leaf.der.len() - 1;
        let mut bad = leaf.clone();
        bad.der[at] ^= 1;
        assert_eq!(bad.is_signed_by(&intermediate), Some(false));
        for end in 0..leaf.der.len() {
            let cut = Certificate { der: leaf.der[..end].to_vec(), ..leaf.clone() };
            assert_eq!(cut.is_signed_by(&intermediate), None, "{end}");
        }
    }

    #[test]
    fn hostile_certificates_do_no_harm() {
        let der = &from_pem(LEAF)[0].der;
        for end in 0..der.len() {
            assert_eq!(Certificate::parse(&der[..end]), None, "{end}");
        }
        for at in 0..der.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = der.clone();
                bad[at] ^= flip;
                drop(Certificate::parse(&bad));
            }
        }
        for bad in ["", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----"] {
            assert!(from_pem(bad).is_empty(), "{bad}");
        }
    }
}
