//! Help without an account: `cloud-doctor invite` on one terminal, `cloud-doctor-agent visit` on another, a phone
//! between two people. All of it takes root, as the command itself does.

use cloud_doctor_tests::binaries::Program;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process::{self, Seen};
use cloud_doctor_tests::site::{Plan, Site};
use cloud_doctor_tests::terminal::Terminal;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// A support company with its relay, and somebody's server that nobody enrolled.
struct Call {
    engineer: Terminal,
    site: Site,
}

/// What each side's screen shows last before it asks.
const CUSTOMER_ASKS: &str = "to say no, press Enter:";
const ENGINEER_ASKS: &str = "taken the six words? [y/N]";

impl Call {
    /// The engineer has a code. `None` without root.
    fn begin() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("NOT TESTED: a visit takes root");
            return None;
        }
        let site = Site::founded(Plan::default());
        // The tunnel runs as nobody and has to get to its folder.
        open_to_all(&site.world.path(""));
        open_to_all(&site.world.folder("host"));
        let engineer = site.terminal(&["invite", "--reason", "site is slow", "--ticket", "T-17"], 160, 40);
        Some(Self { engineer, site })
    }

    fn code(&mut self) -> String {
        self.engineer.wait_for("cloud-doctor-agent visit ");
        self.engineer.wait_for("Waiting.");
        let shown = String::from_utf8_lossy(&self.engineer.shown()).into_owned();
        shown.split("agent visit ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()
    }

    fn visit(&self, code: &str) -> Command {
        let mut command = self.site.world.command(Program::Agent.path());
        command.arg("--state-dir").arg(self.site.world.path("host")).args(["visit", code]);
        command
    }

    /// The customer types the code, and both sides are asked about the words.
    fn customer(&mut self) -> Terminal {
        let code = self.code();
        let mut customer = Terminal::start(&self.site.world, "visit", &self.visit(&code), 160, 40);
        customer.wait_for(CUSTOMER_ASKS);
        self.engineer.wait_for(ENGINEER_ASKS);
        customer
    }

    /// What the engineer reads out on the phone: four letters of each word.
    fn words(&self) -> String {
        let shown = String::from_utf8_lossy(&self.engineer.shown()).into_owned();
        let after = shown.rsplit("Six words, for ").next().unwrap();
        let six = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let words = after.lines().map(six).find(|words| words.len() == 6).expect("six words");
        words.iter().map(|word| word.chars().take(4).collect::<String>()).collect::<Vec<_>>().join(" ")
    }

    /// Both have said yes and the engineer has a prompt.
    fn shell(&mut self) -> Terminal {
        let mut customer = self.customer();
        customer.type_in(&format!("{}\n", self.words()));
        customer.wait_for("Open for 60 minutes");
        self.engineer.type_in("y\n");
        self.engineer.type_in("PS1='rea''dy> '; PROMPT_COMMAND=; bind 'set enable-bracketed-paste off'\n");
        self.engineer.wait_for("ready> ");
        customer
    }

    /// The same at a terminal, for what ends by itself.
    fn at_terminal(&self, code: &str) -> Command {
        let visit = self.visit(code);
        let mut line = format!("{}", visit.get_program().display());
        for argument in visit.get_args() {
            line.push_str(&format!(" {}", argument.display()));
        }
        let mut command = self.site.world.command("/usr/bin/script");
        command.args(["--quiet", "--return", "--log-out", "/dev/null", "--command", &line]);
        command
    }

    fn visits(&self) -> PathBuf {
        self.site.world.path("host/visits")
    }

    /// Nothing is left of a visit but, where it began, its record.
    fn only_the_record_is_left(&self, began: bool) {
        let files = files_below(&self.visits());
        let is_record = |path: &PathBuf| path.extension().is_some_and(|e| e == "jsonl");
        assert!(files.iter().all(is_record) && files.is_empty() != began, "{files:?}");
        let ours = |seen: &Seen| seen.argv.iter().any(|argument| argument.contains("/host/visits/"));
        let left: Vec<_> = process::descendants(std::process::id()).into_iter().filter(ours).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn role(&self, role: &str) -> Seen {
        let all = process::descendants(std::process::id());
        let ours = |seen: &Seen| seen.argv.get(1).is_some_and(|argument| argument == role);
        all.into_iter().find(|seen| ours(seen)).unwrap_or_else(|| panic!("no {role} runs"))
    }
}

fn open_to_all(path: &std::path::Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o711)).unwrap();
}

