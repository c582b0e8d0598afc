//! Checks that the owner of a host writes: packs (YAML with conditions in CEL over what our readers collect) and
//! monitoring plugins.
//!
//! ```text
//!  parent, perhaps root: reads files ─ read() ─ install() ─▶ a Check for each, listed, shown and asked for like ours
//!  checker, sandboxed:   the same files in its order ──────▶ install() ─ run(): its tests first, then collect and judge
//! ```
//!
//! A pack chooses; it brings no program, no path outside of a few folders, and nothing that is evaluated outside of a
//! checker. It must never hide: what is refused is a finding.

mod collect;
mod fields;
mod fixtures;
mod judge;
mod lock;
mod message;
mod paths;
mod plugin;
mod read;
mod rule;

pub use fields::Fault;
pub use fixtures::Tried;
pub use judge::pending;
pub use lock::{Lock, LockError, hash};
pub use plugin::{Configured, Heard};
pub use read::{PACK_BYTES_MAX, Version, sentences};

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::many::many;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use collect::Collector;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// The id of the check that tells what was refused.
pub const REFUSED: &str = "x.refused";

/// A pack's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it was read.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

/// Everything of a host's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Packs, in the order of their files.
    pub packs: Vec<Source>,
    /// Plugins.
    pub plugins: Vec<Configured>,
    /// Files that were refused, and why.
    pub refused: Vec<(String, Words)>,
}

/// What is known of a pack that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// Its version, as it is written.
    pub version: String,
    /// Its checks' ids.
    pub ids: Vec<String>,
    /// Plugins that its checks ask for.
    pub plugins: Vec<String>,
}

/// A check of a pack.
#[derive(Debug)]
pub(crate) struct OwnCheck {
    id: String,
    file: String,
    line: u32,
    title: Words,
    impact: Words,
    remedy: Words,
    collect: Vec<(String, Collector)>,
    each: Option<String>,
    subject: Option<String>,
    lets: Vec<(String, String)>,
    params: Vec<Parameter>,
    crit: Option<Level>,
    warn: Option<Level>,
    message: Words,
    value: Option<String>,
    unit: &'static str,
    evidence: Vec<String>,
    tests: Vec<fixtures::Test>,
}

/// When it is how bad.
#[derive(Debug)]
struct Level {
    when: String,
    /// When it is over again, once it has fired.
    clear: Option<String>,
    /// How long it must hold before it fires.
    hold_secs: u64,
    line: u32,
}

/// A number of a check.
#[derive(Debug)]
struct Parameter {
    name: String,
    value: f64,
    /// Whether expressions see a whole number: the two kinds do not mix.
    whole: bool,
}

impl OwnCheck {
    /// Plugins that it asks for.
    fn plugins(&self) -> Vec<String> {
        let ids = self.collect.iter().filter_map(|(_, collector)| match collector {
            Collector::Plugin { id } => Some(id.clone()),
            Collector::Lb { .. }
            | Collector::FileText { .. }
            | Collector::FileKeyValue { .. }
            | Collector::Sysctl { .. }
            | Collector::Processes { .. }
            | Collector::Mounts
            | Collector::FsUsage => None,
        });
        ids.collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "only what is whole")]
    fn parameters(&self, number: impl Fn(&Parameter) -> f64) -> Map<String, Value> {
        let one = |param: &Parameter| {
            let number = number(param);
            let whole = param.whole && number.fract() == 0.0 && number.abs() < 9e15;
            (param.name.clone(), if whole { Value::from(number as i64) } else { Value::from(number) })
        };
        self.params.iter().map(one).collect()
    }
}

/// What was installed. Once for the life of a process, which is one run: what it holds is never given back.
#[derive(Debug, Default)]
struct Installed {
    checks: Vec<&'static Check>,
    own: BTreeMap<&'static str, OwnCheck>,
    plugins: BTreeMap<&'static str, Configured>,
    refused: Vec<(String, Words)>,
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// Reads one pack, to see whether it can be taken.
///
/// # Errors
/// All that is wrong with it.
pub fn open(source: &Source) -> Result<Pack, Vec<Fault>> {
    let read = read::read(&source.path, &source.text)?;
    let plugins = read.checks.iter().flat_map(OwnCheck::plugins).collect();
    let ids = read.checks.into_iter().map(|own| own.id).collect();
    Ok(Pack { name: read.name, version: read.version, ids, plugins })
}

/// Makes a host's own checks known to this process: [`crate::all`] has them at its end. Only the first call counts. A
/// pack that cannot be read is left out; [`open`] says why.
pub fn install(sources: &Sources) {
    INSTALLED.get_or_init(|| {
        let mut installed = Installed { refused: sources.refused.clone(), ..Installed::default() };
        if !installed.refused.is_empty() {
            installed.checks.push(&REFUSED_CHECK);
        }
        for source in &sources.packs {
            let Ok(read) = read::read(&source.path, &source.text) else { continue };
            for own in read.checks {
                let check = as_check(&own);
                installed.checks.push(check);
                installed.own.insert(check.id, own);
            }
        }
        for configured in &sources.plugins {
            let check = plugin_as_check(configured);
            installed.checks.push(check);
            installed.plugins.insert(check.id, configured.clone());
        }
        installed
    });
}

/// Plugins whose answers a pack's check judges.
#[must_use]
pub fn plugins_of(check: &str) -> Vec<String> {
    let own = INSTALLED.get().and_then(|installed| installed.own.get(check));
    own.map(OwnCheck::plugins).unwrap_or_default()
}

/// The host's own checks.
pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    INSTALLED.get().into_iter().flat_map(|installed| &installed.checks).copied()
}

