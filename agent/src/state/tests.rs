//! Damaged state: a thousand mutations, and what crashes leave.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests read the clock")]

use super::config::{Config, Relay};
use super::trust::{AppendError, TrustError, TrustStore};
use super::{files, identity};
use crate::customer::{Customer, DAN, EVE, key_id};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::trust::{LogError, What};
use std::path::Path;

/// Whether the three files together are trusted, as guard reads them at its start.
fn trusted(dir: &Path) -> bool {
    let Ok(config) = Config::load(&dir.join("agent.toml")) else { return false };
    identity::load(dir).is_ok() && TrustStore::load(dir, config.tenant()).is_ok()
}

fn written(customer: &Customer) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    identity::create(dir.path(), &customer.identity).unwrap();
    TrustStore::create(dir.path(), &customer.log).unwrap();
    let relay = Relay { url: "relay:4433".into(), pins: vec![Pin([1; 32])] };
    Config::new(customer.log.tenant(), "web", &[relay]).save(&dir.path().join("agent.toml")).unwrap();
    dir
}

/// Cut, emptied, a bit flipped, bytes added; a fixed walk over the file, so that a failure can be repeated.
fn mutations(good: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut bad = vec![Vec::new(), [good, b"x"].concat(), vec![0; good.len()]];
    for number in 0..count {
        let at = number * 7919 % (good.len() * 8);
        if number % 4 == 3 {
            bad.push(good[..at / 8].to_vec());
        } else {
            let mut flipped = good.to_vec();
            flipped[at / 8] ^= 1 << (at % 8);
            bad.push(flipped);
        }
    }
    bad
}

#[test]
fn flt_24_a_thousand_mutations_trust_nobody_or_change_nothing() {
    let customer = Customer::new();
    let dir = written(&customer);
    assert!(trusted(dir.path()));
    let mut tried = 0;
    for (name, count) in [("identity.key", 250), ("trust.log", 300), ("trust.head", 250), ("agent.toml", 250)] {
        let path = dir.path().join(name);
        let good = std::fs::read(&path).unwrap();
        for (number, bad) in mutations(&good, count).into_iter().enumerate() {
            std::fs::write(&path, &bad).unwrap();
            tried += 1;
            if !trusted(dir.path()) {
                continue;
            }
            // What is still trusted must be the same: a letter's case in a hexadecimal number, a comment, an address.
            let store = TrustStore::load(dir.path(), Config::load(&dir.path().join("agent.toml")).unwrap().tenant());
            assert_eq!(store.unwrap().log().head(), customer.log.head(), "{name} mutation {number}");
            assert_eq!(identity::load(dir.path()).unwrap(), customer.identity);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!trusted(dir.path()), "{name} missing");
        std::fs::write(&path, &good).unwrap();
    }
    assert!(tried >= 1000, "{tried}");
    assert!(trusted(dir.path()));
}

#[test]
fn r_13_a_lost_tail_is_damage_and_does_not_bring_anybody_back() {
    let mut customer = Customer::new();
    let dir = written(&customer);
    let short = std::fs::read(dir.path().join("trust.log")).unwrap();
    let mut store = TrustStore::load(dir.path(), customer.log.tenant()).unwrap();
    let entry = customer.says(What::RemovePerson { key: key_id(EVE) });
    assert_eq!(store.append(&[entry]).unwrap(), 1);
    std::fs::write(dir.path().join("trust.log"), short).unwrap();
    assert!(matches!(TrustStore::load(dir.path(), customer.log.tenant()), Err(TrustError::Behind(_))));
}

#[test]
fn entries_survive_a_crash_at_any_byte_and_are_never_half_there() {
    let mut customer = Customer::new();
    let dir = written(&customer);
    let (log, head) = (dir.path().join("trust.log"), dir.path().join("trust.head"));
    let (old_log, old_head) = (std::fs::read(&log).unwrap(), std::fs::read(&head).unwrap());
    let old = customer.log.head();
    let entry = customer.says(What::RemovePerson { key: key_id(DAN) });
    let mut store = TrustStore::load(dir.path(), customer.log.tenant()).unwrap();
    store.append(std::slice::from_ref(&entry)).unwrap();
    drop(store);
    let new_log = std::fs::read(&log).unwrap();
    for cut in old_log.len()..=new_log.len() {
        std::fs::write(&log, &new_log[..cut]).unwrap();
        std::fs::write(&head, &old_head).unwrap();
        let mut store = TrustStore::load(dir.path(), customer.log.tenant()).unwrap();
        let whole = cut == new_log.len();
        assert_eq!(store.log().head(), if whole { customer.log.head() } else { old }, "{cut}");
        store.append(std::slice::from_ref(&entry)).unwrap();
        assert_eq!(store.log().head(), customer.log.head());
        assert_eq!(std::fs::read(&log).unwrap(), new_log);
    }
}

#[test]
fn genuine_entries_before_a_forged_one_are_kept() {
    let mut customer = Customer::new();
    let dir = written(&customer);
    let mut store = TrustStore::load(dir.path(), customer.log.tenant()).unwrap();
    let genuine = customer.says(What::RemovePerson { key: key_id(EVE) });
    let forged = genuine.clone();
    let result = store.append(&[genuine, serde_bytes::ByteBuf::from(b"junk".to_vec()), forged]);
    assert!(matches!(result, Err(AppendError::Log(LogError::Pack { .. }))));
    assert_eq!(store.log().head(), customer.log.head());
}

#[test]
fn loc_06_files_are_born_with_their_final_mode_and_never_through_a_link() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    files::create(&path, files::PRIVATE, b"1").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(files::create(&path, files::PRIVATE, b"2").is_err(), "an existing file is not taken over");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(files::create(&link, files::PRIVATE, b"3").is_err());
    assert!(files::read(&link, 10).is_err());
    files::replace(&link, files::PRIVATE, b"4").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"1", "a link is replaced, not followed");
    assert!(files::read(&path, 0).is_err(), "longer than allowed");
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(files::make_dir(&shared, 0o700).is_err());
}
