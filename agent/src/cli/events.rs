//! The audit's events as lines for people: `2026-11-21 04:36:53  visit opened  demo  shell root, 60 min  [344f60ddb9a3]`.
//!
//! Short ids, words in the reader's language, empty fields left out. Programs read the lines themselves (`--json`).

use crate::messages::language;
use cloud_doctor_proto::audit::Payload;
use cloud_doctor_proto::refusal::Language;
use serde_json::Value;

/// Digits shown of an id.
const SHORT: usize = 12;
/// Characters of the longest event's words, so that what follows stands in a column.
const COLUMN: usize = 24;
/// Fields that only a verifier needs.
const UNSHOWN: [&str; 9] = ["grant", "key", "identity", "agent", "boot", "head", "holder-at", "visit", "watched-visit"];

macro_rules! words {
    ($($id:literal, $en:literal, $zh:literal;)*) => {
        fn words(id: &str, language: Language) -> Option<&'static str> {
            match (id, language) {
                $(($id, Language::En) => Some($en), ($id, Language::Zh) => Some($zh),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const KNOWN: &[&str] = &[$($id,)*];
    };
}

words! {
    "guard-started", "guard started", "guard 已启动";
    "audit-repaired", "audit log repaired", "审计日志已修复";
    "counted", "more of the same", "更多同类事件";
    "transport-key-bound", "tunnel key vouched for", "已为 tunnel 密钥担保";
    "trust-log-grew", "trust log grew", "信任日志有新条目";
    "trust-log-refused", "trust log refused", "信任日志被拒绝";
    "trust-log-fork-proved", "TRUST LOG FORKED", "信任日志分叉";
    "visit-opened", "visit opened", "远程协助开始";
    "visit-ended", "visit ended", "远程协助结束";
    "second-signature-needed", "waits for second signer", "等待第二个签名";
    "second-signature-missing", "no second signature", "未获得第二个签名";
    "refused", "refused", "已拒绝";
    "channel-opening", "opening", "正在打开";
    "channel-began", "began", "已开始";
    "channel-not-started", "not started", "未能启动";
    "channel-attached", "view attached", "已连接";
    "channel-detached", "view detached", "已断开";
    "channel-taken-over", "view taken over", "已由另一处接管";
    "channel-ended", "ended", "已结束";
    "channel-found", "found after a restart", "重启后找回";
    "holder-died", "HOLDER DIED", "holder 意外终止";
    "holder-not-believed", "holder not believed", "holder 不可信";
    "watch-opening", "watcher let in", "旁观者获准";
    "watcher-came", "watcher came", "旁观者到来";
    "watcher-went", "watcher went", "旁观者离开";
    "channel-ended-by-watcher", "ended by a watcher", "由旁观者结束";
    "checks-reported", "report of checks left", "检查报告已传出";
    "metrics-shown", "metrics are shown", "指标正被查看";
    "metrics-ended", "metrics are shown no more", "指标不再显示";
    "audit-read", "audit read from afar", "审计日志被远程读取";
    "integrity-failure", "INTEGRITY FAILURE", "完整性校验失败";
    "view-misbehaved", "view misbehaved", "客户端行为异常";
    "dead-secret-used", "DEAD SECRET USED", "失效密钥被再次使用";
    "handshake-replayed", "handshake replayed", "握手被重放";
    "lockdown", "LOCKED DOWN", "已锁定";
    "lockdown-undone", "lockdown undone", "已解除锁定";
    "unenrolled", "left", "已离开";
}

/// An event on one line.
pub(super) fn line(payload: &Payload) -> String {
    line_in(payload, language())
}

fn line_in(payload: &Payload, language: Language) -> String {
    let at = payload.at.trim_end_matches('Z').replace('T', " ");
    let event = words(&payload.event, language).unwrap_or(&payload.event);
    let column = COLUMN.saturating_sub(event.chars().filter(|c| !c.is_ascii()).count());
    let mut parts: Vec<String> = payload.fields.iter().filter_map(|(key, value)| part(key, value)).collect();
    // Who, then what, then everything else as it comes.
    parts.sort();
    let parts: Vec<&str> = parts.iter().map(|part| &part[1..]).collect();
    let id = payload.fields.get("channel").or_else(|| payload.fields.get("visit")).and_then(Value::as_str);
    let id = id.filter(|id| !id.is_empty()).map(|id| format!("  [{}]", short(id))).unwrap_or_default();
    format!("{at}  {event:column$}  {}{id}", parts.join("  ")).trim_end().to_owned()
}

/// A field for people, behind a digit that says where it stands; `None` when it says nothing to them.
fn part(key: &str, value: &Value) -> Option<String> {
    if UNSHOWN.contains(&key) || key == "channel" {
        return None;
    }
    let text = match value {
        Value::String(text) => shortened(text),
        Value::Array(list) => {
            list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    if text.is_empty() || text == "false" {
        return None;
    }
    Some(match key {
        "person" => format!("0{text}"),
        "engineer" => format!("1{text}"),
        "kind" | "what" => format!("1{text}"),
        "user" | "scopes" | "code" => format!("2{text}"),
        "minutes" => format!("3{text} min"),
        "detail" | "argv" => format!("4{text}"),
        "reason" => format!("5\"{text}\""),
        "claimed-account" => format!("8{text}"),
        "claimed-client" => format!("9{text}"),
        _ => format!("6{key} {text}"),
    })
}

/// A text whose long ids are cut.
fn shortened(text: &str) -> String {
    let cut = |word: &str| {
        let is_id = word.len() >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id { short(word) } else { word.to_owned() }
    };
    text.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    fn payload(event: &str, fields: &str) -> Payload {
        Payload {
            v: 1,
            seq: 3,
            prev: String::new(),
            at: "2026-11-21T04:36:53Z".into(),
            boot_ms: 1,
            event: event.into(),
            fields: serde_json::from_str(fields).unwrap(),
        }
    }

    #[test]
    fn events_read_like_sentences() {
        let id = "344f60ddb9a3".to_owned() + &"0".repeat(20);
        let fields = format!(
            r#"{{"engineer":"demo","grant":"{0}","minutes":60,"reason":"slow","scopes":"shell root","second":"","ticket":"","visit":"{id}"}}"#,
            "a".repeat(64)
        );
        let opened = line_in(&payload("visit-opened", &fields), Language::En);
        assert_eq!(
            opened,
            "2026-11-21 04:36:53  visit opened              demo  shell root  60 min  \"slow\"  [344f60ddb9a3]"
        );
        let fields = format!(r#"{{"what":"channel","code":"no-visit","detail":"visit {id}","claimed-account":"eve"}}"#);
        let refused = line_in(&payload("refused", &fields), Language::En);
        assert!(refused.ends_with("channel  no-visit  visit 344f60ddb9a3  eve"), "{refused}");
        assert!(line_in(&payload("lockdown", "{}"), Language::Zh).ends_with("已锁定"));
        assert!(line_in(&payload("of-a-newer-build", "{}"), Language::En).ends_with("of-a-newer-build"));
    }

    #[test]
    fn every_event_of_the_program_has_words_in_both_languages() {
        for id in KNOWN {
            assert!(words(id, Language::En).unwrap().is_ascii());
            assert!(!words(id, Language::Zh).unwrap().is_ascii());
        }
        let mut found = 0;
        for source in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
            let source = source.split("#[cfg(test)]").next().unwrap();
            for name in source.split("Event::new(\"").skip(1).chain(source.split("base(\"").skip(1)) {
                let name = name.split('"').next().unwrap();
                assert!(words(name, Language::En).is_some(), "{name}");
                found += 1;
            }
        }
        assert!(found > 20, "{found}");
    }

    /// Every source below a folder that is no test.
    fn sources(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                all.extend(sources(&path));
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                all.push(std::fs::read_to_string(&path).unwrap());
            }
        }
        all
    }
}
