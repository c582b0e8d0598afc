//! COD-09: numbers of time that no clock shows, in every message that has one.
#![allow(clippy::unwrap_used)]

use cloud_doctor_proto::audit::rfc3339;
use cloud_doctor_proto::control::HelloAck;
use cloud_doctor_proto::grant::{Grant, Scope};
use cloud_doctor_proto::ids::{AgentId, ChannelId, ExchangeKey, Hash, KeyId, TenantId, VisitId};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::session::{Notice, Welcome};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_proto::visit::{ChannelInfo, NeedSecond, VisitOpened};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value that is exchanged for another one: nine bytes on the wire.
const PLANTED: u64 = 0x0123_4567_89ab_cdef;

/// Numbers that are none of a time: negative, fractions, not a number, infinite, text, nothing.
const NO_TIMES: &[&[u8]] = &[
    &[0xff],
    &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
    &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
    &[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0],
    &[0xcb, 0x7f, 0xe1, 0xcc, 0xf3, 0x85, 0xeb, 0xc8, 0xa0],
    &[0xa1, b'1'],
    &[0xc0],
];

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
    let bytes = pack::to_bytes(message);
    let planted = [&[0xcf][..], &PLANTED.to_be_bytes()].concat();
    let at = bytes.windows(9).position(|window| window == planted).unwrap();
    let with = |value: &[u8]| [&bytes[..at], value, &bytes[at + 9..]].concat();
    for value in NO_TIMES {
        let read = pack::from_bytes::<T>(&with(value), 4096);
        assert!(read.is_err(), "{value:02x?} was taken for a time: {read:?}");
    }
    for value in [u64::MAX, i64::MAX as u64, 253_402_300_799, u64::from(u32::MAX) + 1] {
        let encoded = [&[0xcf][..], &value.to_be_bytes()].concat();
        let read: T = pack::from_bytes(&with(&encoded), 4096).unwrap();
        assert_eq!(pack::to_bytes(&read), with(&encoded));
    }
}

#[test]
fn cod_09_what_is_no_time_is_no_message() {
    let planted = UnixTime(PLANTED);
    let (visit, channel) = (VisitId([1; 16]), ChannelId([2; 16]));
    check(&HelloAck { proto: 1, build: "x".into(), now: planted });
    check(&VisitOpened { visit, ends_in_secs: PLANTED, channels: Vec::new() });
    let kind = cloud_doctor_proto::channel::ChannelKind::Shell;
    check(&ChannelInfo { channel, kind, user: "root".into(), age_secs: PLANTED, attached: false });
    check(&NeedSecond { visit, within_secs: PLANTED, remote: true, local: false });
    check(&Notice { ends_in_secs: PLANTED });
    let notice = None;
    check(&Welcome { pid: 1, input_applied: 0, out_end: 0, err_end: 0, ends_in_secs: PLANTED, notice });
    let grant = Grant {
        version: 1,
        tenant: TenantId([0; 32]),
        agent: AgentId([0; 32]),
        challenge: Hash([0; 32]),
        client_key: ExchangeKey([0; 32]),
        engineer: KeyId([0; 32]),
        scopes: vec![Scope::Shell { user: "root".into() }],
        ttl_secs: 1,
        reason: String::new(),
        ticket: String::new(),
        trust_seq: 0,
        trust_head: Hash([0; 32]),
        at: planted,
    };
    check(&grant);
    check(&Grant { at: UnixTime(0), ttl_secs: PLANTED, ..grant });
}

/// Whatever the number, readers of the audit get a date that they can read.
#[test]
fn cod_09_every_number_is_a_date_of_four_digits() {
    for (secs, date) in [
        (0, "1970-01-01T00:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (253_402_300_800, "9999-12-31T23:59:59Z"),
        (u64::MAX, "9999-12-31T23:59:59Z"),
    ] {
        assert_eq!(rfc3339(UnixTime(secs)), date);
    }
}
