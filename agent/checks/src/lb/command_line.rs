//! What the command line of a running program says about its configuration. Command lines hold secrets: only the options
//! that are asked for leave here.

use super::includes::join;
use crate::host::{Host, Process};

/// The processes of a program, oldest id first: a master comes before its workers.
pub(crate) fn running<'h>(host: &'h Host, programs: &[&str]) -> impl Iterator<Item = &'h Process> {
    host.processes().iter().filter(move |process| programs.contains(&process.program()))
}

/// Every value of an option: `-f x`, `-fx`, `--file x`, `--file=x`; Go programs also take `-file x`.
pub(crate) fn values<'a>(arguments: &'a [String], names: &[&str]) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        for name in names {
            let Some(after) = argument.strip_prefix(name) else { continue };
            let is_short = !name.starts_with("--") && name.len() == 2;
            match after.strip_prefix('=') {
                _ if after.is_empty() => found.extend(rest.next().map(String::as_str)),
                Some(value) if !is_short => found.push(value),
                Some(_) | None if is_short => found.push(after),
                Some(_) | None => continue,
            }
            break;
        }
    }
    found
}

/// A path of a process, from where it runs.
pub(crate) fn path_of(host: &Host, process: &Process, path: &str) -> String {
    let folder = host.link(&format!("/proc/{}/cwd", process.pid)).unwrap_or_default();
    join(&folder, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_however_it_is_written() {
        for (line, names, expected) in [
            ("keepalived -n -f /a", &["-f", "--use-file"][..], &["/a"][..]),
            ("keepalived -f/a", &["-f", "--use-file"], &["/a"]),
            ("keepalived --use-file=/a", &["-f", "--use-file"], &["/a"]),
            ("keepalived --use-file /a -f /b", &["-f", "--use-file"], &["/a", "/b"]),
            ("keepalived --use-files /a", &["-f", "--use-file"], &[]),
            ("caddy run -config /a", &["--config", "-config"], &["/a"]),
            ("caddy run -config=/a", &["--config", "-config"], &["/a"]),
            ("apache2 -DA -D B -k start", &["-D"], &["A", "B"]),
            ("apache2 -f", &["-f"], &[]),
        ] {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(values(&arguments[1..], names), expected, "{line}");
        }
    }
}