fn files_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files_below(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn a_guest_is_helped_and_keeps_the_record_alone() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.shell();
    call.engineer.type_in("id -un; echo $((6*7))\n");
    call.engineer.wait_for("root");
    call.engineer.wait_for("42");
    customer.wait_for("shell  root");
    // The part that speaks to the network is nobody, and stays it.
    let status = fs::read_to_string(format!("/proc/{}/status", call.role("tunnel").pid)).unwrap();
    let uid: u32 = status
        .lines()
        .find_map(|l| l.strip_prefix("Uid:"))
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((61_184..=65_519).contains(&uid), "{uid}");
    for rule in ["NoNewPrivs:\t1", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "Groups:\t \n"] {
        assert!(status.contains(rule), "{rule} in {status}");
    }
    no_terminal(call.role("tunnel").pid, "/dev/null");
    // A second shell under the same visit takes no second yes.
    call.engineer.type_in("exit 3\n");
    call.engineer.wait_for("Enter: to the shell again");
    call.engineer.type_in("\n");
    call.engineer.type_in("echo again $((5*5))\n");
    call.engineer.wait_for("again 25");
    call.engineer.type_in("exit 4\n");
    call.engineer.wait_for("Enter: to the shell again");
    call.engineer.type_in("q\n");
    assert_eq!(call.engineer.finish().code(), Some(4));
    customer.wait_for("has ended it.");
    customer.wait_for("verify-audit --show --identity ");
    assert_eq!(customer.finish().code(), Some(0));
    call.only_the_record_is_left(true);
    let shown = String::from_utf8_lossy(&customer.shown()).replace("\r\n", " ");
    let identity = shown.split("--identity ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let record = files_below(&call.visits()).remove(0);
    let told = call.site.client.must(&["verify-audit", "--show", "--identity", &identity, record.to_str().unwrap()]);
    assert!(told.contains("visit-opened") && told.contains("site is slow"), "{told}");
    // Servers of customers are another matter.
    assert!(call.site.client.must(&["servers", "--json"]).contains("\"servers\": []"));
}

#[test]
fn a_shell_that_the_engineer_leaves_is_not_ended_by_the_customer() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.shell();
    call.engineer.type_in("(trap '' HUP; sleep 1000) & sleep 1000\n");
    eventually(SOON, "two sleep", || (sleeping() == 2).then_some(()));
    call.engineer.type_in("\r~.");
    call.engineer.wait_for("Enter: to the shell again");
    call.engineer.type_in("q\n");
    call.engineer.finish();
    customer.wait_for("has ended it.");
    assert_eq!(customer.finish().code(), Some(0));
    assert_eq!(sleeping(), 0);
    call.only_the_record_is_left(true);
    let record = fs::read_to_string(files_below(&call.visits()).remove(0)).unwrap();
    let ends: Vec<&str> = record.lines().filter(|line| line.contains("-ended")).collect();
    assert_eq!(ends.len(), 2, "{record}");
    assert!(ends.iter().all(|line| line.contains("\"closed\"")), "{ends:?}");
}

/// A process that could type into root's terminal would be root.
fn no_terminal(pid: u32, stderr: &str) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!((fields[3], fields[4]), (pid.to_string().as_str(), "0"), "a session of its own without a terminal");
    assert_eq!(fs::read_link(format!("/proc/{pid}/fd/2")).unwrap(), std::path::Path::new(stderr));
}