/// Runs the tests of all packs that were installed. For a checker: this evaluates.
#[must_use]
pub fn test() -> Vec<Tried> {
    INSTALLED.get().into_iter().flat_map(|installed| installed.own.values()).flat_map(fixtures::run).collect()
}

/// The JSON Schema of packs.
#[must_use]
pub fn schema() -> &'static str {
    include_str!("pack.schema.json")
}

fn kept(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn kept_words(words: &Words) -> Text {
    Text { en: kept(&words.en), zh: kept(&words.zh) }
}

fn as_check(own: &OwnCheck) -> &'static Check {
    let source = kept(&format!("pack, {}:{}", own.file, own.line));
    let params = own.params.iter().map(|param| Param::plain(kept(&param.name), param.value, "", source));
    let reads = own.collect.iter().map(|(_, collector)| kept(&collector.reads()));
    let live = own.collect.iter().any(|(_, collector)| collector.is_live());
    Box::leak(Box::new(Check {
        id: kept(&own.id),
        title: kept_words(&own.title),
        reads: Vec::leak(reads.collect()),
        needs: Needs { live, ..Needs::FILES },
        params: Vec::leak(params.collect()),
        impact: kept_words(&own.impact),
        remedy: kept_words(&own.remedy),
        run: run_own,
    }))
}

fn plugin_as_check(configured: &Configured) -> &'static Check {
    let title =
        configured.title.as_deref().map_or_else(|| words!("Plugin {id}", "插件 {id}", id = configured.id), Words::same);
    let remedy = configured.remedy.as_deref().map_or_else(
        || {
            words!(
                "Ask who configured this plugin what it means: {exec}.",
                "请向配置此插件的人确认其含义：{exec}。",
                exec = configured.exec
            )
        },
        Words::same,
    );
    Box::leak(Box::new(Check {
        id: kept(&configured.id),
        title: kept_words(&title),
        reads: Vec::leak(vec![kept(&configured.exec)]),
        needs: Needs::LIVE,
        params: &[],
        impact: Text { en: "", zh: "" },
        remedy: kept_words(&remedy),
        run: run_plugin,
    }))
}

fn run_own(host: &Host, settings: &Settings<'_>) -> Outcome {
    let own = INSTALLED.get().and_then(|installed| installed.own.get(settings.id())).ok_or_else(gone)?;
    look(own, host, settings)
}

fn look(own: &OwnCheck, host: &Host, settings: &Settings<'_>) -> Outcome {
    // A check that fails its own tests knows nothing.
    if let Some((line, wrong)) = fixtures::run(own).into_iter().find_map(|tried| Some((tried.line, tried.wrong?))) {
        let (file, Words { en, zh }) = (&own.file, wrong);
        return Err(Gap::Unknown(Words {
            en: format!("its own test in {file}:{line} fails: {en}"),
            zh: format!("其自带测试 {file}:{line} 未通过：{zh}"),
        }));
    }
    let mut collected = Map::new();
    for (name, collector) in &own.collect {
        collected.insert(name.clone(), collector.collect(host, settings.wanted())?);
    }
    let params = own.parameters(|param| settings.number_of(&param.name, param.value));
    let wanted = settings.wanted();
    let memory = judge::Memory { before: &wanted.before, pending: Some((&wanted.pending, host.now().0)) };
    judge::judge(own, collected, &params, memory).map(many)
}

fn run_plugin(_: &Host, settings: &Settings<'_>) -> Outcome {
    let configured = INSTALLED.get().and_then(|installed| installed.plugins.get(settings.id())).ok_or_else(gone)?;
    plugin::judge(configured, settings.wanted())
}

fn gone() -> Gap {
    Gap::Unknown(words!("this process does not know the check", "此进程不认识该检查"))
}

const REFUSED_CHECK: Check = Check {
    id: REFUSED,
    title: Text { en: "Own checks that were refused", zh: "被拒绝的自定义检查" },
    reads: &["/etc/cloud-doctor/packs", "/etc/cloud-doctor/packs.lock", "/etc/cloud-doctor/ceiling.toml"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "What these checks would have told is not known.", zh: "这些检查本应给出的结果未知。"
    },
    remedy: Text {
        en: "Put right what is named, and try it: cloud-doctor-agent pack test FILE.",
        zh: "按提示修正后测试：cloud-doctor-agent pack test FILE。",
    },
    run: run_refused,
};

fn run_refused(_: &Host, _: &Settings<'_>) -> Outcome {
    let refused = INSTALLED.get().map(|installed| installed.refused.as_slice()).unwrap_or_default();
    let one = |(path, why): &(String, Words)| {
        Found::new(path.as_str(), Status::Unknown, why.clone()).evidence(path.as_str(), &why.en)
    };
    Ok(many(refused.iter().map(one).collect()))
}

#[cfg(test)]
mod tests;
