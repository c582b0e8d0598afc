//! What people use today, from Debian's packages: OpenSSH, directly and through a jump host, and node-exporter.
//!
//! Everything listens on loopback ports of its own, with keys and settings in a folder that goes away. Stopped by
//! process id. Never: the machine's own sshd, its keys, or anybody's ssh settings.

use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cloud_doctor_tests::children::{KeyAgent, Started, run};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const SSHD: &str = "/usr/sbin/sshd";
/// sshd of root insists on it; Debian's service makes it.
const SSHD_EMPTY: &str = "/run/sshd";
const NETDATA: &str = "/usr/sbin/netdata";
const EXPORTER: &str = "/usr/bin/prometheus-node-exporter";

/// Two ssh servers (the target, and a host to jump over), an agent that holds the key, and the client's settings.
#[derive(Debug)]
pub(crate) struct OpenSsh {
    folder: tempfile::TempDir,
    _servers: [Started; 2],
    agent: KeyAgent,
    _empty: Option<EmptyFolder>,
}

impl OpenSsh {
    /// Starts the peer. `None`: it is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        if !Path::new(SSHD).exists() {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix("cd-ssh-").tempdir_in("/tmp")?;
        let empty = EmptyFolder::make()?;
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join("host")))?;
        let agent = KeyAgent::start(folder.path())?;
        fs::copy(agent.public_key(), folder.path().join("authorized_keys"))?;
        let (target, target_port) = start_sshd(folder.path(), "target")?;
        let (jump, jump_port) = start_sshd(folder.path(), "jump")?;
        fs::write(folder.path().join("client"), client_settings(folder.path(), &agent, target_port, jump_port))?;
        Ok(Some(Self { folder, _servers: [target, jump], agent, _empty: empty }))
    }

    /// `ssh -tt` to the target: into the login shell.
    pub(crate) fn direct(&self) -> Command {
        self.client(&["-tt", "cd-target"])
    }

    /// The same through the jump host: the fair peer, which also has a middle.
    pub(crate) fn through_jump(&self) -> Command {
        self.client(&["-tt", "-J", "cd-jump", "cd-target"])
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/ssh");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TERM", "xterm-256color");
        command.env("SSH_AUTH_SOCK", self.agent.socket());
        command.arg("-F").arg(self.folder.path().join("client")).args(arguments);
        command
    }
}

fn start_sshd(folder: &Path, name: &str) -> Result<(Started, u16)> {
    let port = free_port()?;
    let path = |file: &str| folder.join(file).display().to_string();
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
         PasswordAuthentication no\nStrictModes no\nPermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\n\
         UseDNS no\nMaxStartups 100\n",
        path("host"),
        path("authorized_keys"),
    );
    let file = folder.join(format!("{name}.conf"));
    fs::write(&file, settings)?;
    let log = folder.join(format!("{name}.log"));
    let mut sshd = Started::new(Command::new(SSHD).arg("-D").arg("-f").arg(&file).arg("-E").arg(&log))?;
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    sshd.wait_until("sshd listens", listens).with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    Ok((sshd, port))
}

fn client_settings(folder: &Path, agent: &KeyAgent, target_port: u16, jump_port: u16) -> String {
    let mut text = String::new();
    for (name, port) in [("cd-target", target_port), ("cd-jump", jump_port)] {
        let written = write!(text, "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n");
        written.expect("a String takes everything");
    }
    text + &format!(
        "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  StrictHostKeyChecking accept-new\n  \
         GlobalKnownHostsFile /dev/null\n  LogLevel ERROR\n",
        agent.public_key().display(),
        folder.join("known_hosts").display(),
    )
}

/// sshd's privilege separation folder, removed again if it was not there before.
#[derive(Debug)]
struct EmptyFolder;

impl EmptyFolder {
    fn make() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() || Path::new(SSHD_EMPTY).exists() {
            return Ok(None);
        }
        fs::DirBuilder::new().mode(0o755).create(SSHD_EMPTY)?;
        fs::set_permissions(SSHD_EMPTY, fs::Permissions::from_mode(0o755))?;
        Ok(Some(Self))
    }
}

impl Drop for EmptyFolder {
    fn drop(&mut self) {
        drop(fs::remove_dir(SSHD_EMPTY));
    }
}

/// Debian's prometheus-node-exporter.
#[derive(Debug)]
pub(crate) struct Exporter {
    process: Started,
    port: u16,
}

/// Starts it, scraped once, as it waits for the next time. `None`: it is not installed.
pub(crate) fn start_exporter() -> Result<Option<Exporter>> {
    if !PathBuf::from(EXPORTER).exists() {
        return Ok(None);
    }
    let port = free_port()?;
    let mut command = Command::new(EXPORTER);
    let mut process = Started::new(command.arg(format!("--web.listen-address=127.0.0.1:{port}")))?;
    process.wait_until("node-exporter listens", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    let exporter = Exporter { process, port };
    exporter.scrape()?;
    Ok(Some(exporter))
}

impl Exporter {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks for all of its metrics.
    pub(crate) fn scrape(&self) -> Result<()> {
        let mut scrape = TcpStream::connect(("127.0.0.1", self.port))?;
        scrape.set_read_timeout(Some(PATIENCE))?;
        scrape.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
        let mut page = String::new();
        scrape.read_to_string(&mut page)?;
        ensure!(page.contains("node_cpu_seconds_total"), "node-exporter answered without its metrics");
        Ok(())
    }
}

/// Debian's netdata as it is after the installation, but for where it puts its files and that it listens on loopback.
/// `None`: it is not installed.
pub(crate) fn start_netdata(folder: &Path) -> Result<Option<Started>> {
    if !Path::new(NETDATA).exists() {
        return Ok(None);
    }
    let port = free_port()?;
    let path = |name: &str| -> Result<String> {
        let path = folder.join(name);
        fs::create_dir_all(&path)?;
        Ok(path.display().to_string())
    };
    let settings = format!(
        "[global]\nrun as user = {}\n[directories]\ncache = {}\nlib = {}\nlog = {}\n[web]\nbind to = 127.0.0.1:{port}\n",
        run(Command::new("id").arg("-un"))?.trim(),
        path("cache")?,
        path("lib")?,
        path("log")?,
    );
    let file = folder.join("netdata.conf");
    fs::write(&file, settings)?;
    let mut netdata = Started::new(Command::new(NETDATA).args(["-D", "-c"]).arg(&file))?;
    netdata.wait_until("netdata listens", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(Some(netdata))
}

/// A port that was free a moment ago: these programs cannot be asked which one they took.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
