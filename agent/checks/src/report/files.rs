//! Files that a bundle takes along: the configuration in effect of load balancers and web servers, the ends of logs.
//!
//! It must never take an environment, a shell's history, a password file, a key, or a core dump: the path that a link
//! leads to in the end decides, and only text leaves.

use super::gather::Piece;
use crate::found::Gap;
use crate::host::{Host, Kind};
use crate::lb;
use crate::log::text_logs::text_logs;
use crate::words;
use cloud_doctor_proto::finding::{Finding, Status, Words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;

/// Of one file that is no log.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Of one log: its end.
const LOG_BYTES_MAX: u64 = 2 << 20;
/// Of one line of a checker; every byte of it can take six in JSON.
const PART_BYTES_MAX: usize = 128 << 10;
/// Configuration files.
const CONFIG_FILES_MAX: usize = 1000;
/// Logs.
const LOGS_MAX: usize = 30;

/// Where load balancers and web servers keep their configuration when nothing says otherwise. What the readers of load
/// balancers have read comes on top.
const CONFIGURATION: [&str; 17] = [
    "/etc/haproxy/*.cfg",
    "/etc/haproxy/conf.d/*.cfg",
    "/etc/nginx/nginx.conf",
    "/etc/nginx/conf.d/*.conf",
    "/etc/nginx/sites-enabled/*",
    "/etc/nginx/snippets/*.conf",
    "/usr/local/nginx/conf/*.conf",
    "/etc/keepalived/*.conf",
    "/etc/envoy/*.yaml",
    "/etc/traefik/*.y*ml",
    "/etc/traefik/*.toml",
    "/etc/caddy/Caddyfile",
    "/etc/apache2/apache2.conf",
    "/etc/apache2/ports.conf",
    "/etc/apache2/sites-enabled/*",
    "/etc/httpd/conf/httpd.conf",
    "/etc/httpd/conf.d/*.conf",
];

/// Folders whose files never leave a host, names of files, and how such names end.
const FOLDERS_NEVER: [&str; 9] = [
    "/proc/",
    "/sys/",
    "/dev/",
    "/run/secrets/",
    "/etc/ssl/private/",
    "/etc/pki/tls/private/",
    "/etc/letsencrypt/",
    "/var/crash/",
    "/var/lib/systemd/coredump/",
];
const NAMES_NEVER: [&str; 14] = [
    "shadow",
    "shadow-",
    "gshadow",
    "gshadow-",
    "master.passwd",
    "opasswd",
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".htpasswd",
    "core",
    "vmcore",
    "acme.json",
    "environ",
];
const ENDS_NEVER: [&str; 14] = [
    ".key",
    ".pem",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".kdbx",
    ".ppk",
    ".gpg",
    ".asc",
    ".der",
    "_history",
    "_rsa",
    "_ed25519",
];

/// Who collected a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Collector {
    /// Configuration in effect.
    Configuration,
    /// The kernel's log.
    KernelLog,
    /// A log that a finding names.
    Log,
}

/// A part of a file, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Who collected it.
    pub collector: Collector,
    /// Where it was read.
    pub source: String,
    /// What stands there.
    pub text: String,
    /// Whether the file has more than is taken along.
    pub truncated: bool,
}

/// A file, whole or its end.
#[derive(Debug, Clone, PartialEq)]
pub struct FileText {
    /// Who collected it.
    pub collector: Collector,
    /// Where it was read.
    pub source: String,
    /// What stands there.
    pub text: String,
    /// Whether the file has more.
    pub truncated: bool,
}

impl From<Part> for FileText {
    fn from(part: Part) -> Self {
        let Part { collector, source, text, truncated } = part;
        Self { collector, source, text, truncated }
    }
}

impl FileText {
    pub(super) fn add(&mut self, part: Part) {
        self.text.push_str(&part.text);
        self.truncated |= part.truncated;
    }
}

/// Logs that findings name, those of the worst findings first.
#[must_use]
pub fn logs_named<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let hurting = findings.into_iter().filter(|finding| finding.note || finding.status != Status::Ok);
    let sources = hurting.flat_map(|finding| &finding.evidence).map(|evidence| without_line(&evidence.source));
    let logs = sources.filter(|path| is_log(path) && seen.insert((*path).to_owned()));
    logs.take(LOGS_MAX).map(str::to_owned).collect()
}

/// `/var/log/syslog:12` without its line.
fn without_line(source: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    source.rsplit_once(':').filter(|(_, line)| is_number(line)).map_or(source, |(path, _)| path)
}

