//! How channels end, and that nothing stays.

use crate::door::{Limits, Phase, What};
use crate::harness::{Got, Host, alive, exec, shell, until};
use cloud_doctor_proto::session::{ExitStatus, FinReason, OpenRequest, ToHolder};
use std::path::Path;

/// Starts a job that ignores hang-ups in a session of its own, and returns its process id.
async fn stubborn_job(client: &mut crate::harness::Client, file: &Path) -> u32 {
    let path = file.display();
    client
        .type_in(&format!("setsid nohup sh -c 'trap \"\" HUP TERM; echo $$ >{path}; sleep 1000' >/dev/null 2>&1 &\n"))
        .await;
    until("the job has begun", || std::fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n'))).await;
    std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn pty_12_the_grants_end_leaves_no_survivor() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::with(1, 3).await;
    let mut client = host.client(&shell()).await;
    let Got::Welcome(welcome) = client.until(|got| matches!(got, Got::Welcome(_))).await else { panic!() };
    assert!(welcome.ends_in_secs <= 3);
    let job = stubborn_job(&mut client, &folder.path().join("pid")).await;
    assert_eq!(client.end().await.1, FinReason::Expired);
    assert_eq!(host.ended().await, (FinReason::Expired, Some(ExitStatus::Signal(1)), 0));
    assert!(!alive(job) && !alive(welcome.pid));
    host.gone().await;
}

#[tokio::test]
async fn an_order_without_grace_ends_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    let job = stubborn_job(&mut client, &folder.path().join("pid")).await;
    let before = crate::harness::boot_time();
    host.guardian.end(FinReason::Ended, 0).await.unwrap();
    assert_eq!(host.ended().await.0, FinReason::Ended);
    assert!(before.millis_until(crate::harness::boot_time()) < 1_000);
    assert!(!alive(job));
    assert_eq!(client.end().await.1, FinReason::Ended);
    host.gone().await;
}

#[tokio::test]
async fn the_shells_own_end_takes_background_jobs_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    let job = stubborn_job(&mut client, &folder.path().join("pid")).await;
    client.type_in("exit 3\n").await;
    assert_eq!(client.end().await, (Some(ExitStatus::Code(3)), FinReason::Exited));
    assert_eq!(host.ended().await, (FinReason::Exited, Some(ExitStatus::Code(3)), 0));
    assert!(!alive(job));
    host.gone().await;
}

#[tokio::test]
async fn flt_11_a_shell_without_a_view_ends_by_itself() {
    let mut host = Host::new().await;
    host.limits = Limits { idle_secs: None, detached_secs: 1, linger_secs: 600 };
    let mut client = host.client(&shell()).await;
    client.until(|got| matches!(got, Got::Welcome(_))).await;
    let pid = host.status().await.pid;
    drop(client);
    assert_eq!(host.ended().await.0, FinReason::Detached);
    assert!(!alive(pid));
}

#[tokio::test]
async fn silence_ends_a_shell_where_the_grant_says_so() {
    let mut host = Host::new().await;
    host.limits = Limits { idle_secs: Some(1), detached_secs: 900, linger_secs: 600 };
    let mut client = host.client(&shell()).await;
    assert_eq!(client.end().await.1, FinReason::Idle);
}

#[tokio::test]
async fn flt_03_the_end_of_guard_is_no_end_and_its_successor_learns_everything() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.quiet().await;
    // Events that the old guard never wrote.
    host.new_guard().await;
    let status = host.status().await;
    assert_eq!((status.phase, status.attached, status.user), (Phase::Running, true, shell().user));
    let visit = status.visit.unwrap();
    assert_eq!((visit.visit, visit.agent_secret.clone()), (host.visit.visit, host.visit.agent_secret.clone()));
    assert_eq!(visit.note, host.visit.note);
    host.event(|what| matches!(what, What::Began { pid, .. } if *pid == status.pid)).await;
    client.type_in("echo un''harmed\n").await;
    client.see("unharmed").await;
}

