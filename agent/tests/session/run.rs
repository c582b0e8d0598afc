//! Shells and commands while somebody watches.

use crate::door::{Phase, What};
use crate::harness::{Got, Host, exec, own_user, shell};
use crate::not_tested::not_tested;
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_proto::session::{ExitStatus, FinReason, OpenRequest, Signal, ToHolder};
use cloud_doctor_proto::told::Tell;

/// Runs one line in a shell without echo or prompt and returns what it printed between marks.
async fn in_shell(line: &str) -> String {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.type_in(&format!("stty -echo; PS1=; echo mark''ed; {line}; echo un''marked; exit\n")).await;
    client.end().await;
    let text = client.text().replace('\r', "");
    let from = text.rfind("marked\n").map(|_| text.find("marked\n").unwrap() + 7).unwrap();
    let to = text.find("unmarked").unwrap();
    text[from..to].to_owned()
}

#[tokio::test]
async fn pty_10_environment_holds_what_login_gives_and_nothing_of_the_agent() {
    let environment = in_shell("tr '\\0' '\\n' </proc/$$/environ | sort").await;
    let names: Vec<&str> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(names, ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "USER"]);
    assert!(environment.contains(&format!("USER={}\n", own_user())), "{environment}");
    assert!(environment.contains("TERM=dumb\n") && environment.contains("LANG=C.UTF-8\n"));
}

#[tokio::test]
async fn pty_10_descriptors_umask_signals_and_name() {
    let seen = in_shell("ls -1 /proc/$$/fd; umask; echo $0").await;
    // 255 is bash's own copy of the terminal.
    let lines: Vec<&str> = seen.lines().filter(|line| *line != "255").collect();
    assert_eq!(lines[..4], ["0", "1", "2", "0022"], "{seen}");
    let signals = in_shell("/bin/sh -c 'grep -E \"^Sig(Blk|Ign)\" /proc/self/status'").await;
    for line in signals.lines() {
        assert!(line.ends_with("\t0000000000000000"), "{signals}");
    }
    assert!(lines.last().unwrap().starts_with('-'), "a login shell: {seen}");
}

#[tokio::test]
async fn pty_10_a_command_starts_clean_too() {
    let mut host = Host::new().await;
    let script = "ls -1 /proc/$$/fd; umask; env | cut -d= -f1 | sort | tr '\\n' ' '; \
                  grep -hE '^Sig(Blk|Ign)' /proc/$$/status | cut -f2; ps -o pgid=,sid= -p $$";
    let mut client = host.client(&exec(&["sh", "-c", script])).await;
    let welcome = client.until(|got| matches!(got, Got::Welcome(_))).await;
    assert_eq!(client.end().await, (Some(ExitStatus::Code(0)), FinReason::Exited));
    let text = client.text();
    let mut lines = text.lines();
    for expected in ["0", "1", "2", "0022"] {
        assert_eq!(lines.next(), Some(expected), "{text}");
    }
    assert_eq!(lines.next(), Some("HOME LANG LOGNAME PATH PWD SHELL TERM USER 0000000000000000"), "{text}");
    assert_eq!(lines.next(), Some("0000000000000000"), "{text}");
    let Got::Welcome(welcome) = welcome else { panic!() };
    let pid = welcome.pid.to_string();
    assert!(lines.next().unwrap().split_whitespace().all(|id| id == pid), "leads its own group and session: {text}");
}

