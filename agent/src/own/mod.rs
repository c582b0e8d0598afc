//! A host's own checks: packs that its owner put below `/etc/cloud-doctor`, and plugins that the ceiling declares.
//!
//! Files count only when nobody but root could have written them (as the ceiling), and packs only when `packs.lock`, where
//! there is one, names them (CHK-09). What is refused is said, and hides nothing else. It must never evaluate a pack:
//! only a checker does.

mod allowed;

pub(crate) use allowed::{Allowed, is_own};

use crate::policy::{self, NoCeiling, broken_rule};
use crate::state::{Places, files};
use cloud_doctor_checks::pack::{self, Configured, Lock, PACK_BYTES_MAX, Source, Sources};
use cloud_doctor_checks::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::plugin::Plugin;
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_proto::told::{Tell, Told};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Packs of one host.
const PACKS_MAX: usize = 50;
/// Lists of packs are far below it.
const LIST_BYTES_MAX: usize = 256 << 10;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// What a checker gets.
    pub(crate) sources: Sources,
    pub(crate) plugins: Vec<Plugin>,
}

/// The folder of packs.
pub(crate) fn folder(etc: &Path) -> PathBuf {
    etc.join("packs")
}

/// The lock of packs.
pub(crate) fn lock_file(etc: &Path) -> PathBuf {
    etc.join("packs.lock")
}

/// For root's own commands: packs, and what the ceiling in force declares. No ceiling is no plugin.
pub(crate) fn load_here(places: &Places) -> Own {
    let file = places.ceiling();
    let (plugins, refused) = match policy::load(&file) {
        Ok(ceiling) => (ceiling.plugins, None),
        Err(NoCeiling::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => (Vec::new(), None),
        Err(problem) => (Vec::new(), Some((file.display().to_string(), both(&problem.told())))),
    };
    let mut own = load(&places.etc, plugins);
    own.sources.refused.extend(refused);
    own
}

/// Every pack below `etc`, and these plugins of the ceiling's. What cannot be taken is in `refused`.
pub(crate) fn load(etc: &Path, plugins: Vec<Plugin>) -> Own {
    let mut own = Own::default();
    let mut taken = Taken::default();
    let files = match pack_files(&folder(etc)) {
        Ok(files) => files,
        Err(why) => {
            own.sources.refused.push((folder(etc).display().to_string(), why));
            Vec::new()
        }
    };
    // A lock that cannot be read lets nothing in.
    let lock = match read_lock(etc) {
        Ok(lock) => Some(lock),
        Err(why) => {
            own.sources.refused.push((lock_file(etc).display().to_string(), why));
            None
        }
    };
    for path in files.into_iter().filter(|_| lock.is_some()) {
        let taken = open(&path).and_then(|opened| {
            locked(lock.as_ref().and_then(Option::as_ref), &opened)?;
            taken.add(&opened)?;
            Ok(opened.source)
        });
        match taken {
            Ok(source) => own.sources.packs.push(source),
            Err(why) => own.sources.refused.push((path.display().to_string(), why)),
        }
    }
    let (double, plugins) = plugins.into_iter().partition::<Vec<_>, _>(|plugin| taken.ids.contains(&plugin.id));
    own.plugins = plugins;
    own.sources.refused.extend(double.into_iter().map(|plugin| (plugin.id.clone(), twice(&plugin.id))));
    own.sources.plugins = own.plugins.iter().map(configured).collect();
    own
}

/// What a checker needs to know of a plugin.
fn configured(plugin: &Plugin) -> Configured {
    let Plugin { id, exec, title, remedy, .. } = plugin.clone();
    Configured { id, title, exec, remedy }
}

impl Own {
    /// Adds a pack that somebody named on the command line; the lock is of others. With `hashes`, it must have one of them.
    ///
    /// # Errors
    /// A sentence for each thing that is wrong.
    pub(crate) fn add(&mut self, path: &Path, hashes: &[String]) -> Result<(), Words> {
        let opened = open(path)?;
        let hash = pack::hash(&opened.source.text);
        if !hashes.is_empty() && !hashes.contains(&hash) {
            let path = path.display();
            return Err(words!(
                "{path} has the hash {hash}, which is not the one that was given (CHK-09)",
                "{path} 的哈希为 {hash}，与给定的不符（CHK-09）"
            ));
        }
        let mut taken = Taken::default();
        for source in &self.sources.packs {
            // They were read a moment ago.
            if let Ok(pack) = pack::open(source) {
                taken.add(&Opened { source: source.clone(), pack })?;
            }
        }
        taken.add(&opened)?;
        if let Some(plugin) = self.plugins.iter().find(|plugin| opened.pack.ids.contains(&plugin.id)) {
            return Err(twice(&plugin.id));
        }
        self.sources.packs.push(opened.source);
        Ok(())
    }
}

/// A pack that was read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) source: Source,
    pub(crate) pack: pack::Pack,
}

