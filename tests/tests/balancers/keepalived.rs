//! keepalived, whose log tells who is in. Its health checkers are real; the kernel's IPVS, to which it tells what they
//! found, is not (`ipvs.c`): kernels without it are common, and a test must not touch the machine's own.

use crate::place::{LONG, Place, Probed, is_installed, is_predicted};
use cloud_doctor_tests::backend::{Backend, Behaviour};
use cloud_doctor_tests::balancer::free_port;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::not_tested::not_tested;
use cloud_doctor_tests::process::Process;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "/usr/sbin/keepalived";
const COMPILER: &str = "/usr/bin/cc";
const FILE: &str = "/etc/keepalived/keepalived.conf";

/// What keepalived sees in place of the kernel's IPVS.
fn no_ipvs(place: &Place) -> PathBuf {
    let (source, library) = (place.world.path("ipvs.c"), place.world.path("ipvs.so"));
    std::fs::write(&source, include_str!("ipvs.c")).unwrap();
    let mut compile = place.world.command(COMPILER);
    compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(&source).arg("-ldl");
    assert!(place.world.output("cc", compile).status.success());
    library
}

fn start(place: &Place, file: &Path) -> Process {
    let mut command = place.world.command(PROGRAM);
    command.args(["--dont-fork", "--log-console", "--log-detail", "--check", "--use-file"]).arg(file);
    command.arg("--pid").arg(place.world.path("keepalived.pid"));
    command.arg("--checkers_pid").arg(place.world.path("checkers.pid"));
    command.env("LD_PRELOAD", no_ipvs(place));
    place.world.start("keepalived", command)
}

/// The last that it said of its only real server.
fn is_in(keepalived: &Process) -> bool {
    let said = keepalived.stdout() + &keepalived.stderr();
    let mut lines = said.lines().rev();
    lines.find_map(|line| match (line.contains("Adding service"), line.contains("Removing service")) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }) != Some(false)
}

#[test]
fn lb_01_keepalived_takes_members_out_and_back_as_predicted() {
    if !is_installed(PROGRAM) || !is_installed(COMPILER) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return not_tested("keepalived needs root");
    }
    let place = Place::new();
    let (backend, port) = (Backend::start("one"), free_port());
    let text = format!(
        "virtual_server 127.0.0.1 {port} {{\n protocol TCP\n lb_algo rr\n lb_kind NAT\n delay_loop 0.6\n retry 2\n \
         delay_before_retry 0.3\n connect_timeout 0.4\n real_server 127.0.0.1 {} {{\n  HTTP_GET {{\n   url {{\n    \
         path /health\n    status_code 200\n   }}\n  }}\n }}\n}}\n",
        backend.port()
    );
    let file = place.write(FILE, &text);
    let subject = format!("keepalived virtual_server 127.0.0.1:{port}/127.0.0.1:{}", backend.port());
    let predicted = place.check(&["lb"]).predicted(&subject);
    // A failed URL must answer twice.
    is_predicted(predicted, 1.2, 2.4, 1.2);
    let keepalived = start(&place, &file);
    eventually(LONG, "a first probe", || (backend.probes(Behaviour::Answers) > 0).then_some(()));
    let probed = Probed { name: "keepalived", fall: 3, rise: 2, interval: 0.3, phase: [0.6, 0.6], predicted };
    probed.holds(&backend, || is_in(&keepalived));
}
