//! The files of the repository, or a made-up tree that shows a rule can complain.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file, its path counted from the top of the repository.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// What the rules are held against.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// All text files below the top, but what is built and what git keeps.
    pub(crate) fn of_repository() -> Self {
        let mut files = Vec::new();
        collect(&top(), &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.len() > 20, "the repository was not found at {}", top().display());
        Self { files }
    }

    /// A tree of made-up files, for a rule's own test.
    pub(crate) fn made_up(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() });
        Self { files: files.collect() }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub(crate) fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.starts_with(folder))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live one folder below the top").to_owned()
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if ["target", ".git", "node_modules", "dist", "corpus", "artifacts"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned();
            files.push(File { path, text });
        }
    }
}

/// Fails with all complaints at once, one per line.
#[track_caller]
pub(crate) fn holds(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// The rule's own test: it complains about each of the bad files and not about the good one.
#[track_caller]
pub(crate) fn can_complain(rule: fn(&Tree) -> Vec<String>, bad: &[(&str, &str)], good: (&str, &str)) {
    for file in bad {
        assert!(!rule(&Tree::made_up(&[*file])).is_empty(), "no complaint about {}: {}", file.0, file.1);
    }
    holds(&rule(&Tree::made_up(&[good])));
}
