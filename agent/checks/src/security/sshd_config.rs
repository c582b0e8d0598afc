//! OpenSSH's server configuration as it is in effect (sshd_config(5), servconf.c): the first value of a keyword wins,
//! included files stand where they are included, `Match` blocks stand for themselves. It must never judge.

use crate::found::Gap;
use crate::host::Host;
use crate::words;

/// Where the file is; the second is what SUSE ships.
const PATHS: [&str; 2] = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];
/// servconf.c, SERVCONF_MAX_DEPTH.
const DEPTH_MAX: usize = 16;
/// Files and lines, all together.
const FILES_MAX: usize = 500;
const LINES_MAX: usize = 20_000;

/// One line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// In lower case.
    pub(crate) keyword: String,
    /// Without quotes.
    pub(crate) arguments: Vec<String>,
    /// `file:line`.
    pub(crate) source: String,
    /// The conditions of the `Match` block that it stands in; `Match all` is everybody.
    pub(crate) condition: Option<String>,
}

/// A whole configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SshdConfig {
    /// In the order in which sshd reads them.
    pub(crate) lines: Vec<Line>,
    /// The file itself.
    pub(crate) path: String,
    files: usize,
}

/// A value in effect for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effective {
    /// In lower case, its arguments joined by spaces.
    pub(crate) value: String,
    /// Where it stands, or that it is the default.
    pub(crate) source: String,
}

impl SshdConfig {
    /// Reads the server's configuration.
    ///
    /// # Errors
    /// [`Gap::NotHere`] without a server; [`Gap::Unknown`] when a part of it cannot be read.
    pub(crate) fn read(host: &Host) -> Result<Self, Gap> {
        let running = RunningServer::of(host);
        let path = match running.path {
            Some(path) => path,
            None => PATHS.into_iter().find(|path| host.exists(path)).unwrap_or(PATHS[0]).to_owned(),
        };
        let mut config = Self { lines: running.lines, path: path.clone(), files: 0 };
        config.read_file(host, &path, None, 0)?;
        Ok(config)
    }

    fn read_file(&mut self, host: &Host, path: &str, outer: Option<String>, depth: usize) -> Result<(), Gap> {
        let text = host.read(path)?;
        self.files += 1;
        let mut condition = outer.clone();
        for (at, line) in text.lines().enumerate() {
            let Some((keyword, arguments)) = split(line) else { continue };
            if self.lines.len() >= LINES_MAX || self.files > FILES_MAX || depth >= DEPTH_MAX {
                return Err(Gap::Unknown(words!(
                    "{path} includes more than sshd itself would read",
                    "{path} 的 include 超出 sshd 自身的限制"
                )));
            }
            match keyword.as_str() {
                "include" => {
                    for pattern in arguments {
                        self.include(host, &pattern, condition.as_ref(), depth)?;
                    }
                }
                "match" => {
                    let own = arguments.join(" ");
                    condition = Some(match &outer {
                        Some(outer) if !is_everybody(outer) => format!("{outer} {own}"),
                        Some(_) | None => own,
                    });
                }
                _ => {
                    let source = format!("{path}:{}", at + 1);
                    self.lines.push(Line { keyword, arguments, source, condition: condition.clone() });
                }
            }
        }
        Ok(())
    }

    fn include(&mut self, host: &Host, pattern: &str, outer: Option<&String>, depth: usize) -> Result<(), Gap> {
        let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/ssh/{pattern}") };
        for path in host.glob(&pattern)? {
            match self.read_file(host, &path, outer.cloned(), depth + 1) {
                // A file that went meanwhile.
                Ok(()) | Err(Gap::NotHere(_)) => {}
                Err(gap) => return Err(gap),
            }
        }
        Ok(())
    }

    /// What holds for everybody: `Match all` goes before what stands outside, and in each the first value wins.
    pub(crate) fn get(&self, keyword: &str, default: &str) -> Effective {
        let keyword = keyword.to_ascii_lowercase();
        let mut lines = self.lines.iter().filter(|line| line.keyword == keyword && !line.arguments.is_empty());
        let all = lines.clone().find(|line| line.condition.as_deref().is_some_and(is_everybody));
        match all.or_else(|| lines.find(|line| line.condition.is_none())) {
            Some(line) => {
                Effective { value: line.arguments.join(" ").to_ascii_lowercase(), source: line.source.clone() }
            }
            None => Effective { value: default.to_owned(), source: format!("{} (not set: default)", self.path) },
        }
    }

    /// Lines of this keyword in blocks that are not for everybody: the first of each block.
    pub(crate) fn in_blocks<'a>(&'a self, keyword: &str) -> Vec<(&'a str, &'a Line)> {
        let mut found: Vec<(&str, &Line)> = Vec::new();
        for line in self.lines.iter().filter(|line| line.keyword == keyword) {
            let Some(condition) = line.condition.as_deref().filter(|condition| !is_everybody(condition)) else {
                continue;
            };
            if found.len() < BLOCKS_MAX && !found.iter().any(|(other, _)| *other == condition) {
                found.push((condition, line));
            }
        }
        found
    }
}

/// `Match` blocks that are told apart.
const BLOCKS_MAX: usize = 20;

fn is_everybody(condition: &str) -> bool {
    condition.eq_ignore_ascii_case("all")
}

/// What the running server was started with: `-f FILE` and `-o KEYWORD=VALUE` go before the file.
#[derive(Default)]
struct RunningServer {
    path: Option<String>,
    lines: Vec<Line>,
}

