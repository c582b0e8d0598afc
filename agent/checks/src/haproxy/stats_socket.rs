//! The doors to HAProxy's own state: one must be there, and none may be open to strangers.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::haproxy::{Instance, StatsPage, StatsSocket, extras};
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "haproxy.stats-socket",
    title: Text { en: "Access to HAProxy's statistics", zh: "HAProxy 统计信息的访问" },
    reads: &["HAProxy's configuration: stats socket, stats uri, stats auth, bind"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "Whoever reaches it sees every backend, and with the right level takes servers out of service.",
        zh: "能访问者可看到所有后端，权限足够时还能将服务器摘除。",
    },
    remedy: Text {
        en: "Use a unix socket: stats socket /run/haproxy/admin.sock mode 660 level admin. Put pages behind stats auth and an address of the inside.",
        zh: "使用 unix socket:stats socket /run/haproxy/admin.sock mode 660 level admin。统计页面应设置 stats auth 并仅监听内网地址。",
    },
    run,
};

fn run(host: &Host, _settings: &Settings<'_>) -> Outcome {
    let extras = extras(host)?;
    let sockets = extras.instances.iter().flat_map(|instance| &instance.sockets).map(of_socket);
    let blind = extras.instances.iter().filter(|instance| instance.sockets.is_empty()).map(blind);
    Ok(many(blind.chain(sockets).chain(extras.pages.iter().map(of_page)).collect()))
}

fn blind(instance: &Instance) -> Found {
    let file = instance.files.first().map_or("", String::as_str);
    if let Some(why) = &instance.unread {
        return Found::new(format!("haproxy {file}"), Status::Unknown, why.clone());
    }
    Found::advice(format!("haproxy {file}"), words!("HAProxy has no stats socket", "HAProxy 没有 stats socket"))
        .evidence(file, "global")
        .impact(words!(
            "Nobody can see which servers are down, or take one out without a reload.",
            "无法查看哪些服务器宕机，也无法在不重载的情况下摘除服务器。"
        ))
        .remedy(words!(
            "In global write: stats socket /run/haproxy/admin.sock mode 660 level admin.",
            "在 global 写：stats socket /run/haproxy/admin.sock mode 660 level admin。"
        ))
}

fn of_socket(socket: &StatsSocket) -> Found {
    let StatsSocket { address, is_admin, mode, is_public, place } = socket;
    // A port of the loopback is open to every user, as a file with mode 666 is.
    let is_port = !address.contains('/') && address.contains(':');
    let writable = is_port || mode.is_some_and(|mode| mode & 0o002 != 0);
    let (status, summary) = if *is_public {
        (
            Status::Critical,
            words!(
                "the stats socket at {address} can be reached over the network, without any password",
                "stats socket {address} 可从网络访问，且没有任何密码"
            ),
        )
    } else if writable && *is_admin {
        (
            Status::Warning,
            words!(
                "every user of this host may command HAProxy at {address}",
                "本机任何用户都可通过 {address} 控制 HAProxy"
            ),
        )
    } else {
        (Status::Ok, words!("the stats socket {address} is for this host only", "stats socket {address} 仅供本机使用"))
    };
    Found::new(format!("haproxy stats socket {address}"), status, summary).evidence(place.source(), &place.text)
}

fn of_page(page: &StatsPage) -> Found {
    let StatsPage { subject, place, is_open, is_admin } = page;
    let (status, summary) = match (is_open, is_admin) {
        (false, _) => {
            (Status::Ok, words!("the page with statistics has a password or rules", "统计页面设有密码或访问规则"))
        }
        (true, true) => (
            Status::Critical,
            words!(
                "anybody who reaches the page with statistics can switch servers off",
                "任何能访问统计页面的人都可以停用服务器"
            ),
        ),
        (true, false) => (
            Status::Warning,
            words!(
                "anybody who reaches the page with statistics sees every backend",
                "任何能访问统计页面的人都能看到所有后端"
            ),
        ),
    };
    Found::new(format!("{subject} stats page"), status, summary).evidence(place.source(), &place.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_30_a_door_must_be_there_and_not_be_open() {
        for (config, expected, note) in [
            ("global\n stats socket /run/haproxy/admin.sock mode 660 level admin\n", Status::Ok, false),
            ("global\n stats socket /run/haproxy/admin.sock mode 666 level admin\n", Status::Warning, false),
            ("global\n stats socket /run/haproxy/admin.sock mode 666\n", Status::Ok, false),
            ("global\n stats socket ipv4@127.0.0.1:1999 level admin\n", Status::Warning, false),
            ("global\n stats socket ipv4@127.0.0.1:1999\n", Status::Ok, false),
            ("global\n stats socket ipv4@*:1999 level admin\n", Status::Critical, false),
            ("global\n stats socket :1999\n", Status::Critical, false),
            ("global\n stats socket 10.0.0.1:1999\n", Status::Critical, false),
            ("global\n maxconn 10\n", Status::Ok, true),
            ("global\n maxconn 10\n\0", Status::Unknown, false),
            ("global\n stats socket /s\nlisten l\n bind *:8404\n stats uri /s\n", Status::Warning, false),
            (
                "global\n stats socket /s\nlisten l\n bind *:8404\n stats enable\n stats admin if TRUE\n",
                Status::Critical,
                false,
            ),
            ("global\n stats socket /s\nlisten l\n bind *:8404\n stats enable\n stats auth a:b\n", Status::Ok, false),
            ("global\n stats socket /s\nlisten l\n bind 127.0.0.1:8404\n stats enable\n", Status::Ok, false),
            ("global\n stats socket /s\nfrontend l\n bind 127.0.0.1:80,:8404\n stats enable\n", Status::Warning, false),
        ] {
            let findings = Fixture::image().file("/etc/haproxy/haproxy.cfg", config).run(&CHECK);
            assert_eq!(findings.iter().map(|finding| finding.status).max(), Some(expected), "{config}");
            assert_eq!(findings.iter().any(|finding| finding.note), note, "{config}");
            assert!(!format!("{findings:?}").contains("a:b"));
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
