//! Who a shell runs as: the account and its groups, from `/etc/passwd` and `/etc/group` first and then, for users of
//! LDAP and the like, from the host's own `getent` (a static binary has no name-service modules).
//!
//! Runs in the single-threaded `shell-exec` only. It must never guess: an account that is not found is an error.

use cloud_doctor_proto::told::{Tell, Told};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Read;
use std::process::{ChildStdout, Command, Stdio};

/// The host's own look-up tool; absolute, so that no PATH decides what root runs.
const GETENT: &str = "/usr/bin/getent";
/// A directory server that is away must not hold a shell for ever.
const GETENT_TIMEOUT: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// An account with 65,536 groups (the kernel's limit) fits.
const GETENT_BYTES_MAX: usize = 1 << 20;
/// The shell of an account that names none (passwd(5)).
const DEFAULT_SHELL: &str = "/bin/sh";

/// What `passwd` says about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// Why an account could not be found out, for the engineer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    /// Nobody knows the user.
    #[error("{}", self.told())]
    Unknown(String),
    /// The name could never be a user's, or would be an option of a tool.
    #[error("{}", self.told())]
    BadName(String),
    /// A file of the host cannot be read.
    #[error("{}", self.told())]
    File {
        /// The file.
        path: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The host's directory does not answer.
    #[error("{}", self.told())]
    Slow(String),
}

impl AccountError {
    pub(crate) fn told(&self) -> Told {
        match self {
            AccountError::Unknown(user) => Tell::NoUser.with(&[user]),
            AccountError::BadName(name) => Tell::NotAUserName.with(&[name]),
            AccountError::File { path, source } => Tell::HostFile.with(&[path, source]),
            AccountError::Slow(question) => Tell::DirectorySlow.with(&[&format!("{GETENT} {question}")]),
        }
    }
}

impl Account {
    /// Finds the account of `name`.
    ///
    /// # Errors
    /// [`AccountError`], each a sentence for the engineer.
    pub(crate) fn find(name: &str) -> Result<Self, AccountError> {
        if name.is_empty() || name.starts_with('-') || name.contains([':', '\n', '\0', '/']) {
            return Err(AccountError::BadName(name.to_owned()));
        }
        if let Some(account) = read("/etc/passwd")?.lines().find_map(|line| parse_passwd(line, name)) {
            return Ok(account);
        }
        let answer = getent(&["passwd", name])?;
        answer.lines().find_map(|line| parse_passwd(line, name)).ok_or_else(|| AccountError::Unknown(name.to_owned()))
    }

    /// The account of a user id: who a process without root rights is.
    ///
    /// # Errors
    /// [`AccountError`], each a sentence for the engineer.
    pub(crate) fn of_uid(uid: u32) -> Result<Self, AccountError> {
        let by_uid = |text: &str| text.lines().filter_map(parse_line).find(|account| account.uid == uid);
        if let Some(account) = by_uid(&read("/etc/passwd")?) {
            return Ok(account);
        }
        let number = uid.to_string();
        by_uid(&getent(&["passwd", &number])?).ok_or(AccountError::Unknown(number))
    }

    /// The groups of the account, its own first.
    ///
    /// # Errors
    /// [`AccountError`] when a directory of the host that holds groups does not answer: a shell with fewer groups than
    /// it should have would be a puzzle, not a help.
    pub(crate) fn groups(&self) -> Result<Vec<u32>, AccountError> {
        let mut groups = vec![self.gid];
        groups.extend(parse_groups(&read("/etc/group")?, &self.name));
        if !groups_are_local(&std::fs::read_to_string("/etc/nsswitch.conf").unwrap_or_default()) {
            groups.extend(parse_initgroups(&getent(&["initgroups", &self.name])?));
        }
        let own = groups.remove(0);
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| *group != own);
        groups.insert(0, own);
        Ok(groups)
    }
}

fn read(path: &'static str) -> Result<String, AccountError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(source) => Err(AccountError::File { path, source }),
    }
}

fn parse_passwd(line: &str, name: &str) -> Option<Account> {
    parse_line(line).filter(|account| account.name == name)
}

fn parse_line(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let _password = fields.next()?;
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let _full_name = fields.next()?;
    let home = fields.next()?.to_owned();
    let shell = match fields.next()?.trim_end() {
        "" => DEFAULT_SHELL.to_owned(),
        shell => shell.to_owned(),
    };
    Some(Account { name, uid, gid, home, shell })
}

