//! A certificate from a real ACME authority: Caddy's, which makes its own root and looks at port 443 as every one does.

use cloud_doctor_tests::balancer::free_port;
use cloud_doctor_tests::binaries::Program;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::not_tested::not_tested;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::world::World;
use rustix::process::Signal;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const CADDY: &str = "/usr/bin/caddy";
/// In the hosts file of those who are told of it.
const NAME: &str = "relay.test";
/// An order takes an authority some seconds.
const ORDER: Duration = Duration::from_secs(30);

/// The authority, the relay's folder and address, whose port 443 no other test takes, and a hosts file that knows the relay's name.
struct Place {
    world: World,
    address: &'static str,
    authority: u16,
    hosts: PathBuf,
    data: PathBuf,
}

impl Place {
    fn new(address: &'static str) -> Self {
        let world = World::lasting(Duration::from_secs(50));
        let (hosts, data, authority) = (world.path("hosts"), world.path("relay"), free_port());
        fs::write(&hosts, format!("127.0.0.1 localhost\n{address} {NAME}\n")).unwrap();
        fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
        let settings = format!(
            "public_name = \"{NAME}\"\n[agents]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"\"\n\
             [clients]\nlisten = \"{address}:443\"\ncertificate = \"acme\"\n\
             [acme]\ndirectory = \"https://127.0.0.1:{authority}/acme/local/directory\"\ncontact = \"mailto:a@relay.test\"\n"
        );
        fs::write(data.join("relay.toml"), settings).unwrap();
        Self { world, address, authority, hosts, data }
    }

    /// What every machine of the authority's owner trusts.
    fn root(&self) -> PathBuf {
        self.world.path("caddy/pki/authorities/local/root.crt")
    }

    /// A program that looks the relay's name up in our hosts file.
    fn inside(&self, program: &Path) -> Command {
        let mut command = self.world.command("/usr/bin/unshare");
        let script = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", self.hosts.display());
        command.args(["--mount", "/bin/sh", "-c", &script]).arg(program);
        command
    }

    fn start_authority(&self) -> Process {
        let (file, port) = (self.world.path("Caddyfile"), self.authority);
        let storage = self.world.path("caddy");
        let text = format!(
            "{{\n admin off\n skip_install_trust\n auto_https disable_redirects\n default_sni 127.0.0.1\n storage file_system {}\n}}\n\
             https://127.0.0.1:{port} {{\n tls internal\n acme_server\n}}\n",
            storage.display()
        );
        fs::write(&file, text).unwrap();
        let mut command = self.inside(Path::new(CADDY));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
        let running = self.world.start("caddy", command);
        eventually(ORDER, "the authority listens", || {
            (self.root().exists() && TcpStream::connect(("127.0.0.1", port)).is_ok()).then_some(())
        });
        running
    }

    fn start_relay(&self) -> Process {
        let mut command = self.inside(&Program::Relay.path());
        command.args(["serve", "--data-dir"]).arg(&self.data).env("SSL_CERT_FILE", self.root());
        let relay = self.world.start("relay", command);
        eventually(SOON, "the relay listens", || relay.stdout().contains("ready;").then_some(()));
        relay
    }

    /// A new user's first command, by name and without a pin.
    fn set_up(&self, relay: &Process, trusts: &Path) -> Output {
        let [code, password] = ["code", "password"].map(|name| self.world.path(name));
        let shown = relay.stdout();
        let line = shown.lines().find(|line| line.starts_with("set-up")).unwrap();
        fs::write(&code, line.split_whitespace().nth(2).unwrap()).unwrap();
        fs::write(&password, "only for a moment and on loopback\n").unwrap();
        let mut command = self.client(trusts);
        command.args(["setup", &format!("https://{NAME}"), "--account", "owner", "--tenant", "Example Ltd"]);
        command.arg("--code-file").arg(&code).arg("--password-file").arg(&password);
        self.world.output("setup", command)
    }

    fn client(&self, trusts: &Path) -> Command {
        let mut command = self.inside(&Program::Client.path());
        command.env("SSL_CERT_FILE", trusts).env("CLOUD_DOCTOR_HOME", self.world.path("home"));
        command
    }
}

#[test]
fn a_certificate_comes_from_an_acme_authority_and_outlives_it() {
    if !rustix::process::geteuid().is_root() || !Path::new(CADDY).exists() {
        return not_tested("port 443 needs root, and the authority needs caddy");
    }
    let place = Place::new("127.44.3.1");
    let mut authority = place.start_authority();
    let mut relay = place.start_relay();
    eventually(ORDER, "a certificate", || relay.stderr().contains("certificate obtained").then_some(()));
    let stored = || fs::read_to_string(place.data.join("tls/acme.pem")).unwrap();
    let first = stored();

    // Who trusts others' authorities gets nowhere, who trusts this one needs no pin.
    let elsewhere = place.set_up(&relay, Path::new("/etc/ssl/certs/ca-certificates.crt"));
    assert!(!elsewhere.status.success(), "a certificate of an authority that nobody trusts");
    let done = place.set_up(&relay, &place.root());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    // Started again without an authority, it has what it had, and asks nobody.
    for running in [&mut relay, &mut authority] {
        running.signal(Signal::TERM);
        running.wait(SOON);
    }
    let again = place.start_relay();
    assert_eq!(stored(), first);
    let mut login = place.client(&place.root());
    login.args(["login", &format!("https://{NAME}"), "--account", "owner", "--password-file"]);
    login.arg(place.world.path("password"));
    let done = place.world.output("login", login);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!again.stderr().contains("certificate obtained") && !again.stderr().contains("no certificate"));
}

#[test]
fn without_its_acme_authority_a_relay_serves_on_and_says_when_it_tries_again() {
    if !rustix::process::geteuid().is_root() {
        return not_tested("port 443 needs root");
    }
    let place = Place::new("127.44.3.2");
    fs::create_dir_all(place.root().parent().unwrap()).unwrap();
    fs::copy("/etc/ssl/certs/ca-certificates.crt", place.root()).unwrap();
    let relay = place.start_relay();
    let said =
        eventually(ORDER, "a failed order", || Some(relay.stderr()).filter(|said| said.contains("no certificate")));
    assert!(said.contains("the one in use stays") && said.contains("next_attempt_secs=60"), "{said}");
    TcpStream::connect((place.address, 443)).unwrap();
}
