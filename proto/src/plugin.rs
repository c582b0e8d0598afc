//! A monitoring plugin that a customer's ceiling declares: a program of the host, with every argument fixed there.
//!
//! The ceiling alone says which programs may be run as checks, how and as whom. Nothing of it ever comes from a relay: a
//! relay can only ask for the id.

use crate::ceiling::Span;
use crate::told::{Tell, Told};
use serde::{Deserialize, Serialize};

/// Plugins of one host.
pub const PLUGINS_MAX: usize = 32;
const ARGS_MAX: usize = 64;
const ARG_BYTES_MAX: usize = 4096;
const ID_BYTES_MAX: usize = 80;
/// As long as any check may take.
const SECS_MAX: u64 = 10;
/// Who runs it when nobody else is named.
const USER: &str = "nobody";

/// A program that is run as a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Plugin {
    /// The check's id: `x.site.raid`.
    pub id: String,
    /// The program, by its absolute path.
    pub exec: String,
    /// Its arguments, each as it is: no shell reads them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// It is ended after this.
    pub timeout: Span,
    /// Who runs it.
    pub user: String,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What to do when it complains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    exec: String,
    #[serde(default)]
    args: Vec<String>,
    timeout: Option<Span>,
    user: Option<String>,
    title: Option<String>,
    remedy: Option<String>,
}

/// What is wrong with a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    code: Tell,
    values: Vec<String>,
}

impl Fault {
    fn new(code: Tell, values: &[&dyn std::fmt::Display]) -> Self {
        Self { code, values: values.iter().map(ToString::to_string).collect() }
    }

    /// For people, in their language. `place` is the file that it stands in.
    #[must_use]
    pub fn told(&self, place: &dyn std::fmt::Display) -> Told {
        let values = self.values.iter().map(|value| value as &dyn std::fmt::Display);
        self.code.with(&[place].into_iter().chain(values).collect::<Vec<_>>())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.told(&"the ceiling").fmt(f)
    }
}

impl TryFrom<Written> for Plugin {
    type Error = Fault;
    fn try_from(written: Written) -> Result<Self, Fault> {
        let Written { id, exec, args, timeout, user, title, remedy } = written;
        if !is_id(&id) {
            return Err(Fault::new(Tell::PluginId, &[&id]));
        }
        if !exec.starts_with('/') || exec.contains('\0') {
            return Err(Fault::new(Tell::PluginExec, &[&id]));
        }
        if args.len() > ARGS_MAX || args.iter().any(|one| one.len() > ARG_BYTES_MAX || one.contains('\0')) {
            return Err(Fault::new(Tell::PluginArgs, &[&id, &ARGS_MAX, &ARG_BYTES_MAX]));
        }
        let timeout = timeout.unwrap_or(Span(SECS_MAX));
        if !(1..=SECS_MAX).contains(&timeout.0) {
            return Err(Fault::new(Tell::PluginTimeout, &[&id, &SECS_MAX]));
        }
        Ok(Self { id, exec, args, timeout, user: user.unwrap_or_else(|| USER.to_owned()), title, remedy })
    }
}

/// A ceiling, as far as its plugins go.
#[derive(Deserialize)]
struct Declared {
    #[serde(default)]
    plugin: Vec<Written>,
}

/// What is wrong with a plugin of a ceiling that does not parse: the parser has words for it in one language only.
pub(crate) fn fault(ceiling: &str) -> Option<Fault> {
    let declared: Declared = toml::from_str(ceiling).ok()?;
    declared.plugin.into_iter().find_map(|written| Plugin::try_from(written).err())
}

fn is_id(id: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty() && part.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
    };
    let parts: Vec<_> = id.split('.').collect();
    parts.len() == 3 && parts[0] == "x" && parts.iter().all(|part| is_name(part)) && id.len() <= ID_BYTES_MAX
}

