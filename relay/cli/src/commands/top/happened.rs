//! What happened on a server lately, in lines: the newest first. Pure. Names are a stranger's texts.

use crate::output::ago;
use cloud_doctor::messages::Id;
use cloud_doctor::relay_api::{HappenedLine, HappenedList};
use cloud_doctor_proto::events::EventKind;
use cloud_doctor_proto::refusal::{Language, one_line};

/// Names that a line has room for.
const NAMES: usize = 4;

/// `12 m ago  packages upgraded: 2: nginx 1.22.1-8 -> 1.22.1-9`, the newest first, at most `most`.
pub(super) fn lines(list: &HappenedList, now_millis: u64, most: usize, language: Language) -> Vec<String> {
    list.events.iter().rev().take(most).map(|event| line(event, now_millis, language)).collect()
}

fn line(event: &HappenedLine, now_millis: u64, language: Language) -> String {
    let when = ago(now_millis.saturating_sub(event.at) / 1_000);
    let what = kind(event.kind).with(&[&event.count]).text(language);
    let named = |name: &str, before: &str, after: &str| {
        let versions = [before, after].map(|version| one_line(version, 64));
        let versions: Vec<_> = versions.into_iter().filter(|version| !version.is_empty()).collect();
        [one_line(name, 64), versions.join(" -> ")].join(" ").trim_end().to_owned()
    };
    let names = event.names.iter().take(NAMES).map(|one| named(&one.name, &one.before, &one.after));
    let of = one_line(&event.unit, 64);
    let all: Vec<_> = names.chain((!of.is_empty()).then_some(of)).collect();
    let more = if event.names.len() > NAMES { ", ..." } else { "" };
    let times = event.count > 1 && !is_of_packages(event.kind);
    let times = if times { format!(" x{}", event.count) } else { String::new() };
    Id::TopHappened.with(&[&when, &what, &times, &all.join(", "), &more]).text(language).trim_end().to_owned()
}

fn is_of_packages(kind: EventKind) -> bool {
    match kind {
        EventKind::Installed | EventKind::Upgraded | EventKind::Downgraded | EventKind::Removed => true,
        EventKind::Booted
        | EventKind::ShutDown
        | EventKind::Started
        | EventKind::Restarted
        | EventKind::Failed
        | EventKind::Killed
        | EventKind::Unknown => false,
    }
}

fn kind(kind: EventKind) -> Id {
    match kind {
        EventKind::Installed => Id::TopInstalled,
        EventKind::Upgraded => Id::TopUpgraded,
        EventKind::Downgraded => Id::TopDowngraded,
        EventKind::Removed => Id::TopRemoved,
        EventKind::Booted => Id::TopBooted,
        EventKind::ShutDown => Id::TopShutDown,
        EventKind::Started => Id::TopStarted,
        EventKind::Restarted => Id::TopRestarted,
        EventKind::Failed => Id::TopFailed,
        EventKind::Killed => Id::TopKilled,
        EventKind::Unknown => Id::TopNewer,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn cod_08_the_newest_stand_first_and_no_name_moves_the_cursor() {
        let text = r#"{"events": [
            {"at": 1000, "kind": "moonlight", "count": 1, "names": [], "unit": ""},
            {"at": 40000, "kind": "upgraded", "count": 9, "names": [{"name": "nginx", "before": "1", "after": "2"},
              {"name": "a\u001b[2J"}, {"name": "b"}, {"name": "c"}, {"name": "d"}], "unit": ""},
            {"at": 50000, "kind": "restarted", "count": 3, "names": [], "unit": "a.service"}]}"#;
        let list: HappenedList = serde_json::from_str(text).unwrap();
        let told = lines(&list, 60_000, 9, Language::En);
        assert_eq!(told.len(), 3);
        assert!(
            told[0].contains("10 s") && told[0].ends_with("service started again by systemd x3  a.service"),
            "{told:?}"
        );
        assert!(told[1].contains("packages upgraded: 9  nginx 1 -> 2, a\\u{1b}[2J, b, c, ..."), "{told:?}");
        assert!(told[2].ends_with("something that this client does not know"), "{told:?}");
        assert_eq!(lines(&list, 60_000, 1, Language::Zh).len(), 1);
        assert!(lines(&list, 0, 9, Language::Zh).iter().all(|line| !line.contains('\u{1b}')), "a clock that is behind");
    }
}