fn is_log(path: &str) -> bool {
    let is_named = path.starts_with("/var/log/") || (path.starts_with('/') && path.ends_with(".log"));
    is_named && !path.split('/').any(|part| part == "..") && !is_forbidden(path)
}

/// What never leaves a host, whatever names it.
pub(super) fn is_forbidden(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    FOLDERS_NEVER.iter().any(|folder| lower.starts_with(folder))
        || lower.split('/').any(|part| matches!(part, ".ssh" | ".gnupg" | ".aws" | ".kube" | ".docker"))
        || NAMES_NEVER.contains(&name)
        || ENDS_NEVER.iter().any(|end| name.ends_with(end))
        || name.starts_with("id_")
        || name.starts_with("core.")
        || name.contains("history") && name.starts_with('.')
        || name.contains("htpasswd")
}

pub(super) fn configuration(host: &Host, say: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
    let mut paths = fleet_files(host).clone();
    for pattern in CONFIGURATION {
        match host.glob(pattern) {
            Ok(found) => paths.extend(found),
            Err(Gap::NotHere(_)) => {}
            Err(Gap::Unknown(why)) => say(Piece::Gap(why))?,
        }
    }
    let mut seen = BTreeSet::new();
    for path in paths.into_iter().take(CONFIG_FILES_MAX) {
        // A file that several links name is taken once.
        let Ok(real) = allowed(host, &path) else {
            say(Piece::Gap(never(&path)))?;
            continue;
        };
        if seen.insert(real) {
            end_of(host, Collector::Configuration, &path, FILE_BYTES_MAX, say)?;
        }
    }
    Ok(())
}

/// What the readers of load balancers have read. They follow command lines and includes, so that is what is in effect.
/// Whoever asks for the fleet while gathering asks here first: a second reading reads nothing.
pub(super) fn fleet_files(host: &Host) -> &BTreeSet<String> {
    host.memo.fleet_files.get_or_init(|| {
        let before = host.memo.files_read.borrow().clone();
        lb::fleet(host).ok();
        host.memo.files_read.borrow().difference(&before).cloned().collect()
    })
}

pub(super) fn log(host: &Host, path: &str, say: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
    match allowed(host, path) {
        // What logrotate has moved away meanwhile, or a link to elsewhere.
        Ok(real) if is_log(path) && !is_forbidden(&real) && is_journal(host, path) => journal(host, path, say),
        Ok(real) if is_log(path) && !is_forbidden(&real) => end_of(host, Collector::Log, path, LOG_BYTES_MAX, say),
        Ok(_) => say(Piece::Gap(never(path))),
        Err(why) => say(Piece::Gap(why)),
    }
}

fn is_journal(host: &Host, path: &str) -> bool {
    host.stat(path).is_ok_and(|stat| stat.kind == Kind::Folder)
}

/// The journal's files are no text: what the checks of logs read of it is taken along.
fn journal(host: &Host, path: &str, say: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
    let Some(log) = text_logs(host).system.as_ref().filter(|log| log.path == path) else {
        return say(Piece::Gap(words!("{path} is a folder; not taken along", "{path} 是目录，未收录")));
    };
    let text = log.text();
    let skipped = text.len().saturating_sub(usize::try_from(LOG_BYTES_MAX).unwrap_or(usize::MAX));
    let begin = text.get(skipped..).map_or(0, |_| skipped);
    say_text(Collector::Log, path, text.get(begin..).unwrap_or_default(), begin > 0, say)
}

pub(super) fn kernel_log(host: &Host, say: &mut dyn FnMut(Piece) -> io::Result<()>) -> io::Result<()> {
    let log = match host.kernel_log() {
        Ok(log) => log,
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => return say(Piece::Gap(why)),
    };
    let (mut lines, mut bytes, mut truncated) = (Vec::new(), 0, false);
    for message in log.messages.iter().rev() {
        let age = message.age_secs.map_or_else(|| "?".to_owned(), |age| format!("-{age:.0}s"));
        let line = format!("[{age}] {}\n", message.text);
        bytes += line.len();
        if bytes as u64 > FILE_BYTES_MAX {
            truncated = true;
            break;
        }
        lines.push(line);
    }
    lines.reverse();
    say_text(Collector::KernelLog, &log.path, &lines.concat(), truncated, say)
}

