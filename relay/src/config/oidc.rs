//! The `[oidc]` section: which identity provider signs people in, and whom of them.

use super::is_this_machine;
use super::reader::Reader;
use crate::access::{OidcGuests, OidcSettings};

/// The provider, if one is configured.
pub(super) fn oidc(reader: &mut Reader) -> Option<OidcSettings> {
    let (issuer, client_id) = (reader.text("oidc.issuer"), reader.text("oidc.client_id"));
    let client_secret_file = reader.text("oidc.client_secret_file").map(Into::into);
    let name = reader.text("oidc.name");
    let hosts = reader.texts("oidc.hosts");
    let domains = reader.texts("oidc.allowed_domains").iter().map(|domain| domain.to_ascii_lowercase()).collect();
    let (groups_claim, groups) = (reader.text("oidc.groups_claim"), reader.texts("oidc.allowed_groups"));
    let create_accounts = reader.flag("oidc.create_accounts");
    let guests = OidcGuests { domains, groups_claim: groups_claim.unwrap_or_else(|| "groups".to_owned()), groups };
    let Some(issuer) = issuer else {
        let rest = client_id.is_some() || client_secret_file.is_some() || name.is_some() || create_accounts;
        if rest || !hosts.is_empty() || !guests.domains.is_empty() || !guests.groups.is_empty() {
            reader.wrong("oidc.issuer", "is missing: without it the other keys of [oidc] mean nothing");
        }
        return None;
    };
    if !is_safe(&issuer) {
        reader.wrong("oidc.issuer", "must be an https:// address (http:// only for a provider on this machine)");
    }
    if !hosts.iter().all(|host| is_host(host)) {
        reader.wrong("oidc.hosts", "must be names of hosts, such as keys.example, without https://, a port or a path");
    }
    if create_accounts && guests.domains.is_empty() && guests.groups.is_empty() {
        reader
            .wrong("oidc.create_accounts", "needs allowed_domains or allowed_groups: else everybody there could come");
    }
    let Some(client_id) = client_id else {
        reader.wrong("oidc.client_id", "is missing: the provider gives it to you when you register the relay there");
        return None;
    };
    let name = name.unwrap_or_else(|| host(&issuer).to_owned());
    Some(OidcSettings { issuer, hosts, client_id, client_secret_file, name, guests, create_accounts })
}

fn host(issuer: &str) -> &str {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// A name or an address, as the host of an `https://` address is written.
fn is_host(text: &str) -> bool {
    let six = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let name = text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    six.map_or(name, |address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_safe(issuer: &str) -> bool {
    let name = host(issuer).rsplit_once(':').map_or(host(issuer), |(name, _)| name);
    let plain = issuer.starts_with("http://") && is_this_machine(name);
    let whole = !name.is_empty() && !issuer.contains(['?', '#', '@', ' ']);
    whole && (plain || issuer.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::RelayConfig;

    fn errors(text: &str) -> Vec<String> {
        RelayConfig::parse(text, "/d".into()).err().map(|e| e.0).unwrap_or_default()
    }

    #[test]
    fn a_provider_is_whole_and_reached_by_tls() {
        let with = |issuer: &str, rest: &str| errors(&format!("[oidc]\nissuer = '{issuer}'\nclient_id = 'x'\n{rest}"));
        for good in ["https://id.example", "https://id.example/realms/a", "http://127.0.0.1:9", "http://localhost/x"] {
            assert!(with(good, "").is_empty(), "{good}");
        }
        for bad in ["http://id.example", "http://localhost.evil.example", "id.example", "", "https://", "https://a?b"] {
            assert_eq!(with(bad, "").len(), 1, "{bad}");
        }
        let good = "https://id.example";
        assert_eq!(with(good, "create_accounts = true").len(), 1, "for whom?");
        assert!(with(good, "create_accounts = true\nallowed_domains = ['Example.com']").is_empty());
        assert_eq!(with(good, "allowed_domains = 'x'\nallowed_groups = [1]\ncreate_accounts = 'yes'\nx = 1").len(), 4);
        assert!(with(good, "hosts = ['keys.internal.example', '10.0.0.5', '[fd00::5]']").is_empty());
        for bad in ["https://keys.example", "keys.example:8443", "keys.example/x", "*.example", "fd00::5", "[x]", "a b"]
        {
            let errors = with(good, &format!("hosts = ['id.example', '{bad}']"));
            assert!(
                matches!(&*errors, [one] if one.contains("oidc.hosts: must be names of hosts")),
                "{bad}: {errors:?}"
            );
        }
        assert_eq!(errors("[oidc]\nhosts = ['keys.example']").len(), 1, "whose?");
        assert_eq!(errors("[oidc]\nclient_id = 'x'").len(), 1, "no issuer");
        assert_eq!(errors("[oidc]\nissuer = 'https://id.example'").len(), 1, "no client");
        assert!(errors("[oidc]").is_empty());
    }
}
