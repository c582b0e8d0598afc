//! The customer's ceiling: what any remote party can ever get on this server. Root-owned, local, final.
//!
//! Rules are read from top to bottom; the first whose scope and user match decides; no match means `never`. A file
//! that is missing, unreadable, malformed or has an unknown key allows nothing. `*` stands for every user but root:
//! root must be named.
//!
//! Plugins, which are programs, are declared here and nowhere else. Who may have one run from afar is for the rules.
//!
//! The last line is `[end]`. A file that was cut off does not have it: without its last lines a rule could be wider
//! than it was written, so such a file allows nothing.

use crate::grant::Scope;
use crate::limits::{CEILING_BYTES_MAX, CHANNELS_MAX, DETACHED_SECS_DEFAULT, VISIT_SECS_MAX};
use crate::plugin::{self, Plugin};
use crate::signer::SignerKind;
use crate::time::{UnixTime, weekday_and_minute};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Schema of the file: 1.
    pub version: u32,
    /// The preset that wrote it, for people.
    #[serde(default)]
    pub preset: String,
    /// Limits for everything.
    #[serde(default)]
    pub limits: Limits,
    /// Rules in order.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// Monitoring plugins that are checks of this host.
    #[serde(default, rename = "plugin", skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<Plugin>,
    /// The line that says that nothing is missing.
    pub end: End,
}

/// The empty table at the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {}

/// Limits that hold whatever a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest visit.
    pub visit: Span,
    /// A shell without a view ends after this time.
    pub detached: Span,
    /// A shell without input ends after this time; zero = never.
    pub idle: Span,
    /// Shells and commands at once.
    pub channels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            visit: Span(VISIT_SECS_MAX),
            detached: Span(DETACHED_SECS_DEFAULT),
            idle: Span(0),
            channels: CHANNELS_MAX,
        }
    }
}

/// What a rule is about. The schema is final from the start; a build opens only what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeName {
    /// Login shells.
    Shell,
    /// Single commands.
    Exec,
    /// Reading files.
    FilesRead,
    /// Writing files.
    FilesWrite,
    /// Read-only checks.
    Checks,
    /// Live metrics.
    Metrics,
    /// Journalled changes with proof and way back.
    Remedy,
    /// Watching another engineer's shell, and ending it for the customer.
    Watch,
    /// Reading the host's own audit log. It belongs to no user: only a rule without `users`, or with `*`, is about it.
    Audit,
}

/// How far a rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nobody, whatever is signed.
    Never,
    /// With a second signature for each visit.
    Ask,
    /// With the engineer's signature.
    Allow,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is about.
    pub scope: ScopeName,
    /// How far it goes.
    pub mode: Mode,
    /// Users that shells, commands and files act as. Empty: any but root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Path prefixes for files and remedies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Check ids, and groups of checks. Empty: all that Cloud Doctor brings; what `never` is about, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// Numbers of the checks that it lets run, in place of their own; no relay says any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Setting>,
    /// When, in the server's local time. Empty: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// Longest visit that uses this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
    /// Kinds of engineers' signatures accepted.
    #[serde(default = "signers", skip_serializing_if = "is_signers")]
    pub signers: Vec<SignerKind>,
    /// Who may give the second signature when the mode is `ask`.
    #[serde(default = "second", skip_serializing_if = "is_second")]
    pub second: Vec<SignerKind>,
    /// Whether it may be given ahead, for some hours, in the trust log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ahead: bool,
}

fn signers() -> Vec<SignerKind> {
    vec![SignerKind::Sshsig, SignerKind::Local]
}

fn is_signers(value: &Vec<SignerKind>) -> bool {
    *value == signers()
}

fn second() -> Vec<SignerKind> {
    vec![SignerKind::Local, SignerKind::Sshsig]
}

fn is_second(value: &Vec<SignerKind>) -> bool {
    *value == second()
}

/// A length of time in a file: `90s`, `15m`, `8h`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// A number of a check: `lb.measured-interval.observe=30`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Setting {
    check: String,
    param: String,
    /// As it was written.
    number: String,
}

/// The check's id, the parameter and the number of `CHECK.PARAMETER=NUMBER`; finite.
#[must_use]
pub fn setting(text: &str) -> Option<(&str, &str, f64)> {
    let (name, number) = text.split_once('=')?;
    let (check, param) = name.trim().rsplit_once('.')?;
    let number = number.trim().parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some((check, param, number))
}

