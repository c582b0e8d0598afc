//! What a pack can have looked at: a closed list of our own readers, each with few parameters. A pack chooses; it cannot
//! add a program, a shell or a path of its own outside [`super::paths`].

use super::fields::{Faults, Fields, shown, text};
use super::{paths, plugin};
use crate::document::Node;
use crate::found::Gap;
use crate::host::Host;
use crate::lb::{Origin, Probe, detect::detection, fleet};
use crate::run::Wanted;
use crate::words;
use serde_json::{Map, Value, json};

/// Most that is read of one file; an expression is no log search.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Names of one parameter.
const NAMES_MAX: usize = 50;

/// One reader with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Collector {
    /// Load balancers, as they are in effect. Empty: every kind.
    Lb { kinds: Vec<String> },
    /// A text file. `optional`: that it is missing is an answer.
    FileText { path: String, optional: bool },
    /// A file of `key = value` lines.
    FileKeyValue { path: String, optional: bool, separator: String },
    /// Kernel settings.
    Sysctl { names: Vec<String> },
    /// Running processes of these names; empty: all.
    Processes { names: Vec<String> },
    /// What is mounted.
    Mounts,
    /// Space on the file systems of this host's own.
    FsUsage,
    /// What a configured plugin said.
    Plugin { id: String },
}

pub(super) const USES: &str =
    "lb.effective_config, file.text, file.kv, sysctl, processes, mounts, fs.usage, plugin.nagios";
const KINDS: &[&str] =
    &["haproxy", "nginx", "nginx-plus", "tengine", "envoy", "traefik", "caddy", "keepalived", "apache", "kubernetes"];

impl Collector {
    /// Reads `{ use: …, … }`.
    pub(super) fn parse(node: &Node, faults: &mut Faults) -> Option<Self> {
        let Some(name) = node.get("use").and_then(Node::text) else {
            faults.add(
                node.line,
                words!("a collector is {{ use: … }}, one of: {USES}", "采集器写作 {{ use: … }}，可用：{USES}"),
            );
            return None;
        };
        let allowed: &[&str] = match name {
            "lb.effective_config" => &["use", "kinds"],
            "file.text" => &["use", "path", "optional"],
            "file.kv" => &["use", "path", "optional", "separator"],
            "sysctl" | "processes" => &["use", "names"],
            "mounts" | "fs.usage" => &["use"],
            "plugin.nagios" => &["use", "plugin"],
            _ => {
                let name = shown(name);
                faults.add(
                    node.line,
                    words!("there is no collector {name}; there are: {USES}", "没有采集器 {name}，可用：{USES}"),
                );
                return None;
            }
        };
        let fields = Fields::of(node, name, allowed, faults);
        match name {
            "lb.effective_config" => Some(Self::Lb { kinds: kinds(fields, faults) }),
            "file.text" => Some(Self::FileText { path: path(fields, faults)?, optional: optional(fields, faults) }),
            "file.kv" => {
                let separator = fields.text("separator", faults).unwrap_or("=").to_owned();
                Some(Self::FileKeyValue { path: path(fields, faults)?, optional: optional(fields, faults), separator })
            }
            "sysctl" => Some(Self::Sysctl { names: sysctls(fields, faults) }),
            "processes" => Some(Self::Processes { names: names(fields, faults) }),
            "mounts" => Some(Self::Mounts),
            "fs.usage" => Some(Self::FsUsage),
            _ => Some(Self::Plugin { id: fields.need_text("plugin", faults)?.to_owned() }),
        }
    }

    /// What it reads, for people.
    pub(super) fn reads(&self) -> String {
        match self {
            Self::Lb { .. } => "the load balancers' configuration as it is in effect".to_owned(),
            Self::FileText { path, .. } | Self::FileKeyValue { path, .. } => path.clone(),
            Self::Sysctl { names } => names.iter().map(|name| sysctl_path(name)).collect::<Vec<_>>().join(", "),
            Self::Processes { .. } => "/proc/PID/stat, /proc/PID/cmdline".to_owned(),
            Self::Mounts => "/proc/self/mountinfo".to_owned(),
            Self::FsUsage => "/proc/self/mountinfo, statvfs".to_owned(),
            Self::Plugin { id } => format!("plugin {id}"),
        }
    }

    /// Whether only a running host can tell.
    pub(super) fn is_live(&self) -> bool {
        match self {
            Self::Lb { .. } | Self::FileText { .. } | Self::FileKeyValue { .. } => false,
            Self::Sysctl { .. } | Self::Processes { .. } | Self::Mounts | Self::FsUsage | Self::Plugin { .. } => true,
        }
    }

