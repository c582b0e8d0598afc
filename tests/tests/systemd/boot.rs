//! A real systemd boots and takes the units as they will be installed.

use super::machine::Machine;
use cloud_doctor_tests::binaries::Program;
use std::path::Path;
use std::process::Command;

/// Puts the agent and the relay where a package would put them.
pub(crate) fn install(machine: &Machine) {
    let agent = Program::Agent.path();
    let programs = Program::Relay.path().parent().unwrap().to_owned();
    let from = [format!("AGENT={}", agent.display()), format!("PROGRAMS={}", programs.display())];
    make(machine, &["install-agent", "install-relay", &from[0], &from[1]]);
    machine.must("systemd-sysusers; systemd-tmpfiles --create cloud-doctor.conf; systemctl daemon-reload");
}

/// Runs targets of the Makefile with the machine's files as their destination.
pub(crate) fn make(machine: &Machine, arguments: &[&str]) {
    let mut make = Command::new("make");
    make.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).args(arguments);
    let output = make.arg(format!("DESTDIR={}", machine.path("").display())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn units_load_under_a_real_systemd() {
    let Some(machine) = Machine::boot() else { return };
    assert_eq!(machine.must("cat /proc/1/comm").trim(), "systemd");
    assert!(machine.must("systemctl --version").starts_with("systemd "));
    install(&machine);

    for unit in ["cloud-doctor.target", "cloud-doctor-guard.service", "cloud-doctor-tunnel.service"] {
        let shown = machine.must(&format!("systemctl show -p LoadState -p LoadError {unit}"));
        assert!(shown.contains("LoadState=loaded"), "{unit}: {shown}");
    }
    let wants = machine.must("systemctl show -p Wants cloud-doctor.target");
    assert!(wants.contains("cloud-doctor-guard.service") && wants.contains("cloud-doctor-visits.slice"), "{wants}");
    machine.must("systemctl enable --quiet cloud-doctor.target && systemctl is-enabled cloud-doctor.target");
    let user = machine.must("id cloud-doctor-tunnel; stat -c '%U %a' /var/lib/cloud-doctor-tunnel /run/cloud-doctor/h");
    assert!(user.contains("cloud-doctor-tunnel 700\nroot 700"), "{user}");
}

#[test]
fn stopping_the_target_ends_visits_and_restarting_services_does_not() {
    let Some(machine) = Machine::boot() else { return };
    install(&machine);
    // Any process that guard asks systemd for is told apart by its slice alone.
    machine.must(
        "systemctl start cloud-doctor-visits.slice
         systemd-run --quiet --slice=cloud-doctor-visits.slice --unit=visit sleep 1000
         systemctl try-restart cloud-doctor-guard.service cloud-doctor-tunnel.service
         systemctl is-active visit.service",
    );
    machine.must("systemctl stop cloud-doctor.target");
    let state = machine.run("systemctl is-active visit.service cloud-doctor-visits.slice").out;
    assert_eq!(state, "inactive\ninactive\n");
}
