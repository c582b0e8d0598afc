//! What a real journald keeps is what checks and the report know, on a machine where nothing else writes logs: Debian 12
//! has no rsyslog.

use super::machine::Machine;
use cloud_doctor_tests::balancer::Findings;
use cloud_doctor_tests::binaries::Program;
use std::fs;

#[test]
fn log_04_the_journal_of_a_running_journald_is_read() {
    let Some(machine) = Machine::boot() else { return };
    fs::copy(Program::Agent.path(), machine.path("/root/agent")).unwrap();
    // A machine below that has another logger has its files here too.
    machine.must("rm -f /var/log/{syslog,messages,kern.log,auth.log,secure}");
    // The systemd of a machine in a machine speaks to its console otherwise.
    machine.must(
        "systemctl log-target journal
         echo 'accept: Too many open files' | systemd-cat -t shop
         echo 'kernel: Out of memory: Killed process 1 (forged)' | systemd-cat -t kernel
         for at in $(seq 25); do echo \"Failed password for root from 203.0.113.9 port $at ssh2\"; done | systemd-cat -t sshd
         systemd-run --quiet --unit=ill --wait false || true
         journalctl --sync",
    );
    let said = machine.run("/root/agent check --json --all --lang en log.signatures security.login-failures");
    let found = Findings::read(said.out.as_bytes());
    let open_files = found.about("log.signatures", "too many open files");
    assert_eq!((open_files.status.as_str(), open_files.value), ("warning", Some(1.0)), "{open_files:?}");
    assert!(!found.has("log.signatures", "out of memory"), "anybody can call himself kernel: {found:#?}");
    let logins = found.about("security.login-failures", "ssh");
    assert!(logins.value.is_some_and(|most| most >= 12.0), "25 within two minutes: {logins:?}");
    let report = machine.must("/root/agent report --format markdown --lang en");
    let row = report.lines().find(|line| line.contains("ill.service failed"));
    assert!(row.is_some_and(|row| row.contains("/log/journal/")), "{report}");
}
