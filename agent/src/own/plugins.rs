//! `plugins.toml`: which monitoring plugins this host's owner wants to be run, and as whom.

use super::{read_trusted, twice};
use cloud_doctor_checks::pack::Configured;
use cloud_doctor_checks::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::refusal::one_line;
use serde::Deserialize;
use std::path::Path;

const PLUGINS_MAX: usize = 32;
const ARGS_MAX: usize = 64;
const ARG_BYTES_MAX: usize = 4096;
/// As long as any check may take.
const SECS_MAX: u64 = 10;
/// Who runs them when nobody else is named.
const USER: &str = "nobody";

/// A plugin that is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plugin {
    pub(crate) id: String,
    pub(crate) exec: String,
    pub(crate) args: Vec<String>,
    pub(crate) timeout_secs: u64,
    pub(crate) user: String,
    title: Option<String>,
    remedy: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    plugin: Vec<Written>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    exec: String,
    #[serde(default)]
    args: Vec<String>,
    timeout: Option<String>,
    user: Option<String>,
    title: Option<String>,
    remedy: Option<String>,
}

impl Plugin {
    /// What a checker needs to know of it.
    pub(super) fn configured(&self) -> Configured {
        Configured {
            id: self.id.clone(),
            title: self.title.clone(),
            exec: self.exec.clone(),
            remedy: self.remedy.clone(),
        }
    }
}

/// Reads the file; none is no plugin. `taken`: ids of packs.
///
/// # Errors
/// All that is wrong, a line each: then none is run.
pub(super) fn load(path: &Path, taken: &[String]) -> Result<Vec<Plugin>, Words> {
    if !path.try_exists().unwrap_or(true) {
        return Ok(Vec::new());
    }
    let text = read_trusted(path, super::LIST_BYTES_MAX)?;
    parse(&path.display().to_string(), &text, taken)
}

fn parse(path: &str, text: &str, taken: &[String]) -> Result<Vec<Plugin>, Words> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line =
            error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count());
        let why = one_line(error.message(), 200);
        words!("{path}:{line}: {why}", "{path}:{line}：{why}")
    })?;
    let mut faults: Vec<Words> = Vec::new();
    if file.plugin.len() > PLUGINS_MAX {
        faults.push(words!("{PLUGINS_MAX} plugins at most are run", "最多运行 {PLUGINS_MAX} 个插件"));
    }
    let mut plugins: Vec<Plugin> = Vec::new();
    for written in file.plugin {
        let id = one_line(&written.id, 100);
        if taken.contains(&id) || plugins.iter().any(|other| other.id == id) {
            faults.push(twice(&id));
        }
        match plugin(written) {
            Ok(plugin) => plugins.push(plugin),
            Err(why) => faults.push(Words { en: format!("{id}: {}", why.en), zh: format!("{id}：{}", why.zh) }),
        }
    }
    if faults.is_empty() {
        return Ok(plugins);
    }
    let all = |get: fn(&Words) -> &String| {
        faults.iter().map(|why| format!("{path}: {}", get(why))).collect::<Vec<_>>().join("\n")
    };
    Err(Words { en: all(|words| &words.en), zh: all(|words| &words.zh) })
}

fn plugin(written: Written) -> Result<Plugin, Words> {
    let parts: Vec<_> = written.id.split('.').collect();
    let is_name = |part: &str| {
        !part.is_empty() && part.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-')
    };
    if parts.len() != 3 || parts[0] != "x" || !parts.iter().all(|part| is_name(part)) || written.id.len() > 80 {
        return Err(words!("an id is like x.site.raid, of a-z, 0-9 and -", "id 形如 x.site.raid，由 a-z、0-9、- 组成"));
    }
    if !written.exec.starts_with('/') || written.exec.contains('\0') {
        return Err(words!(
            "exec must be an absolute path; no shell looks for it",
            "exec 必须是绝对路径，不经 shell 查找"
        ));
    }
    if written.args.len() > ARGS_MAX || written.args.iter().any(|one| one.len() > ARG_BYTES_MAX || one.contains('\0')) {
        return Err(words!("args are {ARGS_MAX} texts at most", "args 最多 {ARGS_MAX} 个文本"));
    }
    let timeout_secs = match written.timeout.as_deref() {
        None => SECS_MAX,
        Some(text) => {
            let secs = text.strip_suffix('s').and_then(|text| text.parse().ok());
            secs.filter(|secs| (1..=SECS_MAX).contains(secs)).ok_or_else(|| {
                words!("timeout is between 1s and {SECS_MAX}s, like 8s", "timeout 在 1s 到 {SECS_MAX}s 之间，例如 8s")
            })?
        }
    };
    let user = written.user.unwrap_or_else(|| USER.to_owned());
    let Written { id, exec, args, title, remedy, .. } = written;
    Ok(Plugin { id, exec, args, timeout_secs, user, title, remedy })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plugins_are_read_with_what_is_left_out_filled_in() {
        let text =
            "[[plugin]]\nid = 'x.site.raid'\nexec = '/opt/site/check_raid'\nargs = ['-w', '1']\ntimeout = '8s'\n";
        let plugin = parse("p", text, &[]).unwrap().remove(0);
        assert_eq!((plugin.user.as_str(), plugin.timeout_secs, plugin.args.len()), ("nobody", 8, 2));
        assert_eq!(parse("p", "", &[]).unwrap(), []);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let one = |id: &str, rest: &str| format!("[[plugin]]\nid = '{id}'\nexec = '/bin/true'\n{rest}\n");
        let text = one("x.a.b", "timeout = '11s'")
            + &one("cpu.usage", "")
            + &one("x.a.c", "")
            + &one("x.a.c", "")
            + &one("x.p.c", "");
        let why = parse("p", &text, &["x.p.c".to_owned()]).unwrap_err().en;
        for part in ["x.a.b: timeout", "cpu.usage: an id", "x.a.c is there already", "x.p.c is there already"] {
            assert!(why.contains(part), "{part}: {why}");
        }
        for (text, part) in [
            (one("x.a.b", "sudo = true"), "p:4: unknown field"),
            ("[[plugin]]\nid = 'x.a.b'\nexec = 'true'\n".to_owned(), "absolute path"),
            ("[[plugin]]\nid = 1".to_owned(), "p:2:"),
        ] {
            let why = parse("p", &text, &[]).unwrap_err().en;
            assert!(why.contains(part), "{part}: {why}");
        }
    }
}
