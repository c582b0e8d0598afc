//! Watchers at the holder: they follow what the writer sees, at their own pace, and cost it nothing.

use crate::door::{Refusal, Visit, Watcher, What};
use crate::harness::{Client, Got, Host, shell, visit};
use cloud_doctor_proto::channel::{ChannelKind, Secret};
use cloud_doctor_proto::limits::WATCH_TAIL_BYTES;
use cloud_doctor_proto::session::{FinReason, OpenRequest, ToHolder};
use tokio::net::UnixStream;

/// Somebody with a visit of its own.
struct Looker {
    visit: Visit,
    secret: Secret,
    who: Watcher,
}

impl Looker {
    fn new(number: u8, ends_in_secs: u64) -> Self {
        let (visit, secret) = visit(number, ends_in_secs);
        Self { visit, secret, who: Watcher { person: format!("watcher {number}"), ends: None } }
    }

    async fn knock(&self, host: &mut Host, request: OpenRequest) -> Result<Client, Refusal> {
        let (initiator, open) = host.first_message_of(&self.visit, &self.secret, ChannelKind::Watch, &request, None);
        let open = crate::door::Open { watcher: Some(self.who.clone()), ..open };
        let (ours, theirs) = UnixStream::pair().unwrap();
        host.pass(open, &theirs).await?;
        drop(theirs);
        Ok(Client::finish(initiator, ours).await)
    }

    /// Looks at the newest `last` bytes and what follows.
    async fn look(&self, host: &mut Host, last: u64) -> Client {
        let mut client = self.knock(host, OpenRequest { attach: true, ..shell() }).await.unwrap();
        client.say(&ToHolder::Look { from: 0, last }).await;
        client
    }
}

#[tokio::test]
async fn a_watcher_learns_the_writers_size_and_sees_the_newest_bytes() {
    let mut host = Host::new().await;
    let mut eve = host.client(&shell()).await;
    eve.quiet().await;
    eve.type_in("seq -f line%g 1 2000; echo do''ne\n").await;
    eve.see("done").await;
    let end = eve.out.len() as u64;
    let mut carl = Looker::new(7, 600).look(&mut host, 1000).await;
    let Some(Got::Welcome(welcome)) = carl.next().await else { panic!("no welcome") };
    assert_eq!((welcome.out_end, welcome.input_applied), (end, 0));
    assert!(welcome.ends_in_secs <= 600 && welcome.ends_in_secs > 590, "{welcome:?}");
    assert_eq!(carl.next().await, Some(Got::Size(80, 24)));
    assert_eq!(carl.next().await, Some(Got::Skipped(0, end - 1000)));
    carl.see("done").await;
    assert_eq!(carl.out[carl.out.len() - 1000..], eve.out[eve.out.len() - 1000..]);
    assert_eq!(eve.until(|got| matches!(got, Got::Watchers(_))).await, Got::Watchers(vec!["watcher 7".into()]));
    eve.say(&ToHolder::Resize { cols: 120, rows: 40 }).await;
    assert_eq!(carl.until(|got| matches!(got, Got::Size(..))).await, Got::Size(120, 40));
    // A writer that comes back is told who looks; a second watcher sees the size as it is.
    let mut eve = host.client_again(&eve.lose_stream(), &shell()).await;
    assert_eq!(eve.until(|got| matches!(got, Got::Watchers(_))).await, Got::Watchers(vec!["watcher 7".into()]));
    eve.say(&ToHolder::Resize { cols: 100, rows: 30 }).await;
    carl.until(|got| *got == Got::Size(100, 30)).await;
    let mut dora = Looker::new(8, 600).look(&mut host, 0).await;
    assert_eq!(dora.until(|got| matches!(got, Got::Size(..))).await, Got::Size(100, 30));
    dora.say(&ToHolder::Ping(5)).await;
    dora.until(|got| *got == Got::Pong(5)).await;
    eve.type_in("exit 3\n").await;
    for watcher in [&mut carl, &mut dora] {
        let (status, reason) = watcher.end().await;
        assert_eq!((status, reason), (Some(cloud_doctor_proto::session::ExitStatus::Code(3)), FinReason::Exited));
    }
    eve.end().await;
    host.gone().await;
}