#[test]
fn r_12_other_words_open_nothing_and_a_yes_is_none() {
    let Some(mut call) = Call::begin() else { return };
    let code = call.code();
    let mut customer = Terminal::start(&call.site.world, "visit", &call.visit(&code), 160, 40);
    customer.type_in("y\ny\nyes\n");
    customer.wait_for(CUSTOMER_ASKS);
    call.engineer.wait_for(ENGINEER_ASKS);
    let mut words: Vec<String> = call.words().split(' ').map(str::to_owned).collect();
    words.swap(0, 5);
    customer.type_in(&format!("{}\n", words.join(" ")));
    customer.wait_for("These are other words");
    words.swap(0, 5);
    customer.type_in(&format!("{}\n", words.join(" ")));
    customer.wait_for("Open for 60 minutes");
    customer.type_in("\x03");
    customer.finish();
    call.only_the_record_is_left(true);
}

#[test]
fn a_shell_does_not_outlive_a_visit_that_is_killed() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.shell();
    call.engineer.type_in("(trap '' HUP; sleep 1000) & sleep 1000\n");
    eventually(SOON, "two sleep", || (sleeping() == 2).then_some(()));
    customer.program().signal(Signal::KILL);
    eventually(SOON, "nothing sleeps", || (sleeping() == 0).then_some(()));
    let record = files_below(&call.visits()).into_iter().find(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let record = record.expect("a record");
    eventually(SOON, "its end is on record", || {
        fs::read_to_string(&record).ok()?.contains("channel-ended").then_some(())
    });
    // The next visit removes what this one could not.
    drop(call.site.world.output("visit", call.at_terminal("127.0.0.1:9/K7QX-9M2P-4TZD-8RWN")));
    call.only_the_record_is_left(true);
}

fn sleeping() -> usize {
    let all = process::descendants(std::process::id());
    all.into_iter().filter(|seen| seen.argv.first().is_some_and(|first| first == "sleep")).count()
}

#[test]
fn lockdown_reaches_a_visit() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.shell();
    call.engineer.type_in("sleep 1000\n");
    eventually(SOON, "it sleeps", || (sleeping() == 1).then_some(()));
    let guard = call.site.world.path("host/guard");
    fs::create_dir(&guard).unwrap();
    fs::write(guard.join("lockdown"), "").unwrap();
    customer.wait_for("locked down");
    customer.finish();
    assert_eq!(sleeping(), 0);
    call.only_the_record_is_left(true);
}

#[test]
fn r_01_without_the_customers_yes_nothing_starts() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.customer();
    // A yes is no words, and what was typed ahead answers nothing.
    customer.type_in("\n");
    customer.wait_for("Denied. Nothing was started.");
    assert_eq!(customer.finish().code(), Some(0));
    call.engineer.wait_for("The customer said no.");
    assert_eq!(call.engineer.finish().code(), Some(255));
    let record = files_below(&call.visits());
    assert!(record.iter().all(|path| !fs::read_to_string(path).unwrap().contains("channel-opening")));
    call.only_the_record_is_left(true);
}

#[test]
fn r_12_an_engineer_who_hears_other_words_takes_the_request_back() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.customer();
    call.engineer.type_in("n\n");
    call.engineer.wait_for("Nothing was started.");
    assert_eq!(call.engineer.finish().code(), Some(255));
    customer.wait_for("has ended it.");
    customer.finish();
    call.only_the_record_is_left(true);
}

#[test]
fn ctrl_c_of_the_customer_ends_everything() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.shell();
    call.engineer.type_in("(trap '' HUP; sleep 1000) & sleep 1000\n");
    eventually(SOON, "two sleep", || (sleeping() == 2).then_some(()));
    customer.type_in("\x03");
    customer.wait_for("The visit is over.");
    assert_eq!(customer.finish().code(), Some(0));
    assert_eq!(sleeping(), 0, "at once, whatever it ignores");
    call.only_the_record_is_left(true);
    call.engineer.wait_for("The customer ended the visit.");
    call.engineer.finish();
}