/// Why these cannot stand in one ceiling, if they cannot.
pub(crate) fn clash(plugins: &[Plugin]) -> Option<Fault> {
    if plugins.len() > PLUGINS_MAX {
        return Some(Fault::new(Tell::PluginsMany, &[&PLUGINS_MAX]));
    }
    let twice = |(at, plugin): &(usize, &Plugin)| plugins[..*at].iter().any(|other| other.id == plugin.id);
    plugins.iter().enumerate().find(twice).map(|(_, plugin)| Fault::new(Tell::PluginTwice, &[&plugin.id]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ceiling::Ceiling;

    fn ceiling(text: &str) -> Result<Ceiling, String> {
        format!("version = 1\n{text}\n[end]\n").parse().map_err(|error: crate::ceiling::CeilingError| error.to_string())
    }

    fn one(id: &str, rest: &str) -> String {
        format!("[[plugin]]\nid = '{id}'\nexec = '/bin/true'\n{rest}\n")
    }

    #[test]
    fn plugins_are_read_with_what_is_left_out_filled_in_and_survive_being_written() {
        let text =
            "[[plugin]]\nid = 'x.site.raid'\nexec = '/opt/site/check_raid'\nargs = ['-w', '1']\ntimeout = '8s'\n";
        let read = ceiling(text).unwrap();
        let plugin = &read.plugins[0];
        assert_eq!((plugin.user.as_str(), plugin.timeout, plugin.args.len()), ("nobody", Span(8), 2));
        assert_eq!(ceiling("").unwrap().plugins, []);
        let again = toml::to_string(&read).unwrap();
        assert_eq!(again.parse::<Ceiling>().unwrap(), read, "{again}");
    }

    #[test]
    fn r_17_a_plugin_that_is_not_wholly_right_makes_the_whole_ceiling_allow_nothing() {
        let many = (0..=PLUGINS_MAX).map(|n| one(&format!("x.a.n{n}"), "")).collect::<String>();
        for (text, part) in [
            (one("x.a.b", "timeout = '11s'"), "between 1s and 10s"),
            (one("x.a.b", "timeout = '0s'"), "between 1s and 10s"),
            (one("cpu.usage", ""), "an id is like"),
            (one("x.a", ""), "an id is like"),
            (one("x.a.B", ""), "an id is like"),
            (one("x.a.c", "") + &one("x.a.c", ""), "is there already"),
            (one("x.a.b", "sudo = true"), "unknown field"),
            (one("x.a.b", "args = '-w 1'"), "expected a sequence"),
            (one("x.a.b", &format!("args = [{}]", "'a',".repeat(65))), "64 texts"),
            ("[[plugin]]\nid = 'x.a.b'\nexec = 'true'\n".to_owned(), "absolute path"),
            ("[[plugin]]\nid = 'x.a.b'\n".to_owned(), "missing field"),
            (many, "32 plugins at most"),
        ] {
            let why = ceiling(&text).unwrap_err();
            assert!(why.contains(part), "{part}: {why}");
        }
    }
    #[test]
    fn r_17_what_is_wrong_with_a_plugin_is_told_in_both_languages() {
        use crate::ceiling::CeilingError;
        use crate::refusal::Language;
        let many = (0..=PLUGINS_MAX).map(|n| one(&format!("x.a.n{n}"), "")).collect::<String>();
        for (text, en, zh) in [
            (one("x.a.b", "timeout = '11s'"), "between 1s and 10s", "1s 与 10s 之间"),
            (one("x.a", ""), "plugin x.a: an id is like", "插件 x.a：id 应形如"),
            (one("x.a.c", "") + &one("x.a.c", ""), "x.a.c is there already", "插件 x.a.c 已经存在"),
            (one("x.a.b", &format!("args = [{}]", "'a',".repeat(65))), "64 texts of 4096", "64 项，每项最多 4096"),
            ("[[plugin]]\nid = 'x.a.b'\nexec = 'true'\n".to_owned(), "absolute path", "绝对路径"),
            (many, "32 plugins at most", "最多可声明 32 个"),
        ] {
            let error = format!("version = 1\n{text}\n[end]\n").parse::<Ceiling>().unwrap_err();
            let CeilingError::Plugin(fault) = error else { panic!("{text}: {error}") };
            let told = |language| fault.told(&"/etc/c.toml").text(language);
            let (english, chinese) = (told(Language::En), told(Language::Zh));
            assert!(english.starts_with("/etc/c.toml: ") && english.contains(en), "{english}");
            assert!(chinese.starts_with("/etc/c.toml：") && chinese.contains(zh), "{chinese}");
        }
    }
}
