//! Second signatures ahead, as a decision about a grant uses them.
#![allow(clippy::unwrap_used)]
use super::tests::{BOOT, NOW, Setting, named, signed, sshsig};
use super::*;
use crate::trust::{Ahead, NamedKey, What};

fn rule(more: &str) -> String {
    format!("version=1\n[[rule]]\nscope='shell'\nmode='ask'\nusers=['root']\n{more}\n[end]")
}

/// What Carl (6) signs ahead for Eve (5): a visit of an hour that begins within the next one.
fn ahead(setting: &Setting) -> Ahead {
    Ahead {
        agent: setting.agent(),
        engineer: named(5, "").key.id(),
        scopes: vec![Scope::Shell { user: "root".into() }],
        from: NOW,
        until: NOW.plus_secs(7200),
        note: String::new(),
    }
}

fn carl_signs(setting: &mut Setting, ahead: Ahead) {
    let entry = setting.log.next_entry(named(6, "").key.id(), NOW, What::SignAhead { ahead });
    let bytes = entry.to_bytes();
    let signature = sshsig(6, crate::signer::NAMESPACE_LOG, &bytes);
    let entry = crate::trust::SignedEntry { entry: bytes.into(), signature }.to_bytes();
    setting.log.append(&entry).unwrap();
}

/// Who signed ahead for Eve's grant, as it was changed, at a moment; `None`: somebody is asked now.
fn decided(setting: &mut Setting, now: UnixTime, change: impl Fn(&mut Grant)) -> Option<(u64, String)> {
    let challenge = setting.challenge(1);
    let mut grant = setting.grant(&challenge);
    change(&mut grant);
    let bytes = grant.to_bytes();
    let signed = Signed { key: named(5, "").key.id(), sshsig: sshsig(5, NAMESPACE_GRANT, &bytes) };
    let (agent, log) = (setting.agent(), &setting.log);
    let world = World { agent, log, ceiling: Some(&setting.ceiling), now, zone_secs: 0, guest: false };
    let permit = decide(world, &mut setting.book, BOOT, &bytes, &signed).unwrap();
    assert_eq!(permit.second.is_none(), permit.ahead.is_some(), "one of both");
    permit.ahead
}

#[test]
fn what_was_signed_ahead_stands_for_a_second_signature_within_its_hours_only() {
    let mut setting = Setting::new(&rule("ahead=true"));
    assert_eq!(decided(&mut setting, NOW, |_| ()), None, "nothing is signed yet");
    let wish = ahead(&setting);
    carl_signs(&mut setting, wish);
    let seq = setting.log.head().seq;
    let carls = Some((seq, "carl".to_owned()));
    let day = |grant: &mut Grant| grant.ttl_secs = 3600;
    assert_eq!(decided(&mut setting, NOW, day), carls);
    assert_eq!(decided(&mut setting, NOW.plus_secs(3600), day), carls, "the visit ends with it");
    assert_eq!(decided(&mut setting, NOW.plus_secs(3601), day), None, "it would outlast it");
    assert_eq!(decided(&mut setting, UnixTime(NOW.0 - 1), day), None, "before its first moment by the server's clock");
    let other_user = |grant: &mut Grant| {
        grant.scopes = vec![Scope::Shell { user: "root".into() }, Scope::Shell { user: "sam".into() }]
    };
    let mut wider = Setting::new(&rule("ahead=true").replace("'root'", "'root','sam'"));
    let wish = ahead(&wider);
    carl_signs(&mut wider, wish);
    assert_eq!(decided(&mut wider, NOW, other_user), None, "one scope of two");
}

#[test]
fn the_customers_file_decides_whether_anything_may_be_signed_ahead() {
    for (more, counts) in [
        ("ahead=true", true),
        ("", false),
        ("ahead=false", false),
        ("ahead=true\nsecond=['local','webauthn']", false),
        ("ahead=true\nsecond=['sshsig']", true),
    ] {
        let mut setting = Setting::new(&rule(more));
        let wish = ahead(&setting);
        carl_signs(&mut setting, wish);
        assert_eq!(decided(&mut setting, NOW, |_| ()).is_some(), counts, "{more}");
    }
}

#[test]
fn aut_15_another_key_or_server_is_not_meant() {
    let mut setting = Setting::new(&rule("ahead=true"));
    let other = NamedKey::ssh(named(9, "").key, "frank");
    let what = What::AddPerson { key: other.clone(), role: Role::Engineer, until: NOW.plus_secs(60) };
    let entry = setting.log.next_entry(named(1, "").key.id(), NOW, what);
    setting.log.append(&signed(&entry)).unwrap();
    let wish = Ahead { engineer: other.key.id(), ..ahead(&setting) };
    carl_signs(&mut setting, wish);
    assert_eq!(decided(&mut setting, NOW, |_| ()), None, "it was signed for Frank");
}

#[test]
fn it_ends_with_the_last_moment_of_the_key_that_signed_it() {
    let mut setting = Setting::new(&rule("ahead=true"));
    let root = named(1, "").key.id();
    let what = What::AddPerson { key: named(6, "carl"), role: Role::Approver, until: NOW.plus_secs(60) };
    let entry = setting.log.next_entry(root, NOW, what);
    setting.log.append(&signed(&entry)).unwrap();
    let wish = ahead(&setting);
    carl_signs(&mut setting, wish);
    assert!(decided(&mut setting, NOW.plus_secs(60), |_| ()).is_some());
    assert_eq!(decided(&mut setting, NOW.plus_secs(61), |_| ()), None);
}