impl Setting {
    /// The check's id.
    #[must_use]
    pub fn check(&self) -> &str {
        &self.check
    }

    /// The parameter.
    #[must_use]
    pub fn param(&self) -> &str {
        &self.param
    }

    /// The number; finite.
    #[must_use]
    pub fn number(&self) -> f64 {
        self.number.parse().unwrap_or_default()
    }
}

impl TryFrom<String> for Setting {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parse = || {
            let (check, param, _) =
                setting(&text).filter(|(check, param, _)| check.contains('.') && !param.is_empty())?;
            let number = text.split_once('=')?.1.trim().to_owned();
            Some(Self { check: check.to_owned(), param: param.to_owned(), number })
        };
        parse().ok_or_else(|| format!("\"{text}\" is not like \"lb.measured-interval.observe=30\""))
    }
}

impl From<Setting> for String {
    fn from(setting: Setting) -> Self {
        setting.to_string()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}={}", self.check, self.param, self.number)
    }
}

/// Weekdays and times of day: `Mon-Fri 08:00-18:00`, `Sat,Sun 00:00-24:00`, `22:00-06:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Bit 0 = Monday.
    days: u8,
    /// First minute of the day.
    from: u16,
    /// First minute that is out again; smaller than `from` means past midnight.
    to: u16,
}

/// The ceiling cannot be used; nothing is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeilingError {
    /// Larger than any real one.
    #[error("the ceiling has {0} bytes; at most {CEILING_BYTES_MAX} are read")]
    TooLong(usize),
    /// TOML or schema.
    #[error("the ceiling does not parse: {0}")]
    Parse(String),
    /// A plugin that is not wholly right.
    #[error("{0}")]
    Plugin(plugin::Fault),
    /// A schema of another build.
    #[error("the ceiling has version {0}; this agent reads version 1")]
    Version(u32),
    /// Cut off, or written without its last line.
    #[error(
        "its last line is not [end]: it may be cut off. Look whether it is whole, then write [end] as its last line"
    )]
    NoEnd,
}

/// The group of a host's own checks, packs and plugins: ids begin with it. A rule that lets them run names them.
pub const OWN_CHECKS: &str = "x";

/// The last line of a ceiling.
const END: &str = "[end]";

/// Whether the last line that says anything is the end marker.
fn is_whole(text: &str) -> bool {
    let says = |line: &&str| !line.is_empty() && !line.starts_with('#');
    text.lines().map(str::trim).rfind(says) == Some(END)
}

impl FromStr for Ceiling {
    type Err = CeilingError;
    fn from_str(text: &str) -> Result<Self, CeilingError> {
        if text.len() > CEILING_BYTES_MAX {
            return Err(CeilingError::TooLong(text.len()));
        }
        if !is_whole(text) {
            return Err(CeilingError::NoEnd);
        }
        let wrong = |e: toml::de::Error| match plugin::fault(text) {
            Some(fault) => CeilingError::Plugin(fault),
            None => CeilingError::Parse(e.to_string().trim().to_owned()),
        };
        let ceiling: Self = toml::from_str(text).map_err(wrong)?;
        if ceiling.version != 1 {
            return Err(CeilingError::Version(ceiling.version));
        }
        match plugin::clash(&ceiling.plugins) {
            Some(fault) => Err(CeilingError::Plugin(fault)),
            None => Ok(ceiling),
        }
    }
}

impl Ceiling {
    /// The rule that decides for a scope and user; `None` = never.
    #[must_use]
    pub fn rule(&self, scope: ScopeName, user: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.scope == scope && rule.covers(user))
    }

    /// The rule that decides about a check, by its id and its group; `None` = never. Whoever allowed all checks did not know
    /// yet what somebody would put on this host later, so own checks are allowed by name only.
    #[must_use]
    pub fn check_rule(&self, id: &str, group: &str) -> Option<&Rule> {
        let names = |rule: &&Rule| {
            if rule.checks.is_empty() {
                group != OWN_CHECKS || rule.mode == Mode::Never
            } else {
                rule.checks.iter().any(|name| name == id || name == group)
            }
        };
        self.rules.iter().filter(|rule| rule.scope == ScopeName::Checks).find(names)
    }

    /// The rule under which a grant's scope may be had; `None` = never.
    #[must_use]
    pub fn rule_of(&self, scope: &Scope) -> Option<&Rule> {
        self.rule(scope.name(), scope.user().unwrap_or_default()).filter(|rule| rule.mode != Mode::Never)
    }
}