/// The path that this one leads to, unless that never leaves a host.
fn allowed(host: &Host, path: &str) -> Result<String, Words> {
    let real = host.real_path(path).map_err(|gap| match gap {
        Gap::NotHere(why) | Gap::Unknown(why) => why,
    })?;
    if is_forbidden(path) || is_forbidden(&real) { Err(never(path)) } else { Ok(real) }
}

fn never(path: &str) -> Words {
    words!(
        "{path} is not taken along: keys, passwords and the like never are",
        "未收录 {path}：密钥、口令等文件从不收录"
    )
}

fn end_of(
    host: &Host,
    collector: Collector,
    path: &str,
    bytes_max: u64,
    say: &mut dyn FnMut(Piece) -> io::Result<()>,
) -> io::Result<()> {
    let size = host.stat(path).map(|stat| stat.size).unwrap_or(0);
    match host.tail(path, bytes_max) {
        Ok(text) if text.contains('\0') => {
            say(Piece::Gap(words!("{path} is no text; not taken along", "{path} 不是文本，未收录")))
        }
        Ok(text) => {
            let truncated = size > bytes_max;
            say_text(collector, path, if truncated { without_half_key(&text) } else { &text }, truncated, say)
        }
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => say(Piece::Gap(why)),
    }
}

/// Without the rest of a private key whose beginning was cut off.
fn without_half_key(text: &str) -> &str {
    let Some(end) = text.find("-----END ") else { return text };
    let is_cut = text.get(..end).is_some_and(|before| !before.contains("-----BEGIN "));
    if !is_cut {
        return text;
    }
    let rest = text.get(end..).unwrap_or_default();
    rest.find('\n').and_then(|at| rest.get(at + 1..)).unwrap_or_default()
}

