//! Coming back: who may, and that every byte is shown and typed once.

use crate::door::{Phase, Refusal, What};
use crate::harness::{Client, Got, Host, exec, shell, until, visit};
use cloud_doctor_proto::session::{ExitStatus, FinReason, OpenRequest, ToHolder};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

#[tokio::test]
async fn nothing_starts_before_the_first_valid_record() {
    let mut host = Host::new().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let request = exec(&["sh", "-c", &format!("echo started >{path}")]);
    let mut silent = host.knock(&request, None).await.unwrap();
    assert_eq!(host.status().await.phase, Phase::Waiting);
    let mut record = silent.seal(&ToHolder::Close);
    *record.last_mut().unwrap() ^= 1;
    silent.stream.write_all(&record).await.unwrap();
    host.event(|what| *what == What::Integrity).await;
    assert_eq!(silent.next().await, None, "it was cut");
    assert_eq!(host.status().await.phase, Phase::Waiting);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "");
    let mut client = host.client(&request).await;
    client.end().await;
    assert_eq!(std::fs::read_to_string(path).unwrap(), "started\n");
}

#[tokio::test]
async fn flt_01_detached_and_attached_again_shows_every_line_once() {
    let mut host = Host::new().await;
    let script = "PS1=; stty -echo; for i in $(seq 1 20000); do echo line $i.; done; echo fin''ished";
    let mut client = host.client(&shell()).await;
    let mut pid = 0;
    client.type_in(&format!("{script}\n")).await;
    let mut part = 0;
    while !client.text().contains("finished") {
        part += 1;
        let before = client.out.len();
        while client.out.len() < before + 500 && !client.text().contains("finished") {
            if let Got::Welcome(welcome) = client.next().await.unwrap() {
                assert!(pid == 0 || pid == welcome.pid, "the same shell");
                pid = welcome.pid;
            }
        }
        let old = client;
        if part % 2 == 0 {
            host.new_guard().await;
        }
        client = host.client_again(&old, &shell()).await;
        if part % 3 == 0 {
            drop(old);
        }
    }
    assert!(part >= 10, "{part} reconnects");
    let text = client.text();
    let lines: Vec<&str> = text.split("\r\n").filter(|line| line.starts_with("line ")).collect();
    let expected: Vec<String> = (1..=20_000).map(|number| format!("line {number}.")).collect();
    assert_eq!(lines, expected);
    assert_eq!(client.skipped, []);
}

#[tokio::test]
async fn flt_01_input_is_applied_once_over_reconnects() {
    let mut host = Host::new().await;
    let request = exec(&["cat"]);
    let mut client = host.client(&request).await;
    let all: Vec<u8> = (0..20_000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let mut step = 0;
    while client.out.len() < all.len() {
        let welcome = client.until(|got| matches!(got, Got::Welcome(_))).await;
        let Got::Welcome(welcome) = welcome else { panic!() };
        let applied = usize::try_from(welcome.input_applied).unwrap();
        assert!(applied >= usize::try_from(client.input_acked).unwrap(), "acknowledged input is never asked for again");
        // From an earlier place than needed, in pieces, as a client does that has lost acknowledgements.
        let mut at = applied.saturating_sub(3_000);
        for _ in 0..4 {
            let to = (at + 7_000).min(all.len());
            client.say(&ToHolder::Input { offset: at as u64, data: &all[at..to] }).await;
            at = to;
        }
        if at == all.len() {
            while client.out.len() < all.len() {
                client.next().await.unwrap();
            }
            break;
        }
        client.until(|got| matches!(got, Got::InputAck(_))).await;
        step += 1;
        assert!(step < 100);
        client = host.client_again(&client, &request).await;
    }
    assert!(client.out == all, "each byte came back once, in order");
    client.say(&ToHolder::Eof { offset: all.len() as u64 }).await;
    assert_eq!(client.end().await.0, Some(ExitStatus::Code(0)));
}

#[tokio::test]
async fn input_with_a_gap_is_refused_and_the_shell_lives() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.until(|got| matches!(got, Got::Welcome(_))).await;
    client.say(&ToHolder::Input { offset: 5, data: b"exit 66\n" }).await;
    host.event(|what| matches!(what, What::Misbehaved { .. })).await;
    let status = host.status().await;
    assert_eq!((status.phase, status.attached), (Phase::Running, false));
    let mut client = host.client_again(&client, &shell()).await;
    client.type_in("echo still''here\n").await;
    client.see("stillhere").await;
    assert!(!client.text().contains("reboot"));
}

#[tokio::test]
async fn a_changed_record_cuts_the_view_and_not_the_shell() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.until(|got| matches!(got, Got::Welcome(_))).await;
    let mut record = client.seal(&ToHolder::Input { offset: 0, data: b"exit 66\n" });
    record[10] ^= 1;
    client.stream.write_all(&record).await.unwrap();
    host.event(|what| *what == What::Integrity).await;
    let mut client = host.client_again(&client, &shell()).await;
    client.type_in("echo still''here\n").await;
    client.see("stillhere").await;
}

#[tokio::test]
async fn a_dead_resume_secret_ends_the_visit() {
    let mut host = Host::new().await;
    let first = host.client(&shell()).await;
    let second = host.client_again(&first, &shell()).await;
    let mut third = host.client_again(&second, &shell()).await;
    third.until(|got| matches!(got, Got::Welcome(_))).await;
    let attach = OpenRequest { attach: true, ..shell() };
    let refused = host.knock(&attach, Some(&first.handed)).await.err();
    assert_eq!(refused, Some(Refusal::DeadSecret));
    host.event(|what| *what == What::DeadSecret).await;
    assert_eq!(third.end().await.1, FinReason::Compromised);
    assert_eq!(host.ended().await.0, FinReason::Compromised);
    host.gone().await;
}

