//! A person at a terminal: prompt, typing, resizing, interrupting, leaving and coming back.

use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process;
use cloud_doctor_tests::site::Site;
use cloud_doctor_tests::terminal::Terminal;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// A shell with a prompt that no echo of what was typed can be taken for.
#[track_caller]
fn shell(site: &Site, cols: u16, rows: u16) -> Terminal {
    let mut terminal = site.terminal(&["shell", "web-1", "--user", "root"], cols, rows);
    terminal.type_in("PS1='rea''dy> '; PROMPT_COMMAND=; bind 'set enable-bracketed-paste off' 2>/dev/null\n");
    terminal.wait_for("ready> ");
    terminal
}

#[test]
fn pty_01_a_shell_types_resizes_interrupts_and_exits() {
    let site = Site::new();
    let mut shell = shell(&site, 91, 23);
    shell.type_in("tty; stty size; echo $((6*7))\n");
    shell.wait_for("/dev/pts/");
    shell.wait_for("23 91");
    shell.wait_for("42");
    shell.resize(120, 40);
    wait_for_size(&mut shell, 0, "40 120");
    shell.type_in("sleep 1000\n");
    eventually(SOON, "sleep runs", || (!children_named(&site, "sleep").is_empty()).then_some(()));
    shell.type_in("\x03");
    shell.wait_for("ready> ");
    eventually(SOON, "sleep is interrupted", || children_named(&site, "sleep").is_empty().then_some(()));
    shell.type_in("exit 5\n");
    assert_eq!(shell.finish().code(), Some(5));
    site.nothing_left();
}

fn children_named(site: &Site, name: &str) -> Vec<u32> {
    let holders = site.agent.role("holder");
    let below = holders.iter().flat_map(|holder| process::descendants(holder.pid));
    below.filter(|seen| seen.argv.first().is_some_and(|first| first == name)).map(|seen| seen.pid).collect()
}

#[test]
fn pty_01_interrupt_overtakes_output() {
    let site = Site::new();
    let mut shell = shell(&site, 80, 24);
    shell.type_in("yes\n");
    shell.wait_for("y\r\ny\r\ny\r\n");
    std::thread::sleep(cloud_doctor_tests::scale::pick(Duration::from_secs(1), Duration::from_secs(60)));
    let pressed = Instant::now();
    shell.type_in("\x03");
    eventually(SOON, "yes is interrupted", || children_named(&site, "yes").is_empty().then_some(()));
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
    shell.type_in("echo alive $((1+1))\n");
    shell.wait_for("alive 2");
}

#[test]
fn pty_03_sizes_are_clamped() {
    let site = Site::new();
    let mut shell = shell(&site, 80, 24);
    let sizes = [((1, 1), "2 2"), ((0, 0), "2 2"), ((65_535, 65_535), "200 500"), ((80, 24), "24 80")];
    for (number, ((cols, rows), expected)) in sizes.into_iter().enumerate() {
        shell.resize(cols, rows);
        wait_for_size(&mut shell, number, expected);
    }
    for i in 0..cloud_doctor_tests::scale::pick(500u16, 10_000) {
        shell.resize(40 + i % 100, 20 + i % 30);
    }
    shell.resize(77, 33);
    wait_for_size(&mut shell, sizes.len(), "33 77");
}

/// Has the shell itself wait: sizes arrive coalesced, and a Ctrl-C between two commands of a loop would not end it.
fn wait_for_size(shell: &mut Terminal, number: usize, expected: &str) {
    shell.type_in(&format!(
        "until [ \"$(stty size)\" = '{expected}' ]; do sleep 0.05; done; echo size-{number}-$((6*7))\n"
    ));
    shell.wait_for(&format!("size-{number}-42"));
}

#[test]
fn pty_10_nothing_of_the_agent_leaks_into_a_shell() {
    let site = Site::new();
    let script =
        "env; echo fds: $(ls /proc/self/fd | wc -l); umask; grep -i sig /proc/self/status; ps -o pid= --ppid $$";
    let output = site.exec(&["/bin/sh", "-c", script]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in shown.lines().filter(|line| line.contains('=')) {
        let name = line.split('=').next().unwrap();
        let known = ["HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "SHLVL", "TERM", "USER", "MAIL", "_", "OLDPWD"];
        assert!(known.contains(&name), "{line}");
    }
    assert!(!shown.to_lowercase().contains("cloud"), "{shown}");
    // ls has its own descriptor for the folder besides the three.
    assert!(shown.contains("fds: 4"), "{shown}");
    assert!(shown.contains("0022"), "{shown}");
    assert!(shown.contains("SigIgn:\t0000000000000000"), "{shown}");
    assert!(shown.contains("SigBlk:\t0000000000000000"), "{shown}");
}

#[test]
fn a_shell_survives_its_client_and_is_attached_again() {
    let site = Site::new();
    let mut first = shell(&site, 80, 24);
    first.type_in("secret=kept; echo pid is $$.\n");
    first.wait_for("pid is ");
    first.wait_for("ready> ");
    first.program().signal(Signal::KILL);
    let session = eventually(SOON, "the shell is listed", || {
        let listed: serde_json::Value = serde_json::from_slice(&site.ask(&["sessions", "--json"]).stdout).ok()?;
        listed["sessions"][0]["session"].as_str().map(str::to_owned)
    });
    let mut again = site.terminal(&["sessions", "attach", &session[..12]], 80, 24);
    again.wait_for("pid is ");
    again.type_in("echo still $secret\n");
    again.wait_for("still kept");
    again.type_in("exit 6\n");
    assert_eq!(again.finish().code(), Some(6));
    site.nothing_left();
}
