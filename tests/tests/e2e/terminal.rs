//! What a server shows to the engineer's own terminal, which obeys and answers: hostile output harms nobody, and
//! programs that live on such answers work.

use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::Site;
use cloud_doctor_tests::tmux::Tmux;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A shell on the server in a terminal that answers, with a prompt that no echo can be taken for.
#[track_caller]
fn shell(site: &Site) -> Tmux {
    let terminal = Tmux::start(&site.world, "terminal", &site.client.command(&["shell", "web-1", "--user", "root"]));
    terminal.enter("PS1='rea''dy> '; PROMPT_COMMAND=; cd /; clear");
    terminal.wait_for("ready>");
    terminal
}

/// Waits until the shell has done everything before this.
#[track_caller]
fn in_step(terminal: &Tmux, mark: &str) {
    terminal.enter(&format!("echo {mark}-$((6*7))"));
    terminal.wait_for(&format!("{mark}-42"));
}

/// Presses Ctrl-C until the shell has taken one: what was typed behind a Ctrl-C that it still has to see is dropped
/// with it.
#[track_caller]
fn interrupted(terminal: &Tmux, mark: &str) {
    eventually(scale::pick(SOON, Duration::from_secs(120)), "the shell answers", || {
        terminal.press(&["C-c"]);
        terminal.enter(&format!("echo {mark}-$((6*7))"));
        std::thread::sleep(Duration::from_millis(200));
        terminal.screen().contains(&format!("{mark}-42")).then_some(())
    });
}

/// Sets title and clipboard, asks for both, and for whatever else a terminal would type back; a marker is made if the
/// shell ever runs one of the answers.
fn hostile(site: &Site) -> (PathBuf, PathBuf, Vec<u8>) {
    let (file, marker) = (site.world.path("hostile"), site.world.path("injected"));
    let command = format!("\ntouch {}\n", marker.display());
    let mut bytes = Vec::new();
    bytes.extend(format!("begin\x1b]2;{command}\x07\x1b[21t\x1b]0;title of the server\x07\x1b[20t").bytes());
    bytes.extend(format!("\x1bP$q{command}\x1b\\\x1bP+q{command}\x1b\\\x05\x1b]50;?{command}\x07").bytes());
    // "copied by the server"
    bytes.extend(b"\x1b]52;c;Y29waWVkIGJ5IHRoZSBzZXJ2ZXI=\x07\x1b]52;c;?\x07\x9d52;c;Y29waWVk\x9c");
    bytes.extend(b"\x1bPtmux;\x1b\x1b]52;c;Y29waWVk\x07\x1b\\\x1b]9;note\x07\x1b]777;notify;a;b\x07");
    bytes.extend(
        b"\x1b]8;;file:///etc/passwd\x07link\x1b]8;;\x07\x1b_Ga=q,i=1;AAAA\x1b\\\x1b[6n\x1b[c\x1b[5i\r\nend\r\n",
    );
    fs::write(&file, &bytes).unwrap();
    (file, marker, bytes)
}

/// Everything in `hostile` that must not get through.
const FORBIDDEN: &[&[u8]] = &[
    b"\x1b[21t",
    b"\x1b[20t",
    b"\x1bP",
    b"\x05",
    b"\x1b]50",
    b"\x1b]52",
    b"\x9d",
    b"\x1b]9",
    b"\x1b]7",
    b"file:",
    b"\x1b_",
    b"\x1b[5i",
];

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn pty_05_pty_07_a_hostile_file_types_nothing_and_copies_nothing() {
    let site = Site::new();
    let (file, marker, _) = hostile(&site);
    // The attack is one: without us in between, this terminal does what the file says.
    let direct = Tmux::start(&site.world, "direct", &{
        let mut shows = site.world.command("/bin/sh");
        // Again and again: a terminal that has just begun may not listen yet.
        shows.args(["-c", &format!("while :; do cat {}; sleep 1; done", file.display())]);
        shows
    });
    eventually(SOON, "the terminal obeys", || direct.ask(&["show-buffer"]).filter(|text| text.starts_with("copied")));

    let terminal = shell(&site);
    terminal.enter(&format!("cat {}", file.display()));
    terminal.wait_for("end");
    // The harmless answers stand at the prompt, the last of them to the question for the kind of terminal; nothing in
    // them was a newline.
    terminal.wait_for("2c");
    interrupted(&terminal, "first");
    in_step(&terminal, "second");
    let screen = terminal.screen();
    assert!(screen.contains("begin") && screen.contains("end"), "{screen}");
    assert!(!marker.exists(), "the shell ran what a file had the terminal type:\n{screen}");
    assert_eq!(terminal.ask(&["show-buffer"]), None, "the clipboard was written");
    assert_eq!(terminal.ask(&["display-message", "-p", "#{pane_title}"]).unwrap(), "title of the server");
}

