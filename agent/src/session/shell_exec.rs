//! Role `shell-exec`: the last program of ours before the user's own. It becomes the user and is replaced by the login
//! shell or the command.
//!
//! One thread; no secret; started with an empty environment on the slave side of a PTY or on three pipes. What it leaves
//! to the user's program is written out here: identity, groups, environment, umask, signals, descriptors, directory.
//! It must never start anything with a setting that it could not make, and never fail silently: the holder listens on a
//! socket whose path stands in `argv`, and hears the reason of a failure or, when exec succeeds, the end of the connection.

use super::account::{Account, AccountError};
use super::sys;
use super::user::{self, Ids};
use cloud_doctor_proto::told::{Tell, Told};
use rustix::fs::{Access, Gid, Mode, Uid};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// PATH of root, as Debian's login sets it.
const PATH_ROOT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// PATH of everybody else.
const PATH_USER: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
/// Shells that exist to say no; what they print is for people at a terminal, so we say it ourselves.
const REFUSING_SHELLS: [&str; 3] = ["nologin", "false", "true"];

/// First byte of a line to the holder: what went otherwise than wished; the program starts all the same.
pub(crate) const NOTICE: u8 = b'n';
/// First byte of a line to the holder: why the program does not start.
pub(crate) const FAILURE: u8 = b'f';

/// What to become; one field per option of the hidden command line.
#[derive(Debug, Clone)]
pub(crate) struct ShellExec {
    /// Socket of the holder that hears of a failure.
    pub(crate) report: PathBuf,
    /// Account to become.
    pub(crate) user: String,
    /// `TERM`; empty for none.
    pub(crate) term: String,
    /// `LANG`; empty for none.
    pub(crate) lang: String,
    /// A command to run instead of the login shell, looked up in the user's PATH.
    pub(crate) argv: Vec<OsString>,
}

/// Why the user's program was not started, for the engineer.
#[derive(Debug, thiserror::Error)]
enum ShellError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("{}", self.told())]
    OtherUser { own: String, wanted: String },
    #[error("{}", self.told())]
    NoShell { shell: String, user: String },
    #[error("{}", self.told())]
    ShellNotExecutable { shell: String, user: String },
    #[error("{}", self.told())]
    NoLogin { shell: String, user: String },
    #[error("{}", self.told())]
    RootByAnotherName { user: String },
    #[error("{}", self.told())]
    System { what: &'static str, source: std::io::Error },
    #[error("{}", self.told())]
    Exec { program: String, source: std::io::Error },
}

impl ShellError {
    fn told(&self) -> Told {
        match self {
            ShellError::Account(error) => error.told(),
            ShellError::OtherUser { own, wanted } => Tell::CannotBecome.with(&[own, wanted]),
            ShellError::NoShell { shell, user } => Tell::NoLoginShell.with(&[shell, user]),
            ShellError::ShellNotExecutable { shell, user } => Tell::ShellNotExecutable.with(&[shell, user]),
            ShellError::NoLogin { shell, user } => Tell::NoLogin.with(&[user, shell]),
            ShellError::RootByAnotherName { user } => Tell::RootByAnotherName.with(&[user]),
            ShellError::System { what, source } => Tell::SystemCall.with(&[what, source]),
            ShellError::Exec { program, source } if source.kind() == std::io::ErrorKind::NotFound => {
                Tell::NoCommand.with(&[program])
            }
            ShellError::Exec { program, source } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Tell::NotExecutable.with(&[program])
            }
            ShellError::Exec { program, source } => Tell::NotRun.with(&[program, source]),
        }
    }
}

impl ShellExec {
    /// The arguments that make this role do this; the reverse of [`Self::parse`].
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["shell-exec".into(), self.report.clone().into()];
        arguments.extend([&self.user, &self.term, &self.lang].map(OsString::from));
        arguments.extend(self.argv.iter().cloned());
        arguments
    }

    /// Reads the arguments after the role's name. They come from our own holder only, so there is no help text.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.into_iter();
        Some(Self {
            report: arguments.next()?.into(),
            user: arguments.next()?.into_string().ok()?,
            term: arguments.next()?.into_string().ok()?,
            lang: arguments.next()?.into_string().ok()?,
            argv: arguments.collect(),
        })
    }

    /// Becomes the user's program; returns only when that failed, after the holder was told.
    pub(crate) fn run(self) {
        // Before any right is given up: the socket lies in a directory of the agent's own.
        let Ok(mut report) = UnixStream::connect(&self.report) else { return };
        let Err(error) = self.become_program(&mut report);
        tell(&mut report, FAILURE, &error.told());
    }

    fn become_program(&self, report: &mut UnixStream) -> Result<std::convert::Infallible, ShellError> {
        let account = Account::find(&self.user)?;
        root_by_its_name(&account)?;
        let mut command = if self.argv.is_empty() { login_shell(&account)? } else { self.command() };
        if self.argv.is_empty() {
            own_terminal(&account);
        } else {
            rustix::process::setsid().map_err(|source| system("setsid", source))?;
        }
        oom_score_like_any_other();
        become_user(&account)?;
        self.environment(&mut command, &account);
        if let Err(notice) = enter_home(&account) {
            tell(report, NOTICE, &notice);
        }
        rustix::process::umask(Mode::from_bits_truncate(0o022));
        sys::default_signals();
        sys::close_others_on_exec();
        // Also empties the signal mask and sets SIGPIPE back to its default.
        let source = command.exec();
        Err(ShellError::Exec { program: command.get_program().to_string_lossy().into_owned(), source })
    }

    #[expect(clippy::disallowed_methods, reason = "what the engineer asked for, under a grant; replaces this process")]
    fn command(&self) -> Command {
        let (program, arguments) = self.argv.split_first().expect("the caller has checked that there is a command");
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }

    fn environment(&self, command: &mut Command, account: &Account) {
        let path = if account.uid == 0 { PATH_ROOT } else { PATH_USER };
        command.env_clear().envs([
            ("HOME", account.home.as_str()),
            ("USER", &account.name),
            ("LOGNAME", &account.name),
            ("SHELL", &account.shell),
            ("PATH", path),
        ]);
        for (name, value) in [("TERM", &self.term), ("LANG", &self.lang)] {
            if !value.is_empty() {
                command.env(name, value);
            }
        }
    }
}

