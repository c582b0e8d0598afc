//! What the console's TypeScript must do exactly as this crate does: bytes that it writes and reads, and verdicts.
//!
//! Everything is made from fixed keys and stands in `relay/web/src/lib/vectors.json`; the console's own tests read that
//! file. It is written anew by `VECTORS=write cargo test -p cloud-doctor-proto --test vectors`.
#![allow(clippy::unwrap_used)]

#[path = "vectors/ahead.rs"]
mod ahead;
#[path = "vectors/bytes.rs"]
mod bytes;
#[path = "vectors/join.rs"]
mod join;
#[path = "vectors/log.rs"]
mod log;
#[path = "vectors/look.rs"]
mod look;
#[path = "vectors/metrics.rs"]
mod metrics;
#[path = "vectors/passkeys.rs"]
mod passkeys;
#[path = "vectors/report.rs"]
mod report;
#[path = "vectors/sealed.rs"]
mod sealed;
#[path = "vectors/texts.rs"]
mod texts;

use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../relay/web/src/lib/vectors.json");

fn hex(bytes: impl AsRef<[u8]>) -> String {
    data_encoding::HEXLOWER.encode(bytes.as_ref())
}

/// For each bit of `good`, whether `accepts` takes the bytes with that bit flipped; eight verdicts per byte, in hex.
fn flipped(good: &[u8], accepts: impl Fn(&[u8]) -> bool) -> String {
    let verdicts = (0..good.len()).map(|at| {
        (0..8).fold(0u8, |sum, bit| {
            let mut bad = good.to_vec();
            bad[at] ^= 1 << bit;
            sum | u8::from(accepts(&bad)) << bit
        })
    });
    hex(verdicts.collect::<Vec<u8>>())
}

fn vectors() -> Value {
    json!({
        "pack": bytes::pack(),
        "frames": bytes::frames(),
        "words": bytes::words_of_hashes(),
        "sshsig": bytes::signatures(),
        "passkey": passkeys::assertions(),
        "session": bytes::session(),
        "join": join::join(),
        "log": log::steps(),
        "challenge": sealed::challenge(),
        "grant": sealed::grant(),
        "noise": sealed::transcripts(),
        "look": look::look(),
        "metrics": metrics::metrics(),
        "report": report::reports(),
        "limits": texts::limits(),
        "texts": texts::texts(),
    })
}

#[test]
fn the_consoles_vectors_are_what_this_crate_does() {
    let text = serde_json::to_string_pretty(&vectors()).unwrap() + "\n";
    if std::env::var("VECTORS").is_ok_and(|value| value == "write") {
        std::fs::write(FILE, &text).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(committed == text, "the vectors are stale; write them: VECTORS=write cargo test -p cloud-doctor-proto");
}
