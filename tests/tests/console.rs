//! The console in a real Chromium, against a real relay and agent: what a person does there. What the page shows is
//! looked at by the scripts in `relay/web/e2e-browser`; this file runs the world around them.
#![allow(clippy::unwrap_used)]

mod console {
    mod elsewhere;
    mod first_run;
    mod provider;
    mod reset;
    mod vendor;
}

use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::not_tested::not_tested;
use cloud_doctor_tests::relay::{Relay, Web};
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::{Plan, Site};
use cloud_doctor_tests::world::World;
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A browser starts, renders and reconnects in this time, also on a machine that does much else.
fn patience() -> Duration {
    Duration::from_secs(scale::pick(120, 900))
}

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay/web")
}

/// Whether there is a console to look at.
fn is_there() -> bool {
    let there = web().join("dist/index.html").exists() && web().join("node_modules/playwright-core").exists();
    if !there {
        not_tested("the console in Chromium: this build has none (make web)");
    }
    there
}

/// A ceiling that lets a browser's key in, as a customer would write it.
fn allow_device(agent: &Agent) {
    let ceiling = agent.ceiling();
    let text = fs::read_to_string(&ceiling).unwrap();
    fs::write(
        &ceiling,
        text.replace("signers = [\"sshsig\", \"webauthn\"]", "signers = [\"sshsig\", \"webauthn\", \"device\"]"),
    )
    .unwrap();
}

fn plan() -> Plan<'static> {
    Plan { web: Web::Plain, patience: patience() + Duration::from_secs(20), ..Plan::default() }
}

/// Runs a script to its end and does what it asks for, by its name and value, and answers with what that says; returns
/// what the script said about itself.
fn play(world: &World, script: &str, arguments: &[&str], mut act: impl FnMut(&str, &str) -> String) -> String {
    let mut command = world.command("/usr/bin/env");
    command.args(["node", &format!("e2e-browser/{script}")]);
    command.args(arguments).current_dir(web()).stdin(Stdio::piped());
    command.env("WALK_MS", (patience() - Duration::from_secs(10)).as_millis().to_string());
    // A picture of what the page looks like, for whoever works on it.
    command.envs(std::env::var_os("SHOT").map(|path| ("SHOT", path)));
    let mut browser = world.start_piped("browser", command);
    let asked = BufReader::new(browser.take_stdout().unwrap()).lines();
    let mut walked = false;
    for line in asked.map_while(Result::ok) {
        let (what, value) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match what {
            "walked" => {
                walked = true;
                String::new()
            }
            _ => act(what, value),
        };
        writeln!(browser.stdin().unwrap(), "done {answer}").ok();
    }
    let status = browser.wait(patience());
    assert!(walked && status.success(), "{}", browser.stderr());
    eprintln!("{}", browser.stderr());
    browser.stderr()
}

/// Where a browser reaches a relay: passkeys know hosts by name only.
fn url(relay: &Relay) -> String {
    format!("http://localhost:{}", relay.listening().clients.port())
}

/// Plays a script for the owner of a site.
fn walk(site: &mut Site, script: &str, more: &[&str]) -> String {
    let (world, url, words) = (site.world.clone(), url(&site.relay), site.words());
    let said = play(&world, script, &[&[&url, "owner", Site::password(), &words], more].concat(), |what, value| {
        match what {
            "key" => let_in(site, value),
            "kill-relay" => {
                site.relay.kill();
                site.relay.run();
            }
            "kill-tunnel" => drop(site.agent.kill("tunnel")),
            "kill-guard" => drop(site.agent.kill("guard")),
            "silence-relay" => site.relay.process().signal(Signal::STOP),
            "wake-relay" => site.relay.process().signal(Signal::CONT),
            other => panic!("{other}?"),
        }
        String::new()
    });
    eventually(patience(), "nothing is left", || site.agent.role("holder").is_empty().then_some(()));
    said
}

/// The customer's root adds the key that the page showed.
fn let_in(site: &Site, key: &str) {
    let file = site.world.path("device.pub");
    fs::write(&file, format!("{key}\n")).unwrap();
    site.client.must(&["tenant", "engineer", "add", file.to_str().unwrap(), "--name", "owner", "--device"]);
}

