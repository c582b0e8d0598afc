//! The store against a real file.
#![allow(clippy::unwrap_used)]

use super::*;
use cloud_doctor_proto::control::{HostFacts, TrustHead};
use cloud_doctor_proto::ids::{AgentId, Hash, StreamId, VerifyKey};

pub(super) const NOW: UnixTime = UnixTime(1_800_000_000);
const MINUTE: Lifetime = Lifetime { ends_at: UnixTime(NOW.0 + 60), idle_secs: 60 };
fn login(token_hash: &[u8; 32]) -> NewLogin<'_> {
    NewLogin {
        token_hash,
        kind: LoginKind::Program,
        way: Way::Password,
        place: b"place",
        client: "192.0.2.1",
        user_agent: "",
        lifetime: MINUTE,
    }
}
pub(super) const WHO: Actor<'static> = Actor { account: "ann", client: "192.0.2.1" };

pub(super) struct World {
    _dir: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) tenant: TenantRef,
}

pub(super) async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("relay.db")).await.unwrap();
    let tenant = store.set_up(&first("ann"), "192.0.2.1", NOW).await.unwrap();
    World { _dir: dir, store, tenant }
}

pub(super) fn first(account: &str) -> FirstAccount {
    FirstAccount { tenant_name: "ACME".into(), account: account.into(), password: "$hash".into() }
}

fn hash(n: u8) -> Hash {
    Hash([n; 32])
}

pub(super) fn token(n: u8, uses_max: u32) -> NewEnrolToken {
    let id = EnrolTokenId([n; 16]);
    NewEnrolToken { id, secret_hash: [n; 32], label: "x".into(), expires_at: NOW.plus_secs(60), uses_max }
}

pub(super) fn enrolment(token: u8, expected: TrustHead, agent: u8) -> Enrolment {
    let new = NewAgent {
        agent: AgentId([agent; 32]),
        transport_key: VerifyKey([agent; 32]),
        name: "web".into(),
        host: HostFacts::default(),
    };
    let (client, entry) = ("192.0.2.7".to_owned(), vec![agent]);
    Enrolment { secret_hash: [token; 32], expected, hash: hash(100 + agent), entry, agent: new, client }
}

pub(super) async fn genesis(world: &World) -> TrustHead {
    world.store.of(world.tenant).append_entry(None, hash(1), b"genesis", None, WHO, NOW).await.unwrap()
}