fn say_text(
    collector: Collector,
    source: &str,
    text: &str,
    truncated: bool,
    say: &mut dyn FnMut(Piece) -> io::Result<()>,
) -> io::Result<()> {
    let part =
        |text: &str| Piece::Part(Part { collector, source: source.to_owned(), text: text.to_owned(), truncated });
    if text.is_empty() {
        return say(part(""));
    }
    let mut rest = text;
    while !rest.is_empty() {
        let most = PART_BYTES_MAX.min(rest.len());
        let at = (0..=most).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
        let (now, later) = rest.split_at(at);
        say(part(now))?;
        rest = later;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use crate::host::journal::tests::recorded;
    use crate::report::tests::{finding, finding_at};
    use crate::report::{Gathered, Step, gather};

    #[test]
    fn chk_a_journal_that_a_finding_names_is_taken_along_as_text() {
        let fixture = recorded(Fixture::image(), "compact");
        let folder = "/var/log/journal/0123456789abcdef0123456789abcdef".to_owned();
        let all = gathered(&fixture, &[Step::Log(folder.clone())]);
        assert_eq!((all.files[0].source.as_str(), all.files[0].text.lines().count()), (folder.as_str(), 333));
        assert!(all.gaps.is_empty(), "{:?}", all.gaps);
        let other = gathered(&fixture, &[Step::Log("/var/log/journal".to_owned())]);
        assert!(other.files.is_empty() && other.gaps[0].en.contains("is a folder"), "{other:?}");
    }

    fn gathered(fixture: &Fixture, steps: &[Step]) -> Gathered {
        let (host, mut all) = (fixture.host(), Gathered::default());
        for step in steps {
            gather(step, &host, &mut |piece| {
                all.take(piece);
                Ok(())
            })
            .unwrap();
        }
        all
    }

    #[test]
    fn what_must_never_leave_is_told_by_its_path() {
        for path in [
            "/proc/1/environ",
            "/PROC/1/environ",
            "/etc/shadow",
            "/etc/shadow-",
            "/etc/gshadow",
            "/root/.bash_history",
            "/home/a/.zsh_history",
            "/root/.mysql_history",
            "/etc/ssl/private/a",
            "/etc/nginx/tls.key",
            "/etc/haproxy/site.pem",
            "/root/.ssh/config",
            "/root/.ssh/id_ed25519",
            "/etc/ssh/ssh_host_rsa_key.key",
            "/var/crash/x",
            "/core",
            "/tmp/core.123",
            "/var/lib/systemd/coredump/core.x.zst",
            "/etc/nginx/.htpasswd",
            "/etc/nginx/htpasswd.users",
            "/root/.pgpass",
            "/etc/traefik/acme.json",
            "/etc/a.p12",
            "/root/.aws/credentials",
            "/etc/letsencrypt/live/x/privkey1.txt",
            "/root/.python_history",
            "/root/.lesshst_history",
        ] {
            assert!(is_forbidden(path), "{path}");
        }
        for path in [
            "/etc/haproxy/haproxy.cfg",
            "/etc/nginx/nginx.conf",
            "/var/log/syslog",
            "/etc/apache2/sites-enabled/a.conf",
        ] {
            assert!(!is_forbidden(path), "{path}");
        }
    }

    #[test]
    fn links_to_what_must_never_leave_are_not_followed() {
        let fixture = Fixture::image()
            .file("/etc/shadow", "root:hash")
            .file("/etc/nginx/nginx.conf", "http {}")
            .file("/srv/tls.key", "k")
            .file("/var/log/real", "x");
        std::fs::create_dir_all(fixture.path("/etc/nginx/sites-enabled")).unwrap();
        for (link, target) in [
            ("/etc/nginx/sites-enabled/a", "/etc/shadow"),
            ("/etc/nginx/sites-enabled/b", "../../../srv/tls.key"),
            ("/etc/nginx/sites-enabled/c", "../nginx.conf"),
            ("/var/log/evil.log", "/etc/shadow"),
        ] {
            std::os::unix::fs::symlink(target, fixture.path(link)).unwrap();
        }
        let all = gathered(
            &fixture,
            &[Step::ConfigFiles, Step::Log("/var/log/evil.log".into()), Step::Log("/etc/passwd".into())],
        );
        assert_eq!(all.files.len(), 1, "{:?}", all.files);
        assert_eq!(all.files[0].source, "/etc/nginx/nginx.conf");
        assert!(all.gaps.iter().any(|gap| gap.en.contains("sites-enabled/a is not taken along")), "{:?}", all.gaps);
        assert!(all.gaps.iter().any(|gap| gap.en.contains("/var/log/evil.log is not taken along")), "{:?}", all.gaps);
    }

    #[test]
    fn configuration_is_what_the_readers_of_load_balancers_read_and_nothing_else() {
        let fixture = Fixture::image()
            .file("/etc/keepalived/keepalived.conf", "include /srv/lb/*.inc\n")
            .file("/srv/lb/a.inc", "global_defs {\n}\n")
            .file("/etc/os-release", "ID=x\n")
            .file("/var/log/dpkg.log", "x\n");
        let steps = [Step::System, Step::Packages, Step::LoadBalancers, Step::ConfigFiles];
        let sources: Vec<_> = gathered(&fixture, &steps).files.into_iter().map(|file| file.source).collect();
        assert_eq!(sources, ["/etc/keepalived/keepalived.conf", "/srv/lb/a.inc"]);
    }

    #[test]
    fn logs_are_those_that_findings_name_and_their_ends() {
        let sources = [
            "/var/log/haproxy.log:12",
            "/var/log/haproxy.log:99",
            "/srv/app/x.log",
            "/etc/passwd",
            "/proc/stat",
            "/var/log/../../etc/shadow",
            "default",
        ];
        let mut findings: Vec<_> =
            sources.iter().map(|source| finding_at("cpu.usage", Status::Warning, source)).collect();
        findings.push(finding_at("cpu.load", Status::Ok, "/var/log/fine.log"));
        findings.push(finding("cpu.load", "", Status::Critical));
        assert_eq!(logs_named(&findings), ["/var/log/haproxy.log", "/srv/app/x.log"]);

        let line = "a line of this log that is not short at all\n";
        let fixture =
            Fixture::image().file("/var/log/big.log", line.repeat(100_000)).file("/var/log/bin.log", b"\0\0x");
        let all = gathered(&fixture, &[Step::Log("/var/log/big.log".into()), Step::Log("/var/log/bin.log".into())]);
        let file = &all.files[0];
        assert!(file.truncated && file.text.len() as u64 <= LOG_BYTES_MAX && file.text.len() > 2_000_000);
        assert!(file.text.lines().all(|one| one == line.trim_end()), "parts are put together again");
        assert_eq!(all.files.len(), 1);
        assert_eq!(all.gaps.len(), 1);
    }

    #[test]
    fn chk_07_half_a_private_key_does_not_leave() {
        for (text, rest) in [
            ("MIIEvQ\nabc=\n-----END PRIVATE KEY-----\nnext\n", "next\n"),
            ("MIIEvQ\n-----END RSA PRIVATE KEY-----", ""),
            (
                "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n",
                "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n",
            ),
            ("plain\n", "plain\n"),
        ] {
            assert_eq!(without_half_key(text), rest, "{text}");
        }
    }
}
