//! What a process and everything below it does to its host, seen from outside through the kernel (`strace -f`).
//!
//! Only what succeeded counts: a program that looks for a file and does not find it has done nothing. Never: asking
//! the traced program what it did.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::World;

/// Calls that start something or change a file.
const CALLS: &str = "execve,execveat,open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,link,linkat,symlink,\
                     symlinkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,truncate,chmod,fchmodat,chown,lchown,\
                     fchownat,mount,setuid,setresuid";

/// A trace that is being written.
#[derive(Debug)]
pub struct Trace {
    file: PathBuf,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A program was started, with its first arguments as strace shows them.
    Started(String),
    /// A file or folder was opened for writing, created, moved, removed or given other rights.
    Changed(PathBuf),
}

impl Trace {
    /// Wraps `command` into a tracer.
    #[must_use]
    pub fn of(world: &World, name: &str, command: &Command) -> (Self, Command) {
        let file = world.path(format!("{name}.strace"));
        let mut tracer = world.command("/usr/bin/strace");
        tracer.args(["-f", "--seccomp-bpf", "-qq", "-y", "-s", "300", "-e", &format!("trace={CALLS}")]);
        tracer.args(["-e", "signal=none", "-o"]).arg(&file).arg("--");
        tracer.arg(command.get_program()).args(command.get_args());
        tracer.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        (Self { file }, tracer)
    }

    /// How far the trace is: give it to [`Self::since`] later.
    #[must_use]
    pub fn mark(&self) -> usize {
        fs::read(&self.file).map_or(0, |bytes| bytes.len())
    }

    /// What happened after a mark.
    #[must_use]
    pub fn since(&self, mark: usize) -> BTreeSet<Deed> {
        let bytes = fs::read(&self.file).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes.get(mark..).unwrap_or_default()).into_owned();
        text.lines().filter_map(deed).collect()
    }

    /// What happened after a mark outside of `allowed`: started programs, and files not below one of these folders.
    #[must_use]
    pub fn strange(&self, mark: usize, allowed: &[&Path]) -> Vec<Deed> {
        let inside = |path: &Path| path.starts_with("/dev") || allowed.iter().any(|folder| path.starts_with(folder));
        let strange = |deed: &Deed| match deed {
            Deed::Started(_) => true,
            Deed::Changed(path) => !inside(path),
        };
        self.since(mark).into_iter().filter(strange).collect()
    }
}

/// Reads one line: `PID  call(arguments) = result`.
fn deed(line: &str) -> Option<Deed> {
    let (_, line) = line.split_once(' ')?;
    let line = line.trim_start();
    let (call, rest) = line.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ").unwrap_or((rest, "0"));
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    match call {
        "execve" | "execveat" => Some(Deed::Started(arguments.split(", 0x").next()?.to_owned())),
        "open" | "openat" | "openat2" | "creat" => {
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"];
            let touched = call == "creat" || writes.iter().any(|flag| arguments.contains(flag));
            touched.then(|| changed(arguments)).flatten()
        }
        "setuid" | "setresuid" => None,
        _ => changed(arguments),
    }
}

/// The path of a call: of its first quoted argument, relative to the folder that strace shows in `<…>`.
fn changed(arguments: &str) -> Option<Deed> {
    let (before, rest) = arguments.split_once('"')?;
    let (name, _) = rest.split_once('"')?;
    let folder = before.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("/", |(folder, _)| folder);
    Some(Deed::Changed(Path::new(folder).join(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_succeeded_and_changed_something_counts() {
        let cases = [
            (r#"12 execve("/bin/true", ["true"], 0x7ffe /* 3 vars */) = 0"#, Some("/bin/true")),
            (r#"12 execve("/bin/none", ["none"], 0x7ffe /* 3 vars */) = -1 ENOENT (No such file)"#, None),
            (r#"12 openat(AT_FDCWD</tmp>, "a/b", O_WRONLY|O_CREAT, 0600) = 3</tmp/a/b>"#, Some("/tmp/a/b")),
            (r#"12 openat(AT_FDCWD</tmp>, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3</etc/passwd>"#, None),
            (r#"12 rename("/tmp/a", "/tmp/b") = 0"#, Some("/tmp/a")),
            (r#"12 unlink("/tmp/a") = -1 EPERM"#, None),
        ];
        for (line, expected) in cases {
            let found = deed(line).map(|deed| format!("{deed:?}"));
            assert_eq!(found.is_some(), expected.is_some(), "{line}: {found:?}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert!(found.contains(expected), "{line}: {found}");
            }
        }
    }
}
