//! The client library against a relay, guard and holder of a few lines: the honest road, and the dishonest one.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::wildcard_enum_match_arm)]

mod fake;

use cloud_doctor::channel::{Channel, Event};
use cloud_doctor::messages::{Say, Sentence};
use cloud_doctor::relay_api::Relay;
use cloud_doctor::signer::{Keyring, Person};
use cloud_doctor::trust_store::{TrustError, TrustStore};
use cloud_doctor::visit::{self, First, Hands, Target, Terms, Visit, VisitError, Wish};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::session::{ExitStatus, FinReason, Stream};
use fake::{World, key, now, sign, ssh};
use ssh_key::LineEnding;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zeroize::Zeroizing;

const SOON: Duration = Duration::from_secs(20);

struct Nobody;

impl Person for Nobody {
    fn tell(&mut self, _: Say) {}
    fn passphrase(&mut self, _: &Path) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new("correct horse".to_owned()))
    }
}

/// A client's files and relay, and what runs behind it.
struct Desk {
    world: Arc<World>,
    relay: Relay,
    folder: TempDir,
    key_file: PathBuf,
    _tasks: JoinSet<()>,
}

impl Desk {
    async fn new() -> Self {
        let world = World::new();
        let (url, tasks) = world.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("key");
        std::fs::write(&key_file, world.root.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
        let relay = Relay::new(url.parse().unwrap(), None, Some("token".into())).unwrap();
        Self { world, relay, folder, key_file, _tasks: tasks }
    }

    fn store(&self, entries: usize) -> TrustStore {
        let tenant = self.world.trust().tenant();
        let log = self.world.log.lock().unwrap();
        let mut store = TrustStore::start(&self.folder.path().join("tenant"), &log[0], tenant).unwrap();
        let rest: Vec<_> = log[1..entries].iter().cloned().map(serde_bytes::ByteBuf::from).collect();
        store.extend(1, &rest).unwrap();
        store
    }

    async fn open(&self, argv: &[&str]) -> Result<(Visit, Channel), VisitError> {
        let entries = self.world.log.lock().unwrap().len();
        self.open_with(argv, &mut self.store(entries)).await
    }

    async fn open_with(&self, argv: &[&str], trust: &mut TrustStore) -> Result<(Visit, Channel), VisitError> {
        let (agent, record) = self.world.agent();
        let target = Target { agent, identity: record.identity, name: record.name };
        let keys = Keyring::open(None, Some(&self.key_file)).await.unwrap();
        let engineer = keys.pick(|_| true).unwrap();
        let mut hands = Hands { relay: &self.relay, trust, keys: &keys, engineer: &engineer, person: &mut Nobody };
        timeout(SOON, visit::open(&mut hands, &target, &wish(argv))).await.unwrap()
    }
}

fn wish(argv: &[&str]) -> Wish {
    let scope = Scope::Exec { user: "web".into() };
    let argv = argv.iter().map(|a| a.as_bytes().to_vec()).collect();
    let first =
        First { scope: scope.clone(), attach: None, term: "dumb".into(), lang: String::new(), argv, size: (0, 0) };
    Wish { terms: Terms { scopes: vec![scope], ttl_secs: 600, reason: String::new(), ticket: String::new() }, first }
}

/// What came of a channel.
#[derive(Debug, Default)]
struct Seen {
    out: Vec<u8>,
    err: Vec<u8>,
    exit: Option<ExitStatus>,
    fin: Option<FinReason>,
    cuts: usize,
}

async fn run(channel: &mut Channel, mut input: &[u8]) -> Seen {
    let mut seen = Seen::default();
    while seen.fin.is_none() {
        let taken = channel.input(input);
        input = &input[taken..];
        if input.is_empty() {
            channel.end_input();
        }
        match timeout(SOON, channel.event()).await.unwrap().unwrap() {
            Event::Output { stream, data } => {
                channel.took(stream, data.len());
                match stream {
                    Stream::Out => seen.out.extend(data),
                    Stream::Err => seen.err.extend(data),
                }
            }
            Event::Exit(status) => seen.exit = Some(status),
            Event::Fin(reason) => seen.fin = Some(reason),
            Event::Cut(_) => seen.cuts += 1,
            _ => {}
        }
    }
    seen
}

#[tokio::test]
async fn a_command_runs_with_two_streams_and_its_status() {
    let desk = Desk::new().await;
    let (visit, mut channel) = desk.open(&["both"]).await.unwrap();
    let seen = run(&mut channel, b"").await;
    assert_eq!((seen.out.as_slice(), seen.err.as_slice()), (&b"to out\n"[..], &b"to err\n"[..]));
    assert_eq!((seen.exit, seen.fin), (Some(ExitStatus::Code(0)), Some(FinReason::Exited)));
    // One grant is one visit: the second command needs no signature.
    let mut second = visit.open_channel(&wish(&["fail"]).first).await.unwrap();
    assert_eq!(run(&mut second, b"").await.exit, Some(ExitStatus::Code(7)));
    assert_eq!(*desk.world.grants.lock().unwrap(), 1);
}

#[tokio::test]
async fn flt_numbered_lines_survive_cuts_none_lost_none_twice() {
    let desk = Desk::new().await;
    desk.world.faults.lock().unwrap().cut_after = vec![40, 0, 1, 7, 3, 25];
    let (_visit, mut channel) = desk.open(&["lines", "5000"]).await.unwrap();
    let seen = run(&mut channel, b"").await;
    let expected: Vec<u8> = (0..5000).flat_map(|i| format!("line {i}\n").into_bytes()).collect();
    assert!(seen.out == expected, "{} bytes instead of {}", seen.out.len(), expected.len());
    assert_eq!(seen.cuts, 6);
    assert_eq!(seen.exit, Some(ExitStatus::Code(0)));
}

#[tokio::test]
async fn flt_input_is_applied_exactly_once_across_cuts() {
    let desk = Desk::new().await;
    desk.world.faults.lock().unwrap().cut_after = vec![9, 30, 2, 5, 11, 4];
    let (_visit, mut channel) = desk.open(&["cat"]).await.unwrap();
    let typed: Vec<u8> = (0..60_000u32).flat_map(|i| format!("{i}\n").into_bytes()).collect();
    let seen = run(&mut channel, &typed).await;
    let holder = Arc::clone(&desk.world.holders.lock().unwrap()[&channel.id()]);
    assert!(holder.lock().unwrap().input == typed, "typed once, in order");
    assert!(seen.out == typed, "shown once, in order");
    assert_eq!(seen.cuts, 6);
}

#[tokio::test]
async fn r_10_a_stream_cut_before_fin_is_cut_not_ended() {
    let desk = Desk::new().await;
    // Welcome and the only output, then the end of the stream where Exit and Fin belong.
    desk.world.faults.lock().unwrap().cut_after = vec![3];
    let (_visit, mut channel) = desk.open(&["both"]).await.unwrap();
    let seen = run(&mut channel, b"").await;
    assert_eq!(seen.cuts, 1);
    assert_eq!((seen.exit, seen.fin), (Some(ExitStatus::Code(0)), Some(FinReason::Exited)));
    assert_eq!(seen.out, b"to out\n");
}

#[tokio::test]
async fn r_09_a_changed_record_shows_nothing_and_is_sent_again() {
    let desk = Desk::new().await;
    for record in 0..4 {
        desk.world.faults.lock().unwrap().flip_record = Some(record);
        let (_visit, mut channel) = desk.open(&["both"]).await.unwrap();
        let seen = run(&mut channel, b"").await;
        assert_eq!((seen.out.as_slice(), seen.cuts), (&b"to out\n"[..], 1), "record {record}");
        assert_eq!(seen.err, b"to err\n");
    }
}

#[tokio::test]
async fn r_12_another_server_behind_the_same_name_gets_no_signature() {
    let desk = Desk::new().await;
    desk.world.faults.lock().unwrap().other_identity = true;
    let error = desk.open(&["both"]).await.unwrap_err();
    assert_eq!(error, VisitError::NotThatServer("web-1".into()));
    assert_eq!(*desk.world.grants.lock().unwrap(), 0);
}

#[tokio::test]
async fn r_11_a_narrowed_version_offer_is_refused() {
    let desk = Desk::new().await;
    desk.world.faults.lock().unwrap().narrow = true;
    assert!(matches!(desk.open(&["both"]).await, Err(VisitError::Version { .. })));
    assert_eq!(*desk.world.grants.lock().unwrap(), 0);
}

#[tokio::test]
async fn the_log_grows_by_what_the_server_sends_along() {
    let desk = Desk::new().await;
    let mut store = desk.store(4);
    let log = desk.world.trust();
    let entry = log.next_entry(
        ssh(&desk.world.root).id(),
        now(),
        cloud_doctor_proto::trust::What::SetPolicy { policy: cloud_doctor_proto::trust::Policy::default() },
    );
    desk.world.log.lock().unwrap().push(sign(&entry, &desk.world.root));
    desk.open_with(&["both"], &mut store).await.unwrap();
    assert_eq!(store.log().head(), desk.world.trust().head());
    let again = TrustStore::load(&desk.folder.path().join("tenant"), store.log().tenant()).unwrap().unwrap();
    assert_eq!(again.log().head(), store.log().head(), "and it is on disk");
}

#[tokio::test]
async fn the_log_is_fetched_in_pages() {
    let desk = Desk::new().await;
    let mut store = desk.store(1);
    store.sync(&desk.relay).await.unwrap();
    assert_eq!(store.log().head(), desk.world.trust().head());
}

#[tokio::test]
async fn r_13_an_older_log_is_refused_with_proof() {
    let desk = Desk::new().await;
    let mut store = desk.store(4);
    desk.world.faults.lock().unwrap().log_until = Some(2);
    let error = store.sync(&desk.relay).await.unwrap_err();
    let TrustError::Rollback { theirs: 1, ours: 3, proof } = &error else { panic!("{error:?}") };
    assert!(std::fs::read_to_string(proof).unwrap().contains("verified entry 3"));
    assert_eq!(store.log().head().seq, 3);
}

#[tokio::test]
async fn r_13_a_fork_is_refused_with_proof_and_shown() {
    let desk = Desk::new().await;
    let mut store = desk.store(4);
    // The same root signs another entry 3: two histories.
    let short = cloud_doctor_proto::trust::TrustLog::replay(&desk.world.log.lock().unwrap()[..3], None).unwrap();
    let until = now().plus_secs(100);
    let key = cloud_doctor_proto::trust::NamedKey::ssh(ssh(&key(9)), "eve");
    let what =
        cloud_doctor_proto::trust::What::AddPerson { key, role: cloud_doctor_proto::trust::Role::Engineer, until };
    let other = sign(&short.next_entry(ssh(&desk.world.root).id(), now(), what), &desk.world.root);
    desk.world.log.lock().unwrap()[3] = other.clone();
    let error = store.sync(&desk.relay).await.unwrap_err();
    let TrustError::Fork(proof) = &error else { panic!("{error:?}") };
    assert!(error.sentence().to_string().contains("Two histories"));
    assert!(std::fs::read_to_string(proof).unwrap().contains("Two histories"));
    let error = store.extend(3, &[serde_bytes::ByteBuf::from(other.clone())]).unwrap_err();
    let TrustError::Fork(proof) = &error else { panic!("{error:?}") };
    let text = std::fs::read_to_string(proof).unwrap();
    assert!(text.contains(&data_encoding::BASE64.encode(&other)), "the proof holds the other entry: {text}");
    assert!(!store.log().people.contains_key(&ssh(&fake::key(9)).id()));
}

#[tokio::test]
async fn a_damaged_copy_of_the_log_signs_nothing() {
    let desk = Desk::new().await;
    let tenant = desk.store(4).log().tenant();
    let path = desk.folder.path().join("tenant/trust.log");
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, bad).unwrap();
        let loaded = TrustStore::load(path.parent().unwrap(), tenant);
        assert!(matches!(loaded, Err(TrustError::File { .. })), "byte {at}");
    }
}
