//! Judges a server's answer, as pure code: bytes in, a report that may be kept or the reason why not (CHK-10).
//!
//! It must never let pass what another server signed, what answers another request, or what is not whole.

use cloud_doctor_proto::checks::{CheckReport, Report, ReportError};
use cloud_doctor_proto::frame::{Frame, Header, Kind};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::limits::FRAME_HEADER_BYTES;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Language, Refused};
use cloud_doctor_proto::time::UnixTime;

/// How far a host's clock may be ahead: its report would be taken for newer than all that follow.
const FUTURE_SECS_MAX: u64 = 600;

/// What a server answered.
#[derive(Debug)]
pub enum Answer {
    /// What it found, as it was signed and as it reads.
    Report(CheckReport, Box<Report>),
    /// It said no.
    Refused(Refused),
}

macro_rules! dropped {
    ($($(#[$doc:meta])* $name:ident $id:literal $en:literal $zh:literal;)*) => {
        /// Why an answer was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Dropped { $($(#[$doc])* $name,)* }

        impl Dropped {
            /// All of them.
            pub const ALL: &'static [Dropped] = &[$(Dropped::$name,)*];

            /// The id that programs match on and metrics count by.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Dropped::$name => $id,)* }
            }

            /// One sentence.
            #[must_use]
            pub fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Dropped::$name, Language::En) => $en, (Dropped::$name, Language::Zh) => $zh,)*
                }
            }
        }
    };
}

dropped! {
    /// More than a report may have.
    TooLarge "too_large"
        "The report is larger than one may be." "报告超过允许的大小。";
    /// Bytes that are no answer.
    Malformed "malformed"
        "The answer is no report of this protocol, or was cut off." "回答不是本协议的报告，或不完整。";
    /// Another identity's.
    Stranger "stranger"
        "The report is signed by another server." "报告由另一台服务器签名。";
    /// Its signature does not verify.
    Signature "signature"
        "The signature under the report does not verify." "报告的签名验证失败。";
    /// The answer to another request.
    Nonce "nonce"
        "The report answers another request; an old one may have been sent again." "报告回答的是另一个请求，可能是旧报告的重放。";
    /// Dated beyond ten minutes from now.
    Future "future"
        "The report is dated more than ten minutes in the future; the server's clock may be wrong."
        "报告的时间比当前晚十分钟以上，服务器的时钟可能不准。";
    /// There is one already, or more than one came.
    Duplicate "duplicate"
        "The report came twice." "收到重复的报告。";
}

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text(Language::En))
    }
}

/// Reads all that a server sent before it ended its stream.
///
/// # Errors
/// [`Dropped`]: nothing of it may be used.
pub fn judge(bytes: &[u8], agent: &AgentId, nonce: &Nonce, now: UnixTime) -> Result<Answer, Dropped> {
    let frame = only(bytes)?;
    let read = |_| Dropped::Malformed;
    if frame.kind == Kind::Refused {
        return pack::from_bytes(&frame.body, frame.kind.bytes_max()).map(Answer::Refused).map_err(read);
    }
    if frame.kind != Kind::CheckReport {
        return Err(Dropped::Malformed);
    }
    let signed: CheckReport = pack::from_bytes(&frame.body, frame.kind.bytes_max()).map_err(read)?;
    let report = signed.answers(agent, nonce).map_err(|error| match error {
        ReportError::Malformed(pack::PackError::TooLong { .. }) => Dropped::TooLarge,
        ReportError::Malformed(_) => Dropped::Malformed,
        ReportError::Signature => Dropped::Signature,
        ReportError::Stranger => Dropped::Stranger,
        ReportError::Nonce => Dropped::Nonce,
    })?;
    if report.at > now.plus_secs(FUTURE_SECS_MAX) {
        return Err(Dropped::Future);
    }
    Ok(Answer::Report(signed, Box::new(report)))
}

