//! `top` on a real terminal: the whole screen at several sizes and in both languages, a server and a relay that go and come
//! back, and a terminal that is afterwards as it was.

use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::site::{Plan, Site};
use cloud_doctor_tests::tmux::Tmux;
use std::time::Duration;

/// A server that went is missed after some seconds.
const SOON: Duration = Duration::from_secs(20);
const BEFORE: &str = "stood-here-before";

/// A terminal with a shell in which `top web-1` was begun.
fn top(site: &Site, settings: &str) -> Tmux {
    let client = site.client.command(&["top", "web-1"]);
    let words = std::iter::once(client.get_program()).chain(client.get_args());
    let line = words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let mut shell = site.world.command("/bin/sh");
    client.get_envs().filter_map(|(name, value)| Some((name, value?))).for_each(|(name, value)| {
        shell.env(name, value);
    });
    let terminal = Tmux::start(&site.world, "top", &shell);
    terminal.enter(&format!("echo {BEFORE}"));
    terminal.wait_for(&format!("\n{BEFORE}"));
    terminal.enter(&format!("{settings} {line}; echo left-with-$?"));
    terminal
}

/// Columns that a text takes: what is Chinese takes two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{2e80}'..='\u{ffef}').contains(&c) { 2 } else { 1 }).sum()
}

/// The screen, once it is drawn for this size and says this.
fn drawn(terminal: &Tmux, (columns, rows): (usize, usize), says: &[&str]) -> Vec<String> {
    let size = [columns, rows].map(|count| count.to_string());
    terminal.ask(&["resize-window", "-x", &size[0], "-y", &size[1]]).unwrap();
    eventually(SOON, &format!("a screen of {columns}x{rows} with {says:?}"), || {
        let screen = terminal.screen();
        let lines: Vec<String> = screen.lines().map(str::to_owned).collect();
        let full = lines.first().is_some_and(|head| head.starts_with("web-1") && width(head) == columns);
        (full && says.iter().all(|text| screen.contains(text))).then_some(lines)
    })
}

/// Something is said before the values.
fn remark(terminal: &Tmux) -> bool {
    terminal.screen().lines().nth(1).is_some_and(|line| line.starts_with("!! "))
}

/// The shell is back on the terminal's first screen, with a cursor, and hears what is typed.
fn left(terminal: &Tmux) {
    terminal.wait_for("left-with-0");
    let screen = terminal.screen();
    assert!(screen.contains(BEFORE), "what stood there before is there again:\n{screen}");
    let state = terminal.ask(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]);
    assert_eq!(state.as_deref(), Some("0 1"), "no other screen, and a cursor");
    terminal.enter("stty -a | tr ' ' '\\n' | grep -cE '^(icanon|echo|isig|opost)$' | sed 's/^/modes-/'");
    terminal.wait_for("\nmodes-4");
}

#[test]
fn a_screen_of_top_fits_every_size_and_leaves_the_terminal_as_it_was() {
    let site = Site::planned(Plan::default(), |_| {});
    let terminal = top(&site, "NO_COLOR=");
    let parts = ["ERRORS", "SATURATION", "UTILISATION", "PROCESS ("];
    let lines = drawn(&terminal, (80, 24), &parts);
    assert!(lines[0].ends_with("q quits"), "{lines:#?}");
    let processes = lines.iter().position(|line| line.contains("PROCESS (")).unwrap();
    assert!(lines.len() - processes > 3, "processes have room on a small screen: {lines:#?}");
    assert!(lines.iter().any(|line| line.contains(" more: quiet or unknown")), "what is left out is said: {lines:#?}");

    let lines = drawn(&terminal, (120, 40), &parts);
    let rows = ["out-of-memory kills", "pages swapped out", "fullest file system", "conntrack table"];
    for row in rows {
        assert!(lines.iter().any(|line| line.contains(row)), "{row}: {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.contains('[') && line.contains(']')), "bars: {lines:#?}");
    assert!(lines.iter().filter(|line| line.contains("processor") || line.contains("CPU")).count() > 1, "{lines:#?}");

    let lines = drawn(&terminal, (60, 20), &parts);
    assert!(lines[0].ends_with("q quits"), "{lines:#?}");
    let rest = |line: &&String| line.contains('[') && !line.contains(']');
    assert_eq!(lines.iter().find(rest), None, "no half of a bar");
    drawn(&terminal, (80, 24), &parts);
    let coloured = terminal.ask(&["capture-pane", "-p", "-e"]).unwrap();
    assert!(coloured.contains("\x1b["), "colours, where nobody minds");
    terminal.press(&["q"]);
    left(&terminal);
}

#[test]
fn top_tells_of_a_server_and_a_relay_that_went_in_chinese_without_colours_and_goes_on() {
    let mut site = Site::planned(Plan::default(), |_| {});
    let terminal = top(&site, "NO_COLOR=1 LC_ALL=zh_CN.UTF-8");
    let parts = ["错误", "饱和度", "使用率", "进程\u{ff08}共"];
    let lines = drawn(&terminal, (60, 20), &parts);
    assert!(lines[0].ends_with("按 q 退出"), "{lines:#?}");
    assert!(lines.iter().all(|line| width(line) <= 60), "{lines:#?}");
    let plain = terminal.ask(&["capture-pane", "-p", "-e"]).unwrap();
    assert!(!plain.contains("\x1b["), "{plain:?}");

    site.agent.stop();
    let away = drawn(&terminal, (80, 24), &["web-1 未连接", "使用率"]);
    assert!(away.iter().all(|line| !line.contains("进程\u{ff08}共")), "processes of a server that went: {away:#?}");
    site.agent.run();
    eventually(SOON, "the server's values again", || (!terminal.screen().contains("未连接")).then_some(()));
    site.relay.stop();
    eventually(SOON, "a word about the relay", || remark(&terminal).then_some(()));
    site.relay.run();
    eventually(SOON, "the relay's values again", || (!remark(&terminal)).then_some(()));
    terminal.press(&["C-c"]);
    left(&terminal);
}