    /// Looks.
    ///
    /// # Errors
    /// There is nothing of the kind, or it cannot be told.
    pub(super) fn collect(&self, host: &Host, wanted: &Wanted) -> Result<Value, Gap> {
        match self {
            Self::Lb { kinds } => balancers(host, kinds),
            Self::FileText { path, optional } => Ok(match file(host, path, *optional)? {
                Some(text) => json!({"present": true, "lines": text.lines().collect::<Vec<_>>(), "text": text}),
                None => json!({"present": false, "lines": [], "text": ""}),
            }),
            Self::FileKeyValue { path, optional, separator } => Ok(match file(host, path, *optional)? {
                Some(text) => json!({"present": true, "values": key_values(&text, separator)}),
                None => json!({"present": false, "values": {}}),
            }),
            Self::Sysctl { names } => sysctl(host, names),
            Self::Processes { names } => processes(host, names),
            Self::Mounts => mounts(host),
            Self::FsUsage => usage(host),
            Self::Plugin { id } => plugin::collect(id, wanted),
        }
    }
}

fn path(fields: Fields<'_>, faults: &mut Faults) -> Option<String> {
    let path = fields.need_text("path", faults)?;
    if let Err(why) = paths::allowed(path) {
        faults.add(fields.line("path"), why);
    }
    Some(path.to_owned())
}

fn optional(fields: Fields<'_>, faults: &mut Faults) -> bool {
    let Some(node) = fields.get("optional") else { return false };
    node.flag().unwrap_or_else(|| {
        faults.add(node.line, words!("optional is true or false", "optional 只能是 true 或 false"));
        false
    })
}

fn kinds(fields: Fields<'_>, faults: &mut Faults) -> Vec<String> {
    let mut kinds = Vec::new();
    for node in fields.list("kinds", NAMES_MAX, faults) {
        let Some(kind) = text(node, "kinds", faults) else { continue };
        if !KINDS.contains(&kind) {
            let (kind, list) = (shown(kind), KINDS.join(", "));
            faults
                .add(node.line, words!("there is no kind {kind}; there are: {list}", "没有类型 {kind}，可用：{list}"));
        }
        kinds.push(kind.to_owned());
    }
    kinds
}

fn names(fields: Fields<'_>, faults: &mut Faults) -> Vec<String> {
    let nodes = fields.list("names", NAMES_MAX, faults);
    nodes.iter().filter_map(|node| text(node, "names", faults)).map(str::to_owned).collect()
}

fn sysctls(fields: Fields<'_>, faults: &mut Faults) -> Vec<String> {
    let names = names(fields, faults);
    if names.is_empty() {
        faults.add(
            fields.node.line,
            words!("sysctl needs names: [vm.swappiness, …]", "sysctl 需要 names: [vm.swappiness, …]"),
        );
    }
    for name in &names {
        let is_name = |one: char| one.is_ascii_alphanumeric() || "._-/".contains(one);
        if !name.chars().all(is_name) || name.contains("..") || name.starts_with(['.', '/']) {
            let name = shown(name);
            faults.add(fields.line("names"), words!("{name} is no name of a kernel setting", "{name} 不是内核参数名"));
        }
    }
    names
}

fn sysctl_path(name: &str) -> String {
    // As sysctl(8): a slash stands for a dot within a name.
    let path: String = name
        .chars()
        .map(|one| {
            if one == '.' {
                '/'
            } else if one == '/' {
                '.'
            } else {
                one
            }
        })
        .collect();
    format!("/proc/sys/{path}")
}

fn file(host: &Host, path: &str, optional: bool) -> Result<Option<String>, Gap> {
    let text = match host.read_within(path, FILE_BYTES_MAX, paths::allowed) {
        Err(Gap::NotHere(_)) if optional => return Ok(None),
        other => other?,
    };
    if text.contains("PRIVATE KEY-----") {
        return Err(Gap::Unknown(words!(
            "{path} holds a private key; packs may not read it (CHK-06)",
            "{path} 包含私钥，检查包不得读取（CHK-06）"
        )));
    }
    Ok(Some(text))
}

/// Lines of `key = value`; comments and what is no such line are left out, of a key that stands twice the last counts.
fn key_values(text: &str, separator: &str) -> Map<String, Value> {
    let mut values = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '['])) {
        let pair = if separator.trim().is_empty() {
            line.split_once(char::is_whitespace)
        } else {
            line.split_once(separator.trim())
        };
        let Some((key, value)) = pair else { continue };
        let value = value.trim();
        let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        values.insert(key.trim().to_owned(), scalar(bare.unwrap_or(value)));
    }
    values
}

/// A number where it is one.
fn scalar(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && text.starts_with(|one: char| one.is_ascii_digit() || one == '-') => {
            number.into()
        }
        _ => text.into(),
    }
}