#[tokio::test]
async fn aut_03_only_the_first_set_up_counts() {
    let world = world().await;
    assert!(matches!(world.store.set_up(&first("eve"), "", NOW).await, Err(AlreadySetUp::Done)));
    assert!(matches!(world.store.add_tenant(&first("ann"), NOW).await, Err(NameTaken::Taken)));
    let other = world.store.add_tenant(&first("bob"), NOW).await.unwrap();
    assert_eq!(world.store.of(other).accounts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_log_is_appended_at_its_head_by_one_of_many() {
    let world = world().await;
    let scoped = world.store.of(world.tenant);
    assert_eq!(scoped.log_head().await.unwrap(), None);
    let head = genesis(&world).await;
    let again = scoped.append_entry(None, hash(9), b"x", None, WHO, NOW).await;
    assert!(matches!(again, Err(AppendError::HeadMoved { head: Some(found) }) if found == head));
    let racers = (10..30).map(|n| scoped.append_entry(Some(head), hash(n), b"next", None, WHO, NOW));
    let results = futures_util::future::join_all(racers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(scoped.log_head().await.unwrap().unwrap().seq, 1);
    assert_eq!(scoped.log_entries(1, 10).await.unwrap(), [b"next".to_vec()]);
    let audit = scoped.audit_rows(0, 100).await.unwrap();
    let appended = audit.iter().filter(|row| row.action == "log-appended").count();
    assert_eq!(appended, 2, "a refused append leaves no row");
}

#[tokio::test]
async fn enr_01_a_token_for_one_use_enrols_one_of_many_hosts() {
    let world = world().await;
    let head = genesis(&world).await;
    let scoped = world.store.of(world.tenant);
    scoped.add_enrol_token(&token(1, 1), WHO, NOW).await.unwrap();
    let enrolments: Vec<Enrolment> = (1..=8).map(|agent| enrolment(1, head, agent)).collect();
    let racers = enrolments.iter().map(|enrolment| world.store.enrol(enrolment, NOW));
    let results = futures_util::future::join_all(racers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let used = |result: &Result<_, EnrolError>| matches!(result, Err(EnrolError::Token(TokenRefused::Used(_))));
    assert_eq!(results.iter().filter(|result| used(result)).count(), 7);
    assert_eq!(scoped.agents().await.unwrap().len(), 1);
    assert_eq!(scoped.enrol_tokens().await.unwrap()[0].uses, 1);
}

#[tokio::test]
async fn enr_02_a_refused_enrolment_changes_nothing() {
    let world = world().await;
    let head = genesis(&world).await;
    let scoped = world.store.of(world.tenant);
    scoped.add_enrol_token(&token(1, 5), WHO, NOW).await.unwrap();
    let moved = TrustHead { hash: hash(77), ..head };
    let refused = world.store.enrol(&enrolment(1, moved, 1), NOW).await;
    assert!(matches!(refused, Err(EnrolError::Append(AppendError::HeadMoved { .. }))), "{refused:?}");
    let late = world.store.enrol(&enrolment(1, head, 1), NOW.plus_secs(61)).await;
    assert!(matches!(late, Err(EnrolError::Token(TokenRefused::Expired(_)))));
    let unknown = world.store.enrol(&enrolment(2, head, 1), NOW).await;
    assert!(matches!(unknown, Err(EnrolError::Token(TokenRefused::Unknown))));
    assert_eq!(scoped.enrol_tokens().await.unwrap()[0].uses, 0, "a refusal uses nothing up");
    assert!(scoped.agents().await.unwrap().is_empty());
    assert_eq!(scoped.log_head().await.unwrap(), Some(head));
}

#[tokio::test]
async fn enr_08_an_enrolled_server_is_never_taken_over_and_a_removed_one_may_come_back() {
    let world = world().await;
    let head = genesis(&world).await;
    let scoped = world.store.of(world.tenant);
    scoped.add_enrol_token(&token(1, 5), WHO, NOW).await.unwrap();
    let (_, head) = world.store.enrol(&enrolment(1, head, 1), NOW).await.unwrap();
    let same_identity = Enrolment {
        agent: NewAgent { transport_key: VerifyKey([9; 32]), ..enrolment(1, head, 1).agent },
        hash: hash(55),
        ..enrolment(1, head, 1)
    };
    assert!(matches!(world.store.enrol(&same_identity, NOW).await, Err(EnrolError::Known)));
    let same_tunnel = Enrolment {
        agent: NewAgent { agent: AgentId([9; 32]), ..enrolment(1, head, 1).agent },
        hash: hash(56),
        ..enrolment(1, head, 1)
    };
    assert!(matches!(world.store.enrol(&same_tunnel, NOW).await, Err(EnrolError::Known)));
    assert_eq!(scoped.log_head().await.unwrap(), Some(head));
    assert!(scoped.remove_agent(&AgentId([1; 32]), WHO, NOW).await.unwrap());
    let row = world.store.agent_by_transport_key(&VerifyKey([1; 32])).await.unwrap().unwrap();
    assert!(row.removed, "a removed key is known as removed");
    world.store.enrol(&same_tunnel, NOW).await.unwrap();
    let row = world.store.agent_by_transport_key(&VerifyKey([1; 32])).await.unwrap().unwrap();
    assert_eq!((row.agent, row.removed), (AgentId([9; 32]), false));
}

#[tokio::test]
async fn aud_01_logs_only_grow_whoever_asks() {
    let world = world().await;
    genesis(&world).await;
    let statements = [
        "UPDATE audit SET account = 'x'",
        "DELETE FROM audit",
        "UPDATE trust_entries SET entry = x'00'",
        "DELETE FROM trust_entries",
    ];
    for sql in statements {
        let refused = sqlx::query(sql).execute(&world.store.writer).await.unwrap_err();
        assert!(refused.to_string().contains("only grows"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn aud_11_order_is_by_number_whatever_the_clock_says() {
    let world = world().await;
    let scoped = world.store.of(world.tenant);
    for (n, back) in [("a", 0), ("b", 7_200), ("c", 3_600)] {
        scoped.note(WHO, Action::EnrolmentRefused, n, UnixTime(NOW.0 - back)).await.unwrap();
    }
    let rows = scoped.audit_rows(1, 10).await.unwrap();
    let order: Vec<(u64, &str)> = rows.iter().map(|row| (row.seq, row.subject.as_str())).collect();
    assert_eq!(order, [(2, "a"), (3, "b"), (4, "c")]);
}

#[tokio::test]
async fn aud_04_a_full_disk_is_told_and_nothing_is_half_done() {
    let world = world().await;
    let pages: (i64,) = sqlx::query_as("PRAGMA page_count").fetch_one(&world.store.writer).await.unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages.0);
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&world.store.writer).await.unwrap();
    let scoped = world.store.of(world.tenant);
    let large = "x".repeat(100_000);
    let full = scoped.note(WHO, Action::EnrolmentRefused, &large, NOW).await;
    assert!(matches!(full, Err(StoreError::Disk(_))), "{full:?}");
    assert_eq!(scoped.audit_rows(0, 10).await.unwrap().len(), 1);
    scoped.note(WHO, Action::EnrolmentRefused, "small", NOW).await.unwrap();
}

#[tokio::test]
async fn flt_26_a_restored_database_revives_no_credential() {
    let world = world().await;
    let scoped = world.store.of(world.tenant);
    scoped.add_enrol_token(&token(1, 5), WHO, NOW).await.unwrap();
    let account = scoped.accounts().await.unwrap().remove(0);
    assert!(scoped.begin_login(&account, &login(&[3; 32]), NOW).await.unwrap());
    assert!(world.store.login(&[3; 32]).await.unwrap().is_some());
    world.store.forget_credentials(NOW, 0).await.unwrap();
    assert!(world.store.login(&[3; 32]).await.unwrap().is_none());
    assert!(matches!(world.store.enrol_token_tenant(&[1; 32], NOW).await, Err(TokenRefused::Revoked(_))));
}

#[tokio::test]
async fn old_streams_are_forgotten_in_batches_and_their_audit_stays() {
    let world = world().await;
    let scoped = world.store.of(world.tenant);
    let opened = StreamOpened {
        stream: StreamId([9; 16]),
        account: "ann".into(),
        agent: AgentId([1; 32]),
        client: "192.0.2.1".into(),
        purpose: "shell".into(),
        visit: None,
        channel: None,
    };
    // One that is still open after a year, one that ended young, and 1,200 that ended long ago.
    scoped.stream_opened(&opened, NOW).await.unwrap();
    let young = StreamOpened { stream: StreamId([8; 16]), ..opened };
    scoped.stream_opened(&young, NOW).await.unwrap();
    let end = StreamClosed { bytes_up: 1, bytes_down: 2, reason: "done".into() };
    scoped.stream_closed(&young.stream, &end, NOW.plus_secs(100)).await.unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
               INSERT INTO streams (stream_id, tenant_id, account, agent_id, client, purpose, opened_at, closed_at) \
               SELECT randomblob(16), tenant_id, 'ann', randomblob(32), '192.0.2.1', 'shell', 5, 10 FROM n, tenants";
    sqlx::query(sql).execute(&world.store.writer).await.unwrap();
    let audited = scoped.audit_rows(0, 5000).await.unwrap().len();
    let mut batches = Vec::new();
    loop {
        let more = world.store.forget_streams(NOW).await.unwrap();
        batches.push((more, scoped.streams(&WhichStreams::default(), 5000).await.unwrap().len()));
        if !more {
            break;
        }
    }
    assert_eq!(batches, [(true, 702), (true, 202), (false, 2)]);
    assert!(!world.store.forget_streams(NOW.plus_secs(100)).await.unwrap());
    assert_eq!(scoped.streams(&WhichStreams::default(), 10).await.unwrap().len(), 2, "what ended at that moment stays");
    world.store.forget_streams(NOW.plus_secs(101)).await.unwrap();
    let left = scoped.streams(&WhichStreams::default(), 10).await.unwrap();
    assert!(left.len() == 1 && left[0].closed_at.is_none(), "{left:?}");
    assert_eq!(scoped.audit_rows(0, 5000).await.unwrap().len(), audited, "the audit is never pruned");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay.db");
    std::fs::write(&path, "not a database, but long enough to look at. ".repeat(50)).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("restore"), "{error}");
}

/// Every table has its customer's column, and every query of a table names it or a key that is unique on the relay.
#[tokio::test]
async fn tenant_id_stands_in_every_table() {
    let world = world().await;
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    )
    .fetch_all(&world.store.readers)
    .await
    .unwrap();
    assert!(tables.len() >= 9, "{tables:?}");
    for (name, sql) in tables {
        assert!(sql.contains("tenant_id"), "{name}");
    }
}

#[tokio::test]
async fn flt_24_a_damaged_database_knows_nobody_it_did_not_know() {
    let world = world().await;
    let scoped = world.store.of(world.tenant);
    scoped.add_enrol_token(&token(1, 5), WHO, NOW).await.unwrap();
    let account = scoped.accounts().await.unwrap().remove(0);
    assert!(scoped.begin_login(&account, &login(&[3; 32]), NOW).await.unwrap());
    let dir = tempfile::tempdir().unwrap();
    world.store.copy_to(&dir.path().join("good.db")).await.unwrap();
    let good = std::fs::read(dir.path().join("good.db")).unwrap();
    let path = dir.path().join("bad.db");
    for n in 0..200_usize {
        let mut bad = good.clone();
        for hit in 0..16 {
            let at = (n * 7_919 + hit * 104_729) % bad.len();
            bad[at] ^= u8::try_from(1 + (n + hit) % 255).unwrap();
        }
        for name in ["bad.db", "bad.db-wal", "bad.db-shm"] {
            drop(std::fs::remove_file(dir.path().join(name)));
        }
        std::fs::write(&path, &bad).unwrap();
        let Ok(store) = Store::open(&path).await else { continue };
        assert!(!matches!(store.login(&[9; 32]).await, Ok(Some(_))), "mutation {n}");
        assert!(store.enrol_token_tenant(&[9; 32], NOW).await.is_err(), "mutation {n}");
        let agent = store.agent_by_transport_key(&VerifyKey([9; 32])).await;
        assert!(!matches!(agent, Ok(Some(_))), "mutation {n}");
        store.close().await;
    }
}

#[tokio::test]
async fn aud_01_a_database_whose_triggers_are_gone_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relay.db");
    let store = Store::open(&path).await.unwrap();
    sqlx::query("DROP TRIGGER audit_keeps").execute(&store.writer).await.unwrap();
    store.close().await;
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)) && error.to_string().contains("restore"), "{error}");
}
