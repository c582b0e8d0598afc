//! `make demo`, as somebody who has just cloned the repository meets it.
//!
//! It must never leave a process, a folder or a port behind, whichever way it ends.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::process::{self, Process};
use cloud_doctor_tests::world::World;
use rustix::process::Signal;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Building what is built already, and everything that the demo starts, on a busy machine.
const WHOLE_DEMO: Duration = Duration::from_secs(90);

/// A pair of ports that nobody has; the demo checks again.
fn free_port() -> u16 {
    let pair = || {
        let first = TcpListener::bind("127.0.0.1:0").ok()?;
        let port = first.local_addr().ok()?.port();
        TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok().map(|_| port)
    };
    std::iter::repeat_with(pair).take(20).flatten().next().unwrap()
}

/// The demo's script with the environment of whoever runs the tests: it builds.
fn demo(world: &World, port: u16, check: &str) -> Process {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(top.join("tests/make/demo.sh"));
    command.current_dir(top).env("CHECK", check).env("PORT", port.to_string()).env("LANG", "C.UTF-8");
    world.start("demo", command)
}

/// The demo's folder, by its output.
fn folder(demo: &Process) -> Option<String> {
    let said = demo.stdout();
    let at = said.find("/tmp/cloud-doctor-demo.")?;
    said[at..].split(['/', ' ', '\n', '.']).nth(3).map(|name| format!("/tmp/cloud-doctor-demo.{name}"))
}

#[test]
fn demo_check_runs_a_command_a_shell_and_a_browser_and_stops() {
    let world = World::lasting(WHOLE_DEMO * 2);
    let mut demo = demo(&world, free_port(), "1");
    let status = demo.wait(WHOLE_DEMO);
    assert!(status.success(), "{}\n{}", demo.stdout(), demo.stderr());
    let browser = ["a browser ran a shell as", "not tried, this build has no console"];
    assert!(browser.iter().any(|said| demo.stdout().contains(said)), "{}", demo.stdout());
    for said in ["a command ran as", "a shell ran on /dev/pts/", "everything worked"] {
        assert!(demo.stdout().contains(said), "{said}: {}", demo.stdout());
    }
    assert_eq!(process::descendants(std::process::id()).len(), 0, "the demo left a process behind");
}

#[test]
fn demo_ends_with_ctrl_c_and_leaves_nothing() {
    let world = World::lasting(WHOLE_DEMO * 2);
    let mut demo = demo(&world, free_port(), "");
    eventually(WHOLE_DEMO, "the demo says what to type", || demo.stdout().contains("Ctrl-C ends").then_some(()));
    let folder = folder(&demo).unwrap();
    assert!(Path::new(&folder).is_dir(), "{folder}");
    process::send(demo.pid(), Signal::INT);
    let status = demo.wait(WHOLE_DEMO);
    assert_eq!(status.code(), Some(130), "{}", demo.stderr());
    assert!(!Path::new(&folder).exists(), "{folder} was left");
    assert_eq!(process::descendants(std::process::id()).len(), 0, "the demo left a process behind");
}

#[test]
fn demo_names_the_port_that_is_in_use_and_the_remedy() {
    let world = World::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut demo = demo(&world, port, "1");
    assert_eq!(demo.wait(WHOLE_DEMO).code(), Some(1));
    let said = demo.stderr();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains(&format!("port {port} is in use")) && said.contains("make demo PORT="), "{said}");
}
