//! `pack`: what authors of checks need. Tests are run by a checker, as checks are.

use super::{Exit, say};
use crate::checker;
use crate::messages::{Message, language};
use crate::own;
use crate::state::{Places, files};
use cloud_doctor_checks::pack::{self, Lock, Sources};
use cloud_doctor_proto::finding::Words;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `pack schema`.
pub(super) fn schema() -> Exit {
    say::line(pack::schema().trim_end());
    Exit::Done
}

/// `pack test`: every test of every file, each with how it went.
pub(super) fn test(files: &[PathBuf]) -> Exit {
    let mut bad = false;
    let mut sources = Sources::default();
    // Which file a check stands in.
    let mut from = BTreeMap::new();
    for path in files {
        match own::open(path) {
            Ok(opened) => {
                for id in opened.pack.ids {
                    if let Some(other) = from.insert(id.clone(), opened.source.path.clone()) {
                        bad = true;
                        say::problem(Message::Failed, &[&format!("{id}: {other}, {}", path.display())]);
                    }
                }
                sources.packs.push(opened.source);
            }
            Err(why) => {
                bad = true;
                problems(&why);
            }
        }
    }
    if sources.packs.is_empty() {
        return Exit::Failed;
    }
    let tried = match checker::test(&sources) {
        Ok(tried) => tried,
        Err(why) => {
            problems(&why);
            return Exit::Failed;
        }
    };
    let mut failed = 0_usize;
    for one in &tried {
        let file = from.get(&one.check).map_or("", String::as_str);
        let name = format!("{file}:{} {} {}", one.line, one.check, one.name);
        match &one.wrong {
            None => say::tell(Message::PackTestPassed, &[&name]),
            Some(why) => {
                failed += 1;
                say::tell(Message::PackTestFailed, &[name.trim_end(), why.get(language())]);
            }
        }
    }
    say::tell(Message::PackTests, &[&(tried.len() - failed).to_string(), &failed.to_string()]);
    if bad || failed > 0 { Exit::Failed } else { Exit::Done }
}

/// `pack lock`: writes what is there now, if none of it is older than what was locked.
pub(super) fn lock(places: &Places) -> Exit {
    let path = own::lock_file(&places.etc);
    let locked = own::read_lock(&places.etc).and_then(|old| {
        let old = old.unwrap_or_default();
        let (mut lock, mut count) = (Lock::default(), 0_usize);
        for file in own::pack_files(&own::folder(&places.etc))? {
            let opened = own::open(&file)?;
            old.not_older(&opened.pack.name, &opened.pack.version).map_err(|error| error.0)?;
            lock.set(&opened.pack.name, &opened.pack.version, &opened.source.text);
            count += 1;
        }
        Ok((lock, count))
    });
    let (lock, count) = match locked {
        Ok(locked) => locked,
        Err(why) => {
            problems(&why);
            return Exit::Config;
        }
    };
    if let Err(error) = files::replace(&path, 0o644, lock.text().as_bytes()) {
        return say::file_problem(&error);
    }
    say::tell(Message::PackLocked, &[&count.to_string(), &path.display().to_string()]);
    Exit::Done
}

/// A line each.
fn problems(why: &Words) {
    for line in why.get(language()).lines() {
        say::problem(Message::Failed, &[line]);
    }
}