fn system(what: &'static str, errno: rustix::io::Errno) -> ShellError {
    ShellError::System { what, source: errno.into() }
}

#[expect(clippy::disallowed_methods, reason = "the user's own login shell, under a grant; replaces this process")]
/// The login shell, refused in words when it cannot be one: exec errors behind a PTY have nobody to tell.
fn login_shell(account: &Account) -> Result<Command, ShellError> {
    let (shell, user) = (account.shell.clone(), account.name.clone());
    let path = Path::new(&shell);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if REFUSING_SHELLS.contains(&name.as_str()) {
        return Err(ShellError::NoLogin { shell, user });
    }
    if !path.is_file() {
        return Err(ShellError::NoShell { shell, user });
    }
    if rustix::fs::access(path, Access::EXEC_OK).is_err() {
        return Err(ShellError::ShellNotExecutable { shell, user });
    }
    let mut command = Command::new(path);
    // A leading dash makes it a login shell (login(1)).
    command.arg0(format!("-{name}"));
    Ok(command)
}

/// Ceilings and policies name root by its name: nobody becomes it by another account of user id 0.
fn root_by_its_name(account: &Account) -> Result<(), ShellError> {
    if account.uid == 0 && account.name != "root" {
        return Err(ShellError::RootByAnotherName { user: account.name.clone() });
    }
    Ok(())
}

/// Gives the terminal to the user, so that programs which open it by name can (`screen`, `script`).
fn own_terminal(account: &Account) {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    if rustix::process::geteuid().is_root() {
        // A convenience: the open descriptors work without it.
        rustix::fs::fchown(std::io::stdin(), Some(uid), Some(gid)).ok();
        rustix::fs::fchmod(std::io::stdin(), Mode::from_bits_truncate(0o600)).ok();
    }
}

/// The agent protects itself from the out-of-memory killer; what a user starts must not be protected with it.
fn oom_score_like_any_other() {
    const SCORE: &str = "/proc/self/oom_score_adj";
    let protected = std::fs::read_to_string(SCORE).is_ok_and(|score| score.starts_with('-'));
    if protected {
        // Raising the score needs no right.
        std::fs::write(SCORE, "0").ok();
    }
}

fn become_user(account: &Account) -> Result<(), ShellError> {
    let own = rustix::process::geteuid();
    if !own.is_root() {
        if own.as_raw() == account.uid {
            return Ok(());
        }
        let own = Account::of_uid(own.as_raw()).map_or_else(|_| own.as_raw().to_string(), |account| account.name);
        return Err(ShellError::OtherUser { own, wanted: account.name.clone() });
    }
    let ids = Ids { uid: account.uid, gid: account.gid, groups: &account.groups()? };
    user::take(&ids).map_err(|(what, source)| system(what, source))
}

/// Goes home, or to `/` when home is missing or closed, which the engineer is told.
fn enter_home(account: &Account) -> Result<(), Told> {
    std::env::set_current_dir(&account.home).map_err(|error| {
        std::env::set_current_dir("/").ok();
        Tell::NoHome.with(&[&account.home, &error])
    })
}

/// One line for the holder; when it is gone there is nobody left to tell.
fn tell(report: &mut UnixStream, first: u8, told: &Told) {
    // JSON has no line breaks of its own.
    let line = [&[first], serde_json::to_vec(told).unwrap_or_default().as_slice(), b"\n"].concat();
    report.write_all(&line).ok();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_are_read_back_as_written() {
        let exec = ShellExec {
            report: "/run/x".into(),
            user: "deploy".into(),
            term: String::new(),
            lang: "C.UTF-8".into(),
            argv: vec!["ls".into(), "--".into(), "a b".into()],
        };
        let read = ShellExec::parse(exec.arguments().into_iter().skip(1)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{exec:?}"));
        assert!(ShellExec::parse([OsString::from("/run/x")]).is_none());
    }

    #[test]
    fn r_17_root_under_another_name_is_refused() {
        let account = |name: &str, uid| {
            root_by_its_name(&Account { name: name.into(), uid, gid: 0, home: "/".into(), shell: "/bin/sh".into() })
        };
        assert!(account("root", 0).is_ok() && account("admin", 1000).is_ok());
        let said = account("toor", 0).unwrap_err().to_string();
        assert_eq!(said, "user toor is root under another name; ask for root");
    }

    #[test]
    fn shells_that_say_no_are_refused_in_words() {
        let account =
            |shell: &str| Account { name: "www".into(), uid: 33, gid: 33, home: "/".into(), shell: shell.into() };
        for (shell, words) in [
            ("/usr/sbin/nologin", "user www may not log in: its login shell is /usr/sbin/nologin"),
            ("/bin/false", "user www may not log in: its login shell is /bin/false"),
            ("/bin/nosuch", "the login shell /bin/nosuch of user www does not exist"),
            ("/etc/passwd", "the login shell /etc/passwd of user www is not executable"),
        ] {
            assert_eq!(login_shell(&account(shell)).unwrap_err().to_string(), words);
        }
        assert!(login_shell(&account("/bin/sh")).is_ok());
    }
}
