//! The host's audit log as bytes: one signed, chained line per event, verified by anybody who has the agent's public
//! key and nothing else.
//!
//! A line is `payload SPACE base64(signature)`. The payload is a JSON object with the number of the line, the SHA-256
//! of the line before it, both clocks, the event and its fields; the signature is the agent identity's. A line that is
//! missing, moved, doubled or changed breaks the chain at a line that [`Verifier`] names. It must never hold a line
//! break, a control character or a secret.

use crate::control;
use crate::ids::{Hash, VerifyKey};
use crate::refusal::printable;
use crate::time::{BootTime, DAY_SECS, UnixTime};
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const CONTEXT: &[u8] = b"cloud-doctor audit v1\0";
/// Longest text in a field; longer ones are cut.
const TEXT_CHARS_MAX: usize = 2000;
/// Most elements of a list in a field.
const LIST_MAX: usize = 32;
/// Longest line. Texts and lists are cut; where that is not enough, the fields are left out and the line says so.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Where a log stands: what the next line continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the next line; the first is 0.
    pub next: u64,
    /// Hash of the line before it; zeroes before the first.
    pub hash: Hash,
}

impl Head {
    /// Of an empty log.
    pub const EMPTY: Self = Self { next: 0, hash: Hash([0; 32]) };
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Format: 1.
    pub v: u32,
    /// Its number.
    pub seq: u64,
    /// SHA-256 of the line before it, in hex.
    pub prev: String,
    /// Wall clock, RFC 3339 in UTC. May jump; the number orders.
    pub at: String,
    /// Boot clock in milliseconds. Never jumps, but begins again with each boot.
    pub boot_ms: u64,
    /// What happened.
    pub event: String,
    /// To whom, from where, why.
    pub fields: Map<String, Value>,
}

/// The two clocks at the moment of an event.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Wall clock.
    pub at: UnixTime,
    /// Boot clock.
    pub boot: BootTime,
}

/// Makes the line that continues `head` (without line end) and the head after it.
#[must_use]
pub fn encode(
    head: Head,
    moment: Moment,
    event: &str,
    fields: &Map<String, Value>,
    identity: &SigningKey,
) -> (String, Head) {
    let mut payload = Payload {
        v: 1,
        seq: head.next,
        prev: head.hash.to_string(),
        at: rfc3339(moment.at),
        boot_ms: moment.boot.0,
        event: cut(event),
        fields: fields.iter().map(|(key, value)| (cut(key), escaped(value))).collect(),
    };
    let mut json = serialised(&payload);
    if json.len() > LINE_BYTES_MAX - SIGNATURE_CHARS {
        payload.fields = Map::from_iter([("too-long".to_owned(), Value::from(json.len()))]);
        json = serialised(&payload);
    }
    let signature = identity.sign(&[CONTEXT, json.as_bytes()].concat()).to_bytes();
    let line = format!("{json} {}", BASE64.encode(&signature));
    let after = after(head, &line);
    (line, after)
}

/// Blank and base64 of 64 bytes at the end of a line.
const SIGNATURE_CHARS: usize = 89;

fn serialised(payload: &Payload) -> String {
    serde_json::to_string(payload).expect("maps with text keys serialise into memory")
}

/// Made visible first and cut then: an escape has many characters.
fn cut(text: &str) -> String {
    text.chars().flat_map(printable).take(TEXT_CHARS_MAX).collect()
}

/// The head after a line, whatever it says: a damaged last line is chained over, so that it cannot be taken away.
#[must_use]
pub fn after(head: Head, line: &str) -> Head {
    Head { next: head.next + 1, hash: Hash::of(&[line.as_bytes()]) }
}

/// Why a line is bad.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not `payload SPACE signature`, or no such payload.
    #[error("it is not a line of an audit log")]
    Malformed,
    /// The identity did not sign it.
    #[error("its signature does not verify: it was changed, or written by somebody else")]
    Signature,
    /// Not the next number, or not after the line that is before it.
    #[error("it does not follow the line before it: lines were removed, moved or changed")]
    Chain,
}

/// Verifies lines in order. Pure: the caller reads the files.
#[derive(Debug, Clone)]
pub struct Verifier {
    identity: VerifyKey,
    head: Option<Head>,
    first: Option<u64>,
}

impl Verifier {
    /// A verifier for a log of this identity. The first line may have any number: old segments are deleted, and
    /// [`Self::first`] tells how much is gone.
    #[must_use]
    pub fn new(identity: VerifyKey) -> Self {
        Self { identity, head: None, first: None }
    }

    /// Takes the next line, without its line end.
    ///
    /// # Errors
    /// [`Fault`]: this is the first bad line.
    pub fn line(&mut self, line: &str) -> Result<Payload, Fault> {
        let payload = read(line, &self.identity)?;
        let expected = match self.head {
            Some(head) => head,
            None if payload.seq == 0 => Head::EMPTY,
            None => Head { next: payload.seq, hash: payload.prev.parse().map_err(|_| Fault::Malformed)? },
        };
        if payload.seq != expected.next || payload.prev != expected.hash.to_string() {
            return Err(Fault::Chain);
        }
        self.head = Some(after(expected, line));
        self.first.get_or_insert(payload.seq);
        Ok(payload)
    }

    /// Number of the first line that was seen.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// What the next line must continue.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head.unwrap_or(Head::EMPTY)
    }
}

