//! What other people on the same server can do: use everything up, leave traps, look over a shoulder.

use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::process::{self, Seen};
use cloud_doctor_tests::site::{Plan, Site};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Tools that somebody might have put first in a PATH.
const TOOLS: &[&str] = &[
    "bash",
    "cat",
    "cloud-doctor-agent",
    "env",
    "getent",
    "hostname",
    "id",
    "ls",
    "mount",
    "ps",
    "setsid",
    "sh",
    "ssh-agent",
    "ssh-keygen",
    "stty",
    "sudo",
    "systemctl",
    "systemd-run",
    "true",
    "tty",
    "uname",
];

/// Notes every process that it is loaded into.
const PRELOADED: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) {
    char line[4096];
    FILE *in = fopen("/proc/self/cmdline", "r"), *out = fopen(NOTES, "a");
    size_t len = in ? fread(line, 1, sizeof line - 1, in) : 0;
    for (size_t i = 0; i < len; i++) if (!line[i]) line[i] = ' ';
    line[len] = 0;
    if (out) { fprintf(out, "%s\n", line); fclose(out); }
}
"#;

/// A folder full of traps: tools, a home, a library.
struct Traps {
    folder: PathBuf,
    library: PathBuf,
    /// Made by whoever runs into a trap.
    sprung: PathBuf,
    /// Who loaded the library.
    notes: PathBuf,
}

impl Traps {
    fn lay(site: &Site) -> Self {
        let folder = site.world.folder("traps");
        let [library, sprung, notes] = ["trap.so", "sprung", "notes"].map(|name| folder.join(name));
        for name in TOOLS.iter().chain(&[".bashrc", ".profile", ".bash_profile", ".bash_login"]) {
            fs::write(folder.join(name), format!("#!/bin/sh\necho {name} >>{}\n", sprung.display())).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(folder.join("trap.c"), PRELOADED).unwrap();
        let mut compile = site.world.command("/usr/bin/cc");
        compile.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(folder.join("trap.c"));
        compile.arg(format!("-DNOTES=\"{}\"", notes.display()));
        assert!(site.world.output("cc", compile).status.success());
        // Written to by everybody, as the worst administrators do it.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        Self { folder, library, sprung, notes }
    }

    fn around(&self, command: &mut Command) {
        let [folder, library] = [&self.folder, &self.library].map(|path| path.display().to_string());
        command.envs([("PATH", &folder), ("HOME", &folder), ("LD_PRELOAD", &library), ("LD_AUDIT", &library)]);
        for name in [
            "BASH_ENV",
            "ENV",
            "GCONV_PATH",
            "LD_LIBRARY_PATH",
            "LOCPATH",
            "NLSPATH",
            "SHELL",
            "TMPDIR",
            "XDG_CONFIG_HOME",
        ] {
            command.env(name, self.folder.join(".profile"));
        }
        command.env("LANG", "../../../../traps/evil").env("LC_ALL", "zh_CN.\u{1b}[31m").env("IFS", "/");
    }
}

#[test]
fn loc_05_a_hostile_environment_reaches_no_role_and_no_shell() {
    let mut site = Site::enrolled(Plan::default());
    let traps = Traps::lay(&site);
    site.agent.run_as(|_, mut command| {
        traps.around(&mut command);
        command
    });
    site.wait_until_online();
    let argv = ["/bin/sh", "-c", "echo started; read line; /usr/bin/env"];
    let mut command = site.client.command(&[&["exec", "web-1", "-i", "--user", "root", "--"], &argv[..]].concat());
    command.stdin(Stdio::piped());
    let mut running = site.world.start("env", command);
    eventually(SOON, "it runs", || running.stdout().contains("started").then_some(()));
    for role in ["guard", "tunnel", "holder"] {
        let pid = site.agent.one(role);
        let environ = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap()).into_owned();
        assert!(!environ.contains("traps"), "{role}: {environ}");
    }
    running.close_stdin();
    assert!(running.wait(SOON).success());
    assert!(!running.stdout().contains("traps"), "{}", running.stdout());
    let mut shell = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
    shell.type_in("echo count-$(env | grep -c tra''ps). over-$((6*7))\n");
    shell.wait_for("count-0. over-42");
    shell.type_in("exit\n");
    assert!(shell.finish().success());
    // A user that no file knows is looked up by a tool of the host.
    assert!(!site.ask(&["exec", "web-1", "--user", "no-such-user", "--", "/bin/true"]).status.success());
    for arguments in
        [&["status"][..], &["explain"], &["audit"], &["ceiling", "check"], &["lockdown"], &["lockdown", "--undo"]]
    {
        let mut command = site.agent.command(arguments);
        traps.around(&mut command);
        let output = site.world.output("trapped", command);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.contains(&0x1b), "{arguments:?}");
    }
    assert!(!traps.sprung.exists(), "ran: {}", fs::read_to_string(&traps.sprung).unwrap());
    // It was loaded into what was started with it, so it works; and into nothing that those started.
    let loaded = fs::read_to_string(&traps.notes).unwrap();
    assert!(loaded.contains(" run --standalone"), "{loaded}");
    for role in ["guard ", "tunnel ", "holder ", "pty-child", "shell-exec", "/bin/sh", "env"] {
        assert!(
            !loaded.lines().any(|line| line.contains(&format!(" {role}")) || line.starts_with(role)),
            "{role}: {loaded}"
        );
    }
}

