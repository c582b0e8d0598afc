//! httpd's directives as it reads them (server/config.c): continued lines, includes, variables, and which sections count.
//! Conditions are judged in order, as `LoadModule`, `Define` and the sections are carried out while files are read.

use super::super::Place;
use super::super::includes::{Includes, join, line_of, whole};
use super::words::{split_word, words};
use crate::words;
use std::collections::{BTreeMap, BTreeSet};

/// A line with those that it is continued in.
const LINE_BYTES_MAX: usize = 64 << 10;
/// What variables may add to all lines, in bytes.
const RESOLVED_BYTES_MAX: usize = 8 << 20;
/// Sections in sections; httpd stops at 100 as well (core.c, `AP_MAX_INCLUDE_DEPTH` and its like).
const SECTIONS_DEEP_MAX: usize = 100;
/// What httpd has in itself: Debian's `apache2 -l`. CentOS loads those that it has not before it asks for them.
const BUILT_IN: [&str; 16] = [
    "core.c",
    "core_module",
    "mod_so.c",
    "so_module",
    "http_core.c",
    "http_module",
    "mod_watchdog.c",
    "watchdog_module",
    "mod_log_config.c",
    "log_config_module",
    "mod_logio.c",
    "logio_module",
    "mod_version.c",
    "version_module",
    "mod_unixd.c",
    "unixd_module",
];
/// Everything that is looked at here came with 2.4.
const VERSION: (u32, u32) = (2, 4);
/// What the collector asks for.
const WANTED: [&str; 6] =
    ["balancermember", "proxyhctemplate", "proxyhctpsize", "proxytimeout", "timeout", "servername"];

/// A directive that counts.
pub(super) struct Directive {
    /// In lower case.
    pub(super) name: &'static str,
    pub(super) words: Vec<String>,
    pub(super) place: Place,
    /// The server that it belongs to; 0 is the main one.
    pub(super) server: usize,
    /// What the `<Proxy …>` around it says.
    pub(super) proxy: Option<String>,
}

pub(super) struct Reader<'a, 'h> {
    pub(super) includes: &'a mut Includes<'h>,
    pub(super) root: String,
    /// `Define` and `-D`: the value is empty for a name alone.
    pub(super) defines: BTreeMap<String, String>,
    /// The environment that the service is started with.
    pub(super) environment: BTreeMap<String, String>,
    modules: BTreeSet<String>,
    sections: Vec<Section>,
    /// Macros that hold balancers; they are not expanded here.
    macros: BTreeSet<String>,
    servers: usize,
    resolved_bytes: usize,
    directives: Vec<Directive>,
}

struct Section {
    name: String,
    place: Place,
    what: What,
}

#[derive(PartialEq)]
enum What {
    /// Its condition is not met, or it is in one whose is not.
    Skipped,
    Macro(String),
    Server(usize),
    Proxy(String),
    Other,
}

impl<'a, 'h> Reader<'a, 'h> {
    pub(super) fn new(includes: &'a mut Includes<'h>, root: String) -> Self {
        Self {
            includes,
            root,
            defines: BTreeMap::new(),
            environment: BTreeMap::new(),
            modules: BUILT_IN.iter().map(|name| (*name).to_owned()).collect(),
            sections: Vec::new(),
            macros: BTreeSet::new(),
            servers: 0,
            resolved_bytes: 0,
            directives: Vec::new(),
        }
    }

    pub(super) fn read(mut self, path: &str) -> Vec<Directive> {
        self.file(path, &whole(path));
        self.directives
    }

