//! A screen of `top` as lines. Pure. Whatever a colour says, a mark and a word say too.

use super::happened;
use super::rows::{Level, PARTS, Row, Trail, Unit};
use crate::output::width;
use cloud_doctor::messages::{Id, Say};
use cloud_doctor::relay_api::{HappenedList, ProcessLine, ProcessList};
use cloud_doctor_proto::refusal::{Language, one_line};

/// Columns of a bar.
const BAR: usize = 12;
/// Columns of what a row is about, of what it says, and of its number.
const ABOUT: usize = 9;
const WHAT: usize = 24;
const NUMBER: usize = 12;
/// Columns up to the number's end, and up to the bar's.
const WITH_NUMBER: usize = 3 + ABOUT + WHAT + NUMBER;
const WITH_BAR: usize = WITH_NUMBER + 1 + BAR + 2;
/// Lines that processes get before quiet rows do: their title and the three that use most.
const PROCESSES_LEAST: usize = 4;
/// Lines of what is to be said before anything else.
const REMARK_LINES_MAX: usize = 4;
/// The steps of a line of points.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Processes when nobody says how many fit.
const PROCESSES: usize = 10;
/// Events at most, and the processes that go before them.
const EVENTS: usize = 5;
const PROCESSES_FIRST: usize = 5;
/// Columns of a process' user and name.
const USER: usize = 12;
const NAME: usize = 20;

/// What is to be shown.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) server: &'a str,
    /// What is to be said before anything else; may be empty.
    pub(super) remark: &'a str,
    pub(super) trail: &'a Trail,
    pub(super) happened: &'a HappenedList,
    pub(super) now_millis: u64,
    pub(super) processes: &'a ProcessList,
}

/// How it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) language: Language,
    pub(super) colour: bool,
    pub(super) columns: usize,
    /// Rows that there are; none: as many as it takes.
    pub(super) rows: Option<usize>,
}

impl Style {
    fn word(self, id: Id) -> String {
        Say::from(id).text(self.language)
    }

