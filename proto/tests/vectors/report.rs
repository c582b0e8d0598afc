//! Reports of checks: the bytes that a server signs, whose they are, what they answer, and what is no report.

use super::log::{signing, verify_key};
use super::{flipped, hex};
use cloud_doctor_proto::checks::{Absent, CheckReport, REPORT_BYTES_MAX, Report, ReportError};
use cloud_doctor_proto::finding::{Detail, Evidence, Finding, Status, Words};
use cloud_doctor_proto::ids::{AgentId, Nonce};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::time::UnixTime;
use ed25519_dalek::Signer as _;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

/// Written out, so that it cannot change unseen.
const CONTEXT: &[u8] = b"cloud-doctor check report v1\0";
const SERVER: u8 = 20;
const OTHER: u8 = 21;
const NONCE: Nonce = Nonce([7; 16]);

fn words(text: &str) -> Words {
    Words { en: text.into(), zh: format!("{text} \u{68c0}\u{67e5}") }
}

fn finding(check: &str, status: Status) -> Finding {
    Finding {
        check: check.into(),
        subject: String::new(),
        status,
        note: false,
        since: None,
        value: None,
        unit: String::new(),
        evidence: Vec::new(),
        summary: words("late"),
        impact: words("loss"),
        remedy: words("less"),
        details: std::collections::BTreeMap::new(),
    }
}

fn full() -> Report {
    let details = [
        ("refused", Detail::Number(900.0)),
        ("tcp", Detail::Flag(true)),
        ("why", Detail::Text("default".into())),
        ("__proto__", Detail::Flag(false)),
        ("10", Detail::Number(-0.5)),
    ];
    let late = Finding {
        subject: "haproxy backend web/web1".into(),
        since: Some(UnixTime(1_799_990_000)),
        value: Some(97.5),
        unit: "s".into(),
        evidence: vec![
            Evidence { source: "/etc/haproxy/haproxy.cfg:42".into(), text: "inter 300s".into() },
            Evidence { source: "statvfs".into(), text: "a\u{1b}[2J\n\u{202e}b \u{1f980}".into() },
        ],
        details: details.into_iter().map(|(name, detail)| (name.into(), detail)).collect(),
        ..finding("lb.detection-time", Status::Critical)
    };
    let advice = Finding { note: true, ..finding("cpu.governor", Status::Ok) };
    Report {
        identity: verify_key(SERVER),
        nonce: NONCE,
        asked: vec!["lb".into(), "x".repeat(40)],
        millis: 70_000,
        findings: vec![late, advice, finding("net.mtu", Status::Unknown), finding("disk.space", Status::Warning)],
        absent: vec![Absent { check: "db.replication".into(), why: words("none") }],
        refused: vec!["security.sshd".into()],
        left_out: 300,
        sandbox_open: vec!["landlock".into()],
        ..Report::empty("web-1".into(), "0.1.0".into(), UnixTime(1_800_000_000))
    }
}

fn plain() -> Report {
    let empty = Report::empty("web-1".into(), "0.1.0".into(), UnixTime(1_800_000_000));
    Report { identity: verify_key(SERVER), nonce: NONCE, ..empty }
}

fn signature(by: u8, bytes: &[u8]) -> [u8; 64] {
    signing(by).sign(&[CONTEXT, bytes].concat()).to_bytes()
}

fn judged(bytes: &[u8], signature: [u8; 64]) -> Result<Report, ReportError> {
    let signed = CheckReport { report: ByteBuf::from(bytes), signature };
    signed.answers(&AgentId::of(&verify_key(SERVER)), &NONCE)
}

fn verdict(bytes: &[u8], signature: [u8; 64]) -> &'static str {
    match judged(bytes, signature) {
        Ok(_) => "good",
        Err(ReportError::Malformed(_)) => "malformed",
        Err(ReportError::Signature) => "signature",
        Err(ReportError::Stranger) => "stranger",
        Err(ReportError::Nonce) => "nonce",
    }
}

fn row(what: &str, bytes: &[u8], signature: [u8; 64], expected: &str) -> Value {
    let verdict = verdict(bytes, signature);
    assert_eq!(verdict, expected, "{what}");
    json!({ "what": what, "bytes": hex(bytes), "signature": hex(signature), "verdict": verdict })
}

/// The bytes with one piece, which is there once, in place of another.
fn changed(bytes: &[u8], piece: &[u8], by: &[u8]) -> Vec<u8> {
    let at: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(piece)).collect();
    let [at] = at.as_slice() else { panic!("{piece:?} is there {} times", at.len()) };
    [&bytes[..*at], by, &bytes[at + piece.len()..]].concat()
}

