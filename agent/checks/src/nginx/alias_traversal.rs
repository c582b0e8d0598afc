//! `location /files { alias /data/; }` answers `/files../x` with `/x`'s neighbour: whoever asks reads files beside the
//! folder. As gixy's alias_traversal.

use super::{Traps, subject_at};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::lb::nginx::{Directive, Instance, readable, visit};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "nginx.alias-traversal",
    title: Text { en: "nginx alias that leads out of its folder", zh: "可越出目录的 nginx alias" },
    reads: &["the running nginx's configuration with its includes"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Anybody can read files beside the published folder, such as configuration with passwords or source code.",
        zh: "任何人都可以读取发布目录之外的相邻文件，例如含密码的配置或源代码。",
    },
    remedy: Text {
        en: "End the location with a slash as the alias does: location /files/ { alias /data/files/; }, run nginx -t, then nginx -s reload.",
        zh: "让 location 与 alias 一样以斜杠结尾：location /files/ { alias /data/files/; }，执行 nginx -t，然后 nginx -s reload。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    Ok(readable(host)?.into_iter().flat_map(found).collect())
}

fn found(instance: &Instance) -> Vec<Found> {
    let mut traps = Traps::default();
    visit(&instance.tree, &mut |chain, directive| {
        if directive.name != "alias" {
            return;
        }
        let Some(location) = chain.iter().rev().find(|block| block.name == "location") else { return };
        let Some(prefix) = open_prefix(location) else { return };
        let at = location.place();
        let subject = subject_at(instance, &at, &format!("location {prefix}"));
        let trap = |subject: &str| {
            let summary = words!(
                "location {prefix} has no slash at its end, its alias serves more than its folder",
                "location {prefix} 末尾没有斜杠，其 alias 会对外提供目录之外的文件"
            );
            let one = Found::new(subject, Status::Warning, summary);
            // Without a slash at the end of the path only names that begin alike can be reached.
            if directive.arg(0).is_some_and(|path| path.ends_with('/')) { one } else { one.impact(neighbours()) }
        };
        traps.add(subject, trap, &[at, directive.place()]);
    });
    traps.told(instance, "alias")
}

fn neighbours() -> cloud_doctor_proto::finding::Words {
    words!(
        "Anybody can read files and folders whose names begin like the published one, such as a backup beside it.",
        "任何人都可以读取名称以该发布目录名开头的文件和目录，例如旁边的备份。"
    )
}

/// The prefix of a location that matches by prefix and does not end with a slash.
fn open_prefix(location: &Directive) -> Option<&str> {
    let prefix = match (location.arg(0)?, location.arg(1)) {
        ("^~", Some(prefix)) => prefix,
        ("=" | "~" | "~*", _) => return None,
        // nginx takes a modifier without a space too.
        (word, None) => match word.strip_prefix("^~") {
            Some(prefix) => prefix,
            None if word.starts_with(['=', '~', '@']) => return None,
            None => word,
        },
        (_, Some(_)) => return None,
    };
    (!prefix.ends_with('/')).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn lb_31_alias_leads_out_of_a_location_without_a_slash() {
        for (location, expected) in [
            ("location /files { alias /data/; }", Status::Warning),
            ("location /files { alias /data; }", Status::Warning),
            ("location ^~ /files { alias /data/; }", Status::Warning),
            ("location ^~/files { alias /data/; }", Status::Warning),
            ("location /files/ { alias /data/; }", Status::Ok),
            ("location = /files { alias /data/f; }", Status::Ok),
            ("location ~ ^/files/(.*)$ { alias /data/$1; }", Status::Ok),
            ("location ~* ^/files { alias /data/; }", Status::Ok),
            ("location /files { root /data; }", Status::Ok),
            ("location /files { if ($a) { alias /data/; } }", Status::Warning),
            // The innermost location counts.
            ("location /files { location /files/a/ { alias /data/; } }", Status::Ok),
        ] {
            let text = format!("http {{ server {{ {location} }} }}");
            assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", text).status(&CHECK), expected, "{location}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", "http {").status(&CHECK), Status::Unknown);
    }

    #[test]
    fn chk_01_ten_thousand_traps_are_fifty_findings() {
        let text = format!(
            "http {{ server {{ {} }} }}",
            (0..10_000).map(|at| format!("location /{at} {{ alias /d/; }}")).collect::<String>()
        );
        assert_eq!(Fixture::image().file("/etc/nginx/nginx.conf", text).run(&CHECK).len(), 50);
    }
}