/// The one frame of a known kind; frames of newer kinds that may be skipped are.
fn only(mut bytes: &[u8]) -> Result<Frame, Dropped> {
    let mut found = None;
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>().ok_or(Dropped::Malformed)?;
        let header = Header::parse(*head).map_err(|_| Dropped::TooLarge)?;
        let (body, rest) = rest.split_at_checked(header.len).ok_or(Dropped::Malformed)?;
        bytes = rest;
        let Some(kind) = header.kind().map_err(|_| Dropped::Malformed)? else { continue };
        if found.replace(Frame { kind, body: body.to_vec() }).is_some() {
            return Err(Dropped::Duplicate);
        }
    }
    found.ok_or(Dropped::Malformed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cloud_doctor_proto::checks::REPORT_BYTES_MAX;
    use cloud_doctor_proto::frame;
    use cloud_doctor_proto::ids::VerifyKey;
    use cloud_doctor_proto::refusal::Refusal;
    use ed25519_dalek::SigningKey;
    use serde_bytes::ByteBuf;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const NONCE: Nonce = Nonce([7; 16]);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn signed(by: &SigningKey, nonce: Nonce, at: UnixTime) -> CheckReport {
        CheckReport::sign(by, Report { nonce, ..Report::empty("web-1".into(), "0.1.0".into(), at) })
    }

    fn judged(bytes: &[u8]) -> Result<Answer, Dropped> {
        let agent = AgentId::of(&VerifyKey(key(1).verifying_key().to_bytes()));
        judge(bytes, &agent, &NONCE, NOW)
    }

    #[test]
    fn chk_10_only_a_whole_fresh_answer_of_the_server_that_was_asked_is_kept() {
        let report = |by, nonce, at| frame::message(Kind::CheckReport, &signed(&key(by), nonce, at));
        let good = report(1, NONCE, NOW);
        assert!(matches!(judged(&good), Ok(Answer::Report(_, report)) if report.host == "web-1"));
        assert!(matches!(judged(&report(1, NONCE, UnixTime(NOW.0 + 600))), Ok(Answer::Report(..))));
        // A frame of a newer kind that may be skipped.
        let newer = [&[0, 0, 0, 1, 0x0f, 0xff, 0, 42][..], &good].concat();
        assert!(matches!(judged(&newer), Ok(Answer::Report(..))));
        let mut forged = signed(&key(2), NONCE, NOW);
        forged.report = signed(&key(1), NONCE, NOW).report;
        let huge = CheckReport { report: ByteBuf::from(vec![0; REPORT_BYTES_MAX + 1]), signature: [0; 64] };
        let mut too_long = good.clone();
        too_long[0] = 0xff;
        for (what, bytes, why) in [
            ("another server's", report(2, NONCE, NOW), Dropped::Stranger),
            ("another's signature", frame::message(Kind::CheckReport, &forged), Dropped::Signature),
            ("an older one", report(1, Nonce([8; 16]), NOW), Dropped::Nonce),
            ("from tomorrow", report(1, NONCE, UnixTime(NOW.0 + 601)), Dropped::Future),
            ("twice", [good.clone(), good.clone()].concat(), Dropped::Duplicate),
            ("too large", frame::message(Kind::CheckReport, &huge), Dropped::TooLarge),
            ("announces too much", too_long, Dropped::TooLarge),
            ("cut off", good[..good.len() - 1].to_vec(), Dropped::Malformed),
            ("half a header", good[..3].to_vec(), Dropped::Malformed),
            ("nothing", Vec::new(), Dropped::Malformed),
            ("another frame", frame::encode(Kind::Ping, &[]), Dropped::Malformed),
            ("no report in it", frame::encode(Kind::CheckReport, &[1, 2, 3]), Dropped::Malformed),
        ] {
            assert_eq!(judged(&bytes).map(|_| ()), Err(why), "{what}");
        }
        let no = frame::message(Kind::Refused, &Refusal::ChecksNotAllowed.with(""));
        assert!(matches!(judged(&no), Ok(Answer::Refused(refused)) if refused.code == Refusal::ChecksNotAllowed));
    }

    #[test]
    fn every_reason_has_two_languages() {
        for why in Dropped::ALL {
            assert!(why.text(Language::En).is_ascii() && !why.text(Language::Zh).is_ascii(), "{why:?}");
            assert_eq!(Dropped::ALL.iter().filter(|other| other.id() == why.id()).count(), 1);
        }
    }
}
