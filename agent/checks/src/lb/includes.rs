//! Configuration files that name others: never one within itself, bounded in depth, number and statements (CHK-02).
//! Whatever is left out is a [`Trouble`] that names the line.

use super::{Place, System, Trouble};
use crate::found::Gap;
use crate::host::Host;
use crate::words;
use cloud_doctor_proto::finding::Words;

/// How deep files may name files.
const DEPTH_MAX: usize = 16;
/// Files of one system.
const FILES_MAX: usize = 2000;
/// Statements of one system; a configuration written by people has hundreds.
const STATEMENTS_MAX: usize = 50_000;
/// Troubles that are told; more say nothing new.
const TROUBLES_MAX: usize = 50;
/// A line of evidence needs no more.
const TEXT_CHARS_MAX: usize = 200;

/// The files of one system while they are read.
pub(crate) struct Includes<'h> {
    pub(crate) host: &'h Host,
    system: System,
    /// Those that are open, the outermost first.
    open: Vec<String>,
    files: usize,
    statements: usize,
    pub(crate) troubles: Vec<Trouble>,
}

impl<'h> Includes<'h> {
    pub(crate) fn new(host: &'h Host, system: System) -> Self {
        Self { host, system, open: Vec::new(), files: 0, statements: 0, troubles: Vec::new() }
    }

    /// Something that could not be read or understood.
    pub(crate) fn trouble(&mut self, place: &Place, why: Words) {
        if self.troubles.len() < TROUBLES_MAX {
            self.troubles.push(Trouble { system: self.system, place: place.clone(), why });
        }
    }

    /// The text of a file that the line `from` names; [`Includes::close`] must follow. Nothing, and a trouble, when it
    /// cannot be read, is open already, or is one too many.
    pub(crate) fn open(&mut self, path: &str, from: &Place) -> Option<String> {
        let path = normal(path);
        let why = if let Some(at) = self.open.iter().position(|open| *open == path) {
            let chain = self.open[at..].join(" -> ");
            words!("files include each other in a loop: {chain} -> {path}", "文件循环包含：{chain} -> {path}")
        } else if self.open.len() >= DEPTH_MAX {
            words!("{path} is included more than {DEPTH_MAX} files deep", "{path} 的包含层级超过 {DEPTH_MAX} 层")
        } else if self.files >= FILES_MAX {
            words!("{path} was not read: more than {FILES_MAX} files", "未读取 {path}：文件超过 {FILES_MAX} 个")
        } else {
            self.files += 1;
            match self.host.read(&path) {
                Ok(text) => {
                    self.open.push(path);
                    return Some(text);
                }
                Err(Gap::NotHere(why) | Gap::Unknown(why)) => why,
            }
        };
        self.trouble(from, why);
        None
    }

    /// The file that was opened last is read.
    pub(crate) fn close(&mut self) {
        self.open.pop();
    }

    /// The file that is being read.
    pub(crate) fn current(&self) -> &str {
        self.open.last().map_or("", String::as_str)
    }

    /// The files that a pattern names; a trouble when a folder cannot be read.
    pub(crate) fn glob(&mut self, pattern: &str, from: &Place) -> Vec<String> {
        match self.host.glob(pattern) {
            Ok(paths) => paths,
            Err(Gap::NotHere(why) | Gap::Unknown(why)) => {
                self.trouble(from, why);
                Vec::new()
            }
        }
    }

    /// Whether one more statement may be kept. Says so once when it may not.
    pub(crate) fn has_room(&mut self, place: &Place) -> bool {
        self.statements = self.statements.saturating_add(1);
        if self.statements == STATEMENTS_MAX + 1 {
            let why = words!(
                "more than {STATEMENTS_MAX} statements; the rest was not read",
                "语句超过 {STATEMENTS_MAX} 条，其余未读取"
            );
            self.trouble(place, why);
        }
        self.statements <= STATEMENTS_MAX
    }
}

/// A file as a whole.
pub(crate) fn whole(file: &str) -> Place {
    Place { file: file.to_owned(), line: 0, text: String::new() }
}

/// A line, cut to what evidence needs.
pub(crate) fn line_of(file: &str, line: usize, text: &str) -> Place {
    let text = text.trim().chars().take(TEXT_CHARS_MAX).collect();
    Place { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), text }
}

/// `path` as seen from a file or a folder named `folder`.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') { normal(path) } else { normal(&format!("{folder}/{path}")) }
}

/// The folder of a file.
pub(crate) fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Without `.`, `..` and doubled slashes, so that one file has one name.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn chk_02_a_file_is_never_read_within_itself() {
        let fixture = Fixture::image().file("/a", "x").file("/b", "y");
        let host = fixture.host();
        let mut includes = Includes::new(&host, System::Keepalived);
        let from = whole("/a");
        assert_eq!(includes.open("/a", &from).as_deref(), Some("x"));
        assert_eq!(includes.open("/etc/../b", &from).as_deref(), Some("y"));
        assert_eq!(includes.open("/./a", &from), None);
        assert_eq!(includes.troubles[0].why.en, "files include each other in a loop: /a -> /b -> /a");
        includes.close();
        assert_eq!(includes.current(), "/a");
        assert_eq!(includes.open("/b", &from).as_deref(), Some("y"));
    }

    #[test]
    fn chk_02_no_more_is_read_than_is_useful() {
        let fixture = Fixture::image().file("/a", "x");
        let host = fixture.host();
        let mut includes = Includes::new(&host, System::Apache);
        for _ in 0..FILES_MAX {
            assert!(includes.open("/a", &whole("/a")).is_some());
            includes.close();
        }
        assert_eq!(includes.open("/a", &whole("/a")), None);
        assert!((0..STATEMENTS_MAX).all(|_| includes.has_room(&whole("/a"))));
        assert!((0..10).all(|_| !includes.has_room(&whole("/a"))));
        assert_eq!(includes.troubles.len(), 2);
    }

    #[test]
    fn one_file_has_one_name() {
        for (folder, path, name) in [
            ("/etc/caddy", "sites/*", "/etc/caddy/sites/*"),
            ("/etc/caddy", "../x//y/./z", "/etc/x/y/z"),
            ("/etc", "/../../x", "/x"),
            ("", "x", "/x"),
        ] {
            assert_eq!(join(folder, path), name);
        }
        assert_eq!((folder_of("/a/b"), folder_of("/a"), folder_of("a")), ("/a", "", ""));
    }
}
