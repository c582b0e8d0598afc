//! One `add_header` in a location drops all those of the server around it, security headers too. As gixy's
//! add_header_redefinition, with its list of headers.

use super::{Traps, subject_at};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Directive, Instance, Scope, readable, visit_scopes};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.add-header-redefinition",
    title: Text { en: "nginx add_header that drops security headers", zh: "丢失安全响应头的 nginx add_header" },
    reads: &["the running nginx's configuration with its includes"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Browsers are not told what the outer block says: protection against framing, sniffing or plain HTTP is missing for these pages.",
        zh: "浏览器收不到外层块设置的响应头：这些页面缺少防嵌套、防嗅探或强制 HTTPS 等保护。",
    },
    remedy: Text {
        en: "Repeat the outer add_header lines in the inner block (best in a file that both include), or use add_header_inherit merge from nginx 1.29.3 on.",
        zh: "在内层块中重复外层的 add_header（最好放入文件并由两处 include），或在 nginx 1.29.3 及以上使用 add_header_inherit merge。",
    },
    run,
};

/// The headers whose loss matters (gixy).
const MATTERS: [&str; 6] = [
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "content-security-policy",
    "strict-transport-security",
    "cache-control",
];

/// Headers of one block that are looked at.
const HEADERS_MAX: usize = 100;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    Ok(readable(host)?.into_iter().flat_map(found).collect())
}

fn found(instance: &Instance) -> Vec<Found> {
    let mut traps = Traps::default();
    visit_scopes(&instance.tree, |name| name.starts_with("add_header"), &mut |scope, block| {
        if !["server", "location", "if"].contains(&block.name.as_str()) {
            return;
        }
        let own: Vec<_> = block.all("add_header").take(HEADERS_MAX).collect();
        let outer = scope.inherited("add_header");
        let outer = outer.get(..HEADERS_MAX).unwrap_or(outer);
        let (Some(first), false) = (own.first(), outer.is_empty() || merges(scope, block)) else { return };
        let lost: Vec<_> = MATTERS.into_iter().filter(|header| sets(outer, header) && !sets(&own, header)).collect();
        if lost.is_empty() {
            return;
        }
        let (names, inner) = (lost.join(", "), &block.name);
        let subject = subject_at(instance, &block.place(), &format!("{inner} {}", block.args.join(" ")));
        let trap = |subject: &str| {
            let summary = words!(
                "add_header in this {inner} drops {names} of the block around it",
                "此 {inner} 中的 add_header 使外层的 {names} 失效"
            );
            Found::new(subject, Status::Warning, summary)
        };
        let dropped = outer.iter().filter(|header| lost.iter().any(|name| sets(&[header], name)));
        let places: Vec<_> = std::iter::once(first).chain(dropped).map(|header| header.place()).collect();
        traps.add(subject, trap, &places);
    });
    traps.told(instance, "add_header")
}

/// Whether one of these directives sets a header.
fn sets(directives: &[&Directive], header: &str) -> bool {
    directives.iter().any(|directive| directive.arg(0).is_some_and(|name| name.eq_ignore_ascii_case(header)))
}

/// Whether inner headers add to outer ones here.
fn merges(scope: &Scope<'_>, block: &Directive) -> bool {
    let inherit = block.last("add_header_inherit").or_else(|| scope.inherited("add_header_inherit").last().copied());
    inherit.is_some_and(|inherit| inherit.has("merge"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_31_an_inner_add_header_drops_the_outer_ones() {
        let nosniff = "add_header X-Content-Type-Options nosniff;";
        for (server, expected) in [
            (format!("{nosniff} location / {{ add_header X-Frame-Options DENY; }}"), Status::Warning),
            (format!("{nosniff} location / {{ add_header X-A 1; if ($b) {{ add_header X-C 1; }} }}"), Status::Warning),
            (format!("{nosniff} location / {{ add_header X-Frame-Options DENY; {nosniff} }}"), Status::Ok),
            (format!("{nosniff} location / {{ root /x; }}"), Status::Ok),
            ("add_header X-Mine 1; location / { add_header X-Other 1; }".to_owned(), Status::Ok),
            (format!("{nosniff} add_header_inherit merge; location / {{ add_header X-A 1; }}"), Status::Ok),
            (format!("location / {{ {nosniff} }} location /a {{ add_header X-A 1; }}"), Status::Ok),
        ] {
            let text = format!("http {{ server {{ {server} }} }}");
            assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", text).status(&CHECK), expected, "{server}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
        let many = format!("http {{ server {{ {nosniff} {} }} }}", "location / { add_header X-A 1; }".repeat(70_000));
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", many).status(&CHECK), Status::Warning);
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", "http {").status(&CHECK), Status::Unknown);
    }
}