#[tokio::test]
async fn r_09_a_handshake_that_was_held_back_on_the_way_ends_nothing() {
    let mut host = Host::new().await;
    let first = host.client(&shell()).await;
    let mut second = host.client_again(&first, &shell()).await;
    second.until(|got| matches!(got, Got::Welcome(_))).await;
    let attach = OpenRequest { attach: true, ..shell() };
    let (_, held_back) = host.first_message(&attach, Some(&second.handed));
    let given_up = cloud_doctor_proto::channel::ephemeral(&held_back.first).unwrap();
    let mut third = host.client_again(&second, &OpenRequest { abandoned: vec![given_up], ..shell() }).await;
    third.until(|got| matches!(got, Got::Welcome(_))).await;
    let (_kept, late) = UnixStream::pair().unwrap();
    assert_eq!(host.pass(held_back, &late).await, Err(Refusal::Replay));
    third.type_in("echo un''harmed\n").await;
    third.see("unharmed").await;
}

#[tokio::test]
async fn r_09_a_replayed_first_message_is_refused_and_harms_nobody() {
    let mut host = Host::new().await;
    let (initiator, open) = host.first_message(&shell(), None);
    let (ours, theirs) = UnixStream::pair().unwrap();
    host.pass(open.clone(), &theirs).await.unwrap();
    let mut client = Client::finish(initiator, ours).await;
    let (_kept, again) = UnixStream::pair().unwrap();
    assert_eq!(host.pass(open.clone(), &again).await, Err(Refusal::Replay));
    client.begin([0, 0]).await;
    client.until(|got| matches!(got, Got::Welcome(_))).await;
    assert_eq!(host.pass(open, &again).await, Err(Refusal::Replay));
    host.event(|what| *what == What::Replayed).await;
    let (_, resumed) = host.first_message(&OpenRequest { attach: true, ..shell() }, Some(&client.handed));
    host.pass(resumed.clone(), &again).await.unwrap();
    assert_eq!(host.pass(resumed, &again).await, Err(Refusal::Replay));
    client.type_in("echo un''harmed\n").await;
    client.see("unharmed").await;
}

#[tokio::test]
async fn a_lost_answer_does_not_lock_the_engineer_out() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.until(|got| matches!(got, Got::Welcome(_))).await;
    let attach = OpenRequest { attach: true, ..shell() };
    for _ in 0..3 {
        drop(host.knock(&attach, Some(&client.handed)).await.unwrap());
    }
    until("the lost ones are forgotten", || true).await;
    let mut again = host.client_again(&client, &shell()).await;
    again.type_in("echo back''again\n").await;
    again.see("backagain").await;
    assert_eq!(client.end().await.1, FinReason::TakenOver);
}

#[tokio::test]
async fn a_new_visit_takes_the_shell_over_and_the_old_one_is_refused() {
    let mut host = Host::new().await;
    let mut old = host.client(&shell()).await;
    old.type_in("echo from''old\n").await;
    old.see("fromold").await;
    let (old_visit, old_secret) = (host.visit.clone(), host.client_secret.clone());
    (host.visit, host.client_secret) = visit(9, 7200);
    let attach = OpenRequest { attach: true, ..shell() };
    let mut new = host.knock(&attach, None).await.unwrap();
    new.begin([0, 0]).await;
    new.see("fromold").await;
    assert_eq!(old.end().await.1, FinReason::TakenOver);
    let status = host.status().await;
    assert_eq!(status.visit.unwrap().visit, host.visit.visit);
    (host.visit, host.client_secret) = (old_visit, old_secret);
    assert_eq!(host.knock(&attach, Some(&old.handed)).await.err(), Some(Refusal::UnknownSecret));
    let first_again = host.knock(&attach, None).await.err();
    assert_eq!(first_again, Some(Refusal::UnknownSecret), "without its book a replay could not be told");
    new.type_in("echo still''mine\n").await;
    new.see("stillmine").await;
}

#[tokio::test]
async fn strangers_and_misfits_are_refused() {
    let mut host = Host::new().await;
    host.client_secret = cloud_doctor_proto::channel::Secret([99; 32]);
    assert_eq!(host.knock(&shell(), None).await.err(), Some(Refusal::Broken));
    (host.visit, host.client_secret) = visit(1, 3600);
    let attach = OpenRequest { attach: true, ..shell() };
    assert_eq!(host.knock(&attach, None).await.err(), Some(Refusal::Misfit), "nothing to attach to");
    let mut client = host.client(&shell()).await;
    client.until(|got| matches!(got, Got::Welcome(_))).await;
    let other = OpenRequest { user: "somebody".into(), ..attach };
    assert_eq!(host.knock(&other, Some(&client.handed)).await.err(), Some(Refusal::Misfit));
}

#[tokio::test]
async fn flt_10_a_view_that_was_away_too_long_is_told_what_is_gone() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.type_in("PS1=; stty -echo; echo beg''in\n").await;
    client.see("begin\r\n").await;
    client.type_in("head -c 12000000 /dev/zero | tr '\\0' x; echo; echo the''end\n").await;
    let typed = client.typed;
    client.until(|got| *got == Got::InputAck(typed)).await;
    let away = client.lose_stream();
    let seen = away.out.len();
    let pid = host.status().await.pid;
    let children = format!("/proc/{pid}/task/{pid}/children");
    until("the flood is over", || std::fs::read_to_string(&children).is_ok_and(|list| list.trim().is_empty())).await;
    let mut client = host.client_again(&away, &shell()).await;
    client.see("theend").await;
    assert_eq!(client.skipped.len(), 1);
    assert!(client.skipped[0].0 >= seen as u64 && client.skipped[0].1 > 3_000_000, "{:?}", client.skipped);
}
