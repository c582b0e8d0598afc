//! Local users against guard's sockets, files and its one place on a state.

use crate::client::Client;
use crate::host::{Host, OWN, nothing_started, with_a_tunnel_user};
use crate::not_tested::not_tested;
use cloud_doctor_proto::control::{BindTransport, TransportBinding};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::ids::VerifyKey;
use cloud_doctor_proto::refusal::Refusal;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

#[test]
fn loc_03_nothing_that_others_could_read_or_write_is_made() {
    let host = Host::start();
    host.client().visit(&host.customer);
    let mode = |path: &str| std::fs::symlink_metadata(host.dir.join(path)).unwrap().permissions().mode() & 0o7777;
    for (path, expected) in [
        ("run", 0o700),
        ("run/h", 0o700),
        ("run/guard.sock", 0o600),
        ("run/admin.sock", 0o600),
        ("guard/audit", 0o700),
        ("guard/audit/0000000000000000.jsonl", 0o600),
        ("guard/lock", 0o600),
        ("guard/trust.head", 0o600),
    ] {
        assert_eq!(mode(path), expected, "{path}");
    }
    // No core file, and no look into its memory by others of the same user.
    let environ = std::fs::metadata(format!("/proc/{}/environ", host.guard_pid())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&environ), 0);
}

/// Asks on a socket as the user nobody; what came back. Needs root.
fn nobody_asks(socket: &std::path::Path, question: &[u8]) -> String {
    let script = "$SIG{PIPE} = 'IGNORE'; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
                  connect($s, pack_sockaddr_un($ARGV[0])) or die; syswrite($s, pack('H*', $ARGV[1])); \
                  my $n = sysread($s, my $answer, 100); print 'got:', $answer // '';";
    let output = std::process::Command::new("/usr/bin/setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/perl", "-MSocket", "-e", script])
        .arg(socket)
        .arg(data_encoding::HEXLOWER.encode(question))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn loc_01_another_user_is_not_let_in_even_when_the_directory_is_open() {
    if !rustix::process::geteuid().is_root() {
        return not_tested("becoming another user takes root");
    }
    let host = Host::start();
    let run = host.dir.join("run");
    // What the modes forbid is allowed here on purpose: the kernel's word about the peer must be enough.
    for dir in host.dir.ancestors().take(2).chain([run.as_path()]) {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for socket in ["guard.sock", "admin.sock"] {
        let path = run.join(socket);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(nobody_asks(&path, b"{\"do\":\"lockdown\"}\n"), "got:", "{socket}");
    }
    host.audited(&["\"refused\"", "guard.sock"]);
    host.audited(&["\"refused\"", "admin.sock"]);
    host.client().visit(&host.customer);
}

#[test]
fn loc_01_a_socket_path_that_is_taken_is_replaced_not_followed() {
    let mut host = Host::enrolled(OWN);
    let run = host.dir.join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
    let victim = host.dir.join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    std::os::unix::fs::symlink(&victim, run.join("guard.sock")).unwrap();
    std::os::unix::fs::symlink(&victim, run.join("admin.sock")).unwrap();
    host.run();
    host.client().visit(&host.customer);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    // A run directory that others could write to is not used at all.
    host.kill();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = host.ask(&["guard"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody else can write"), "{output:?}");
}

#[test]
fn loc_02_the_tunnel_can_ask_for_its_binding_and_nothing_more() {
    let host = Host::start();
    let mut tunnel = Client::silent(host.connect());
    tunnel.say(Kind::BindTransport, &BindTransport { transport: VerifyKey([7; 32]) });
    let binding: TransportBinding = tunnel.answer(Kind::TransportBinding).unwrap();
    let claim = binding.verify().unwrap();
    assert_eq!((claim.identity, claim.transport), (host.customer.verify_key(), VerifyKey([7; 32])));
    for kind in [Kind::Hello, Kind::OpenVisit, Kind::OpenChannel, Kind::Record, Kind::Second, Kind::Unenrol] {
        let mut tunnel = Client::silent(host.connect());
        tunnel.stream.write_all(&frame::encode(kind, b"\x80")).unwrap();
        assert_eq!(tunnel.refusal(), Refusal::Malformed, "{kind:?}");
        assert!(tunnel.try_hear().is_none(), "{kind:?}: and the connection is over");
    }
    nothing_started(&host);
}

#[test]
fn a_second_guard_on_the_same_state_does_not_begin() {
    let host = Host::start();
    let output = host.ask(&["guard"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another guard runs"), "{output:?}");
    host.client().visit(&host.customer);
}

#[test]
fn loc_01_the_tunnels_user_reaches_its_own_socket_and_no_other() {
    let Some(host) = with_a_tunnel_user(OWN) else { return };
    let mode = |path: &str| std::fs::symlink_metadata(host.dir.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("run"), mode("run/guard.sock"), mode("run/admin.sock"), mode("run/h")),
        (0o710, 0o660, 0o600, 0o700)
    );
    // Seven bytes of a frame that has no place there: guard answers, so the tunnel's user was let in.
    let answer = nobody_asks(&host.dir.join("run/guard.sock"), &[0, 0, 0, 0, 1, 8, 0]);
    assert!(answer.len() > "got:".len(), "{answer}");
    let script = "socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
                  print connect($s, pack_sockaddr_un($ARGV[0])) ? 'in' : 'out';";
    for socket in ["run/admin.sock", "run/h/x-v1.sock"] {
        let output = std::process::Command::new("/usr/bin/setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/perl", "-MSocket", "-e", script])
            .arg(host.dir.join(socket))
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"out", "{socket}");
    }
    for file in ["guard/identity.key", "guard/trust.log", "guard/audit/0000000000000000.jsonl"] {
        let read = std::process::Command::new("/usr/bin/setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/bin/cat"])
            .arg(host.dir.join(file))
            .output()
            .unwrap();
        assert!(!read.status.success() && read.stdout.is_empty(), "{file}");
    }
}
