//! The page of all checks, in one language: `agent/checks/CHECKS.md` and `CHECKS.zh.md` are this, held by a test.

use crate::check::{Check, Group};
use crate::words;
use cloud_doctor_proto::refusal::Language;
use std::fmt::Write as _;

/// The page, in Markdown.
#[must_use]
pub fn docs(language: Language) -> String {
    let count = crate::all().count();
    let head = words!(
        "# Checks\n\nAll {count} checks of `cloud-doctor-agent check`. They read, and change nothing. Made from the program: `CHECKS=write cargo test -p cloud-doctor-checks`.\n",
        "# \u{68c0}\u{67e5}\u{9879}\n\n`cloud-doctor-agent check` \u{7684}\u{5168}\u{90e8} {count} \u{9879}\u{68c0}\u{67e5}\u{3002}\u{53ea}\u{8bfb}\u{53d6}\u{ff0c}\u{4e0d}\u{4fee}\u{6539}\u{3002}\u{672c}\u{9875}\u{7531}\u{7a0b}\u{5e8f}\u{751f}\u{6210}\u{ff1a}`CHECKS=write cargo test -p cloud-doctor-checks`\u{3002}\n"
    );
    let mut out = head.get(language).to_owned();
    for group in Group::ALL {
        let checks: Vec<_> = crate::all().filter(|check| check.group() == *group).collect();
        if !checks.is_empty() {
            writeln!(out, "\n## {}", group.title().get(language)).ok();
        }
        for check in checks {
            one(&mut out, check, language);
        }
    }
    out
}

fn one(out: &mut String, check: &Check, language: Language) {
    writeln!(out, "\n### `{}`\n\n{}\n", check.id, check.title.get(language)).ok();
    let mut row = |name: cloud_doctor_proto::finding::Words, text: &str| {
        writeln!(out, "- **{}**: {text}", name.get(language)).ok();
    };
    row(words!("Reads", "读取"), &check.reads.iter().map(|read| format!("`{read}`")).collect::<Vec<_>>().join(", "));
    let needs = [
        (check.needs.live, words!("a running host", "运行中的主机")),
        (check.needs.root, words!("root, to see everything", "root（以看到全部）")),
        (check.needs.net, words!("sockets of this host", "本机套接字")),
    ];
    let needs: Vec<_> = needs.iter().filter(|(needed, _)| *needed).map(|(_, what)| what.get(language)).collect();
    if !needs.is_empty() {
        row(words!("Needs", "条件"), &needs.join(", "));
    }
    for param in check.params {
        let (fires, clears, unit, source) = (param.fires, param.clears, param.unit, param.source);
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let hysteresis = fires.to_bits() != clears.to_bits();
        let over = words!(", over again at {clears}{unit}", "，恢复阈值 {clears}{unit}");
        let over = if hysteresis { over.get(language) } else { "" };
        row(words!("`{}`", "`{}`", param.name), &format!("{fires}{unit}{over} ({source})"));
    }
    row(words!("Cost", "影响"), check.impact.get(language));
    row(words!("Do", "处理"), check.remedy.get(language));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_what_the_checks_say() {
        for (language, file) in [
            (Language::En, concat!(env!("CARGO_MANIFEST_DIR"), "/CHECKS.md")),
            (Language::Zh, concat!(env!("CARGO_MANIFEST_DIR"), "/CHECKS.zh.md")),
        ] {
            let page = docs(language);
            if std::env::var("CHECKS").is_ok_and(|value| value == "write") {
                std::fs::write(file, &page).expect("the page can be written");
            }
            let committed = std::fs::read_to_string(file).unwrap_or_default();
            assert!(committed == page, "{file} is stale; write it: CHECKS=write cargo test -p cloud-doctor-checks");
        }
    }
}
