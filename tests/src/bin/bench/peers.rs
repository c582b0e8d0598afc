//! What people use today, from Debian's packages: OpenSSH, directly and through a jump host, and node-exporter.
//!
//! Everything listens on loopback ports of its own, with keys and settings in a folder that goes away. Stopped by
//! process id. Never: the machine's own sshd, its keys, or anybody's ssh settings.

use anyhow::{Context as _, Result, bail, ensure};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for a peer to listen.
const PATIENCE: Duration = Duration::from_secs(10);
const SSHD: &str = "/usr/sbin/sshd";
/// sshd of root insists on it; Debian's service makes it.
const SSHD_EMPTY: &str = "/run/sshd";
const EXPORTER: &str = "/usr/bin/prometheus-node-exporter";

/// A process that ends with this value.
#[derive(Debug)]
pub(crate) struct Peer(Child);

impl Peer {
    fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("{command:?}"))?))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !ready() {
            if let Some(status) = self.0.try_wait()? {
                bail!("{what}: it ended with {status}");
            }
            ensure!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Two ssh servers (the target, and a host to jump over), an agent that holds the key, and the client's settings.
#[derive(Debug)]
pub(crate) struct OpenSsh {
    folder: tempfile::TempDir,
    _servers: [Peer; 2],
    _agent: Peer,
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
        for name in ["host", "id"] {
            let mut keygen = Command::new("ssh-keygen");
            run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join(name)))?;
        }
        fs::copy(folder.path().join("id.pub"), folder.path().join("authorized_keys"))?;
        let agent = start_agent(folder.path())?;
        run(Command::new("ssh-add")
            .arg("-q")
            .arg(folder.path().join("id"))
            .env("SSH_AUTH_SOCK", folder.path().join("agent"))
            .stderr(Stdio::null()))?;
        let (target, target_port) = start_sshd(folder.path(), "target")?;
        let (jump, jump_port) = start_sshd(folder.path(), "jump")?;
        fs::write(folder.path().join("client"), client_settings(folder.path(), target_port, jump_port))?;
        Ok(Some(Self { folder, _servers: [target, jump], _agent: agent, _empty: empty }))
    }

    /// `ssh -tt` to the target, with `remote` as its command; nothing means the login shell.
    pub(crate) fn direct(&self, remote: &[&str]) -> Command {
        self.client(&["-tt", "cd-target"], remote)
    }

    /// The same through the jump host: the fair peer, which also has a middle.
    pub(crate) fn through_jump(&self, remote: &[&str]) -> Command {
        self.client(&["-tt", "-J", "cd-jump", "cd-target"], remote)
    }

    fn client(&self, arguments: &[&str], remote: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/ssh");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TERM", "xterm-256color");
        command.env("SSH_AUTH_SOCK", self.folder.path().join("agent"));
        command.arg("-F").arg(self.folder.path().join("client")).args(arguments).args(remote);
        command
    }
}

fn start_agent(folder: &Path) -> Result<Peer> {
    let socket = folder.join("agent");
    let mut agent = Peer::start(Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket))?;
    agent.wait_until("ssh-agent opens its socket", || socket.exists())?;
    Ok(agent)
}

fn start_sshd(folder: &Path, name: &str) -> Result<(Peer, u16)> {
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
    let mut sshd = Peer::start(Command::new(SSHD).arg("-D").arg("-f").arg(&file).arg("-E").arg(&log))?;
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    sshd.wait_until("sshd listens", listens).with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    Ok((sshd, port))
}

fn client_settings(folder: &Path, target_port: u16, jump_port: u16) -> String {
    let mut text = String::new();
    for (name, port) in [("cd-target", target_port), ("cd-jump", jump_port)] {
        let written = write!(text, "Host {name}\n  HostName 127.0.0.1\n  Port {port}\n");
        written.expect("a String takes everything");
    }
    let path = |file: &str| folder.join(file).display().to_string();
    text + &format!(
        "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  StrictHostKeyChecking accept-new\n  \
         GlobalKnownHostsFile /dev/null\n  LogLevel ERROR\n",
        path("id.pub"),
        path("known_hosts"),
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

/// Debian's prometheus-node-exporter after one scrape, as it waits for the next. `None`: it is not installed.
pub(crate) fn start_exporter() -> Result<Option<Peer>> {
    if !PathBuf::from(EXPORTER).exists() {
        return Ok(None);
    }
    let port = free_port()?;
    let mut command = Command::new(EXPORTER);
    let mut exporter = Peer::start(command.arg(format!("--web.listen-address=127.0.0.1:{port}")))?;
    exporter.wait_until("node-exporter listens", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    let mut scrape = TcpStream::connect(("127.0.0.1", port))?;
    scrape.set_read_timeout(Some(PATIENCE))?;
    scrape.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    scrape.read_to_string(&mut page)?;
    ensure!(page.contains("node_cpu_seconds_total"), "node-exporter answered without its metrics");
    Ok(Some(exporter))
}

/// A port that was free a moment ago: these programs cannot be asked which one they took.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