#[test]
fn pty_07_a_commands_output_is_filtered_on_a_terminal_and_never_in_a_pipe() {
    let site = Site::new();
    let (file, _, bytes) = hostile(&site);
    let script = format!("cat {0}; cat {0} >&2", file.display());
    let argv = ["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", &script];
    let mut terminal = site.terminal(&argv, 80, 24);
    assert!(terminal.finish().success());
    let shown = terminal.shown();
    assert!(holds(&shown, b"begin") && holds(&shown, b"end"));
    for part in FORBIDDEN {
        assert!(!holds(&shown, part), "{} got through", part.escape_ascii());
    }
    let piped = site.ask(&argv);
    assert_eq!(piped.stdout.escape_ascii().to_string(), bytes.escape_ascii().to_string());
    assert!(piped.stderr.ends_with(&bytes), "standard error is a pipe, too");
}

#[test]
fn pty_05_answers_that_programs_wait_for_arrive() {
    let site = Site::new();
    let terminal = shell(&site);
    // Cursor position, kind of terminal, and the colour of the background end in a letter or a bell.
    let asks = [("\\e[6n", "R"), ("\\e[c", "c"), ("\\e[>c", "c"), ("\\e[5n", "n")];
    for (number, (question, end)) in asks.iter().enumerate() {
        terminal.enter(&format!(
            "printf '{question}'; IFS= read -rs -t 5 -d {end} answer && echo got-{number}-${{answer:1}}."
        ));
        terminal.wait_for(&format!("got-{number}-["));
    }
    terminal.enter("printf '\\e[?1000h\\e[?1006h\\e[?1049h'; echo modes-$((6*7))");
    terminal.wait_for("modes-42");
    let flags = terminal.ask(&["display-message", "-p", "#{mouse_standard_flag}#{mouse_sgr_flag}#{alternate_on}"]);
    assert_eq!(flags.unwrap(), "111");
    terminal.enter("printf '\\e[?1000l\\e[?1006l\\e[?1049l'");
    in_step(&terminal, "after");
}

#[test]
fn pty_05_vim_less_top_and_tmux_work() {
    let site = Site::new();
    let terminal = shell(&site);
    let (text, numbers) = (site.world.path("text"), site.world.path("numbers"));
    fs::write(&numbers, (0..2000).map(|number| format!("number {number} – 数\n")).collect::<String>()).unwrap();

    terminal.enter(&format!("vim -N -u /etc/vim/vimrc {}", text.display()));
    terminal.wait_for("~\n~");
    terminal.type_in("ihello from vim, 世界");
    terminal.press(&["Escape"]);
    terminal.wait_for("hello from vim");
    terminal.type_in(":wq");
    terminal.press(&["Enter"]);
    eventually(SOON, "vim writes", || fs::read_to_string(&text).ok().filter(|text| text == "hello from vim, 世界\n"));
    in_step(&terminal, "vim");

    terminal.enter(&format!("less {}", numbers.display()));
    terminal.wait_for("number 0 – 数");
    terminal.enter("/number 1500");
    terminal.wait_for("number 1500 – 数");
    terminal.type_in("q");
    in_step(&terminal, "less");
    assert!(!terminal.screen().contains("number 1501"), "the screen before less is back");

    terminal.enter("top -d 1");
    terminal.wait_for("load average");
    terminal.wait_for("PID");
    // Until it is heard: top throws away keys that come while it begins.
    eventually(SOON, "top ends", || {
        let prompt = terminal.screen().trim_end().lines().last().is_some_and(|line| line.starts_with("ready>"));
        if !prompt {
            terminal.type_in("q");
        }
        prompt.then_some(())
    });
    terminal.press(&["C-u"]);
    in_step(&terminal, "top");

    let inner = site.world.path("inner.sock");
    terminal.enter(&format!("tmux -S {} -f /dev/null new-session 'echo inner-$((6*7)); exec cat'", inner.display()));
    terminal.wait_for("inner-42");
    terminal.wait_for("[0]");
    terminal.press(&["C-d"]);
    terminal.wait_for("exited");
    in_step(&terminal, "tmux");
    terminal.enter("exit 5");
    site.nothing_left();
}

