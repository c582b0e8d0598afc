//! What the machine's own users, and a tunnel that was taken over, can get at: nothing.

use super::machine::Machine;
use super::road::enrolled;

/// Runs a script as another user, without that user's profile.
fn as_user(machine: &Machine, user: &str, script: &str) -> String {
    let said = machine.run(&format!("setpriv --reuid={user} --regid={user} --clear-groups bash -c '{script}' 2>&1"));
    format!("{:?} {}", said.code, said.out)
}

#[track_caller]
fn refused(machine: &Machine, user: &str, script: &str) {
    let said = as_user(machine, user, script);
    assert!(said.contains("ermission denied"), "{user} may: {script}: {said}");
}

/// A connection to a unix socket; Perl is part of every Debian.
fn connect(socket: &str) -> String {
    format!("perl -MIO::Socket::UNIX -e \"IO::Socket::UNIX->new(shift) or die qq(\\$!\\n)\" {socket}")
}

fn main_pid(machine: &Machine, service: &str) -> String {
    machine.must(&format!("systemctl show -P MainPID {service}")).trim().to_owned()
}

#[test]
fn loc_03_a_local_user_reaches_no_state_socket_or_memory() {
    let Some(machine) = enrolled() else { return };
    machine.must("groupadd --force mallory; useradd --gid mallory mallory");
    for folder in ["/var/lib/cloud-doctor", "/var/lib/cloud-doctor-tunnel", "/var/lib/cloud-doctor-relay"] {
        refused(&machine, "mallory", &format!("ls {folder}/"));
    }
    refused(&machine, "mallory", "ls /run/cloud-doctor/");
    for socket in ["guard.sock", "admin.sock"] {
        refused(&machine, "mallory", &connect(&format!("/run/cloud-doctor/{socket}")));
    }
    for service in ["cloud-doctor-guard", "cloud-doctor-tunnel", "cloud-doctor-relay"] {
        let pid = main_pid(&machine, service);
        refused(&machine, "mallory", &format!("cat /proc/{pid}/environ"));
        refused(&machine, "mallory", &format!("ls /proc/{pid}/fd/"));
    }
    // What everybody may read holds no key, and nobody but root may change it.
    let readable = machine.must("find /etc/cloud-doctor -type f -exec stat -c '%U %a %n' {} +");
    assert!(!readable.is_empty() && readable.lines().all(|file| file.starts_with("root 644 ")), "{readable}");
    let said = "find /etc/cloud-doctor -type f -exec cat {} + | grep -v '^#'";
    machine.must(&format!("! {said} | grep -qi 'private\\|secret\\|cdt1'"));
    let writable = machine.must(
        "find /etc/cloud-doctor /run/cloud-doctor /var/lib/cloud-doctor* \\( -perm /0002 -o -perm /0020 ! -type s \\)",
    );
    assert_eq!(writable, "", "a group or others may write");
}

#[test]
fn loc_02_a_tunnel_that_was_taken_over_can_start_nothing_and_read_nothing() {
    let Some(machine) = enrolled() else { return };
    let user = "cloud-doctor-tunnel";
    refused(&machine, user, "ls /var/lib/cloud-doctor/");
    refused(&machine, user, "ls /run/cloud-doctor/h/");
    refused(&machine, user, &connect("/run/cloud-doctor/admin.sock"));
    // Inside its own mounts no program can be started, not even by root.
    let pid = main_pid(&machine, "cloud-doctor-tunnel");
    let started = machine.run(&format!("nsenter --target {pid} --mount -- /bin/sh -c id"));
    assert!(started.code != Some(0) && started.err.contains("ermission denied"), "{started:?}");
    let status = machine.must(&format!("cat /proc/{pid}/status"));
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
}

#[test]
fn the_agent_opens_no_listening_port_and_guard_has_no_network() {
    let Some(machine) = enrolled() else { return };
    // State 0A is LISTEN; addresses end with the port in hex: 8443 and 8444 are the relay's.
    let listening = machine.must("awk '$4 == \"0A\" {print $2}' /proc/net/tcp /proc/net/tcp6");
    let others: Vec<_> = listening.lines().filter(|at| !at.ends_with(":20FB") && !at.ends_with(":20FC")).collect();
    assert!(others.is_empty() && listening.lines().count() == 2, "{listening}");

    let guard = main_pid(&machine, "cloud-doctor-guard");
    let network = machine.must(&format!("cat /proc/{guard}/net/dev"));
    assert!(
        !network.contains("eth") && network.lines().count() == 3,
        "guard has a loopback and nothing else: {network}"
    );
    let capabilities = machine.must(&format!("grep -E 'Cap(Eff|Prm|Bnd)' /proc/{guard}/status"));
    assert!(capabilities.lines().all(|line| line.ends_with("0000000000000000")), "{capabilities}");
}
