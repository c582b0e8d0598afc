//! Garbage on every listener, and what listens at all.

use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::people::random;
use cloud_doctor_tests::process;
use cloud_doctor_tests::scale;
use cloud_doctor_tests::site::Site;
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// What strangers send: nothing, noise, half of something, too much of something.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\n".to_vec(),
        b"GET /api/v1/servers HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{".to_vec(),
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        [&b"GET /"[..], &[b'a'; 20_000], b" HTTP/1.1\r\n\r\n"].concat(),
        [&b"GET / HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(2_000), b"\r\n"].concat(),
        [0xff, 0xff, 0xff, 0xff, 0x01, 0x01, 0].to_vec(),
        [0, 0, 0, 0, 0x7f, 0xff, 1].to_vec(),
        [22, 3, 1, 0xff, 0xff, 1, 0, 0, 0].to_vec(),
        vec![0; 70_000],
    ];
    for number in cloud_doctor_proto::frame::Kind::ALL {
        all.push(cloud_doctor_proto::frame::encode(*number, &random::<100>()));
        all.push(cloud_doctor_proto::frame::header(*number, 60_000).to_vec());
    }
    all.extend((0..scale::pick(20, 500)).map(|_| random::<1_200>().to_vec()));
    all
}

/// Sends it, half-closes, and reads whatever comes for a moment.
fn throw(mut stream: impl std::io::Read + std::io::Write, bytes: &[u8]) {
    drop(stream.write_all(bytes));
    let mut answer = [0; 512];
    drop(stream.read(&mut answer));
}

fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    stream
}

#[test]
fn qui_02_garbage_on_every_listener_changes_nothing() {
    let site = Site::new();
    assert!(site.exec(&["/bin/true"]).status.success());
    let roles = || ["guard", "tunnel"].map(|role| site.agent.one(role));
    let before = (site.relay.pid(), roles());
    let listening = site.relay.listening().clone();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let run = site.agent.state.join("run");
    for bytes in garbage() {
        drop(socket.send_to(&bytes, listening.agents));
        throw(tcp(listening.clients), &bytes);
        throw(tcp(listening.admin), &bytes);
        for name in ["guard.sock", "admin.sock"] {
            let stream = UnixStream::connect(run.join(name)).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            throw(stream, &bytes);
        }
    }
    assert_eq!((site.relay.pid(), roles()), before, "something was restarted");
    eventually(SOON, "everything works", || site.exec(&["/bin/true"]).status.success().then_some(()));
    assert!(process::lives(before.0));
}

#[test]
fn dos_03_a_thousand_silent_connections_hold_nobody_up() {
    let site = Site::new();
    let listening = site.relay.listening().clone();
    let count = scale::pick(300, 900);
    let silent: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(listening.clients).unwrap()).collect();
    let slow: Vec<UnixStream> =
        (0..50).filter_map(|_| UnixStream::connect(site.agent.state.join("run/guard.sock")).ok()).collect();
    for mut stream in &silent {
        drop(stream.write_all(&[22]));
    }
    for _ in 0..3 {
        assert!(site.exec(&["/bin/true"]).status.success());
    }
    drop((silent, slow));
}

/// What a browser says first; whoever gets it has to answer with a signature and wait.
fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), "relay.test".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// A connection from another network than everybody else's here.
fn from_elsewhere(to: SocketAddr) -> Option<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).ok()?;
    bind(&socket, &SocketAddr::from(([127, 66, 0, 1], 0))).ok()?;
    connect(&socket, &to).ok()?;
    Some(TcpStream::from(socket))
}