    fn file(&mut self, path: &str, from: &Place) {
        let Some(text) = self.includes.open(path, from) else { return };
        let file = self.includes.current().to_owned();
        let outside = self.sections.len();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let mut whole_line = line.to_owned();
            while let Some(begun) = whole_line.strip_suffix('\\').map(str::len) {
                whole_line.truncate(begun);
                let Some((_, more)) = lines.next() else { break };
                if whole_line.len() <= LINE_BYTES_MAX {
                    whole_line.push_str(more);
                }
            }
            let line = whole_line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = line_of(&file, index + 1, "");
            if line.len() > LINE_BYTES_MAX {
                let why = words!("a line of more than 64 KiB was not read", "未读取超过 64 KiB 的行");
                self.includes.trouble(&place, why);
            } else if self.includes.has_room(&place) {
                self.line(line, place, outside);
            }
        }
        // A section must end in the file where it begins.
        for open in self.sections.split_off(outside.min(self.sections.len())) {
            let name = open.name;
            let why = words!("<{name}> has no end", "<{name}> 未结束");
            self.includes.trouble(&open.place, why);
        }
        self.includes.close();
    }

    fn line(&mut self, line: &str, place: Place, outside: usize) {
        if let Some(end) = line.strip_prefix("</") {
            let name = end.trim_end_matches('>').trim();
            if self.sections.len() > outside && self.sections.last().is_some_and(|open| is(&open.name, name)) {
                self.sections.pop();
            } else {
                let why = words!("</{name}> ends nothing that is open", "</{name}> 没有对应的开始");
                self.includes.trouble(&place, why);
            }
        } else if let Some(begin) = line.strip_prefix('<') {
            self.begin(begin, place);
        } else if self.is_skipped() {
            self.note_macro(line);
        } else {
            self.directive(line, place);
        }
    }

    fn is_skipped(&self) -> bool {
        self.sections.iter().any(|section| matches!(section.what, What::Skipped | What::Macro(_)))
    }

    /// A macro's body is only looked through for balancers.
    fn note_macro(&mut self, line: &str) {
        let found = self.sections.iter().find_map(|section| match &section.what {
            What::Macro(name) => Some(name),
            What::Skipped | What::Server(_) | What::Proxy(_) | What::Other => None,
        });
        if let Some(name) = found
            && line.to_ascii_lowercase().contains("balancer")
        {
            self.macros.insert(name.clone());
        }
    }

    fn begin(&mut self, begin: &str, place: Place) {
        if self.sections.len() >= SECTIONS_DEEP_MAX {
            let why = words!(
                "sections are nested more than {SECTIONS_DEEP_MAX} deep",
                "配置段嵌套超过 {SECTIONS_DEEP_MAX} 层"
            );
            return self.includes.trouble(&place, why);
        }
        let (name, arguments) = split_word(begin);
        // `<IfModule>` without anything, and `<Proxy x>` with its bracket at the last word.
        let name = name.trim_end_matches('>').to_owned();
        let arguments = arguments.strip_suffix('>').unwrap_or(arguments);
        let arguments = self.resolve(arguments, &place);
        let what = if self.is_skipped() { What::Skipped } else { self.what(&name, &arguments, &place) };
        self.sections.push(Section { name, place, what });
    }

    fn what(&mut self, name: &str, arguments: &str, place: &Place) -> What {
        let arguments = words(arguments);
        let first = arguments.first().map_or("", String::as_str);
        let (negated, wanted) = first.strip_prefix('!').map_or((false, first), |wanted| (true, wanted));
        let met = match name.to_ascii_lowercase().as_str() {
            "ifmodule" => self.modules.contains(wanted) != negated,
            "ifdefine" => self.defines.contains_key(wanted) != negated,
            "iffile" => self.includes.host.exists(&join(&self.root, wanted)) != negated,
            "ifversion" => match version_met(&arguments) {
                Some(met) => met,
                None => return self.unclear("<IfVersion>", place),
            },
            "ifdirective" | "ifsection" => return self.unclear(&format!("<{name}>"), place),
            "macro" => return What::Macro(first.to_ascii_lowercase()),
            "virtualhost" => {
                self.servers += 1;
                self.keep("servername", vec![first.to_owned()], place.clone(), self.servers);
                return What::Server(self.servers);
            }
            "proxy" => return What::Proxy(first.to_owned()),
            _ => return What::Other,
        };
        if met { What::Other } else { What::Skipped }
    }

    fn unclear(&mut self, name: &str, place: &Place) -> What {
        let why = words!("{name} cannot be judged here; it was left out", "此处无法判断 {name}，已略过");
        self.includes.trouble(place, why);
        What::Skipped
    }

    fn directive(&mut self, line: &str, place: Place) {
        let (name, arguments) = split_word(line);
        let arguments = self.resolve(arguments, &place);
        let name = name.to_ascii_lowercase();
        let name = name.as_str();
        if let Some(wanted) = WANTED.iter().find(|wanted| **wanted == name) {
            let place = line_of(&place.file, place.line as usize, &shown(line, &arguments));
            return self.keep(wanted, words(&arguments), place, self.server());
        }
        let arguments = words(&arguments);
        let first = arguments.first().map_or("", String::as_str);
        let second = arguments.get(1).map_or("", String::as_str);
        match name {
            "include" => self.include(first, &place, false),
            "includeoptional" => self.include(first, &place, true),
            "define" => {
                self.defines.insert(first.to_owned(), second.to_owned());
            }
            "undefine" => {
                self.defines.remove(first);
            }
            "serverroot" => self.root = join("/", first),
            "loadmodule" => {
                let file = second.rsplit('/').next().unwrap_or(second);
                self.modules.insert(first.to_owned());
                self.modules.insert(file.replace(".so", ".c"));
            }
            "use" if self.macros.contains(&first.to_ascii_lowercase()) => {
                let why = words!("macros are not expanded here", "此处不展开宏");
                self.includes.trouble(&place, why);
            }
            _ => {}
        }
    }

    fn keep(&mut self, name: &'static str, words: Vec<String>, place: Place, server: usize) {
        let proxy = self.sections.iter().rev().find_map(|section| match &section.what {
            What::Proxy(name) => Some(name.clone()),
            What::Skipped | What::Macro(_) | What::Server(_) | What::Other => None,
        });
        self.directives.push(Directive { name, words, place, server, proxy });
    }

    fn server(&self) -> usize {
        let server = self.sections.iter().rev().find_map(|section| match section.what {
            What::Server(server) => Some(server),
            What::Skipped | What::Macro(_) | What::Proxy(_) | What::Other => None,
        });
        server.unwrap_or(0)
    }

    /// A file, a pattern, or a folder with all that is in it.
    fn include(&mut self, pattern: &str, place: &Place, is_optional: bool) {
        if pattern.contains("${") {
            let why = words!("{pattern:?} has a variable that is not defined", "{pattern:?} 含有未定义的变量");
            return self.includes.trouble(place, why);
        }
        let paths = self.includes.glob(&join(&self.root, pattern), place);
        if paths.is_empty() && !is_optional {
            let why = words!(
                "{pattern:?} names no file; httpd would not start",
                "{pattern:?} 未匹配任何文件，httpd 将无法启动"
            );
            self.includes.trouble(place, why);
        }
        for path in paths {
            if let Ok(entries) = self.includes.host.list(&path) {
                // As deep as the longest path is.
                for entry in entries {
                    self.include(&format!("{path}/{}", entry.name), place, true);
                }
            } else {
                self.file(&path, place);
            }
        }
    }

    /// `${NAME}` replaced where it is defined; httpd leaves others as they stand.
    fn resolve(&mut self, text: &str, place: &Place) -> String {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            resolved.push_str(before);
            let found = after.split_once('}').and_then(|(name, after)| {
                let value = self.defines.get(name).or_else(|| self.environment.get(name))?;
                Some((value, after))
            });
            let bytes = found.map_or(0, |(value, _)| value.len());
            let had_room = self.resolved_bytes <= RESOLVED_BYTES_MAX;
            self.resolved_bytes = self.resolved_bytes.saturating_add(bytes);
            match found.filter(|_| self.resolved_bytes <= RESOLVED_BYTES_MAX) {
                Some((value, after)) => {
                    resolved.push_str(value);
                    rest = after;
                }
                None => {
                    resolved.push_str("${");
                    rest = after;
                }
            }
            if had_room && self.resolved_bytes > RESOLVED_BYTES_MAX {
                let why =
                    words!("variables add more than 8 MiB; from here they stay", "变量展开超过 8 MiB，此后不再展开");
                self.includes.trouble(place, why);
            }
        }
        resolved + rest
    }
}