impl Rule {
    fn covers(&self, user: &str) -> bool {
        if self.users.is_empty() {
            return user != "root";
        }
        self.users.iter().any(|pattern| pattern == user || (pattern == "*" && user != "root"))
    }

    /// Whether the hours allow `now`; `offset_secs` is the server's zone, east of UTC.
    #[must_use]
    pub fn open_at(&self, now: UnixTime, offset_secs: i32) -> bool {
        self.hours.is_empty() || self.hours.iter().any(|hours| hours.contains(now, offset_secs))
    }
}

impl Hours {
    fn contains(&self, now: UnixTime, offset_secs: i32) -> bool {
        let (day, minute) = weekday_and_minute(now, offset_secs);
        let on = |day: u8| self.days >> (day % 7) & 1 == 1;
        if self.from < self.to {
            on(day) && (self.from..self.to).contains(&minute)
        } else {
            (on(day) && minute >= self.from) || (on(day + 6) && minute < self.to)
        }
    }
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn parse_days(text: &str) -> Option<u8> {
    let day = |name: &str| DAYS.iter().position(|d| d.eq_ignore_ascii_case(name));
    text.split(',').try_fold(0u8, |bits, part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (day(from)?, day(to)?);
        let length = (to + 7 - from) % 7;
        Some((0..=length).fold(bits, |bits, i| bits | 1 << ((from + i) % 7)))
    })
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let value = hour * 60 + minute;
    (minute < 60 && value <= 24 * 60).then_some(value)
}

impl FromStr for Hours {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (days, times) = text.trim().split_once(' ').unwrap_or(("Mon-Sun", text.trim()));
            let (from, to) = times.trim().split_once('-')?;
            let hours = Hours { days: parse_days(days)?, from: parse_minute(from)?, to: parse_minute(to)? };
            (hours.from != hours.to).then_some(hours)
        };
        parse().ok_or_else(|| format!("\"{text}\" is not like \"Mon-Fri 08:00-18:00\""))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = (0..7).filter(|i| self.days >> i & 1 == 1).map(|i| DAYS[i]).collect();
        let (from, to) = (self.from, self.to);
        write!(f, "{} {:02}:{:02}-{:02}:{:02}", days.join(","), from / 60, from % 60, to / 60, to % 60)
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a time like 90s, 15m, 8h or 2d");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Span).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            s if s % 86_400 == 0 => write!(f, "{}d", s / 86_400),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