    fn painted(self, text: &str, level: Level) -> String {
        let code = match level {
            Level::Hurts => "1;31",
            Level::Look => "1;33",
            Level::Fine => "32",
            Level::Unknown => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The lines, no longer and no more than there is room for.
pub(super) fn draw(view: &View<'_>, style: Style) -> Vec<String> {
    let mut lines = vec![head(view, style)];
    if !view.remark.is_empty() {
        let text = wrapped(&format!("!! {}", one_line(view.remark, 400)), style.columns);
        lines.extend(text.iter().map(|line| style.painted(line, Level::Look)));
    }
    let all = seen(view.trail);
    let least = if view.processes.processes.is_empty() { 0 } else { PROCESSES_LEAST };
    let room = style.rows.map_or(usize::MAX, |rows| rows.saturating_sub(lines.len() + PARTS.len()));
    let bad = all.iter().filter(|seen| seen.level() >= Level::Look).count();
    let shown = chosen(&all, room.saturating_sub(least).max(bad.min(room)));
    for (part, (title, _)) in PARTS.iter().enumerate() {
        let of = || all.iter().zip(&shown).filter(move |(seen, _)| seen.part == part);
        let hidden: Vec<Level> = of().filter(|(_, shown)| !**shown).map(|(seen, _)| seen.level()).collect();
        lines.push(heading(*title, &hidden, style));
        lines.extend(of().filter(|(_, shown)| **shown).map(|(seen, _)| line(seen.row, &seen.points, style)));
    }
    lately(view, style, &mut lines);
    processes(view.processes, style, &mut lines);
    lines.truncate(style.rows.unwrap_or(usize::MAX));
    lines
}

/// A row as it stands.
struct Seen {
    part: usize,
    row: &'static Row,
    points: Vec<f32>,
}

impl Seen {
    fn level(&self) -> Level {
        self.row.level(self.points.last().copied().unwrap_or(f32::NAN))
    }
}

fn seen(trail: &Trail) -> Vec<Seen> {
    let rows = PARTS.iter().enumerate().flat_map(|(part, (_, rows))| rows.iter().map(move |row| (part, row)));
    rows.enumerate().map(|(number, (part, row))| Seen { part, row, points: trail.points(number).collect() }).collect()
}

/// Which rows are shown where there is room for so many: what is worth a look first, then how much of what is used, then
/// what is quiet, then what nobody knows; of alike ones the upper.
fn chosen(all: &[Seen], room: usize) -> Vec<bool> {
    let last = PARTS.len().saturating_sub(1);
    let importance = |seen: &Seen| match seen.level() {
        Level::Hurts => 0,
        Level::Look => 1,
        Level::Fine if seen.part == last => 2,
        Level::Fine => 3,
        Level::Unknown => 4,
    };
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by_key(|number| all.get(*number).map_or(5, importance));
    let mut shown = vec![false; all.len()];
    for number in order.into_iter().take(room) {
        shown.get_mut(number).into_iter().for_each(|place| *place = true);
    }
    shown
}

/// A part's title, and how many of its rows there is no room for.
fn heading(title: Id, hidden: &[Level], style: Style) -> String {
    let title = style.word(title);
    if hidden.is_empty() {
        return cut(&title, style.columns);
    }
    let quiet = hidden.iter().all(|level| *level < Level::Look);
    let more = if quiet { Id::TopQuiet } else { Id::TopNoRoom };
    cut(&format!("{title}  {}", more.with(&[&hidden.len()]).text(style.language)), style.columns)
}

fn head(view: &View<'_>, style: Style) -> String {
    let quit = style.word(Id::TopQuit);
    let fits = style.rows.is_some() && width(&quit) + 4 <= style.columns;
    let quit = if fits { quit } else { String::new() };
    let server = cut(&one_line(view.server, 128), style.columns.saturating_sub(width(&quit)));
    let gap = style.columns.saturating_sub(width(&server) + width(&quit));
    let server = if style.colour { format!("\x1b[1m{server}\x1b[0m") } else { server };
    if quit.is_empty() { server } else { format!("{server}{}{quit}", " ".repeat(gap)) }
}

fn line(row: &Row, points: &[f32], style: Style) -> String {
    let now = points.last().copied().unwrap_or(f32::NAN);
    let level = row.level(now);
    let mark = match level {
        Level::Hurts => "!!",
        Level::Look => "! ",
        Level::Fine => "  ",
        Level::Unknown => "? ",
    };
    let number = if level == Level::Unknown { "-".to_owned() } else { number(now, row.unit) };
    let bar = match row.unit {
        // Half a bar says another number than a whole one.
        _ if style.columns < WITH_BAR => String::new(),
        Unit::Share if now.is_finite() => bar(now),
        Unit::Share | Unit::PerSecond | Unit::BytesPerSecond | Unit::Count => " ".repeat(BAR + 2),
    };
    let (about, what) = (style.word(row.about), style.word(row.what));
    let used = if bar.is_empty() { WITH_NUMBER + 1 } else { WITH_BAR + 1 };
    let spark = spark(points, row.unit, style.columns.saturating_sub(used));
    let gap = if bar.is_empty() { "" } else { " " };
    // What a value means may be cut, the value never.
    let room = WHAT.min(style.columns.saturating_sub(WITH_NUMBER - WHAT + 2));
    let what = padded(&cut(&what, room.saturating_sub(1)), room);
    let text = format!(" {}{what}{} {bar}{gap}{spark}", padded(&about, ABOUT), left(&number, NUMBER));
    let text = cut(&text, style.columns.saturating_sub(2));
    format!("{}{}", style.painted(mark, level), text.trim_end())
}

fn number(value: f32, unit: Unit) -> String {
    match unit {
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::PerSecond => format!("{}/s", short(value, 1_000.0)),
        Unit::BytesPerSecond => {
            let text = short(value, 1_024.0);
            let gap = if text.ends_with(|last: char| last.is_ascii_digit()) { " " } else { "" };
            format!("{text}{gap}B/s")
        }
        Unit::Count => short(value, 1_000.0),
    }
}

/// Three digits and a letter.
fn short(value: f32, step: f32) -> String {
    let mut value = value;
    for letter in ["", "k", "M", "G", "T"] {
        if value.abs() < step || letter == "T" {
            let digits = if letter.is_empty() && value.fract() == 0.0 { 0 } else { 1 };
            return format!("{value:.digits$} {letter}").trim_end().to_owned();
        }
        value /= step;
    }
    String::new()
}

/// `[######------]`, read without colour and by a screen reader's user as a number beside it.
fn bar(share: f32) -> String {
    let filled = (0..BAR).filter(|step| share * 12.0 > f32::from(u8::try_from(*step).unwrap_or(0)) + 0.5).count();
    format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR - filled))
}

/// The last points, each a step between nothing and the largest one; of shares, between nothing and all.
fn spark(points: &[f32], unit: Unit, columns: usize) -> String {
    let points = &points[points.len().saturating_sub(columns)..];
    let largest = points.iter().copied().filter(|value| value.is_finite()).fold(0.0, f32::max);
    let top = if unit == Unit::Share { 1.0 } else { largest };
    let step = |value: &f32| match *value {
        value if !value.is_finite() => ' ',
        value => {
            let share = if top > 0.0 { (value / top).clamp(0.0, 1.0) } else { 0.0 };
            let at = (0..7_u8).filter(|step| share > (f32::from(*step) + 0.5) / 8.0).count();
            STEPS[at]
        }
    };
    points.iter().map(step).collect()
}

/// What happened lately, where it takes no room from the first processes.
fn lately(view: &View<'_>, style: Style, lines: &mut Vec<String>) {
    let room = style.rows.map_or(usize::MAX, |rows| rows.saturating_sub(lines.len() + 1 + PROCESSES_FIRST));
    let most = EVENTS.min(room.saturating_sub(1));
    if most == 0 || view.happened.events.is_empty() {
        return;
    }
    lines.push(cut(&style.word(Id::TopEvents), style.columns));
    let told = happened::lines(view.happened, view.now_millis, most, style.language);
    lines.extend(told.iter().map(|line| cut(&format!("   {line}"), style.columns)));
}

fn processes(list: &ProcessList, style: Style, lines: &mut Vec<String>) {
    let room = style.rows.map_or(PROCESSES, |rows| rows.saturating_sub(lines.len() + 1));
    if list.processes.is_empty() || room == 0 {
        return;
    }
    let total = Id::TopProcesses.with(&[&list.total]).text(style.language);
    let head = [Id::TopCpu, Id::TopMemory].map(|id| style.word(id));
    let columns = format!(
        "{:>8} {} {} {} ",
        "PID",
        left(&head[0], 7),
        left(&head[1], 10),
        padded(&style.word(Id::HeadUser), USER)
    );
    lines.push(cut(&format!("{columns}{total}"), style.columns));
    for process in list.processes.iter().take(room) {
        lines.push(cut(&described(process), style.columns));
    }
}

fn described(process: &ProcessLine) -> String {
    let ProcessLine { pid, name, user, unit, state, processors, memory } = process;
    let percent = if processors.is_finite() { processors * 100.0 } else { 0.0 };
    let memory = bytes(*memory);
    let [name, user, unit, state] = [name, user, unit, state].map(|text| one_line(text, 60));
    let name = padded(&cut(&name, NAME), NAME);
    format!("{pid:>8} {percent:>5.1} % {memory:>8}B {} {state} {name} {unit}", padded(&cut(&user, USER), USER))
}

fn bytes(count: u64) -> String {
    let (mut value, mut letter) = (count, "");
    for next in ["k", "M", "G", "T"] {
        if value < 10_240 {
            break;
        }
        (value, letter) = (value / 1_024, next);
    }
    format!("{value} {letter}")
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

fn left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Lines broken between words, or anywhere where there is no blank: Chinese has none.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && lines.len() < REMARK_LINES_MAX {
        let fits = cut(rest, columns);
        let whole = fits.len() == rest.len();
        let end = if whole { None } else { fits.rfind(' ').filter(|at| *at * 2 > fits.len()) };
        let end = end.unwrap_or(fits.len());
        if end == 0 {
            break;
        }
        let (line, more) = rest.split_at(end);
        lines.push(line.to_owned());
        rest = more.trim_start();
    }
    lines
}

/// The beginning that fits.
fn cut(text: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += width(c.encode_utf8(&mut [0; 4]));
        used <= columns
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn screen(columns: usize, rows: Option<usize>, colour: bool, language: Language) -> Vec<String> {
        let hostile =
            ProcessLine { pid: 7, name: "a\x1b[2J\u{202e}b".into(), user: "root".into(), ..ProcessLine::default() };
        let processes = ProcessList { total: 200, processes: vec![hostile; 60] };
        let trail = Trail::default();
        let line = r#"{"at": 1, "kind": "failed", "count": 1, "names": [], "unit": "a\u001b[2J\u202e"}"#;
        let happened = HappenedList { events: vec![serde_json::from_str(line).unwrap(); 9], ..HappenedList::default() };
        let (now_millis, trail) = (5_000, &trail);
        let view = View {
            server: "web\x1b[2J",
            remark: "gone\n",
            trail,
            happened: &happened,
            now_millis,
            processes: &processes,
        };
        draw(&view, Style { language, colour, columns, rows })
    }

    #[test]
    fn a_screen_fits_whatever_its_size_and_nothing_moves_the_cursor() {
        for (columns, rows) in [(80, 24), (20, 5), (1, 1), (300, 100)] {
            for language in [Language::En, Language::Zh] {
                let lines = screen(columns, Some(rows), false, language);
                assert!(lines.len() <= rows, "{columns} {rows}");
                for line in &lines {
                    assert!(width(line) <= columns.max(2), "{columns}: {line:?}");
                    assert!(!line.contains(['\x1b', '\n', '\u{202e}']), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn events_are_shown_where_they_fit_and_take_no_room_from_processes() {
        let count = |rows: usize, text: &str| {
            screen(100, Some(rows), false, Language::En).iter().filter(|line| line.contains(text)).count()
        };
        for rows in 1..100 {
            let (title, events) = (count(rows, "LATELY"), count(rows, "service failed"));
            assert!(events == 0 || count(rows, "root") >= PROCESSES_FIRST, "{rows}");
            assert_eq!(title, events.min(1), "{rows}");
        }
        assert_eq!(count(100, "service failed"), EVENTS);
    }

    #[test]
    fn a_small_screen_has_what_is_worth_a_look_and_says_what_it_leaves_out() {
        let all: Vec<Seen> = seen(&Trail::default())
            .into_iter()
            .enumerate()
            .map(|(number, seen)| Seen { points: vec![if number == 3 { 5.0 } else { 0.0 }], ..seen })
            .collect();
        let parts = |room| {
            let shown = chosen(&all, room);
            all.iter().zip(shown).filter(|(_, shown)| *shown).map(|(seen, _)| seen.part).collect::<Vec<_>>()
        };
        assert_eq!(parts(1), [0], "full listen queues");
        assert_eq!(parts(4), [0, 2, 2, 2]);
        assert_eq!(parts(usize::MAX).len(), all.len());
        let lines = screen(60, Some(20), false, Language::En);
        assert!(lines.iter().any(|line| line == "UTILISATION  10 more: quiet or unknown"), "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.contains("root")).count(), 3, "{lines:#?}");
        let style = Style { language: Language::En, colour: false, columns: 60, rows: None };
        let busy = PARTS[2].1.first().unwrap();
        assert!(!line(busy, &[0.97], style).contains('['), "no half of a bar");
        let style = Style { columns: 40, ..style };
        let narrow = line(busy, &[0.97], style);
        assert!(narrow.contains("97.0 %") && width(&narrow) <= 40, "{narrow}");
        assert!(heading(Id::TopErrors, &[Level::Fine, Level::Hurts], style).contains("2 more: no room"));
    }

    #[test]
    fn a_long_remark_is_read_to_its_end() {
        let english = wrapped("web-1 is not connected: it was last here 4 s ago.", 20);
        assert_eq!(english, ["web-1 is not", "connected: it was", "last here 4 s ago."]);
        let chinese = wrapped("未连接最后一次在线是四秒前", 10);
        assert_eq!(chinese, ["未连接最后", "一次在线是", "四秒前"]);
        assert!(wrapped("字", 1).is_empty(), "no room for one");
    }

    #[test]
    fn a_level_is_read_without_colour_too() {
        let row = &PARTS[2].1[0];
        for (value, mark, level) in [(0.5, "  ", Level::Fine), (0.85, "! ", Level::Look), (0.97, "!!", Level::Hurts)] {
            assert_eq!(row.level(value), level);
            let style = Style { language: Language::En, colour: false, columns: 100, rows: None };
            let text = line(row, &[0.0, value], style);
            assert!(text.starts_with(mark) && text.contains(&format!("{:.1} %", value * 100.0)), "{text}");
            assert!(text.contains("[#") && text.contains('▁'), "{text}");
        }
        let style = Style { language: Language::En, colour: false, columns: 100, rows: None };
        assert!(line(row, &[], style).starts_with("? "), "unknown is an answer");
    }

    #[test]
    fn numbers_are_short() {
        for (value, unit, text) in [
            (0.934, Unit::Share, "93.4 %"),
            (3.0, Unit::PerSecond, "3/s"),
            (12_345.0, Unit::PerSecond, "12.3 k/s"),
            (0.0, Unit::BytesPerSecond, "0 B/s"),
            (2_097_152.0, Unit::BytesPerSecond, "2.0 MB/s"),
            (1.25, Unit::Count, "1.2"),
        ] {
            assert_eq!(number(value, unit), text);
        }
        assert_eq!([bar(0.0), bar(0.5), bar(1.0)], ["[------------]", "[######------]", "[############]"]);
    }
}
