//! The harness itself: what a test relies on when it says "nothing was left" or "this was shown".

use cloud_doctor_tests::chaosproxy::ChaosProxy;
use cloud_doctor_tests::eventually::{SOON, eventually, never};
use cloud_doctor_tests::process;
use cloud_doctor_tests::terminal::Terminal;
use cloud_doctor_tests::world::World;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

#[test]
fn a_world_ends_orphans_with_sessions_of_their_own() {
    let world = World::new();
    let mut command = world.command("/bin/sh");
    command.args(["-c", "setsid sh -c 'echo $$; exec sleep 1000' & wait"]);
    let mut parent = world.start("parent", command);
    let orphan = eventually(SOON, "the orphan's id", || parent.stdout().trim().parse::<u32>().ok());
    parent.kill();
    assert!(process::lives(orphan));
    drop(parent);
    drop(world);
    assert!(!process::lives(orphan));
}

#[test]
fn an_error_or_a_canary_in_a_log_fails_a_test() {
    for (line, planted) in [("2026-01-01T00:00:00Z ERROR relay: broken", ""), ("the password is hunter2", "hunter2")] {
        let outcome = std::panic::catch_unwind(|| {
            let world = World::new();
            world.canary("password", planted);
            let mut command = world.command("/bin/echo");
            command.arg(line);
            world.start("echo", command).wait(SOON);
        });
        let said = *outcome.unwrap_err().downcast::<String>().unwrap();
        assert!(said.contains("ERROR") || said.contains("secret \"password\""), "{said}");
    }
}

#[test]
fn a_terminal_types_shows_and_resizes() {
    let world = World::new();
    let mut shell = Terminal::start(&world, "bash", world.command("/bin/bash").args(["--norc", "--noprofile"]), 90, 20);
    shell.type_in("PS1='rea''dy> '; stty size\n");
    shell.wait_for("20 90");
    shell.wait_for("ready> ");
    shell.resize(40, 10);
    shell.type_in("stty size; exit 5\n");
    shell.wait_for("10 40");
    assert_eq!(shell.finish().code(), Some(5));
}

#[test]
fn a_chaosproxy_passes_and_loses_one_way() {
    let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = ChaosProxy::start(far.local_addr().unwrap());
    near.connect(proxy.addr()).unwrap();
    far.set_read_timeout(Some(SOON)).unwrap();
    near.set_nonblocking(true).unwrap();
    let mut packet = [0; 100];
    near.send(b"there").unwrap();
    let (_, port) = far.recv_from(&mut packet).unwrap();
    far.send_to(b"back", port).unwrap();
    eventually(SOON, "the answer", || near.recv(&mut packet).ok());

    proxy.lose_to_agent(true);
    near.send(b"there").unwrap();
    let (_, same) = far.recv_from(&mut packet).unwrap();
    assert_eq!(port, same);
    far.send_to(b"lost", port).unwrap();
    never(Duration::from_millis(200), "a lost packet arrives", || near.recv(&mut packet).is_ok());

    proxy.blackout(false);
    proxy.rebind();
    near.send(b"there").unwrap();
    let (_, other) = far.recv_from(&mut packet).unwrap();
    assert_ne!(port, other);
    far.send_to(b"back", other).unwrap();
    eventually(SOON, "the answer to the new port", || near.recv(&mut packet).ok());
}
