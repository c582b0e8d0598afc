//! `proxy_set_header Host $http_host` hands the application whatever name a client made up. As gixy's host_spoofing.

use super::{Traps, subject_at};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Instance, readable, visit};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.host-spoofing",
    title: Text {
        en: "nginx passes on a Host header that clients make up", zh: "nginx 透传客户端伪造的 Host 头"
    },
    reads: &["the running nginx's configuration with its includes"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Applications that build links from the host name can be made to send users to a stranger's site, for example in password mails.",
        zh: "若应用用主机名生成链接，攻击者可让其把用户引向他人网站，例如在重置密码的邮件中。",
    },
    remedy: Text {
        en: "Use proxy_set_header Host $host; (with :$server_port where a port is needed), run nginx -t, then nginx -s reload.",
        zh: "使用 proxy_set_header Host $host;（需要端口时加 :$server_port），执行 nginx -t，然后 nginx -s reload。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    Ok(readable(host)?.into_iter().flat_map(found).collect())
}

fn found(instance: &Instance) -> Vec<Found> {
    let mut traps = Traps::default();
    visit(&instance.tree, &mut |chain, directive| {
        let (Some(header), Some(value)) = (directive.arg(0), directive.arg(1)) else { return };
        if directive.name != "proxy_set_header" || !header.eq_ignore_ascii_case("host") {
            return;
        }
        if value != "$http_host" && !value.starts_with("$arg_") {
            return;
        }
        let place = directive.place();
        let block = chain.last().map(|block| format!("{} {}", block.name, block.args.join(" ")));
        let subject = subject_at(instance, &place, block.unwrap_or_default().trim());
        let trap = |subject: &str| {
            let summary =
                words!("the Host header is {value}, which clients make up", "Host 头取自 {value}，客户端可任意伪造");
            Found::new(subject, Status::Warning, summary)
        };
        traps.add(subject, trap, &[place]);
    });
    traps.told(instance, "proxy_set_header Host")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_31_the_host_header_is_not_taken_from_the_client() {
        for (line, expected) in [
            ("proxy_set_header Host $http_host;", Status::Warning),
            ("proxy_set_header HOST $arg_host;", Status::Warning),
            ("proxy_set_header Host $host;", Status::Ok),
            ("proxy_set_header Host $proxy_host;", Status::Ok),
            ("proxy_set_header X-Host $http_host;", Status::Ok),
            ("proxy_set_header Host;", Status::Ok),
        ] {
            let text = format!("http {{ server {{ location / {{ {line} }} }} }}");
            assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", text).status(&CHECK), expected, "{line}");
        }
        let twice = "http { server { location / { proxy_set_header Host $http_host; } } server { location / {\n proxy_set_header Host $http_host; } } }";
        let found = Fixture::image().file("/etc/nginx/nginx.conf", twice).run(&CHECK);
        assert_eq!(found.iter().map(|one| one.evidence.len()).collect::<Vec<_>>(), [2]);
        assert!(Fixture::image().has_none_of(&CHECK));
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", "http {").status(&CHECK), Status::Unknown);
    }
}
