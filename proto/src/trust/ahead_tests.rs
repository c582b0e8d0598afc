//! Second signatures ahead: every bound and field, one row each.
#![allow(clippy::unwrap_used)]
use super::super::tests::{NOW, add, engineer, id, log, named};
use super::super::{LogError, Role, What};
use super::*;
use crate::ids::VerifyKey;
use crate::limits::{AHEAD_MAX, AHEAD_SECS_MAX, AHEAD_START_SECS_MAX};
use crate::time::DAY_SECS;
use crate::trust::batch_id;
use ed25519_dalek::SigningKey;

fn server() -> VerifyKey {
    VerifyKey([4; 32])
}

fn root_shell() -> Vec<Scope> {
    vec![Scope::Shell { user: "root".into() }]
}

fn wish() -> Ahead {
    let (from, until) = (NOW, NOW.plus_secs(3600));
    Ahead { agent: AgentId::of(&server()), engineer: id(5), scopes: root_shell(), from, until, note: "tonight".into() }
}

/// Root 1, engineer 5 (eve), approvers 6 (carl) and 7 (eve's other key), a browser's key 8 (dora) and one server.
fn stage() -> TrustLog {
    let mut log = log();
    add(&mut log, 1, engineer(5, 90)).unwrap();
    let until = NOW.plus_secs(30 * DAY_SECS);
    for key in [named(6, "carl"), named(7, "eve"), NamedKey::device(named(8, "").key, "dora")] {
        add(&mut log, 1, What::AddPerson { key, role: Role::Approver, until }).unwrap();
    }
    let batch = SigningKey::from_bytes(&[3; 32]);
    let key = VerifyKey(batch.verifying_key().to_bytes());
    add(&mut log, 1, What::EnrolBatch { key, until: NOW.plus_secs(60), uses: 1, note: String::new() }).unwrap();
    let what = What::AddAgent { identity: server(), name: "web".into() };
    log.append(&log.next_entry(batch_id(&key), NOW, what).sign_with_batch(&batch).to_bytes()).unwrap();
    log
}

fn sign(log: &mut TrustLog, signer: u8, ahead: Ahead) -> Result<(), LogError> {
    add(log, signer, What::SignAhead { ahead })
}

#[test]
fn aut_15_approvers_and_roots_sign_ahead_and_nobody_for_themselves() {
    for (signer, expected) in [
        (6, Ok(())),
        (1, Ok(())),
        (7, Err(Some(Rule::AheadSelf))),
        (8, Err(Some(Rule::AheadDevice))),
        (5, Err(None)),
        (2, Err(None)),
        (9, Err(None)),
    ] {
        let signed = sign(&mut stage(), signer, wish()).map_err(|error| match error {
            LogError::Rule { rule, .. } => Some(rule),
            LogError::NotAllowed { .. } => None,
            other @ (LogError::Pack { .. }
            | LogError::Fork { .. }
            | LogError::OtherTenant { .. }
            | LogError::Signature { .. }
            | LogError::Empty) => panic!("{other}"),
        });
        assert_eq!(signed, expected, "key {signer}");
    }
}

#[test]
fn an_approver_past_its_time_does_not_come_back_by_an_early_date() {
    let mut log = stage();
    let soon = NOW.plus_secs(100);
    add(&mut log, 1, What::AddPerson { key: named(9, "gus"), role: Role::Approver, until: soon }).unwrap();
    sign(&mut log, 9, wish()).unwrap();
    let late = log.next_entry(id(1), NOW.plus_secs(101), What::RemovePerson { key: id(7) });
    log.append(&super::super::tests::sign(&late, 1)).unwrap();
    assert!(matches!(sign(&mut log, 9, wish()), Err(LogError::NotAllowed { .. })));
}

#[test]
fn what_is_signed_ahead_is_bounded() {
    let with = |change: &dyn Fn(&mut Ahead)| {
        let mut ahead = wish();
        change(&mut ahead);
        ahead
    };
    let shell = |user: &str| Scope::Shell { user: user.into() };
    let rows: [(Ahead, Option<Rule>); 14] = [
        (with(&|it| it.until = it.from.plus_secs(AHEAD_SECS_MAX)), None),
        (with(&|it| it.until = it.from.plus_secs(AHEAD_SECS_MAX + 1)), Some(Rule::AheadHours)),
        (with(&|it| it.until = it.from), Some(Rule::AheadHours)),
        (with(&|it| (it.from, it.until) = (UnixTime(NOW.0 - 20), NOW)), Some(Rule::AheadHours)),
        (with(&|it| it.from = NOW.plus_secs(AHEAD_START_SECS_MAX + 1)), Some(Rule::AheadHours)),
        (with(&|it| it.agent = AgentId([9; 32])), Some(Rule::NoServer)),
        (with(&|it| it.engineer = id(6)), Some(Rule::Nobody)),
        (with(&|it| it.scopes = vec![]), Some(Rule::AheadScopes)),
        (with(&|it| it.scopes = vec![shell("b"), shell("a")]), Some(Rule::AheadScopes)),
        (with(&|it| it.scopes = vec![shell("a"), shell("a")]), Some(Rule::AheadScopes)),
        (with(&|it| it.scopes = vec![Scope::Watch { user: "a".into() }]), Some(Rule::AheadScopes)),
        (
            with(&|it| it.scopes = (b'a'..b'j').map(|c| shell(&(c as char).to_string())).collect()),
            Some(Rule::AheadScopes),
        ),
        (with(&|it| it.note = "n".repeat(501)), Some(Rule::NoteLength)),
        (with(&|it| it.note = "a\u{202e}b".into()), Some(Rule::NameHidden)),
    ];
    for (ahead, broken) in rows {
        let seq = stage().head().seq + 1;
        let expected = broken.map_or(Ok(()), |rule| Err(LogError::Rule { seq, rule }));
        assert_eq!(sign(&mut stage(), 6, ahead.clone()), expected, "{ahead:?}");
    }
    let mut log = stage();
    for _ in 0..AHEAD_MAX {
        sign(&mut log, 6, wish()).unwrap();
    }
    assert!(matches!(sign(&mut log, 6, wish()), Err(LogError::Rule { rule: Rule::AheadMany, .. })));
}

#[test]
fn it_ends_by_its_signers_its_user_and_time_and_with_keys_and_server() {
    let signed = |log: &mut TrustLog| {
        sign(log, 6, wish()).unwrap();
        log.head().seq
    };
    for by in [1, 5, 6, 7] {
        let mut log = stage();
        let seq = signed(&mut log);
        add(&mut log, by, What::EndAhead { seq }).unwrap();
        assert!(log.ahead.is_empty(), "by {by}");
        let again = add(&mut log, 6, What::EndAhead { seq }).unwrap_err();
        assert!(matches!(again, LogError::Rule { rule: Rule::NoAhead, .. }), "{again}");
    }
    let mut log = stage();
    let seq = signed(&mut log);
    assert!(matches!(add(&mut log, 9, What::EndAhead { seq }), Err(LogError::NotAllowed { .. })));
    for what in [
        What::RemovePerson { key: id(5) },
        What::RemovePerson { key: id(6) },
        What::RemoveAgent { agent: AgentId::of(&server()) },
    ] {
        let mut log = log.clone();
        add(&mut log, 1, what.clone()).unwrap();
        assert!(log.ahead.is_empty(), "{what:?}");
    }
    let late = log.next_entry(id(1), NOW.plus_secs(3600), What::RemovePerson { key: id(7) });
    log.append(&super::super::tests::sign(&late, 1)).unwrap();
    assert!(log.ahead.is_empty(), "its time is over by the log's own clock");
}
