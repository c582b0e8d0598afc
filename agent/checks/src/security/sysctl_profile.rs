//! Kernel settings against a hardening profile. Advice only, and one for all of them.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.sysctl",
    title: Text { en: "Hardening of the kernel", zh: "内核安全参数" },
    reads: &["/proc/sys/"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "None of these lets anybody in; each makes the next step easier for somebody who is in already.",
        zh: "这些参数本身不会让人入侵，但会让已入侵者的下一步更容易。",
    },
    remedy: Text {
        en: "Put the values that do not disturb your programs into /etc/sysctl.d/60-hardening.conf and run sysctl --system. \
             Try them on one server first.",
        zh: "将不影响业务的取值写入 /etc/sysctl.d/60-hardening.conf 并执行 sysctl --system；请先在一台服务器上试行。",
    },
    run,
};

/// Names with the values that are good; the first is the one to set. CISOfy/lynis default.prf, `config-data=sysctl`, without
/// those that change how a server serves (`tcp_timestamps`, `log_martians`, `forwarding`, `proxy_arp`, `sysrq`), and with
/// `rp_filter` 2, which hosts with two networks need (kernel Documentation/networking/ip-sysctl.rst).
const PROFILE: [(&str, &[&str]); 18] = [
    ("fs.suid_dumpable", &["0"]),
    ("fs.protected_hardlinks", &["1"]),
    ("fs.protected_symlinks", &["1"]),
    ("kernel.dmesg_restrict", &["1"]),
    ("kernel.kptr_restrict", &["2", "1"]),
    ("kernel.randomize_va_space", &["2"]),
    ("kernel.yama.ptrace_scope", &["1", "2", "3"]),
    ("net.ipv4.conf.all.accept_redirects", &["0"]),
    ("net.ipv4.conf.all.accept_source_route", &["0"]),
    ("net.ipv4.conf.all.rp_filter", &["1", "2"]),
    ("net.ipv4.conf.all.send_redirects", &["0"]),
    ("net.ipv4.conf.default.accept_redirects", &["0"]),
    ("net.ipv4.conf.default.accept_source_route", &["0"]),
    ("net.ipv4.icmp_echo_ignore_broadcasts", &["1"]),
    ("net.ipv4.icmp_ignore_bogus_error_responses", &["1"]),
    ("net.ipv4.tcp_syncookies", &["1", "2"]),
    ("net.ipv6.conf.all.accept_redirects", &["0"]),
    ("net.ipv6.conf.all.accept_source_route", &["0", "-1"]),
];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let (mut read, mut weak) = (0, Vec::new());
    let routes = host.read("/proc/sys/net/ipv4/ip_forward").is_ok_and(|value| value.trim() == "1");
    for (name, good) in PROFILE {
        // A router and a host of containers redirect and filter by rules of their own.
        if routes && matches!(name, "net.ipv4.conf.all.rp_filter" | "net.ipv4.conf.all.send_redirects") {
            continue;
        }
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        // A kernel without a feature, or with less for this user, has no such file.
        let Ok(value) = host.read(&path) else { continue };
        let value = value.trim().to_owned();
        read += 1;
        if !good.contains(&value.as_str()) {
            weak.push((name, path, value, good.first().copied().unwrap_or_default()));
        }
    }
    if read == 0 {
        return Err(Gap::Unknown(words!(
            "no kernel setting can be read below /proc/sys",
            "无法读取 /proc/sys 下的内核参数"
        )));
    }
    if weak.is_empty() {
        let summary =
            words!("all {read} settings are as hardened kernels have them", "{read} 项内核参数均符合加固基线");
        return Ok(vec![Found::new("", Status::Ok, summary)]);
    }
    let count = weak.len();
    let summary = words!(
        "{count} of {read} kernel settings are weaker than in the hardening profile of lynis",
        "{read} 项内核参数中有 {count} 项弱于 lynis 加固基线"
    );
    let found = Found::advice("", summary);
    Ok(vec![weak.into_iter().fold(found, |found, (name, path, value, good)| {
        found.evidence(path, format!("{name} = {value}, in the profile {good}"))
    })])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_08_weak_settings_are_one_advice() {
        for (files, weak) in [
            (&[("kernel/kptr_restrict", "2\n"), ("fs/suid_dumpable", "0\n")][..], None),
            (&[("kernel/kptr_restrict", "0\n"), ("fs/suid_dumpable", "2\n")], Some("2 of 2")),
            (&[("net/ipv4/conf/all/rp_filter", "0\n"), ("net/ipv4/tcp_syncookies", "1\n")], Some("1 of 2")),
            (
                &[("net/ipv4/conf/all/rp_filter", "0\n"), ("net/ipv4/ip_forward", "1\n"), ("fs/suid_dumpable", "0\n")],
                None,
            ),
        ] {
            let fixture = files
                .iter()
                .fold(Fixture::live(), |fixture, (path, value)| fixture.file(&format!("/proc/sys/{path}"), value));
            let found = fixture.run(&CHECK);
            assert_eq!((found.len(), found[0].status, found[0].note), (1, Status::Ok, weak.is_some()), "{files:?}");
            assert!(weak.is_none_or(|weak| found[0].summary.en.starts_with(weak)), "{}", found[0].summary.en);
        }
        assert_eq!(Fixture::live().status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
