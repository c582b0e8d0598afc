//! Reads the files of one HAProxy in their order, line by line, section by section, into pools and notes.

use super::conditions::{Blocks, Step, Taken};
use super::global::Global;
use super::line::Line;
use super::notes::Notes;
use super::pool::pool;
use super::proxy::{Kind, Page, Proxy};
use super::variables::Variables;
use super::words::split;
use super::{MEMBERS_MAX, StatsPage};
use crate::lb::{Place, Pool};
use crate::words;
use cloud_doctor_proto::finding::Words;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Sections besides the five that are read here (`REGISTER_CONFIG_SECTION` in HAProxy's sources, old ones included).
const OTHER_SECTIONS: &[&str] = &[
    "acme",
    "cache",
    "crt-store",
    "dynamic-update",
    "fcgi-app",
    "healthcheck",
    "http-errors",
    "log-forward",
    "log-profile",
    "mailers",
    "namespace_list",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];
/// Sections with servers, or with a page, that are kept.
const SECTIONS_MAX: usize = 20_000;
/// Sections `defaults` that are remembered by name.
const NAMES_MAX: usize = 10_000;

/// Where a line stands.
#[derive(Debug)]
enum Section {
    /// Before any, as each file begins.
    Nothing,
    Global,
    Proxy(Box<Proxy>),
    /// One that is not read here.
    Other,
    /// It depends on a condition where lines belong.
    Perhaps,
}

/// The reading of one HAProxy's files.
#[derive(Debug)]
pub(super) struct Reader {
    variables: Variables,
    blocks: Blocks,
    /// The last condition that cannot be known here, until it has been said.
    condition: Option<Place>,
    section: Section,
    named: BTreeMap<String, Rc<Proxy>>,
    last: Option<Rc<Proxy>>,
    /// Sections, to be made pools once the global section is known to its end.
    done: Vec<Proxy>,
    servers: usize,
    pub(super) global: Global,
    pub(super) notes: Notes,
}

impl Reader {
    pub(super) fn new(variables: Variables) -> Self {
        Self {
            variables,
            blocks: Blocks::default(),
            condition: None,
            section: Section::Nothing,
            named: BTreeMap::new(),
            last: None,
            done: Vec::new(),
            servers: 0,
            global: Global::default(),
            notes: Notes::default(),
        }
    }

    /// Reads one file.
    pub(super) fn read(&mut self, file: &str, bytes: &[u8]) {
        self.blocks = Blocks::default();
        let (bytes, has_mark) = bytes.strip_prefix(b"\xef\xbb\xbf").map_or((bytes, false), |rest| (rest, true));
        if has_mark {
            self.refuse(
                file,
                1,
                b"",
                words!(
                    "the file begins with a byte order mark, which HAProxy refuses",
                    "文件以 BOM 开头，HAProxy 会拒绝"
                ),
            );
        }
        let mut number = 0;
        for raw in bytes.split(|byte| *byte == b'\n') {
            number += 1;
            self.read_line(file, number, raw);
        }
        if bytes.last().is_some_and(|last| *last != b'\n') {
            let last = bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            let why = words!(
                "the last line does not end with a line feed; HAProxy 2.3 and later refuse the file",
                "最后一行缺少换行符；HAProxy 2.3 及以上版本会拒绝该文件"
            );
            self.refuse(file, number, last, why);
        }
        if self.blocks.is_open() {
            self.refuse(file, number, b"", words!("an .if has no .endif", ".if 缺少 .endif"));
        }
        self.end_section();
        self.section = Section::Nothing;
    }

    fn refuse(&mut self, file: &str, number: u32, raw: &[u8], why: Words) {
        self.notes.trouble_in(file, number, raw, why);
    }

    fn read_line(&mut self, file: &str, number: u32, raw: &[u8]) {
        // A line in brackets is a scope for other programs.
        let begin = raw.trim_ascii_start();
        if begin.is_empty() || begin.starts_with(b"[") || begin.starts_with(b"#") {
            return;
        }
        let words = match split(raw, &self.variables) {
            Ok(words) => words,
            Err(why) => return self.refuse(file, number, raw, why),
        };
        if words.is_empty() {
            return;
        }
        let mut line = Line { file, number, raw, words };
        if self.take_condition(&line) || self.blocks.taken() == Taken::No {
            return;
        }
        if let Some(empty) = line.words.iter().position(|word| word.text.is_empty()) {
            let why = words!(
                "a word is empty; HAProxy ignores or refuses what follows",
                "存在空参数；HAProxy 会忽略其后内容或拒绝"
            );
            self.notes.trouble(&line, why);
            line.words.truncate(empty);
        }
        match self.blocks.taken() {
            Taken::Yes => self.take(&line),
            Taken::No => {}
            Taken::Perhaps => self.take_perhaps(&line),
        }
    }

    /// Whether a line was one about conditions.
    fn take_condition(&mut self, line: &Line<'_>) -> bool {
        match self.blocks.step(&line.words, &self.variables) {
            Step::Other => return false,
            Step::Done => {}
            Step::Unknown => self.condition = Some(line.place()),
            Step::Refused => {
                let why =
                    words!("this condition does not belong here; HAProxy refuses it", "此条件位置不当，HAProxy 会拒绝");
                self.notes.trouble(line, why);
            }
        }
        true
    }

    /// A line that counts.
    fn take(&mut self, line: &Line<'_>) {
        if let Some(kind) = kind_of(line.word(0)) {
            return self.begin(kind, line);
        }
        match (&mut self.section, line.word(0)) {
            (_, "global") => {
                self.end_section();
                self.section = Section::Global;
            }
            (_, other) if OTHER_SECTIONS.contains(&other) => {
                self.end_section();
                self.section = Section::Other;
            }
            // Negations and resets are of options that change no probe.
            (_, "no" | "default") => {}
            (Section::Global, _) => self.global.take(line, &mut self.variables, &mut self.notes),
            (Section::Proxy(proxy), _) => {
                let before = proxy.servers.len();
                if self.servers <= MEMBERS_MAX || !matches!(line.word(0), "server" | "server-template") {
                    proxy.take(line, &mut self.notes);
                }
                let room = MEMBERS_MAX.saturating_sub(self.servers);
                self.servers += proxy.servers.len() - before;
                if proxy.servers.len() - before > room {
                    proxy.servers.truncate(before + room);
                    let why = words!(
                        "there are more than {MEMBERS_MAX} servers; those from here on were not looked at",
                        "server 超过 {MEMBERS_MAX} 个，此处之后的未检查"
                    );
                    self.notes.trouble(line, why);
                }
            }
            (Section::Nothing, _) => {
                let why =
                    words!("this line belongs to no section; HAProxy refuses it", "此行不属于任何段落，HAProxy 会拒绝");
                self.notes.trouble(line, why);
            }
            (Section::Other | Section::Perhaps, _) => {}
        }
    }

    /// A section begins.
    fn begin(&mut self, kind: Kind, line: &Line<'_>) {
        self.end_section();
        let named = kind != Kind::Defaults || line.word(1) != "from" || line.word(3) == "from";
        let (name, from) = if named { (line.word(1), 2) } else { ("", 1) };
        if kind != Kind::Defaults && name.is_empty() {
            self.notes.trouble(line, words!("this section needs a name", "该段落需要名称"));
        }
        let base = match (line.word(from), kind) {
            ("from", _) => self.named.get(line.word(from + 1)).cloned(),
            // A section "defaults" begins from nothing.
            (_, Kind::Defaults) => None,
            (_, Kind::Frontend | Kind::Listen | Kind::Backend) => self.last.clone(),
        };
        let mut proxy = Proxy::new(kind, name, line.place(), base.as_deref());
        if line.word(from) == "from" && base.is_none() {
            let other = line.word(from + 1);
            let why = words!("there is no section \"defaults {other}\" above", "上文没有 \"defaults {other}\" 段落");
            self.notes.trouble(line, why.clone());
            proxy.unclear = Some(why);
        }
        self.section = Section::Proxy(Box::new(proxy));
    }

    fn end_section(&mut self) {
        let Section::Proxy(proxy) = std::mem::replace(&mut self.section, Section::Other) else { return };
        if proxy.kind != Kind::Defaults {
            let counts = !proxy.servers.is_empty() || proxy.page.place.is_some();
            if counts && self.done.len() < SECTIONS_MAX {
                self.done.push(*proxy);
            }
            return;
        }
        let proxy = Rc::new(*proxy);
        if !proxy.name.is_empty() && self.named.len() < NAMES_MAX {
            self.named.insert(proxy.name.clone(), proxy.clone());
        }
        self.last = Some(proxy);
    }

    /// A line that counts or not. What depends on it is not told, rather than guessed.
    fn take_perhaps(&mut self, line: &Line<'_>) {
        let first = line.word(0);
        let begins = kind_of(first).is_some() || first == "global" || OTHER_SECTIONS.contains(&first);
        let in_proxy = matches!(self.section, Section::Proxy(_));
        let matters = begins || (in_proxy && matters(line)) || matches!(self.section, Section::Perhaps);
        if matches!(self.section, Section::Global) && first.ends_with("setenv") {
            self.variables.forget(line.word(1));
        }
        if !matters {
            return;
        }
        let why = words!(
            "whether this counts depends on a condition that only HAProxy itself can tell",
            "此处是否生效取决于只有 HAProxy 自身才能判断的条件"
        );
        if let Some(condition) = self.condition.take() {
            self.notes.trouble_at(condition, why.clone());
        }
        if let Section::Proxy(proxy) = &mut self.section
            && !matches!(first, "server" | "server-template")
        {
            proxy.unclear = Some(why.clone());
        }
        if begins {
            self.end_section();
            self.section = Section::Perhaps;
        }
        if first == "defaults"
            && let Some(last) = &self.last
        {
            let mut unclear = Proxy::new(Kind::Defaults, "", line.place(), Some(last));
            unclear.unclear = Some(why);
            self.last = Some(Rc::new(unclear));
        }
    }

    /// What the sections come to.
    pub(super) fn finish(&mut self) -> (Vec<Pool>, Vec<StatsPage>) {
        let done = std::mem::take(&mut self.done);
        let pages = done.iter().filter_map(page).collect();
        (done.into_iter().filter_map(|proxy| pool(proxy, &self.global, &mut self.notes)).collect(), pages)
    }
}

fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "defaults" => Some(Kind::Defaults),
        "frontend" => Some(Kind::Frontend),
        "listen" => Some(Kind::Listen),
        "backend" => Some(Kind::Backend),
        _ => None,
    }
}

/// Whether a line of a section can change which servers there are, or how they are probed.
fn matters(line: &Line<'_>) -> bool {
    match line.word(0) {
        "server" | "server-template" | "default-server" | "mode" | "disabled" | "enabled" | "tcp-check"
        | "http-check" => true,
        "timeout" => matches!(line.word(1), "check" | "connect"),
        "option" => line.word(1).contains("-check") || line.word(1).contains("chk"),
        _ => false,
    }
}

/// A page with statistics that strangers may reach.
fn page(proxy: &Proxy) -> Option<StatsPage> {
    let Page { place, has_password, has_admin, has_rules, public } = proxy.page.clone();
    let (place, _) = place.zip(public)?;
    let subject = proxy.subject();
    (!proxy.disabled).then_some(StatsPage { subject, place, is_open: !has_password && !has_rules, is_admin: has_admin })
}