/// What its own server has signed and what is still no report: other forms of the same values, and fields that announce
/// more than there is.
fn not_the_one_form(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (head, fields) = good.split_first().unwrap();
    assert_eq!(*head, 0x8c, "twelve fields");
    let last = b"\xacsandbox_open\x91\xa8landlock";
    let first = fields.strip_suffix(last).unwrap();
    let halves = [97.5_f64.to_be_bytes().as_slice(), &97.5_f32.to_be_bytes()].map(<[u8]>::to_vec);
    let [double, single] = [[b"\xcb", halves[0].as_slice()].concat(), [b"\xca", halves[1].as_slice()].concat()];
    vec![
        ("something behind it", [good, b"\xc0"].concat()),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("nothing", Vec::new()),
        ("an array", [&[0x9c], fields].concat()),
        ("a field that nobody knows", [&[0x8d], fields, b"\xa4more\xc0"].concat()),
        ("a field twice", [&[0x8d], fields, last].concat()),
        ("a field too few", [&[0x8b], first].concat()),
        ("fields in another order", [&[0x8c], last.as_slice(), first].concat()),
        ("a longer form of a number", changed(good, b"\xa8left_out\xcd\x01\x2c", b"\xa8left_out\xce\x00\x00\x01\x2c")),
        ("a signed number", changed(good, b"\xa8left_out\xcd\x01\x2c", b"\xa8left_out\xd1\x01\x2c")),
        ("a number with a fraction", changed(good, b"\xa8left_out\xcd\x01\x2c", b"\xa8left_out\xca\x43\x96\x00\x00")),
        ("a measurement of 32 bits", changed(good, &double, &single)),
        ("a measurement without a fraction", changed(good, &double, b"\x61")),
        ("a default that is written", changed(good, b"\xa6status\xa7unknown", b"\xa6status\xa7unknown\xa4note\xc2")),
        ("a status that nobody knows", changed(good, b"\xa7unknown", b"\xa7unknowm")),
        ("bytes in place of a text", changed(good, b"\xa5web-1", b"\xc4\x05web-1")),
        ("a longer form of a text", changed(good, b"\xa5web-1", b"\xd9\x05web-1")),
        ("a text that is no text", changed(good, b"\xa5web-1", b"\xa5web-\xff")),
        ("half a pair of surrogates", changed(good, b"\xa5web-1", b"\xa5we\xed\xa0\x80")),
        ("details in another order", changed(good, b"\xa3tcp\xc3\xa3why\xa7default", b"\xa3why\xa7default\xa3tcp\xc3")),
        ("a detail twice", changed(good, b"\xa3tcp\xc3\xa3why\xa7default", b"\xa3tcp\xc3\xa3tcp\xa7default")),
        ("a detail that is nothing", changed(good, b"\xa3tcp\xc3", b"\xa3tcp\xc0")),
        ("a key that is too short", changed(good, b"\xa5nonce\xc4\x10", b"\xa5nonce\xc4\x0f")),
        ("a text of 4 GiB", changed(good, b"\xa5web-1", b"\xdb\xff\xff\xff\xff")),
        ("4 Gi findings", changed(good, b"\xa8findings\x94", b"\xa8findings\xdd\xff\xff\xff\xff")),
        ("4 Gi details", changed(good, b"\xa7details\x85", b"\xa7details\xdf\xff\xff\xff\xff")),
        ("lists in lists", changed(good, b"\xa3tcp\xc3", &[b"\xa3tcp".as_slice(), &[0x91; 2000], b"\xc3"].concat())),
    ]
}

/// A report whose host's name is so long that it has just so many bytes.
fn sized(bytes: usize) -> Value {
    let named = |chars: usize| pack::to_bytes(&Report { host: "x".repeat(chars), ..plain() });
    let long = bytes - (named(1 << 16).len() - (1 << 16));
    let all = named(long);
    assert_eq!(all.len(), bytes);
    let at = all.windows(8).position(|some| some == b"xxxxxxxx").unwrap();
    let signature = signature(SERVER, &all);
    json!({
        "before": hex(&all[..at]),
        "fill": long,
        "after": hex(&all[at + long..]),
        "signature": hex(signature),
        "verdict": verdict(&all, signature),
    })
}

pub(crate) fn reports() -> Value {
    let good = CheckReport::sign(&signing(SERVER), full());
    let (bytes, by_server) = (good.report.into_vec(), good.signature);
    assert_eq!(by_server, signature(SERVER, &bytes), "the context is written out");
    let small = pack::to_bytes(&plain());
    let strangers = pack::to_bytes(&Report { identity: verify_key(OTHER), ..full() });
    let old = pack::to_bytes(&Report { nonce: Nonce([8; 16]), ..full() });
    let no_context = signing(SERVER).sign(&bytes).to_bytes();
    let mut rows = vec![
        row("what the server found", &bytes, by_server, "good"),
        row("nothing found", &small, signature(SERVER, &small), "good"),
        row("another server's", &strangers, signature(OTHER, &strangers), "stranger"),
        row("another server's, signed by this one", &strangers, signature(SERVER, &strangers), "stranger"),
        row("signed by another server", &bytes, signature(OTHER, &bytes), "signature"),
        row("signed for something else", &bytes, no_context, "signature"),
        row("the signature of another report", &bytes, signature(SERVER, &small), "signature"),
        row("the answer to another request", &old, signature(SERVER, &old), "nonce"),
    ];
    rows.extend(
        not_the_one_form(&bytes).into_iter().map(|(what, bad)| row(what, &bad, signature(SERVER, &bad), "malformed")),
    );
    let [fits, too_large] = [REPORT_BYTES_MAX, REPORT_BYTES_MAX + 1].map(sized);
    assert_eq!((&fits["verdict"], &too_large["verdict"]), (&"good".into(), &"malformed".into()));
    json!({
        "identity": verify_key(SERVER).to_string(),
        "nonce": NONCE.to_string(),
        "rows": rows,
        "read": full(),
        "sized": [fits, too_large],
        "flipped": flipped(&small, |bytes| verdict(bytes, signature(SERVER, &small)) == "good"),
        // Which bytes are a report at all, whoever signs them.
        "canonical": flipped(&small, |bytes| pack::from_signed_bytes::<Report>(bytes, REPORT_BYTES_MAX).is_ok()),
    })
}