#[test]
fn enr_02_a_code_counts_once_and_only_as_it_was_read() {
    let Some(mut call) = Call::begin() else { return };
    let code = call.code();
    let other = |at: usize| {
        let mut letters: Vec<char> = code.chars().collect();
        letters[at] = if letters[at] == '7' { '8' } else { '7' };
        letters.into_iter().collect::<String>()
    };
    let slash = code.find('/').unwrap();
    for (code, status, sentence) in [
        (other(slash + 1), 1, "The relay does not know this code"),
        (other(code.len() - 1), 1, "is not the relay that this code names"),
        (code[..code.len() - 1].to_owned(), 2, "four groups of four"),
        ("K7QX-9M2P-4TZD-8RWN".to_owned(), 2, "begins with the relay's address"),
    ] {
        let output = call.site.world.output("visit", call.at_terminal(&code));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "{code}: {said}");
        assert!(said.contains(sentence), "{code}: {said}");
    }
    assert!(files_below(&call.visits()).is_empty(), "nothing is left of what never began");
    let mut customer = Terminal::start(&call.site.world, "visit", &call.visit(&code.to_lowercase()), 160, 40);
    customer.wait_for(CUSTOMER_ASKS);
    let again = call.site.world.output("visit", call.at_terminal(&code));
    assert!(String::from_utf8_lossy(&again.stdout).contains("was used already"), "a second guest");
    customer.type_in("\x03");
    customer.finish();
}

#[test]
fn r_17_a_visit_does_not_go_beyond_the_servers_own_ceiling_or_lockdown() {
    let Some(mut call) = Call::begin() else { return };
    let code = call.code();
    let host = call.site.world.path("host");
    for folder in ["etc", "guard"] {
        fs::create_dir(host.join(folder)).unwrap();
    }
    let lockdown = host.join("guard/lockdown");
    fs::write(&lockdown, "").unwrap();
    let output = call.site.world.output("visit", call.at_terminal(&code));
    assert!(String::from_utf8_lossy(&output.stdout).contains("locked down"), "{output:?}");
    fs::remove_file(lockdown).unwrap();
    let ceiling = host.join("etc/ceiling.toml");
    fs::write(&ceiling, "version = 1\nsurprise = 1\n[end]\n").unwrap();
    let output = call.site.world.output("visit", call.at_terminal(&code));
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stdout).contains("surprise"), "{output:?}");
    fs::write(&ceiling, cloud_doctor_proto::preset::Preset::ChecksOnly.text()).unwrap();
    let mut customer = Terminal::start(&call.site.world, "visit", &call.visit(&code), 160, 40);
    customer.wait_for("refused");
    call.engineer.wait_for("ceiling");
    assert_eq!(call.engineer.finish().code(), Some(255), "the ceiling lets nobody have a shell");
    customer.wait_for("has ended it.");
    customer.finish();
    call.only_the_record_is_left(true);
}

#[test]
fn flt_01_a_guests_shell_outlives_its_relay() {
    let Some(mut call) = Call::begin() else { return };
    let mut customer = call.shell();
    call.engineer.type_in("for i in $(seq 1 300); do echo line-$i-; sleep 0.01; done; echo do''ne\n");
    call.engineer.wait_for("line-20-");
    call.site.relay.kill();
    call.site.relay.run();
    call.engineer.wait_for("done");
    let shown = String::from_utf8_lossy(&call.engineer.shown()).into_owned();
    let lines: Vec<u32> =
        shown.split("line-").skip(1).filter_map(|rest| rest.split('-').next()?.parse().ok()).collect();
    let lines: Vec<u32> = lines.into_iter().collect();
    assert_eq!(lines, (1..=300).collect::<Vec<_>>(), "each line once");
    customer.type_in("\x03");
    customer.finish();
    call.only_the_record_is_left(true);
}

#[test]
fn only_root_lets_anybody_in() {
    let Some(mut call) = Call::begin() else { return };
    let code = call.code();
    let mut command = call.site.world.command("/usr/bin/setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(Program::Agent.path());
    command.args(["visit", &code]);
    let output = call.site.world.output("visit", command);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sudo cloud-doctor-agent visit CODE"), "{output:?}");
}