#[tokio::test]
async fn pty_01_a_watcher_that_reads_nothing_slows_nobody_and_is_told_what_it_missed() {
    let mut host = Host::new().await;
    let mut eve = host.client(&shell()).await;
    eve.quiet().await;
    let mut carl = Looker::new(7, 600).look(&mut host, WATCH_TAIL_BYTES).await;
    carl.until(|got| matches!(got, Got::Size(..))).await;
    // 40 MB, five times what the shell's byte log holds, while carl takes nothing off its stream.
    eve.type_in("head -c 40000000 /dev/zero | tr '\\0' x; echo; echo do''ne\n").await;
    eve.see("done").await;
    assert_eq!(eve.skipped, []);
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.holder_pid)).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let resident: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(resident < 40_000, "the holder keeps its bound: {resident} kB");
    carl.see("done").await;
    assert!(!carl.skipped.is_empty(), "what it did not take was skipped, and said so");
    assert_eq!(carl.out.len(), eve.out.len(), "every byte was shown or named");
    eve.say(&ToHolder::Close).await;
    assert_eq!(carl.end().await.1, FinReason::Closed);
}

#[tokio::test]
async fn pty_12_a_watchers_own_time_ends_its_view_and_not_the_shell() {
    let mut host = Host::new().await;
    let mut eve = host.client(&shell()).await;
    eve.quiet().await;
    let mut carl = Looker::new(7, 1).look(&mut host, 0).await;
    assert_eq!(carl.end().await, (None, FinReason::Expired));
    host.event(|what| matches!(what, What::WatcherWent { .. })).await;
    eve.type_in("echo al''ive\n").await;
    eve.see("alive").await;
    assert!(host.status().await.watchers.is_empty());
}

#[tokio::test]
async fn that_a_watcher_went_is_told_before_the_end_also_while_its_stream_stays_open() {
    let mut host = Host::new().await;
    let mut eve = host.client(&shell()).await;
    eve.quiet().await;
    let looker = Looker::new(7, 600);
    let mut carl = looker.look(&mut host, 0).await;
    carl.until(|got| matches!(got, Got::Size(..))).await;
    eve.type_in("exit 3\n").await;
    let went = host.event(|what| matches!(what, What::WatcherWent { .. })).await;
    assert_eq!(went.visit, Some(looker.visit.visit));
    host.ended().await;
    // Carl takes its last words and closes only now.
    assert_eq!(carl.end().await.1, FinReason::Exited);
}

#[tokio::test]
async fn only_those_whom_guard_names_and_who_ask_for_this_shell_look() {
    let mut host = Host::new().await;
    let looker = Looker::new(7, 600);
    let attach = || OpenRequest { attach: true, ..shell() };
    assert_eq!(looker.knock(&mut host, attach()).await.err(), Some(Refusal::Misfit), "there is no shell yet");
    let mut eve = host.client(&shell()).await;
    eve.quiet().await;
    let other = OpenRequest { user: "somebody".into(), ..attach() };
    assert_eq!(looker.knock(&mut host, other).await.err(), Some(Refusal::Misfit));
    assert_eq!(looker.knock(&mut host, shell()).await.err(), Some(Refusal::Misfit), "it would start one");
    let request = attach();
    let (_, open) = host.first_message_of(&looker.visit, &looker.secret, ChannelKind::Watch, &request, None);
    let (_ours, theirs) = UnixStream::pair().unwrap();
    assert_eq!(host.pass(open, &theirs).await, Err(Refusal::Misfit), "guard did not say who");
    // A writer's handshake does not become a watcher's, nor the other way round.
    let (_, open) = host.first_message_of(&looker.visit, &looker.secret, ChannelKind::Shell, &request, None);
    let open = crate::door::Open { kind: ChannelKind::Watch, watcher: Some(looker.who.clone()), ..open };
    assert_eq!(host.pass(open, &theirs).await, Err(Refusal::Broken));
    let mut silent = looker.knock(&mut host, attach()).await.unwrap();
    assert!(host.status().await.watchers.iter().all(|watcher| !watcher.attached), "not before its first record");
    silent.say(&ToHolder::Look { from: u64::MAX, last: 0 }).await;
    assert_eq!(silent.next().await, None);
    host.event(|what| matches!(what, What::Misbehaved { .. })).await;
    eve.type_in("echo al''ive\n").await;
    eve.see("alive").await;
}
