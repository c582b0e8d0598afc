//! Whether a password is enough to log in over SSH from the internet.

use super::sshd_config::{Effective, SshdConfig};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Reach};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use std::net::{IpAddr, SocketAddr};

pub(crate) const CHECK: Check = Check {
    id: "security.ssh-passwords",
    title: Text { en: "Password logins over SSH", zh: "SSH 密码登录" },
    reads: &["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/", "/proc/net/fib_trie", "/proc/net/if_inet6"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Machines on the internet try passwords all day. One weak password of any account lets them in.",
        zh: "互联网上的扫描程序会不间断地尝试密码，任一账号存在弱密码即可被攻破。",
    },
    remedy: Text {
        en: "Give every account that logs in a key and prove that it works. Then set PasswordAuthentication no and \
             KbdInteractiveAuthentication no, check with sshd -t, reload sshd, and try a second login. Until then let the \
             security group allow port 22 from known addresses only.",
        zh: "为每个需登录的账号配置密钥并验证可用，再设置 PasswordAuthentication no 和 KbdInteractiveAuthentication no，用 sshd -t 校验后重载 \
             sshd，并用新会话验证。在此之前，请在安全组中只对已知地址放行 22 端口。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let config = SshdConfig::read(host)?;
    let Some(how) = way_with_a_password(&config) else {
        let methods = config.get("PasswordAuthentication", "yes");
        let found = Found::new("sshd", Status::Ok, words!("SSH logins need a key", "SSH 登录需要密钥"));
        return Ok(vec![found.evidence(methods.source, format!("PasswordAuthentication {}", methods.value))]);
    };
    let Effective { value, source } = how;
    Ok(vec![
        match reach(host, &config) {
            Ok(Reach::Internet) => Found::new(
                "sshd",
                Status::Warning,
                words!(
                    "a password is enough to log in over SSH, and this host has a public address",
                    "仅凭密码即可通过 SSH 登录，且本机具有公网地址"
                ),
            ),
            Ok(Reach::Networks) => Found::advice(
                "sshd",
                words!(
                    "a password is enough to log in over SSH from the networks of this host; a public address of the cloud \
                     (EIP, NAT) cannot be seen from here",
                    "仅凭密码即可从本机所在网络通过 SSH 登录；云上的公网地址（EIP、NAT）在主机内不可见"
                ),
            ),
            Ok(Reach::Host) => Found::new(
                "sshd",
                Status::Ok,
                words!("SSH takes passwords, but only from this host", "SSH 接受密码，但仅限本机访问"),
            ),
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
                let (en, zh) = (why.en, why.zh);
                let summary = Words {
                    en: format!("a password is enough to log in over SSH; from where cannot be told: {en}"),
                    zh: format!("仅凭密码即可通过 SSH 登录；无法判断可从何处访问：{zh}"),
                };
                Found::new("sshd", Status::Unknown, summary)
            }
        }
        .evidence(source, value),
    ])
}

/// The setting that lets a password be enough, if there is one.
fn way_with_a_password(config: &SshdConfig) -> Option<Effective> {
    let methods = config.get("AuthenticationMethods", "any").value;
    // Each list is a way in; every method of a list is needed.
    let with_key = |list: &str| list.split(',').any(|method| method.starts_with("publickey"));
    if methods != "any" && methods.split_ascii_whitespace().all(with_key) {
        return None;
    }
    let names = ["KbdInteractiveAuthentication", "ChallengeResponseAuthentication"];
    let interactive = names.map(|name| (name, config.get(name, "")));
    let (name, interactive) = interactive
        .into_iter()
        .find(|(_, setting)| !setting.value.is_empty())
        .unwrap_or((names[0], config.get(names[0], "yes")));
    // Passwords come over this way only where PAM asks for them; OpenSSH's default for PAM is no.
    let pam = config.get("UsePAM", "no").value == "yes";
    let password = config.get("PasswordAuthentication", "yes");
    let told = |name: &str, setting: Effective| Effective { value: format!("{name} {}", setting.value), ..setting };
    if password.value == "yes" {
        Some(told("PasswordAuthentication", password))
    } else if interactive.value == "yes" && pam {
        Some(told(name, interactive))
    } else {
        None
    }
}

/// From where sshd can be reached by its own settings.
fn reach(host: &Host, config: &SshdConfig) -> Result<Reach, Gap> {
    let addresses = host.reachable()?;
    let lines = config.lines.iter().filter(|line| line.keyword == "listenaddress" && line.condition.is_none());
    let bound: Vec<Option<IpAddr>> = lines.filter_map(|line| line.arguments.first()).map(|text| bind(text)).collect();
    if bound.is_empty() {
        return Ok(addresses.reach(IpAddr::from([0_u16; 8])));
    }
    // A name could be any address.
    Ok(bound.into_iter().map(|ip| ip.map_or(Reach::Networks, |ip| addresses.reach(ip))).max().unwrap_or(Reach::Host))
}

fn bind(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(config: &str, address: &str) -> Fixture {
        Fixture::live()
            .file("/etc/ssh/sshd_config", config)
            .file("/proc/net/fib_trie", format!("Local:\n |-- {address}\n    /32 host LOCAL\n"))
    }

    #[test]
    fn sec_02_passwords_matter_where_the_internet_is() {
        let debian = "KbdInteractiveAuthentication no\nUsePAM yes\n";
        for (config, address, expected) in [
            (debian.to_owned(), "47.96.0.10", Status::Warning),
            (debian.to_owned(), "172.16.0.10", Status::Ok),
            (format!("{debian}PasswordAuthentication no\n"), "47.96.0.10", Status::Ok),
            ("PasswordAuthentication no\nUsePAM yes\n".to_owned(), "47.96.0.10", Status::Warning),
            ("PasswordAuthentication no\n".to_owned(), "47.96.0.10", Status::Ok),
            (
                "PasswordAuthentication no\nChallengeResponseAuthentication no\nUsePAM yes\n".to_owned(),
                "47.96.0.10",
                Status::Ok,
            ),
            (format!("{debian}ListenAddress 127.0.0.1:22\n"), "47.96.0.10", Status::Ok),
            (format!("{debian}ListenAddress [::]:22\n"), "47.96.0.10", Status::Warning),
            (format!("{debian}AuthenticationMethods publickey,password publickey\n"), "47.96.0.10", Status::Ok),
            (format!("{debian}AuthenticationMethods publickey password\n"), "47.96.0.10", Status::Warning),
        ] {
            assert_eq!(host(&config, address).status(&CHECK), expected, "{config}");
        }
        let private = host(debian, "172.16.0.10").run(&CHECK);
        assert!(private[0].note && private[0].summary.en.contains("EIP"));
    }

    #[test]
    fn sec_02_without_addresses_it_is_unknown() {
        let fixture = Fixture::image().file("/etc/ssh/sshd_config", "UsePAM yes\n");
        assert_eq!(fixture.status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