/// The terminal puts what is pasted in brackets when it was asked to: then nothing runs before Enter is pressed.
#[test]
fn pty_09_pasted_lines_wait_for_enter() {
    let site = Site::new();
    let terminal = shell(&site);
    let files = ["one", "two"].map(|name| site.world.path(name));
    let lines: String = files.iter().map(|file| format!("touch {}\n", file.display())).collect();
    terminal.enter("bind 'set enable-bracketed-paste on'; clear; bash --norc -i");
    terminal.wait_for("bash-");
    terminal.paste(&lines);
    terminal.wait_for(&files[1].display().to_string());
    // The shell has read it all: a key that comes later has an effect.
    terminal.type_in(" # seen");
    terminal.wait_for("# seen");
    assert!(!files.iter().any(|file| file.exists()), "pasted lines ran by themselves");
    terminal.press(&["Enter"]);
    eventually(SOON, "both lines run", || files.iter().all(|file| file.exists()).then_some(()));
}

#[test]
fn pty_02_random_bytes_leave_the_session_intact() {
    let site = Site::new();
    let terminal = shell(&site);
    let bytes = scale::pick(1u32 << 20, 100 << 20);
    let done = site.world.path("done");
    terminal.enter(&format!("head -c {bytes} /dev/urandom; touch {}", done.display()));
    let patience = scale::pick(SOON, Duration::from_secs(120));
    eventually(patience, "all bytes are shown", || done.exists().then_some(()));
    // What the terminal answered stands at the prompt; without a newline it was not run.
    terminal.press(&["C-c"]);
    terminal.enter("reset");
    interrupted(&terminal, "intact");
    eventually(patience, "the shell ends", || {
        terminal.press(&["C-c"]);
        terminal.enter("exit 5");
        std::thread::sleep(Duration::from_millis(200));
        site.agent.role("holder").is_empty().then_some(())
    });
    site.nothing_left();
}

#[test]
fn pty_08_a_sequence_without_end_costs_no_memory() {
    let site = Site::new();
    let terminal = shell(&site);
    let client = eventually(SOON, "the client runs", || {
        let all = cloud_doctor_tests::process::descendants(std::process::id());
        all.into_iter().find(|seen| seen.is("cloud-doctor", "shell")).map(|seen| seen.pid)
    });
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{client}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
        line.split(' ').next().unwrap().parse::<u64>().unwrap() << 10
    };
    let before = resident();
    let megabytes = scale::pick(32, 1024);
    for begin in ["\\e]52;c;", "\\eP0q", "\\e_G"] {
        terminal
            .enter(&format!("printf '{begin}'; head -c {megabytes}M /dev/zero | tr '\\0' x; printf '\\e\\\\'; clear"));
        terminal.enter("echo back-$((6*7))");
        terminal.wait_for_within("back-42", scale::pick(Duration::from_secs(15), Duration::from_secs(180)));
    }
    let grown = resident() - before;
    assert!(grown < 16 << 20, "{grown} bytes were kept of what is never shown");
    assert_eq!(terminal.ask(&["show-buffer"]), None);
}