/// Reads one line by itself: its signature, not its place.
///
/// # Errors
/// [`Fault`] other than [`Fault::Chain`].
pub fn read(line: &str, identity: &VerifyKey) -> Result<Payload, Fault> {
    let (json, signature) = line.rsplit_once(' ').ok_or(Fault::Malformed)?;
    let signature = BASE64.decode(signature.as_bytes()).map_err(|_| Fault::Malformed)?;
    let signature: [u8; 64] = signature.try_into().map_err(|_| Fault::Malformed)?;
    if !control::verify(identity, CONTEXT, json.as_bytes(), &signature) {
        return Err(Fault::Signature);
    }
    let payload: Payload = serde_json::from_str(json).map_err(|_| Fault::Malformed)?;
    if payload.v == 1 { Ok(payload) } else { Err(Fault::Malformed) }
}

fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text)),
        Value::Array(list) => Value::Array(list.iter().take(LIST_MAX).map(escaped).collect()),
        Value::Object(map) => map.iter().take(LIST_MAX).map(|(k, v)| (cut(k), escaped(v))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The last second whose year has four digits: readers of dates know no other.
const LAST_DATE: u64 = 253_402_300_799;

/// `2026-11-21T03:30:00Z`; the last moment of 9999 for whatever is later.
#[must_use]
pub fn rfc3339(at: UnixTime) -> String {
    let at = at.0.min(LAST_DATE);
    let (days, secs) = (at / DAY_SECS, at % DAY_SECS);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", secs / 3600, secs / 60 % 60, secs % 60)
}

/// Year, month and day of a day since 1970 (the usual era arithmetic, with years that begin in March).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn identity() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn key() -> VerifyKey {
        VerifyKey(identity().verifying_key().to_bytes())
    }

    fn fields(value: &str) -> Map<String, Value> {
        Map::from_iter([("who".to_owned(), Value::from(value))])
    }

    fn log(count: u64) -> Vec<String> {
        let mut head = Head::EMPTY;
        let line = |i: u64| {
            let moment = Moment { at: UnixTime(1_795_264_440 + i), boot: BootTime(i) };
            let (line, next) = encode(head, moment, "visit-opened", &fields("eve"), &identity());
            head = next;
            line
        };
        (0..count).map(line).collect()
    }

    fn first_bad<S: AsRef<str>>(lines: &[S]) -> Option<(usize, Fault)> {
        let mut verifier = Verifier::new(key());
        lines.iter().enumerate().find_map(|(i, line)| verifier.line(line.as_ref()).err().map(|fault| (i, fault)))
    }

    #[test]
    fn aud_10_no_line_is_longer_than_a_verifier_reads() {
        let long = Value::from("\u{1b}".repeat(50_000));
        let lists: Map<String, Value> =
            (0..40).map(|i| (format!("f{i}"), Value::from(vec![long.clone(); 40]))).collect();
        let moment = Moment { at: UnixTime(1), boot: BootTime(1) };
        for fields in [lists, Map::from_iter([("argv".to_owned(), Value::from(vec!["x"; 24_000]))]), fields("eve")] {
            let (line, _) = encode(Head::EMPTY, moment, "channel-began", &fields, &identity());
            assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
            assert!(Verifier::new(key()).line(&line).is_ok());
        }
    }

    #[test]
    fn aud_01_one_flipped_bit_is_named() {
        let lines = log(4);
        assert_eq!(first_bad(&lines), None);
        for at in 0..lines[1].len() {
            let mut bytes = lines[1].clone().into_bytes();
            bytes[at] ^= 1;
            let mut bad = lines.clone();
            bad[1] = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(first_bad(&bad).unwrap().0, 1, "byte {at}");
        }
    }

    #[test]
    fn aud_01_removed_moved_and_doubled_lines_are_named() {
        let lines = log(4);
        let pick = |order: &[usize]| order.iter().map(|i| lines[*i].as_str()).collect::<Vec<_>>();
        assert_eq!(first_bad(&pick(&[0, 2, 3])), Some((1, Fault::Chain)));
        assert_eq!(first_bad(&pick(&[0, 2, 1, 3])), Some((1, Fault::Chain)));
        assert_eq!(first_bad(&pick(&[0, 1, 1, 2])), Some((2, Fault::Chain)));
        let mut verifier = Verifier::new(key());
        verifier.line(&lines[2]).unwrap();
        verifier.line(&lines[3]).unwrap();
        assert_eq!((verifier.first(), verifier.head().next), (Some(2), 4), "old segments may be gone");
        let mut other = Verifier::new(VerifyKey(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes()));
        assert_eq!(other.line(&lines[0]), Err(Fault::Signature));
    }

    #[test]
    fn aud_10_one_line_stays_one_line() {
        let evil = "eve\r\n\u{1b}[31m\"}, \u{202e}\u{2028}\u{85} {\"v\":1";
        let moment = Moment { at: UnixTime(0), boot: BootTime(0) };
        let (line, _) = encode(Head::EMPTY, moment, "refused", &fields(evil), &identity());
        assert!(line.chars().all(|c| !c.is_control()), "{line}");
        assert!(!line.contains('\u{202e}'));
        let payload = Verifier::new(key()).line(&line).unwrap();
        assert!(payload.fields["who"].as_str().unwrap().starts_with("eve\\u{d}\\u{a}\\u{1b}[31m\"},"));
    }

    #[test]
    fn aud_11_dates() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_264_440, "2026-11-21T12:34:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UnixTime(secs)), text);
        }
    }
}
