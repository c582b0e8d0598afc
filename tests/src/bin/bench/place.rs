//! Where everything is measured: this program once more, with the built programs at hand and without this user's
//! shell start-up files.
//!
//! A login shell may take longer to read `~/.bashrc` than a road takes to reach it. Where the kernel lets us, those
//! files are hidden from both sides, in a mount namespace of our own; nobody else sees a difference.

use anyhow::{Context as _, Result};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::Programs;

/// Read by the harness: where the programs lie.
const PROGRAMS: &str = "CLOUD_DOCTOR_TEST_PROGRAMS";
/// First argument of the program in its place.
pub(crate) const INSIDE: &str = "--inside";
/// Follows it when the start-up files are hidden.
const HIDDEN: &str = "hidden";
const VISIBLE: &str = "visible";
/// What a login shell of bash or sh reads at home.
const START_UP_FILES: [&str; 5] = [".bash_profile", ".bash_login", ".profile", ".bashrc", ".bash_logout"];

/// What the outer program tells the inner one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Shells read no start-up files of this user.
    pub(crate) files_hidden: bool,
    /// The agent is a static file.
    pub(crate) agent_is_static: bool,
    /// Holds the three programs.
    pub(crate) programs: PathBuf,
}

impl Place {
    /// Reads what follows [`INSIDE`]; returns it with the arguments that the person gave.
    pub(crate) fn parse(arguments: &[String]) -> Result<(Self, &[String])> {
        let [files, agent, rest @ ..] = arguments else { anyhow::bail!("{INSIDE} is not for people") };
        let programs = std::env::var_os(PROGRAMS).context("the place names its programs")?;
        let place =
            Self { files_hidden: files == HIDDEN, agent_is_static: agent == "static", programs: programs.into() };
        Ok((place, rest))
    }
}

/// Becomes this program in its place. Returns only when that fails.
pub(crate) fn go(programs: &Programs, arguments: &[String]) -> Result<()> {
    let myself = std::env::current_exe()?;
    let files = start_up_files();
    let hidden = hide(&files, Path::new("/bin/true")).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let hidden = hidden.is_ok_and(|status| status.success());
    let mut command = if hidden { hide(&files, &myself) } else { Command::new(&myself) };
    command.arg(INSIDE).arg(if hidden { HIDDEN } else { VISIBLE });
    command.arg(if programs.agent_is_static { "static" } else { "dynamic" }).args(arguments);
    Err(command.env(PROGRAMS, &programs.folder).exec()).with_context(|| format!("{command:?}"))
}

/// `program` in a mount namespace where each of these files is empty.
fn hide(files: &[PathBuf], program: &Path) -> Command {
    let script = r#"while [ "$1" != -- ]; do mount --bind /dev/null "$1" || exit 1; shift; done; shift; exec "$@""#;
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"]);
    command.args(files).arg("--").arg(program);
    command
}

fn start_up_files() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    START_UP_FILES.iter().map(|name| home.join(name)).filter(|file| file.is_file()).collect()
}