/// A control group that bounds processes; `None` where this test cannot make one.
struct Processes(PathBuf);

impl Processes {
    fn bounded() -> Option<Self> {
        let parents = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
        let folder = parents[usize::from(!parents[0].exists())].join(format!("cd-test-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        group.0.join("pids.max").exists().then_some(group)
    }

    fn set(&self, max: &str) {
        fs::write(self.0.join("pids.max"), max).unwrap();
    }

    fn current(&self) -> u32 {
        fs::read_to_string(self.0.join("pids.current")).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let pids = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| process::send(pid, Signal::KILL));
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn roles(site: &Site) -> Vec<u32> {
    ["run", "guard", "tunnel"].map(|role| site.agent.one(role)).to_vec()
}

#[test]
fn loc_04_no_free_process_is_said_and_survived() {
    let Some(group) = Processes::bounded() else {
        eprintln!("NOT TESTED: no control group for processes can be made here");
        return;
    };
    let mut site = Site::enrolled(Plan::default());
    let procs = group.0.join("cgroup.procs");
    site.agent.run_as(|world, command| {
        let mut inside = world.command("/bin/sh");
        let script = format!("echo $$ >{}; exec \"$0\" \"$@\"", procs.display());
        inside.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
        inside
    });
    site.wait_until_online();
    let before = roles(&site);
    let ask = || site.exec(&["/bin/true"]);
    assert!(ask().status.success());
    site.nothing_left();
    site.world.expect_error("");
    let idle = group.current();
    // Nothing, then a holder and no more, and so on until everything fits.
    let mut outcomes = Vec::new();
    for room in 0..12 {
        group.set(&(idle + room).to_string());
        let output = ask();
        outcomes.push((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()));
        eventually(SOON, "what began is gone", || (group.current() <= idle).then_some(()));
    }
    let named =
        |(code, said): &(Option<i32>, String)| *code == Some(0) || (*code == Some(255) && said.contains("process"));
    assert!(outcomes.iter().all(named), "{outcomes:#?}");
    let done = |(code, _): &(Option<i32>, String)| *code == Some(0);
    assert!(!done(&outcomes[0]) && done(&outcomes[11]), "{outcomes:#?}");
    group.set("max");
    assert!(ask().status.success());
    assert_eq!(roles(&site), before, "no role ended over it");
    site.nothing_left();
}

#[test]
fn loc_04_no_free_terminal_is_said_and_commands_go_on() {
    let mut site = Site::enrolled(Plan::default());
    site.agent.run_as(|world, command| {
        let mut inside = world.command("/usr/bin/unshare");
        let script = "mount -t devpts -o newinstance,ptmxmode=0666,max=1 devpts /dev/pts && \
                      mount --bind /dev/pts/ptmx /dev/ptmx && exec \"$0\" \"$@\"";
        inside.args(["--mount", "/bin/sh", "-c", script]).arg(command.get_program()).args(command.get_args());
        inside
    });
    site.wait_until_online();
    let mut first = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
    first.type_in("echo here-$((6*7))\n");
    first.wait_for("here-42");
    for _ in 0..3 {
        let mut second = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
        let status = second.finish();
        let shown = String::from_utf8_lossy(&second.shown()).into_owned();
        assert!(!status.success() && shown.contains("terminal"), "{shown}");
    }
    assert_eq!(site.exec(&["/bin/echo", "on"]).stdout, b"on\n");
    first.type_in("exit 3\n");
    assert_eq!(first.finish().code(), Some(3));
    site.nothing_left();
    let mut next = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
    next.type_in("exit 4\n");
    assert_eq!(next.finish().code(), Some(4), "a terminal that was given back is used again");
}

/// Every descriptor of a role is taken: whoever asks is told so or waits no longer than clients do, the log says what
/// is exhausted, and afterwards everything is as before.
#[track_caller]
fn out_of_descriptors(role: &str) {
    let site = Site::new();
    let before = roles(&site);
    site.world.expect_error("");
    let pid = site.agent.one(role);
    let limit = |soft: &str| {
        let mut command = site.world.command("/usr/bin/prlimit");
        command.args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")]);
        assert!(site.world.output("prlimit", command).status.success());
    };
    // Every number is taken: the three that every program has stay.
    limit("3");
    let mut asking = site.start("asking", &["exec", "web-1", "--user", "root", "--", "/bin/true"], Stdio::null());
    let status = asking.wait(Duration::from_secs(18));
    assert_eq!(status.code(), Some(255), "{}", asking.stderr());
    assert_eq!(asking.stderr().trim().lines().count(), 1, "{}", asking.stderr());
    let log = || {
        site.world
            .logs()
            .into_iter()
            .any(|(name, log)| name.contains("web-1.") && String::from_utf8_lossy(&log).contains("Too many open files"))
    };
    assert!(log(), "the log of {role} names what is exhausted");
    limit("1024");
    eventually(SOON, "it opens again", || site.exec(&["/bin/true"]).status.success().then_some(()));
    assert_eq!(roles(&site), before, "no role ended over it");
    site.nothing_left();
}

#[test]
fn loc_04_guard_without_free_descriptors_says_so_and_survives() {
    out_of_descriptors("guard");
}

#[test]
fn loc_04_a_tunnel_without_free_descriptors_says_so_and_survives() {
    out_of_descriptors("tunnel");
}

fn holders(site: &Site, count: usize) -> Vec<Seen> {
    eventually(SOON, "all holders are there", || Some(site.agent.role("holder")).filter(|seen| seen.len() == count))
}

#[test]
fn pty_11_root_next_door_shows_as_output_and_the_audit_shows_both() {
    let site = Site::new();
    let open = || site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
    let (mut first, mut second) = (open(), open());
    first.type_in("stty -echo; tty; echo there\n");
    first.wait_for("/dev/pts/");
    first.wait_for("there");
    let shown = String::from_utf8_lossy(&first.shown()).into_owned();
    let at = shown.rfind("/dev/pts/").unwrap();
    let tty: String = shown[at..].chars().take_while(|c| !c.is_whitespace()).collect();
    // Root may: what it writes is output like any other, seen by the one whose terminal it is.
    second.type_in(&format!("printf 'from next %s\\n' door >{tty}; echo wrote-$((6*7))\n"));
    second.wait_for("wrote-42");
    first.wait_for("from next door");
    first.type_in("echo mine-$((6*7))\n");
    first.wait_for("mine-42");
    // Nobody else may look into what keeps the keys.
    for holder in holders(&site, 2) {
        let mut tracer = site.world.command("/usr/bin/setpriv");
        tracer.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/bin/strace", "-p"]);
        tracer.arg(holder.pid.to_string());
        let output = site.world.output("strace", tracer);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("Operation not permitted"), "{said}");
    }
    let began = || site.agent.audited("channel-began");
    assert_eq!((began(), site.agent.audited("channel-ended")), (2, 0), "both lie in the audit, and overlap");
    for shell in [&mut first, &mut second] {
        shell.type_in("exit\n");
        shell.finish();
    }
    site.nothing_left();
}

/// The agent as an ordinary user: then the shell has the user id of its own holder, and still cannot read its keys.
#[test]
fn pty_11_a_shell_cannot_trace_its_own_holder() {
    let mut site = Site::enrolled(Plan::default());
    fs::set_permissions(site.world.path("."), fs::Permissions::from_mode(0o711)).unwrap();
    let mut chown = site.world.command("/bin/chown");
    chown.args(["-R", "nobody:nogroup"]).arg(&site.agent.state);
    assert!(site.world.output("chown", chown).status.success());
    site.agent.run_as(|world, command| {
        let mut inside = world.command("/usr/bin/setpriv");
        inside.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
        inside.arg(command.get_program()).args(command.get_args());
        inside
    });
    site.wait_until_online();
    let script = "pid=$(cut -d' ' -f4 /proc/$$/stat); tr '\\0' ' ' </proc/$pid/cmdline; echo; strace -p $pid; \
                  cat /proc/$pid/mem /proc/$pid/environ; ls /proc/$pid/fd; sleep 1000 & strace -o /dev/null -p $! & \
                  sleep 0.5; grep Tracer /proc/$!/status; kill $(jobs -p)";
    let output = site.ask(&["exec", "web-1", "--user", "nobody", "--", "/bin/sh", "-c", script]);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("holder"), "the shell's parent is its holder: {out}{said}");
    assert!(said.contains("Operation not permitted"), "{out}{said}");
    assert!(said.matches("Permission denied").count() >= 3, "{out}{said}");
    site.nothing_left();
}

#[test]
fn aud_06_root_who_changes_or_removes_the_audit_is_found_out() {
    let site = Site::new();
    assert!(site.exec(&["/bin/true"]).status.success());
    assert!(site.agent.ask(&["audit"]).status.success());
    let folder = site.agent.state.join("guard/audit");
    let file = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let file = file.unwrap().display().to_string();
    // In place, by the visitor whose lines these are.
    let script = format!("cp {file} {file}.kept; printf X | dd of={file} bs=1 seek=200 conv=notrunc status=none");
    assert!(site.exec(&["/bin/sh", "-c", &script]).status.success());
    let output = site.agent.ask(&["audit"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("line"), "{output:?}");
    // The rest is written on, and every change after it would be found out, too.
    let lines = site.agent.audit_lines().len();
    assert!(site.exec(&["/bin/true"]).status.success());
    assert!(site.agent.audit_lines().len() > lines);
    // Gone altogether.
    assert!(site.exec(&["/bin/sh", "-c", &format!("rm {file} {file}.kept")]).status.success());
    let output = site.agent.ask(&["audit"]);
    assert!(!output.status.success(), "a log that is gone is not whole: {output:?}");
}

#[test]
fn aud_07_a_password_at_a_prompt_without_echo_stands_nowhere() {
    let site = Site::new();
    let secret = "canary-7f3e1b-password";
    site.world.canary("typed password", secret);
    let mut shell = site.terminal(&["shell", "web-1", "--user", "root"], 80, 24);
    shell.type_in("PS1=; printf 'Pass''word: '; read -rs secret; echo length-${#secret}\n");
    shell.wait_for("Password: ");
    shell.type_in(&format!("{secret}\n"));
    shell.wait_for(&format!("length-{}", secret.len()));
    shell.type_in("exit\n");
    shell.finish();
    site.nothing_left();
    for folder in [&site.agent.state, &site.relay.data, &site.client.home] {
        assert_eq!(cloud_doctor_tests::world::World::found_below(folder, secret.as_bytes()), Vec::<PathBuf>::new());
    }
}

#[test]
fn dos_09_a_relay_without_free_descriptors_keeps_what_it_has() {
    let site = Site::new();
    let script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.01; done";
    let mut counting =
        site.start("counting", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", script], Stdio::null());
    eventually(SOON, "it counts", || counting.stdout().contains("line 9").then_some(()));
    site.world.expect_error("");
    let relay = site.relay.pid();
    let open = fs::read_dir(format!("/proc/{relay}/fd")).unwrap().count();
    let limit = |soft: usize| {
        let mut command = site.world.command("/usr/bin/prlimit");
        command.args(["--pid", &relay.to_string(), &format!("--nofile={soft}:")]);
        assert!(site.world.output("prlimit", command).status.success());
    };
    limit(open + 20);
    let crowd: Vec<_> =
        (0..60).map(|_| std::net::TcpStream::connect(site.relay.listening().clients).unwrap()).collect();
    // Nobody new gets in, or only when one of the crowd is let go; who is in goes on.
    let mut late = site.start("late", &["exec", "web-1", "--user", "root", "--", "/bin/true"], Stdio::null());
    let status = late.wait(Duration::from_secs(18));
    assert!(status.success() || (status.code() == Some(255) && !late.stderr().is_empty()), "{}", late.stderr());
    assert!(counting.wait(SOON).success());
    assert_eq!(counting.stdout().lines().count(), 400);
    drop(crowd);
    limit(1024);
    eventually(SOON, "it serves again", || site.exec(&["/bin/true"]).status.success().then_some(()));
}