/// Reads a pack.
///
/// # Errors
/// All that is wrong with it, a line each.
pub(crate) fn open(path: &Path) -> Result<Opened, Words> {
    let text = read_trusted(path, PACK_BYTES_MAX)?;
    let source = Source { path: path.display().to_string(), text };
    let pack = pack::open(&source).map_err(|faults| pack::sentences(&source.path, &faults))?;
    Ok(Opened { source, pack })
}

fn locked(lock: Option<&Lock>, opened: &Opened) -> Result<(), Words> {
    let Some(lock) = lock else { return Ok(()) };
    lock.admits(&opened.pack.name, &opened.pack.version, &opened.source.text).map_err(|error| error.0)
}

/// The lock, where there is one.
///
/// # Errors
/// It is there and cannot be believed.
pub(crate) fn read_lock(etc: &Path) -> Result<Option<Lock>, Words> {
    let path = lock_file(etc);
    if !path.try_exists().unwrap_or(true) {
        return Ok(None);
    }
    let text = read_trusted(&path, LIST_BYTES_MAX)?;
    Lock::parse(&text).map(Some).map_err(|error| error.0)
}

/// The packs' files, by name; none when there is no folder.
///
/// # Errors
/// The folder cannot be believed.
pub(crate) fn pack_files(folder: &Path) -> Result<Vec<PathBuf>, Words> {
    let failed = |error: std::io::Error| {
        let folder = folder.display();
        words!("{folder} cannot be read: {error}", "无法读取 {folder}：{error}")
    };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    trusted_folder(folder)?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "yaml" || end == "yml")).collect();
    paths.sort();
    if paths.len() > PACKS_MAX {
        let (folder, count) = (folder.display(), paths.len());
        return Err(words!(
            "{folder} holds {count} packs, {PACKS_MAX} at most are read",
            "{folder} 中有 {count} 个检查包，上限 {PACKS_MAX}"
        ));
    }
    Ok(paths)
}

fn trusted_folder(path: &Path) -> Result<(), Words> {
    let meta = std::fs::symlink_metadata(path).map_err(|error| cannot_read(path, &error))?;
    match broken_rule(&meta, meta.is_dir()) {
        Some(rule) => Err(rule_words(rule, path)),
        None => Ok(()),
    }
}

/// A file that nobody but root, or we, could have written.
///
/// # Errors
/// It cannot be read, or somebody else could have.
pub(crate) fn read_trusted(path: &Path, bytes_max: usize) -> Result<String, Words> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    trusted_folder(parent)?;
    let file = files::open_no_follow(path).map_err(|error| cannot_read(path, &error))?;
    let meta = file.metadata().map_err(|error| cannot_read(path, &error))?;
    if let Some(rule) = broken_rule(&meta, meta.is_file()) {
        return Err(rule_words(rule, path));
    }
    let mut text = String::new();
    file.take(bytes_max as u64 + 1).read_to_string(&mut text).map_err(|error| cannot_read(path, &error))?;
    if text.len() > bytes_max {
        let path = path.display();
        return Err(words!("{path} is longer than {bytes_max} bytes", "{path} 超过 {bytes_max} 字节"));
    }
    Ok(text)
}

fn rule_words(rule: Tell, path: &Path) -> Words {
    both(&rule.with(&[&path.display()]))
}