impl RunningServer {
    fn of(host: &Host) -> Self {
        // Anybody can call a program sshd; the server belongs to whom /proc belongs: root.
        let root = host.stat("/proc").map(|stat| stat.uid).ok();
        let server = host.processes().iter().find(|process| {
            let is_server = process.argv.first().is_some_and(|first| first.ends_with("/sshd"))
                || process.argv.iter().any(|argument| argument.contains("[listener]"));
            process.program() == "sshd"
                && is_server
                && host.stat(&format!("/proc/{}", process.pid)).map(|stat| stat.uid).ok() == root
        });
        let Some(server) = server else { return Self::default() };
        let arguments = server.argv.join(" ");
        let mut words = arguments.split_ascii_whitespace();
        let mut running = Self::default();
        while let Some(word) = words.next() {
            match word {
                "-f" => running.path = words.next().map(str::to_owned),
                "-o" => {
                    if let Some((keyword, arguments)) = words.next().and_then(split) {
                        let source = format!("/proc/{}/cmdline", server.pid);
                        running.lines.push(Line { keyword, arguments, source, condition: None });
                    }
                }
                _ => {}
            }
        }
        running
    }
}

/// A line's keyword and arguments; nothing for empty lines and comments.
fn split(line: &str) -> Option<(String, Vec<String>)> {
    const BLANK: [char; 4] = [' ', '\t', '\r', '\x0c'];
    let line = line.trim_matches(BLANK);
    if line.starts_with('#') {
        return None;
    }
    // `key=value`, `key = value` and `"key" value` are the same.
    let line = line.strip_prefix('"').unwrap_or(line);
    let end = line.find([' ', '\t', '=', '"'])?;
    let (keyword, rest) = line.split_at(end);
    let rest = rest.strip_prefix('"').unwrap_or(rest).trim_start_matches(BLANK);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    (!keyword.is_empty()).then(|| (keyword.to_ascii_lowercase(), arguments(rest)))
}

/// misc.c, `argv_split`: quotes of both kinds, backslashes before quotes, backslashes and spaces, comments after a space.
fn arguments(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|one| matches!(one, ' ' | '\t')).is_some() {}
        if rest.peek().is_none_or(|one| *one == '#') {
            return all;
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(one) = rest.next() {
            match one {
                '\\' if rest.peek().is_some_and(|next| matches!(next, '\'' | '"' | '\\' | ' ')) => {
                    word.extend(rest.next());
                }
                ' ' | '\t' if quote.is_none() => break,
                '"' | '\'' if quote == Some(one) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(one),
                one => word.push(one),
            }
        }
        all.push(word);
    }
}

/// A time of sshd: `120`, `2m`, `1h30m`. sshd_config(5), TIME FORMATS.
pub(crate) fn secs(text: &str) -> Option<u64> {
    let (mut all, mut number) = (0_u64, None::<u64>);
    for one in text.chars() {
        if let Some(digit) = one.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let factor = match one.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        all = all.checked_add(number.take()?.checked_mul(factor)?)?;
    }
    all.checked_add(number.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_01_lines_are_split_as_sshd_does() {
        for (line, expected) in [
            ("PermitRootLogin yes", Some(("permitrootlogin", vec!["yes"]))),
            ("  permitROOTlogin=no # why", Some(("permitrootlogin", vec!["no"]))),
            ("Port = 22", Some(("port", vec!["22"]))),
            ("Banner \"/etc/a b\" 'c d' e\\ f", Some(("banner", vec!["/etc/a b", "c d", "e f"]))),
            ("\"Port\" 22\r", Some(("port", vec!["22"]))),
            ("# Port 22", None),
            ("", None),
            ("Port", None),
        ] {
            let split = split(line);
            let split = split.as_ref().map(|(key, rest)| (key.as_str(), rest.iter().map(String::as_str).collect()));
            assert_eq!(split, expected, "{line}");
        }
        for (text, expected) in
            [("120", Some(120)), ("2m", Some(120)), ("1h30m", Some(5400)), ("x", None), ("99999999999999999999", None)]
        {
            assert_eq!(secs(text), expected, "{text}");
        }
    }

    #[test]
    fn sec_01_the_first_value_wins_and_includes_stand_where_they_are() {
        let fixture = Fixture::live()
            .file(
                "/etc/ssh/sshd_config",
                "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no\nMatch all\nX11Forwarding no\n",
            )
            .file("/etc/ssh/sshd_config.d/10.conf", "PermitRootLogin yes\nMatch User a\n  Port 1\n")
            .file("/etc/ssh/sshd_config.d/20.conf", "PasswordAuthentication no\n")
            .process(9, 'S', &["sshd: /usr/sbin/sshd -D -o MaxAuthTries=3 [listener] 0 of 10-100 startups"]);
        let host = fixture.host();
        let config = SshdConfig::read(&host).unwrap();
        let get = |keyword| config.get(keyword, "default");
        assert_eq!((get("PermitRootLogin").value.as_str(), get("port").value.as_str()), ("yes", "default"));
        assert_eq!(get("PermitRootLogin").source, "/etc/ssh/sshd_config.d/10.conf:1");
        // A block ends with the file that it is in.
        assert_eq!(get("PasswordAuthentication").value, "no");
        assert_eq!((get("X11Forwarding").value.as_str(), get("MaxAuthTries").value.as_str()), ("no", "3"));
        assert_eq!(config.in_blocks("port").len(), 1);
    }

    #[test]
    fn sec_01_a_file_that_includes_itself_ends() {
        let fixture = Fixture::image().file("/etc/ssh/sshd_config", "Include sshd_config\nPort 22\n");
        assert!(matches!(SshdConfig::read(&fixture.host()), Err(Gap::Unknown(_))));
        assert!(matches!(SshdConfig::read(&Fixture::image().host()), Err(Gap::NotHere(_))));
    }
}