macro_rules! serde_by_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_by_text!(Span Hours);

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeName::Shell => "shell",
            ScopeName::Exec => "exec",
            ScopeName::FilesRead => "files-read",
            ScopeName::FilesWrite => "files-write",
            ScopeName::Checks => "checks",
            ScopeName::Metrics => "metrics",
            ScopeName::Remedy => "remedy",
            ScopeName::Watch => "watch",
            ScopeName::Audit => "audit",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Ceiling, CeilingError> {
        format!("version = 1\n{text}\n[end]").parse()
    }

    #[test]
    fn first_match_decides_and_star_is_never_root() {
        let ceiling = parse(
            "[[rule]]\nscope='shell'\nmode='ask'\nusers=['root']\n[[rule]]\nscope='shell'\nmode='allow'\nusers=['*']\n\
             [[rule]]\nscope='exec'\nmode='allow'\n",
        )
        .unwrap();
        let mode = |scope, user| ceiling.rule(scope, user).map(|r| r.mode);
        assert_eq!(mode(ScopeName::Shell, "root"), Some(Mode::Ask));
        assert_eq!(mode(ScopeName::Shell, "anna"), Some(Mode::Allow));
        assert_eq!(mode(ScopeName::Exec, "root"), None);
        assert_eq!(mode(ScopeName::FilesRead, "anna"), None);
    }

    #[test]
    fn r_17_own_checks_are_allowed_by_name_only_and_forbidden_with_all_others() {
        let rule = |mode: &str, checks: &str| format!("[[rule]]\nscope='checks'\nmode='{mode}'\n{checks}\n");
        for (text, own, ours) in [
            (rule("allow", ""), None, Some(Mode::Allow)),
            (rule("allow", "checks=['x']"), Some(Mode::Allow), None),
            (rule("allow", "checks=['x.a.b']"), Some(Mode::Allow), None),
            (rule("allow", "checks=['x.a.c', 'cpu']"), None, Some(Mode::Allow)),
            (rule("allow", "") + &rule("allow", "checks=['x.a.b']"), Some(Mode::Allow), Some(Mode::Allow)),
            (rule("never", "") + &rule("allow", "checks=['x.a.b']"), Some(Mode::Never), Some(Mode::Never)),
            (rule("never", "checks=['x.a.b']") + &rule("allow", "checks=['x']"), Some(Mode::Never), None),
        ] {
            let ceiling = parse(&text).unwrap();
            let mode = |id, group| ceiling.check_rule(id, group).map(|rule| rule.mode);
            assert_eq!((mode("x.a.b", "x"), mode("cpu.usage", "cpu")), (own, ours), "{text}");
        }
    }

    #[test]
    fn unknown_keys_modes_and_versions_allow_nothing() {
        for bad in [
            "surprise = 1",
            "[[rule]]\nscope='shell'\nmode='always'",
            "[[rule]]\nscope='shell'\nmode='allow'\nuser=['x']",
            "[[rule]]\nscope='shell'",
            "[limits]\nvisit='8 hours'",
            "[[rule]]\nscope='shell'\nmode='allow'\nhours=['Mon-Fri']",
            "[[rule]\n",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!("version = 2\n[end]".parse::<Ceiling>(), Err(CeilingError::Version(2)));
        assert!("".parse::<Ceiling>().is_err());
    }

    #[test]
    fn nothing_but_the_end_is_an_end() {
        let whole = "version = 1\n[[rule]]\nscope='exec'\nmode='never'\n";
        for good in ["[end]", "[end]\n", "\n  [end]  \n\n# edited by ann\n\n", "[end]\r\n"] {
            assert!(format!("{whole}{good}").parse::<Ceiling>().is_ok(), "{good:?}");
        }
        for bad in
            ["", "# [end]", "[end", "end = true", "[end] # really", "[[end]]", "[end]\n[end]", "[end]\nx = 1\n[end]"]
        {
            assert!(format!("{whole}{bad}").parse::<Ceiling>().is_err(), "{bad:?}");
        }
        for quotes in ["\"\"\"", "'''"] {
            for inside in [format!("x = {quotes}\n[end]"), format!("x = {quotes}\n[end]\n{quotes}")] {
                assert!(format!("{whole}{inside}").parse::<Ceiling>().is_err(), "{inside:?}");
            }
        }
        let after = format!("{whole}[end]\n[[rule]]\nscope='shell'\nmode='allow'\n");
        assert_eq!(after.parse::<Ceiling>(), Err(CeilingError::NoEnd), "a rule behind the end could be cut");
        let written = toml::to_string(&format!("{whole}[end]").parse::<Ceiling>().unwrap()).unwrap();
        assert!(written.parse::<Ceiling>().is_ok(), "{written}");
    }

    #[test]
    fn hours() {
        let office: Hours = "Mon-Fri 08:00-18:00".parse().unwrap();
        let night: Hours = "Fri 22:00-06:00".parse().unwrap();
        // 1970-01-02 was a Friday.
        let at = |day: u64, hour: u64| UnixTime(day * 86_400 + hour * 3600);
        for (hours, now, expected) in [
            (office, at(1, 8), true),
            (office, at(1, 18), false),
            (office, at(2, 12), false),
            (night, at(1, 23), true),
            (night, at(2, 5), true),
            (night, at(2, 6), false),
            (night, at(1, 5), false),
        ] {
            assert_eq!(hours.contains(now, 0), expected, "{hours} {now:?}");
            assert_eq!(hours.to_string().parse::<Hours>().unwrap(), hours);
        }
        for bad in ["25:00-26:00", "9999:00-08:00", "08:00-08:00", "Mon 8:00-9:00", "Foo 08:00-09:00", ""] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans() {
        for (text, secs) in [("90s", 90), ("15m", 900), ("8h", 28_800), ("2d", 172_800)] {
            assert_eq!(text.parse::<Span>().unwrap().0, secs);
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for bad in ["", "h", "-1h", "1.5h", "1w", "99999999999999999999s", "1é"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}