/// Group ids of the lines of `/etc/group` that list the user.
fn parse_groups(text: &str, name: &str) -> Vec<u32> {
    let of_line = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let gid = fields.next()?.parse().ok()?;
        fields.next()?.split(',').any(|member| member.trim() == name).then_some(gid)
    };
    text.lines().filter_map(of_line).collect()
}

/// `getent initgroups deploy` prints the name and then the ids.
fn parse_initgroups(text: &str) -> Vec<u32> {
    text.split_whitespace().skip(1).filter_map(|id| id.parse().ok()).collect()
}

/// Whether the name-service switch has groups in local files only; then no tool need be asked (and no time lost).
fn groups_are_local(nsswitch: &str) -> bool {
    let line_of = |database: &str| {
        let of = |line: &str| {
            line.split_once(':').filter(|(name, _)| name.trim() == database).map(|(_, list)| list.to_owned())
        };
        nsswitch.lines().map(|line| line.split('#').next().unwrap_or_default()).find_map(of)
    };
    let sources = line_of("initgroups").or_else(|| line_of("group")).unwrap_or_else(|| "files".to_owned());
    sources.split_whitespace().all(|source| source == "files" || source == "systemd" || source.starts_with('['))
}

#[expect(clippy::disallowed_methods, reason = "the host's own user directory, asked with an empty environment")]
/// Runs `getent` with an empty environment and a deadline for its silence; "not found" is an empty answer.
fn getent(arguments: &[&str]) -> Result<String, AccountError> {
    let mut command = Command::new(GETENT);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Ok(String::new()) };
    let mut stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let answer = read_with_deadline(&mut stdout);
    if answer.is_none() {
        // An error means that it has just ended by itself.
        child.kill().ok();
    }
    child.wait().ok();
    match answer {
        Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        None => Err(AccountError::Slow(arguments.join(" "))),
    }
}

/// Reads to the end; `None` when the writer is silent for too long or says too much.
fn read_with_deadline(stdout: &mut ChildStdout) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let mut fds = [PollFd::new(stdout, PollFlags::IN)];
        if poll(&mut fds, Some(&GETENT_TIMEOUT)).ok()? == 0 {
            return None;
        }
        match stdout.read(&mut buffer).ok()? {
            0 => return Some(answer),
            count => answer.extend_from_slice(&buffer[..count]),
        }
        if answer.len() > GETENT_BYTES_MAX {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn passwd_lines_are_read_and_damaged_ones_skipped() {
        let line = "deploy:x:1001:1002:Deploy,,,:/home/deploy:/bin/bash";
        let account = parse_passwd(line, "deploy").unwrap();
        assert_eq!((account.uid, account.gid), (1001, 1002));
        assert_eq!((account.home.as_str(), account.shell.as_str()), ("/home/deploy", "/bin/bash"));
        assert_eq!(parse_passwd("d:x:1:1::/:", "d").unwrap().shell, "/bin/sh");
        for damaged in ["", "deploy", "deploy:x", "deploy:x:one:2::/:/bin/sh", "deploy:x:1:2:", "+deploy::::::"] {
            assert_eq!(parse_passwd(damaged, "deploy"), None, "{damaged}");
        }
    }

    #[test]
    fn names_that_could_be_options_or_paths_are_refused() {
        for name in ["", "-x", "a:b", "a/b", "a\nb", "a\0b"] {
            assert!(matches!(Account::find(name), Err(AccountError::BadName(_))), "{name:?}");
        }
        assert!(matches!(Account::find("nobody-is-called-so"), Err(AccountError::Unknown(_))));
        assert_eq!(Account::find("root").unwrap().uid, 0);
    }

    #[test]
    fn groups_come_from_files_and_from_getent() {
        let text = "adm:x:4:syslog,deploy\nsudo:x:27:deploy\nusers:x:100:\ndeploys:x:5:deploy2";
        assert_eq!(parse_groups(text, "deploy"), [4, 27]);
        assert_eq!(parse_initgroups("deploy                4 27 100\n"), [4, 27, 100]);
    }

    #[test]
    fn getent_is_asked_only_when_the_switch_names_more_than_files() {
        for (text, local) in [
            ("", true),
            ("group: files", true),
            ("group: files systemd # sss", true),
            ("group: files [SUCCESS=merge] systemd", true),
            ("group:   files sss", false),
            ("group: files\ninitgroups: files ldap", false),
            ("groups: ldap", true),
        ] {
            assert_eq!(groups_are_local(text), local, "{text}");
        }
    }
}