#[tokio::test]
async fn pty_14_a_killed_holder_takes_its_shell_along() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.quiet().await;
    let status = host.status().await;
    let pid = rustix::process::Pid::from_raw(status.holder_pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("the shell is gone", || !alive(status.pid)).await;
    while client.next().await.is_some() {}
}

#[tokio::test]
async fn tail_and_status_wait_for_a_client_that_was_away() {
    let mut host = Host::new().await;
    let request = exec(&["sh", "-c", "echo before; read line; echo after $line; exit 9"]);
    let mut client = host.client(&request).await;
    client.see("before").await;
    client.type_in("now\n").await;
    let old = client.lose_stream();
    assert_eq!(host.ended().await.1, Some(ExitStatus::Code(9)));
    let mut client = host.client_again(&old, &request).await;
    assert_eq!(client.end().await, (Some(ExitStatus::Code(9)), FinReason::Exited));
    assert_eq!(client.text(), "before\nafter now\n");
    host.gone().await;
}

#[tokio::test]
async fn what_nobody_fetches_does_not_stay_for_ever() {
    let mut host = Host::new().await;
    host.limits.linger_secs = 1;
    let client = host.client(&exec(&["true"])).await;
    drop(client);
    host.ended().await;
    host.gone().await;
    assert!(!host.socket().exists());
}

#[tokio::test]
async fn output_that_nobody_fetches_does_not_keep_a_holder() {
    let mut host = Host::new().await;
    host.limits.linger_secs = 1;
    // More than the log holds: the command waits for a reader until its own end.
    let script = "trap 'exit 0' USR1; head -c 20000000 /dev/zero & wait";
    let mut client = host.client(&exec(&["sh", "-c", script])).await;
    client.until(|got| *got == Got::Output).await;
    drop(client);
    host.event(|what| *what == What::Detached).await;
    let pid = rustix::process::Pid::from_raw(host.status().await.pid.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    assert_eq!(host.ended().await.0, FinReason::Exited);
    host.gone().await;
}

#[tokio::test]
async fn kill_of_a_command_that_ignores_everything() {
    let mut host = Host::new().await;
    let mut client =
        host.client(&exec(&["sh", "-c", "trap '' HUP TERM INT; echo ready; while :; do sleep 1; done"])).await;
    client.see("ready").await;
    client.say(&ToHolder::Close).await;
    assert_eq!(client.end().await, (Some(ExitStatus::Signal(9)), FinReason::Closed));
    assert_eq!(host.ended().await.2, 0);
}

#[tokio::test]
async fn a_command_with_a_child_that_keeps_the_pipe_ends_all_the_same() {
    let mut host = Host::new().await;
    let mut client = host.client(&exec(&["sh", "-c", "(trap '' HUP; sleep 1000) & echo done; exit 4"])).await;
    assert_eq!(client.end().await, (Some(ExitStatus::Code(4)), FinReason::Exited));
    assert_eq!(client.text(), "done\n");
    assert_eq!(host.ended().await.2, 0);
}

/// Thirty lives of a holder with two views each: no process, descriptor or file stays.
#[tokio::test]
async fn pty_13_thirty_lives_leak_nothing() {
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut before = 0;
    for round in 0..30 {
        let mut host = Host::new().await;
        let mut first = host.client(&shell()).await;
        first.type_in("PS1=; stty -echo; sleep 1000 &\n").await;
        let attach = OpenRequest { attach: true, ..shell() };
        let mut second = host.client_again(&first, &attach).await;
        second.until(|got| matches!(got, Got::Welcome(_))).await;
        second.type_in("\u{4}").await;
        let pid = host.status().await.pid;
        second.say(&ToHolder::Close).await;
        second.end().await;
        assert_eq!(host.ended().await.2, 0);
        host.gone().await;
        assert!(!alive(pid) && !host.socket().exists());
        drop((first, second, host));
        if round == 5 {
            before = descriptors();
        }
    }
    assert_eq!(descriptors(), before);
}
