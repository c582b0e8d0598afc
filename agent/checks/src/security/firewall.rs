//! Whether this host filters packets itself. Rules in the kernel cannot be read without a program or a netlink socket, so
//! that only configuration tells that there are some, and only a kernel without any filter tells that there are none.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "security.firewall",
    title: Text { en: "Packet filter of the host", zh: "主机防火墙" },
    reads: &[
        "/etc/nftables.conf",
        "/etc/sysconfig/nftables.conf",
        "/etc/iptables/rules.v4",
        "/etc/sysconfig/iptables",
        "/etc/ufw/ufw.conf",
        "/etc/systemd/system/",
        "/proc/net/ip_tables_names",
        "/sys/module/",
        "/lib/modules/",
    ],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "Only the cloud's security group stands between the internet and every port that a program opens by accident.",
        zh: "程序意外开放的任何端口与互联网之间只剩云安全组这一道防线。",
    },
    remedy: Text {
        en: "Check that the security group allows what is served and nothing else. For a second line, enable nftables, ufw or \
             firewalld with SSH allowed first, from a console that survives a mistake.",
        zh: "确认安全组只放行对外提供的服务。如需第二道防线，请启用 nftables、ufw 或 firewalld，务必先放行 SSH，并准备好可恢复的控制台。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let mut unread = None;
    for look in [ufw, firewalld, nftables, saved_iptables] {
        match look(host) {
            Ok(Some((name, source, text))) => {
                let summary = words!("{name} filters packets by its configuration", "按配置，{name} 在过滤数据包");
                return Ok(vec![Found::new("", Status::Ok, summary).evidence(source, text)]);
            }
            Ok(None) | Err(Gap::NotHere(_)) => {}
            Err(Gap::Unknown(why)) => unread = Some(why),
        }
    }
    if let Some(why) = unread {
        return Err(Gap::Unknown(why));
    }
    let kernel = kernel_has_no_filter(host)?;
    let public = host.reachable()?.public.first().map(ToString::to_string);
    let found = match &public {
        Some(address) => Found::new(
            "",
            Status::Warning,
            words!(
                "this host filters no packets, and has the public address {address}",
                "本机未启用任何防火墙，且具有公网地址 {address}"
            ),
        ),
        None => Found::advice(
            "",
            words!(
                "this host filters no packets; it has no public address of its own",
                "本机未启用任何防火墙；本机自身没有公网地址"
            ),
        ),
    };
    Ok(vec![found.evidence("/sys/module", kernel)])
}

/// A packet filter that is configured: its name, and what says so.
type Filter = Option<(&'static str, String, String)>;

fn ufw(host: &Host) -> Result<Filter, Gap> {
    let text = host.read("/etc/ufw/ufw.conf")?;
    let line = text.lines().enumerate().find(|(_, line)| line.trim().eq_ignore_ascii_case("enabled=yes"));
    Ok(line.map(|(at, line)| ("ufw", format!("/etc/ufw/ufw.conf:{}", at + 1), line.to_owned())))
}

fn firewalld(host: &Host) -> Result<Filter, Gap> {
    // It is a Python program: its short name says who it is.
    let running = host.processes().iter().find(|process| process.name == "firewalld");
    Ok(running.map(|process| ("firewalld", format!("/proc/{}/stat", process.pid), "firewalld runs".to_owned())))
}

fn nftables(host: &Host) -> Result<Filter, Gap> {
    if !["sysinit", "multi-user"].iter().any(|target| {
        let unit = format!("/etc/systemd/system/{target}.target.wants/nftables.service");
        host.link(&unit).is_ok() || host.exists(&unit)
    }) {
        return Ok(None);
    }
    let paths = ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"];
    let Some(path) = paths.into_iter().find(|path| host.exists(path)) else { return Ok(None) };
    let text = host.read(path)?;
    let rule = first_nft_rule(&text).map(|(line, rule)| ("nftables", format!("{path}:{line}"), rule.to_owned()));
    if rule.is_none() && text.lines().any(|line| line.trim_start().starts_with("include ")) {
        return Err(Gap::Unknown(words!(
            "{path} includes other files, which are not followed here",
            "{path} 引用了其他文件，此处未跟踪"
        )));
    }
    Ok(rule)
}

/// The first line that drops, rejects or accepts something; a chain whose policy is accept and that is empty filters
/// nothing (what Debian ships).
fn first_nft_rule(text: &str) -> Option<(usize, &str)> {
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.find(|(_, line)| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split([' ', '\t', ';', '{', '}', ',']).filter(|word| !word.is_empty());
        let acts = line.contains("policy drop")
            || (!line.contains("policy ") && words.any(|word| matches!(word, "drop" | "reject" | "accept")));
        acts && !line.is_empty()
    })
}