fn is(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// `>= 2.4`, `2.4`, `< 2.2`; nothing where the second number does not decide.
fn version_met(arguments: &[String]) -> Option<bool> {
    let (operator, version) = match arguments {
        [version] => ("=", version),
        [operator, version, ..] => (operator.as_str(), version),
        [] => return None,
    };
    let (negated, operator) = operator.strip_prefix('!').map_or((false, operator), |operator| (true, operator));
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let wanted = (numbers.next()?.ok()?, numbers.next().map_or(Some(0), Result::ok)?);
    let is_whole = numbers.next().is_none();
    let met = match operator {
        ">" | ">=" if VERSION != wanted => VERSION > wanted,
        "<" | "<=" if VERSION != wanted => VERSION < wanted,
        ">=" if is_whole => true,
        "<" if is_whole => false,
        "=" | "==" if VERSION != wanted || is_whole => VERSION == wanted,
        _ => return None,
    };
    Some(met != negated)
}

/// The line as evidence: with variables resolved, without passwords.
fn shown(line: &str, arguments: &str) -> String {
    let (name, _) = split_word(line);
    let shown = words(arguments).into_iter().map(|word| match word.split_once('=') {
        Some((key, _)) if is(key, "secret") => format!("{key}=***"),
        Some(_) | None => without_user(&word),
    });
    std::iter::once(name.to_owned()).chain(shown).collect::<Vec<_>>().join(" ")
}

/// An address without `user:password@`.
pub(super) fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest.get(..host_end).and_then(|host| host.rfind('@')) {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}