/// Why nothing ran, in English.
#[track_caller]
fn not_started(status: Option<ExitStatus>) -> String {
    match status {
        Some(ExitStatus::NotStarted(told)) => told.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn exec_has_two_streams_half_closed_input_and_a_status() {
    let mut host = Host::new().await;
    let mut client = host.client(&exec(&["sh", "-c", "cat; echo oops >&2; exit 7"])).await;
    client.type_in("one\ntwo\n").await;
    client.say(&ToHolder::Eof { offset: 8 }).await;
    assert_eq!(client.end().await, (Some(ExitStatus::Code(7)), FinReason::Exited));
    assert_eq!((client.text().as_str(), &client.err[..]), ("one\ntwo\n", &b"oops\n"[..]));
    assert_eq!(host.ended().await, (FinReason::Exited, Some(ExitStatus::Code(7)), 0));
    host.gone().await;
    assert!(!host.socket().exists());
}

/// As root another user, with none of root's groups and capabilities left; otherwise a refusal in words.
#[tokio::test]
async fn a_command_becomes_its_user_completely() {
    let mut host = Host::new().await;
    let script = "id -u; id -G; grep -E '^Cap(Prm|Eff)' /proc/self/status; cat /etc/shadow; echo $HOME";
    let request = OpenRequest { user: "nobody".into(), ..exec(&["sh", "-c", script]) };
    let mut client = host.client(&request).await;
    let Got::Welcome(welcome) = client.until(|got| matches!(got, Got::Welcome(_))).await else { panic!() };
    let (status, _) = client.end().await;
    if !rustix::process::geteuid().is_root() {
        let words = format!("this agent runs as {} without root rights and cannot become nobody", own_user());
        assert_eq!(not_started(status), words);
        return not_tested("becoming another user takes root");
    }
    let text = client.text();
    assert!(text.starts_with("65534\n65534\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n/"), "{text}");
    let notice = welcome.notice.unwrap();
    assert_eq!(notice.code, Tell::NoHome);
    assert!(notice.to_string().starts_with("the home directory /nonexistent cannot be entered"), "{notice}");
    assert!(notice.text(Language::Zh).starts_with("无法进入主目录 /nonexistent"), "{notice}");
    assert!(String::from_utf8_lossy(&client.err).contains("Permission denied"));
}

#[tokio::test]
async fn exec_arguments_are_no_shell_words() {
    let mut host = Host::new().await;
    let mut client = host.client(&exec(&["printf", "%s|", "a b", "$HOME", "*", ""])).await;
    client.end().await;
    assert_eq!(client.text(), "a b|$HOME|*||");
}

#[tokio::test]
async fn exec_signals_reach_the_group_and_are_reported_apart() {
    let mut host = Host::new().await;
    let mut client = host.client(&exec(&["sh", "-c", "echo ready; sleep 100 & wait"])).await;
    client.see("ready").await;
    client.say(&ToHolder::Signal(Signal::Term)).await;
    assert_eq!(client.end().await, (Some(ExitStatus::Signal(15)), FinReason::Exited));
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_said_in_words() {
    let mut host = Host::new().await;
    let mut client = host.client(&exec(&["no-such-command-here"])).await;
    let (status, reason) = client.end().await;
    let words = "no-such-command-here: no such command".to_owned();
    assert_eq!((not_started(status), reason), (words.clone(), FinReason::Exited));
    host.event(|what| *what == What::NotStarted { reason: words.clone() }).await;
}

#[tokio::test]
async fn a_user_without_a_usable_shell_is_told_why() {
    let mut host = Host::new().await;
    let mut client = host.client(&OpenRequest { user: "nobody-of-this-name".into(), ..shell() }).await;
    let words = "user nobody-of-this-name does not exist on this server";
    assert_eq!(not_started(client.end().await.0), words);

    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let Some(line) = passwd.lines().find(|line| line.ends_with("/nologin")) else { return };
    let mut fields = line.split(':');
    let (user, shell_path) = (fields.next().unwrap(), fields.next_back().unwrap());
    let mut host = Host::with(2, 3600).await;
    let mut client = host.client(&OpenRequest { user: user.into(), ..shell() }).await;
    let words = format!("user {user} may not log in: its login shell is {shell_path}");
    assert_eq!(not_started(client.end().await.0), words);
}

#[tokio::test]
async fn shell_exit_status_and_size() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.type_in("stty size; exit 42\n").await;
    assert_eq!(client.end().await, (Some(ExitStatus::Code(42)), FinReason::Exited));
    assert!(client.text().contains("24 80"), "{:?}", client.text());
}

#[tokio::test]
async fn pty_03_sizes_are_clamped_and_coalesced() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    // A plain shell: bash's line editor draws in two columns for a long time.
    client.type_in("stty -echo; PS1= exec sh\n").await;
    client.type_in("echo go''\n").await;
    client.see("go\r\n").await;
    for cols in 0..1_000 {
        client.say(&ToHolder::Resize { cols, rows: 50 }).await;
    }
    for (cols, rows, expected) in [(0, 0, "2 2"), (65_535, 65_535, "200 500"), (132, 43, "43 132")] {
        client.say(&ToHolder::Resize { cols, rows }).await;
        client.type_in(&format!("until [ \"$(stty size)\" = '{expected}' ]; do :; done; echo size''{cols}\n")).await;
        client.see(&format!("size{cols}\r\n")).await;
    }
    assert_eq!(host.status().await.phase, Phase::Running);
}

#[tokio::test]
async fn pty_01_an_interrupt_overtakes_output_that_nobody_acknowledges() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.quiet().await;
    client.acknowledges = false;
    client.type_in("yes\n").await;
    // The window closes: the holder stops reading the terminal, and memory stays flat.
    while client.out.len() < 1 << 20 {
        client.next().await.unwrap();
    }
    client.type_in("\u{3}").await;
    client.acknowledges = true;
    client.say(&ToHolder::Ack { out: client.out.len() as u64, err: 0 }).await;
    client.type_in("echo over''taken\n").await;
    client.see("overtaken").await;
    assert!(client.out.len() < 3 << 20, "{} bytes", client.out.len());
}

#[tokio::test]
async fn memory_is_flat_under_much_output() {
    let mut host = Host::new().await;
    let mut client = host.client(&exec(&["head", "-c", "30000000", "/dev/zero"])).await;
    let mut largest = 0;
    while client.out.len() < 30_000_000 {
        client.next().await.unwrap();
        if client.out.len() % 64 == 0 {
            largest = largest.max(resident_kib(host.holder_pid));
        }
    }
    client.end().await;
    assert!(largest < 24 << 10, "{largest} KiB");
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn ping_is_answered_and_close_hangs_up() {
    let mut host = Host::new().await;
    let mut client = host.client(&shell()).await;
    client.say(&ToHolder::Ping(77)).await;
    client.until(|got| *got == Got::Pong(77)).await;
    client.quiet().await;
    client.type_in("rm -rf half-typed").await;
    client.say(&ToHolder::Close).await;
    let (status, reason) = client.end().await;
    assert_eq!((status, reason), (Some(ExitStatus::Signal(1)), FinReason::Closed));
    assert_eq!(host.ended().await.0, FinReason::Closed);
}
