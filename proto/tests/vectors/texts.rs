//! Numbers and sentences that the console has a copy of.

use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::events;
use cloud_doctor_proto::limits;
use cloud_doctor_proto::metrics;
use cloud_doctor_proto::refusal::{Language, Refusal};
use cloud_doctor_proto::told::{Tell, Told};
use cloud_doctor_proto::trust::Rule;
use serde_json::{Map, Value, json};

pub(crate) fn limits() -> Value {
    json!({
        "PROTO_VERSION": limits::PROTO_VERSION,
        "PROTO_VERSION_MIN": limits::PROTO_VERSION_MIN,
        "WS_PROTOCOL": limits::WS_PROTOCOL,
        "FRAME_HEADER_BYTES": limits::FRAME_HEADER_BYTES,
        "CONTROL_BYTES_MAX": limits::CONTROL_BYTES_MAX,
        "GREETING_BYTES_MAX": limits::GREETING_BYTES_MAX,
        "RECORD_BYTES_MAX": limits::RECORD_BYTES_MAX,
        "RECORD_DATA_BYTES_MAX": limits::RECORD_DATA_BYTES_MAX,
        "PACK_DEPTH_MAX": limits::PACK_DEPTH_MAX,
        "GRANT_BYTES_MAX": limits::GRANT_BYTES_MAX,
        "CHALLENGE_BYTES_MAX": limits::CHALLENGE_BYTES_MAX,
        "SIGNATURE_BYTES_MAX": limits::SIGNATURE_BYTES_MAX,
        "ENTRY_BYTES_MAX": limits::ENTRY_BYTES_MAX,
        "ENTRIES_MAX": limits::ENTRIES_MAX,
        "ENTRIES_PAGE": limits::ENTRIES_PAGE,
        "NAME_CHARS_MAX": limits::NAME_CHARS_MAX,
        "REASON_CHARS_MAX": limits::REASON_CHARS_MAX,
        "VISIT_SECS_MAX": limits::VISIT_SECS_MAX,
        "ENGINEER_DAYS_MAX": limits::ENGINEER_DAYS_MAX,
        "AHEAD_MAX": limits::AHEAD_MAX,
        "AHEAD_SCOPES_MAX": limits::AHEAD_SCOPES_MAX,
        "AHEAD_SECS_MAX": limits::AHEAD_SECS_MAX,
        "AHEAD_START_SECS_MAX": limits::AHEAD_START_SECS_MAX,
        "BATCH_SECS_MAX": limits::BATCH_SECS_MAX,
        "BATCH_USES_MAX": limits::BATCH_USES_MAX,
        "OUTPUT_WINDOW_BYTES": limits::OUTPUT_WINDOW_BYTES,
        "INPUT_BUFFER_BYTES": limits::INPUT_BUFFER_BYTES,
        "ABANDONED_MAX": limits::ABANDONED_MAX,
        "WATCHERS_MAX": limits::WATCHERS_MAX,
        "WATCH_TAIL_BYTES": limits::WATCH_TAIL_BYTES,
        "AUDIT_PAGE_BYTES": limits::AUDIT_PAGE_BYTES,
        "SERIES_MAX": metrics::SERIES_MAX,
        "SERIES_PAGE": metrics::SERIES_PAGE,
        "ATTRIBUTES_MAX": metrics::ATTRIBUTES_MAX,
        "POINTS_MAX": metrics::POINTS_MAX,
        "PROCESSES_MAX": metrics::PROCESSES_MAX,
        "EVENTS_MAX": events::EVENTS_MAX,
        "EVENTS_SECS_MAX": limits::EVENTS_SECS_MAX,
        "EVENT_NAMES_MAX": events::EVENT_NAMES_MAX,
    })
}

fn both(text: impl Fn(Language) -> String) -> Value {
    json!([text(Language::En), text(Language::Zh)])
}

pub(crate) fn texts() -> Value {
    let mut texts = Map::new();
    for code in Refusal::ALL.iter().chain([&Refusal::Unknown]) {
        let id = format!("refusal_{}", code.id().replace('-', "_"));
        texts.insert(id, both(|language| code.with("{0}").text(language)));
    }
    for code in Tell::ALL.iter().chain([&Tell::Unknown]) {
        let id = serde_json::to_value(code).map_or_else(|_| "unknown".to_owned(), |id| id.as_str().unwrap().to_owned());
        // Without values their places stay.
        let told = Told { code: *code, values: Vec::new() };
        texts.insert(format!("told_{}", id.replace('-', "_").to_lowercase()), both(|language| told.text(language)));
    }
    for rule in Rule::ALL {
        texts.insert(format!("rule_{rule:?}"), both(|language| rule.text(language).to_owned()));
    }
    for code in StreamClose::ALL {
        texts.insert(format!("close_{}", code.number()), both(|language| code.text_in(language).to_owned()));
    }
    Value::Object(texts)
}
