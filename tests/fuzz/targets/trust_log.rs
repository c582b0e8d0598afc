//! Trust log: entries from a relay, changed anywhere, also by somebody who holds the root's key.
#![no_main]

use cloud_doctor_fuzz::{NOW, ROOT, changed, id, log, named, signed};
use cloud_doctor_proto::trust::{Role, TrustLog, What, decode};
use std::sync::LazyLock;

static LOG: LazyLock<TrustLog> = LazyLock::new(log);

static ENTRY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let what = What::AddPerson { key: named(9, "mallory"), role: Role::Engineer, until: NOW.plus_secs(86_400) };
    LOG.next_entry(id(ROOT), NOW, what).to_bytes()
});

static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| signed(ENTRY.clone(), ROOT));

/// Appending either verifies and moves the head by one, or changes nothing.
fn append(bytes: &[u8]) -> bool {
    let mut log = LOG.clone();
    let taken = log.append(bytes).is_ok();
    assert_eq!(log.head().seq, LOG.head().seq + u64::from(taken));
    if !taken {
        assert_eq!(log.head(), LOG.head());
        assert_eq!(log.people, LOG.people);
    }
    taken
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // A relay changes what a root signed: nothing is taken but the very bytes.
    let forged = changed(&VALID, input);
    assert_eq!(append(&forged), forged == *VALID, "a changed entry was taken");
    // A root signs nonsense: taken or not, the log stays one that replays.
    let entry = changed(&ENTRY, input);
    append(&signed(entry, ROOT));
    // Strangers.
    let _ = decode(input, 0);
    assert!(TrustLog::genesis(input, Some(LOG.tenant())).is_err(), "another first entry was taken for ours");
    assert!(TrustLog::replay(&[input], Some(LOG.tenant())).is_err());
});