/// A folder of the world that any user's shell may use.
fn open_folder(site: &Site) -> String {
    let folder = site.world.folder("shared");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn flt_01_flt_18_web_an_engineer_walks_the_whole_road_in_chromium() {
    if is_there() {
        walk(&mut Site::planned(plan(), allow_device), "road.mjs", &[]);
    }
}

/// All that asks a terminal for an answer, or for something on the engineer's computer.
const HOSTILE: &[u8] = b"\x1bP$qm\x1b\\\x1b[?2004$p\x1b[4$p\x1b]10;?\x07\x1b]11;?\x1b\\\x1b]4;1;?\x07\x05\x1b[21t\x1b[18t\
    \x1b[20t\x1b[>q\x1b[x\x1b[5n\x1b[6n\x1b[c\x1b[>c\x1b]52;c;ZXZpbA==\x07\x1b]52;c;?\x07\x1b]9;told\x07\x1b]777;notify;a;b\x07\
    \x1b]50;?\x07\x1bPq#0;2;0;0;0#0~~@@vv@@~~\x1b\\\x1b_Gf=24,s=10,v=10;AAAA\x1b\\\x1b]0;<img src=x onerror=alert(1)>\x07\r\n\
    \x1b]8;;https://example.com/path\x1b\\good-link\x1b]8;;\x1b\\\r\n\x1b]8;;javascript:alert(1)\x1b\\evil-link\x1b]8;;\x1b\\\r\n";

#[test]
fn pty_01_pty_02_pty_05_pty_07_pty_08_pty_09_a_terminal_in_chromium_is_one() {
    if !is_there() {
        return;
    }
    let mut site = Site::planned(plan(), allow_device);
    let folder = open_folder(&site);
    fs::write(Path::new(&folder).join("hostile"), HOSTILE).unwrap();
    let text = scale::pick("6000000", "100000000");
    let endless = scale::pick("4000000", "1073741824");
    walk(&mut site, "terminal.mjs", &[&folder, text, endless]);
}

#[test]
fn pty_drawn_by_webgl_and_without_it() {
    if is_there() {
        walk(&mut Site::planned(plan(), allow_device), "webgl.mjs", &[]);
    }
}

#[test]
fn pty_typed_letters_are_drawn_before_their_echoes_and_no_password_is() {
    if is_there() {
        for drawing in ["rows", "webgl"] {
            walk(&mut Site::planned(plan(), allow_device), "local_echo.mjs", &[drawing]);
        }
    }
}

#[test]
fn flt_01_flt_02_flt_03_flt_09_no_line_is_lost_or_doubled_on_a_page() {
    if is_there() {
        let lines = scale::pick("2500", "6000");
        let said = walk(&mut Site::planned(plan(), allow_device), "faults.mjs", &[lines]);
        assert!(said.contains("reconnecting"), "{said}");
    }
}

/// At most 64 bytes, as the kernel has them.
const HOST_NAME: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script>";

#[test]
fn web_06_what_strangers_say_is_text_in_chromium() {
    if !is_there() {
        return;
    }
    let mut site = Site::enrolled(plan());
    allow_device(&site.agent);
    let set = "printf %s \"$NAME\" >/proc/sys/kernel/hostname && exec \"$@\"";
    let named = |command: &mut Command| {
        command.args(["--uts", "--", "/bin/sh", "-c", set, "sh"]).env("NAME", HOST_NAME);
    };
    let mut probe = site.world.command("/usr/bin/unshare");
    named(&mut probe);
    if !probe.arg("/bin/true").output().unwrap().status.success() {
        not_tested("a server whose host name is markup: needs root, who may give a name");
        return;
    }
    site.agent.run_as(|world, command| {
        let mut renamed = world.command("/usr/bin/unshare");
        named(&mut renamed);
        renamed.arg(command.get_program()).args(command.get_args());
        renamed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        renamed
    });
    site.wait_until_online();
    let folder = open_folder(&site);
    walk(&mut site, "strangers.mjs", &[&folder, HOST_NAME]);
}

#[test]
fn web_18_web_19_a_page_runs_what_it_names_and_keeps_no_secret_in_chromium() {
    if is_there() {
        walk(&mut Site::planned(plan(), allow_device), "kept.mjs", &[]);
    }
}