#[test]
fn dos_01_half_finished_handshakes_have_a_bound_and_are_forgotten() {
    // As many as one network has places, at the relay's default; every one more is turned away.
    const HELD: usize = 1_024;
    let site = Site::new();
    let (relay, clients) = (site.relay.pid(), site.relay.listening().clients);
    let open = || fs::read_dir(format!("/proc/{relay}/fd")).unwrap().count();
    let script = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.01; done";
    let mut counting =
        site.start("counting", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", script], Stdio::null());
    eventually(SOON, "it counts", || counting.stdout().contains("line 9").then_some(()));
    let (before, hello) = (open(), client_hello());
    let (mut held, mut most) = (VecDeque::new(), 0);
    for number in 0..scale::pick(1_500, 60_000) {
        let Some(mut stranger) = from_elsewhere(clients) else { continue };
        drop(stranger.write_all(&hello));
        held.push_back(stranger);
        if held.len() > HELD {
            held.pop_front();
        }
        if number % 100 == 0 {
            most = most.max(open());
        }
    }
    assert!(most > before + 100, "{most}: the strangers were there");
    assert!(most <= before + HELD + 100, "{most} descriptors, {before} before");
    assert!(site.exec(&["/bin/true"]).status.success(), "whoever comes from elsewhere is served");
    assert!(counting.wait(SOON).success());
    assert_eq!(counting.stdout().lines().count(), 400, "whoever was there noticed nothing");
    // The strangers still hold on; it is the relay that lets go of them.
    eventually(SOON, "all are forgotten", || (open() <= before + 8).then_some(()));
    assert_eq!(site.relay.pid(), relay);
    drop(held);
}

#[test]
fn tls_07_a_web_client_at_the_agents_port_gets_nothing() {
    let site = Site::new();
    let listening = site.relay.listening();
    // Nothing of TCP listens where agents connect, unless clients do.
    if listening.agents.port() != listening.clients.port() {
        assert!(TcpStream::connect(listening.agents).is_err());
    }
    let mut plain = tcp(listening.clients);
    plain.write_all(b"GET /api/v1/me HTTP/1.1\r\nHost: relay\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(!answer.contains("200 OK") && !answer.contains("account"), "{answer}");
}

/// Inodes of TCP sockets that listen.
fn listening_inodes() -> BTreeSet<String> {
    let mut inodes = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.get(3) == Some(&"0A") {
                inodes.insert(format!("socket:[{}]", fields[9]));
            }
        }
    }
    inodes
}

fn sockets(pid: u32) -> Vec<String> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links.filter_map(|link| fs::read_link(link.path()).ok()).map(|path| path.to_string_lossy().into_owned()).collect()
}

#[test]
fn h_19_the_agent_opens_no_listening_port() {
    let mut site = Site::new();
    let running = site.start("running", &["exec", "web-1", "--user", "root", "--", "/bin/sleep", "5"], Stdio::null());
    let holder = site.agent.one("holder");
    let listening = listening_inodes();
    assert!(sockets(site.relay.pid()).iter().any(|socket| listening.contains(socket)), "the relay listens");
    let supervisor = site.agent.supervisor().pid();
    let mut pids: Vec<u32> = process::descendants(supervisor).iter().map(|seen| seen.pid).collect();
    pids.extend([supervisor, holder]);
    for pid in pids {
        let open: Vec<String> = sockets(pid).into_iter().filter(|socket| listening.contains(socket)).collect();
        assert!(open.is_empty(), "{:?} listens", process::look(pid));
    }
    drop(running);
}

#[test]
fn h_18_files_of_agent_and_relay_are_private() {
    let site = Site::new();
    assert!(site.exec(&["/bin/true"]).status.success());
    let mut loose = Vec::new();
    let mut look = |root: &Path, open_to_read: &[&str]| {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                let meta = entry.metadata().unwrap();
                let mode = meta.permissions().mode() & 0o777;
                let path = entry.path();
                let readable = open_to_read.iter().any(|name| path.to_string_lossy().contains(name));
                let forbidden = if readable { 0o022 } else { 0o077 };
                if !meta.is_symlink() && mode & forbidden != 0 {
                    loose.push(format!("{mode:o} {}", path.display()));
                }
                if meta.is_dir() {
                    folders.push(path);
                }
            }
        }
    };
    look(&site.agent.state, &["/etc"]);
    look(&site.relay.data, &["relay.toml"]);
    // A lock has no content; its folder is private.
    look(&site.client.home, &[".pub", "/lock"]);
    assert!(loose.is_empty(), "{}", loose.join("\n"));
}
