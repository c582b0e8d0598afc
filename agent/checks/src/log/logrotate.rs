//! Which files logrotate takes care of: the patterns of its configuration.

use crate::found::Gap;
use crate::host::{Host, matches};

const MAIN: &str = "/etc/logrotate.conf";
/// What distributions include from the main file.
const FOLDER: &str = "/etc/logrotate.d/*";
/// Files of configuration that are read.
const FILES_MAX: usize = 500;
/// Patterns that are kept.
const PATTERNS_MAX: usize = 5000;

/// The patterns that it rotates.
///
/// # Errors
/// [`Gap::NotHere`] without a configuration; [`Gap::Unknown`] when one of its files cannot be read.
pub(super) fn patterns(host: &Host) -> Result<Vec<String>, Gap> {
    let mut patterns = read_patterns(&host.read(MAIN)?);
    for path in host.glob(FOLDER)?.into_iter().take(FILES_MAX) {
        patterns.extend(read_patterns(&host.must_read(&path)?));
    }
    patterns.truncate(PATTERNS_MAX);
    Ok(patterns)
}

/// Names stand before a block in braces; a script in a block ends with `endscript` and may hold braces itself.
fn read_patterns(text: &str) -> Vec<String> {
    let (mut patterns, mut in_block, mut in_script) = (Vec::new(), false, false);
    for line in text.lines() {
        let line = line.trim();
        if in_script {
            in_script = line != "endscript";
        } else if in_block {
            in_script = ["prerotate", "postrotate", "firstaction", "lastaction", "preremove"].contains(&line);
            in_block = !line.starts_with('}');
        } else if line.starts_with(['/', '"', '\'', '{']) {
            let (names, opened) = line.split_once('{').map_or((line, false), |(names, _)| (names, true));
            patterns.extend(read_names(names));
            in_block = opened && !line.ends_with('}');
        }
    }
    patterns
}

fn read_names(mut rest: &str) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(first) = rest.trim_start().chars().next() {
        rest = rest.trim_start();
        let (name, after) = if first == '"' || first == '\'' {
            let inside = rest.get(1..).unwrap_or_default();
            inside.split_once(first).unwrap_or((inside, ""))
        } else {
            rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
        };
        names.push(name.to_owned());
        rest = after;
    }
    names
}

/// Whether one of `patterns` names `path`, or the log that `path` is an older part of.
pub(super) fn is_rotated(patterns: &[String], path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    // `access.log-20260101.gz` and `access.log.2.gz` are parts of `access.log`.
    let bases = name.char_indices().filter(|(_, one)| *one == '.' || *one == '-').filter_map(|(at, _)| name.get(..at));
    bases.chain([name]).any(|base| patterns.iter().any(|pattern| fits(pattern, folder, base)))
}

/// As glob(3): a wildcard stays within its folder.
fn fits(pattern: &str, folder: &str, name: &str) -> bool {
    let (pattern_folder, pattern_name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let (mut patterns, mut parts) = (pattern_folder.split('/'), folder.split('/'));
    let same_folder = loop {
        match (patterns.next(), parts.next()) {
            (Some(pattern), Some(part)) if matches(pattern, part) => {}
            (None, None) => break true,
            (Some(_) | None, Some(_) | None) => break false,
        }
    };
    same_folder && matches(pattern_name, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_what_stands_before_blocks() {
        // logrotate 3.21 with rsyslog, nginx and apt, Debian 12.
        let text = "# see \"man logrotate\" for details\nweekly\nrotate 4\ninclude /etc/logrotate.d\n\
            /var/log/syslog\n/var/log/mail.log\n{\n\trotate 4\n\tpostrotate\n\t\t/usr/lib/rsyslog/rsyslog-rotate\n\tendscript\n}\n\
            /var/log/nginx/*.log {\n\tdaily\n\tprerotate\n\t\tif [ -d /etc/x ]; then { run; }\n}\n\t\tfi\n\tendscript\n}\n\
            \"/var/log/my app/a.log\" /srv/*/log/x.log { size 1M }\n/var/log/apt/term.log {\n}\n";
        assert_eq!(
            read_patterns(text),
            [
                "/var/log/syslog",
                "/var/log/mail.log",
                "/var/log/nginx/*.log",
                "/var/log/my app/a.log",
                "/srv/*/log/x.log",
                "/var/log/apt/term.log"
            ]
        );
        for damaged in ["/var/log/a {", "\"/var/log/a", "{{{{", "/a {\npostrotate\n", "}"] {
            assert!(read_patterns(damaged).len() < 2, "{damaged}");
        }
    }

    #[test]
    fn older_parts_belong_to_their_log() {
        let patterns = ["/var/log/nginx/*.log".to_owned(), "/var/log/syslog".to_owned(), "/srv/*/log/x.log".to_owned()];
        for (path, rotated) in [
            ("/var/log/nginx/access.log", true),
            ("/var/log/nginx/access.log.1", true),
            ("/var/log/nginx/access.log-20260101.gz", true),
            ("/var/log/nginx/deep/access.log", false),
            ("/var/log/syslog.2.gz", true),
            ("/var/log/syslogs", false),
            ("/srv/app/log/x.log", true),
            ("/var/log/app/big.out", false),
        ] {
            assert_eq!(is_rotated(&patterns, path), rotated, "{path}");
        }
    }
}