fn saved_iptables(host: &Host) -> Result<Filter, Gap> {
    for (path, service) in
        [("/etc/iptables/rules.v4", "netfilter-persistent.service"), ("/etc/sysconfig/iptables", "iptables.service")]
    {
        let units = ["multi-user", "basic", "sysinit"]
            .map(|target| format!("/etc/systemd/system/{target}.target.wants/{service}"));
        if !units.iter().any(|unit| host.link(unit).is_ok() || host.exists(unit)) || !host.exists(path) {
            continue;
        }
        let text = host.read(path)?;
        let rule = text.lines().enumerate().find(|(_, line)| {
            line.starts_with("-A INPUT ") || line.starts_with(":INPUT DROP") || line.starts_with(":INPUT REJECT")
        });
        if let Some((at, rule)) = rule {
            return Ok(Some(("iptables", format!("{path}:{}", at + 1), rule.to_owned())));
        }
    }
    Ok(None)
}

/// What says that the kernel has nothing loaded that could filter.
fn kernel_has_no_filter(host: &Host) -> Result<String, Gap> {
    let loaded = ["nf_tables", "ip_tables", "ip6_tables", "iptable_filter", "bpfilter"]
        .into_iter()
        .find(|module| host.exists(&format!("/sys/module/{module}")));
    let may_have_rules = |what: &str| {
        Gap::Unknown(words!(
            "{what} is in the kernel; whether it has rules cannot be read from files: run nft list ruleset, iptables -S",
            "内核已加载 {what}；其规则无法从文件读取，请执行 nft list ruleset、iptables -S 查看"
        ))
    };
    if let Some(module) = loaded {
        return Err(may_have_rules(module));
    }
    match host.read("/proc/net/ip_tables_names") {
        Ok(names) if !names.trim().is_empty() => return Err(may_have_rules("ip_tables")),
        Ok(_) | Err(Gap::NotHere(_)) => {}
        Err(gap) => return Err(gap),
    }
    let release = host.must_read("/proc/sys/kernel/osrelease")?;
    let builtin = format!("/lib/modules/{}/modules.builtin", release.trim());
    let text = host.must_read(&builtin)?;
    let built_in =
        |line: &str| ["/nf_tables.ko", "/ip_tables.ko", "/ip6_tables.ko"].iter().any(|end| line.ends_with(end));
    match text.lines().find(|line| built_in(line)) {
        Some(line) => Err(may_have_rules(line.rsplit('/').next().unwrap_or(line))),
        None => Ok(format!("neither nf_tables nor ip_tables is loaded, nor built in by {builtin}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    const SHIPPED: &str = "#!/usr/sbin/nft -f\n\nflush ruleset\n\ntable inet filter {\n\tchain input {\n\
        \t\ttype filter hook input priority filter;\n\t}\n}\n";
    const UNIT: &str = "/etc/systemd/system/sysinit.target.wants/nftables.service";

    fn host(address: &str) -> Fixture {
        Fixture::live()
            .file("/proc/net/fib_trie", format!("Local:\n |-- {address}\n    /32 host LOCAL\n"))
            .file("/proc/sys/kernel/osrelease", "6.1.0-40-amd64\n")
            .file("/lib/modules/6.1.0-40-amd64/modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    }

    #[test]
    fn sec_07_a_filter_is_one_that_filters() {
        let nft = |text: &str| host("47.96.0.10").file(UNIT, "").file("/etc/nftables.conf", text);
        let public = || host("47.96.0.10");
        for (name, fixture, expected) in [
            ("nothing", public(), Status::Warning),
            ("nothing, private", host("10.0.0.2"), Status::Ok),
            ("what Debian ships", nft(SHIPPED), Status::Warning),
            ("a rule", nft(&SHIPPED.replace("filter;\n", "filter;\n tcp dport { 22, 443 } accept\n")), Status::Ok),
            ("a policy", nft(&SHIPPED.replace("filter;\n", "filter; policy drop;\n")), Status::Ok),
            ("not enabled", public().file("/etc/nftables.conf", "drop"), Status::Warning),
            ("includes", nft("include \"/etc/nft/*.nft\"\n"), Status::Unknown),
            ("ufw", public().file("/etc/ufw/ufw.conf", "# /etc\nENABLED=yes\nLOGLEVEL=low\n"), Status::Ok),
            ("ufw is off", public().file("/etc/ufw/ufw.conf", "ENABLED=no\n"), Status::Warning),
            ("firewalld", public().process(7, 'S', &["firewalld"]), Status::Ok),
            ("in the kernel", public().file("/sys/module/nf_tables/refcnt", "2"), Status::Unknown),
            ("tables", public().file("/proc/net/ip_tables_names", "filter\n"), Status::Unknown),
            ("no list", Fixture::live().file("/proc/sys/kernel/osrelease", "5\n"), Status::Unknown),
        ] {
            assert_eq!(fixture.status(&CHECK), expected, "{name}");
        }
        let saved = public()
            .file("/etc/sysconfig/iptables", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n")
            .file("/etc/systemd/system/basic.target.wants/iptables.service", "");
        assert_eq!(saved.status(&CHECK), Status::Ok);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }
}