fn both(told: &Told) -> Words {
    Words { en: told.text(Language::En), zh: told.text(Language::Zh) }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Words {
    let path = path.display();
    words!("{path} cannot be read: {error}", "无法读取 {path}：{error}")
}

fn twice(id: &str) -> Words {
    words!("{id} is there already; give it another name", "{id} 已存在，请改名")
}

/// Names that are taken.
#[derive(Debug, Default)]
struct Taken {
    packs: BTreeMap<String, String>,
    ids: Vec<String>,
}

impl Taken {
    fn add(&mut self, opened: &Opened) -> Result<(), Words> {
        let (name, path) = (&opened.pack.name, &opened.source.path);
        if let Some(other) = self.packs.get(name) {
            return Err(words!(
                "pack {name} stands in {other} already; keep one",
                "检查包 {name} 已在 {other} 中，请只保留一个"
            ));
        }
        self.packs.insert(name.clone(), path.clone());
        self.ids.extend(opened.pack.ids.iter().cloned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn pack(name: &str, version: &str) -> String {
        format!(
            "pack: {name}\nversion: {version}\nrequires: {{ schema: 1 }}\nchecks:\n  - id: x.{name}.c\n    title: t\n    collect: {{ c: {{ use: file.kv, path: /etc/a }} }}\n    crit: {{ when: c.values.n > 1 }}\n    message: m\n    remedy: r\n    tests:\n      - {{ given: {{ c: {{ values: {{ n: 2 }} }} }}, expect: [ {{ state: crit }} ] }}\n      - {{ given: {{ c: {{ values: {{ n: 1 }} }} }}, expect: [] }}\n"
        )
    }

    fn etc(files: &[(&str, String)]) -> tempfile::TempDir {
        let etc = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = etc.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        etc
    }

    fn refused(etc: &Path) -> Vec<String> {
        load(etc, Vec::new()).sources.refused.into_iter().map(|(_, why)| why.en).collect()
    }

    #[test]
    fn what_is_below_etc_is_taken_and_what_is_wrong_hides_nothing_else() {
        assert_eq!(load(tempfile::tempdir().unwrap().path(), Vec::new()).sources, Sources::default());
        let etc = etc(&[
            ("packs/a.yaml", pack("a", "1.0.0")),
            ("packs/b.yaml", pack("a", "1.0.0")),
            ("packs/c.yaml", "junk: [".to_owned()),
            ("packs/d.yml", pack("d", "1.0.0")),
            ("packs/notes.txt", "x".to_owned()),
            (
                "ceiling.toml",
                ceiling("[[plugin]]\nid = 'x.a.c'\nexec = '/bin/true'\n[[plugin]]\nid = 'x.b.c'\nexec = '/bin/true'\n"),
            ),
        ]);
        let own = load_here(&places(etc.path()));
        assert_eq!((own.sources.packs.len(), own.plugins.len(), own.sources.plugins.len()), (2, 1, 1));
        let why: Vec<_> = own.sources.refused.into_iter().map(|(_, why)| why.en).collect();
        assert_eq!(why.len(), 3, "{why:?}");
        for (at, part) in [(0, "stands in"), (1, "c.yaml:"), (2, "x.a.c is there already")] {
            assert!(why[at].contains(part), "{why:?}");
        }
    }

    fn ceiling(text: &str) -> String {
        format!("version = 1\n{text}\n[end]\n")
    }

    fn places(etc: &Path) -> Places {
        Places { etc: etc.to_owned(), ..Places::new(None) }
    }

    #[test]
    fn r_17_a_ceiling_that_cannot_be_believed_declares_no_plugin_and_is_told() {
        let text = ceiling("[[plugin]]\nid = 'x.a.c'\nexec = '/bin/true'\n");
        let etc = etc(&[("ceiling.toml", text.clone())]);
        let plugins = || {
            let own = load_here(&places(etc.path()));
            (own.plugins.len(), own.sources.refused.len())
        };
        assert_eq!(plugins(), (1, 0));
        let file = etc.path().join("ceiling.toml");
        std::fs::write(&file, text.replace("id", "ids")).unwrap();
        assert_eq!(plugins(), (0, 1));
        std::fs::write(&file, &text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(plugins(), (0, 1));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(plugins(), (0, 0), "without relay and configuration there is nothing to complain about");
    }

    #[test]
    fn chk_06_a_pack_that_others_could_have_written_is_refused() {
        let etc = etc(&[("packs/a.yaml", pack("a", "1.0.0"))]);
        let (folder, file) = (folder(etc.path()), folder(etc.path()).join("a.yaml"));
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        for (path, bad, good) in [(&file, 0o666, 0o644), (&folder, 0o777, 0o755)] {
            mode(path, bad);
            assert!(refused(etc.path())[0].contains("must not be writable"), "{}", path.display());
            mode(path, good);
        }
        assert!(refused(etc.path()).is_empty());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
            assert!(refused(etc.path())[0].contains("must belong to root"));
        }
        std::fs::rename(&file, etc.path().join("real")).unwrap();
        symlink(etc.path().join("real"), &file).unwrap();
        assert_eq!(refused(etc.path()).len(), 1, "a link");
    }

    #[test]
    fn chk_09_with_a_lock_only_what_it_names_is_taken() {
        let (text, lock) = (pack("a", "1.2.0"), Lock::default());
        let locked = |name: &str, version: &str, text: &str| {
            let mut lock = lock.clone();
            lock.set(name, version, text);
            lock.text()
        };
        for (lock, part) in [
            (locked("a", "1.2.0", &text), ""),
            (locked("a", "1.2.0", "other"), "has the hash"),
            (locked("a", "1.3.0", &text), "older than 1.3.0"),
            (locked("b", "1.2.0", &text), "not in packs.lock"),
            ("pack = 1".to_owned(), "lock cannot be read"),
        ] {
            let etc = etc(&[("packs/a.yaml", text.clone()), ("packs.lock", lock)]);
            let why = refused(etc.path());
            assert_eq!(load(etc.path(), Vec::new()).sources.packs.len(), usize::from(part.is_empty()), "{why:?}");
            assert!(part.is_empty() || why[0].contains(part), "{part}: {why:?}");
        }
        let etc = etc(&[("a.yaml", text.clone())]);
        let file = etc.path().join("a.yaml");
        let mut own = Own::default();
        assert!(own.add(&file, &[pack::hash("other")]).unwrap_err().en.contains("CHK-09"));
        own.add(&file, &[pack::hash(&text)]).unwrap();
        assert!(own.add(&file, &[]).unwrap_err().en.contains("stands in"));
    }
}