fn sysctl(host: &Host, names: &[String]) -> Result<Value, Gap> {
    host.must_live()?;
    let mut values = Map::new();
    for name in names {
        match host.read_within(&sysctl_path(name), 4096, paths::allowed) {
            Ok(text) => {
                let text = text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
                values.insert(name.clone(), scalar(&text));
            }
            // A setting that this kernel does not have: has() tells.
            Err(Gap::NotHere(_)) => {}
            Err(gap) => return Err(gap),
        }
    }
    Ok(json!({ "values": values }))
}

fn processes(host: &Host, names: &[String]) -> Result<Value, Gap> {
    host.must_live()?;
    let fits = |name: &str| names.is_empty() || names.iter().any(|one| one == name);
    // Never command lines: they hold passwords.
    let found: Vec<_> =
        host.processes().iter().filter(|process| fits(process.program()) || fits(&process.name)).collect();
    let items = found.iter().take(super::rule::ITEMS_MAX).map(|process| {
        json!({"name": process.program(), "pid": process.pid, "state": process.state.to_string(),
            "threads": process.threads, "resident_bytes": process.resident_bytes})
    });
    Ok(json!({ "count": found.len(), "processes": items.collect::<Vec<_>>() }))
}

fn mounts(host: &Host) -> Result<Value, Gap> {
    let mounts = host.mounts()?;
    let items = mounts.iter().map(|mount| {
        json!({"name": mount.point, "kind": mount.kind, "source": mount.shown_source(),
            "read_only": mount.read_only || mount.all_read_only})
    });
    Ok(json!({ "mounts": items.collect::<Vec<_>>() }))
}

fn usage(host: &Host) -> Result<Value, Gap> {
    let mut items = Vec::new();
    for mount in host.local_mounts(false)? {
        let mut one = json!({"name": mount.point, "kind": mount.kind, "source": mount.shown_source()});
        // Without an answer the fields are missing, and what is asked of them is unknown.
        if let (Ok(space), Some(map)) = (host.space(&mount.point), one.as_object_mut()) {
            map.insert("total_bytes".to_owned(), space.bytes.into());
            map.insert("avail_bytes".to_owned(), space.bytes_available.into());
            if let Some(used) = space.used_percent() {
                map.insert("used_pct".to_owned(), used.into());
                map.insert("avail_pct".to_owned(), (100.0 - used).into());
            }
            if let Some(used) = space.inodes_used_percent() {
                map.insert("inodes_used_pct".to_owned(), used.into());
            }
        }
        items.push(one);
    }
    Ok(json!({ "mounts": items }))
}

fn balancers(host: &Host, kinds: &[String]) -> Result<Value, Gap> {
    let fleet = fleet(host)?;
    let mut backends = Vec::new();
    for pool in
        fleet.pools.iter().filter(|pool| kinds.is_empty() || kinds.iter().any(|kind| kind == pool.system.name()))
    {
        for member in &pool.members {
            let mut one = json!({"name": pool.subject_of(member), "kind": pool.system.name(), "pool": pool.name,
                "server": member.name, "address": member.address, "file": member.place.file, "line": member.place.line,
                "text": member.place.text, "disabled": member.disabled, "backup": member.backup, "active": false});
            if let (Probe::Active(active), Some(map)) = (&member.probe, one.as_object_mut()) {
                let worst = detection(active);
                map.extend([
                    ("active".to_owned(), true.into()),
                    ("interval_ms".to_owned(), millis(active.interval.value)),
                    ("fall".to_owned(), active.fall.value.into()),
                    ("rise".to_owned(), active.rise.value.into()),
                    ("inherited_from".to_owned(), inherited(&active.interval.origin)),
                    (
                        "detect".to_owned(),
                        json!({"refused_ms": millis(worst.refused_secs),
                        "hang_ms": millis(worst.hanging_secs), "return_ms": millis(worst.return_secs)}),
                    ),
                ]);
            }
            backends.push(one);
        }
    }
    if let (true, Some(trouble)) = (backends.is_empty(), fleet.troubles.first()) {
        return Err(Gap::Unknown(trouble.why.clone()));
    }
    let troubles: Vec<_> =
        fleet.troubles.iter().map(|one| json!({"name": one.place.source(), "why": one.why.en})).collect();
    Ok(json!({ "backends": backends, "troubles": troubles }))
}

fn inherited(origin: &Origin) -> Value {
    match origin {
        Origin::At(place) => place.source().into(),
        Origin::Default(source) => format!("default: {source}").into(),
    }
}

/// Whole milliseconds: they mix with the literals of an expression.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast from a float stops at the largest number, and no time is near it"
)]
fn millis(secs: f64) -> Value {
    ((secs * 1000.0).round() as i64).into()
}
