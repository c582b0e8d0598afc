//! A host for tests: files in a folder, read as a running host or as an image.
#![allow(clippy::unwrap_used)]

use super::{Host, samples::Samples};
use crate::check::Check;
use crate::run::{Wanted, look};
use cloud_doctor_proto::finding::{Finding, Status};
use cloud_doctor_proto::time::{BootTime, UnixTime};
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder that becomes a host.
#[derive(Debug)]
pub(crate) struct Fixture {
    folder: TempDir,
    later: Vec<(String, String)>,
    pub(crate) wanted: Wanted,
    live: bool,
    now: UnixTime,
    secs: f64,
}

impl Fixture {
    /// A running host with nothing in it, on 2026-01-01 00:00:00 UTC.
    pub(crate) fn live() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            later: Vec::new(),
            wanted: Wanted::default(),
            live: true,
            now: UnixTime(1_767_225_600),
            secs: 1.0,
        }
    }

    /// An image with nothing in it.
    pub(crate) fn image() -> Self {
        Self { live: false, ..Self::live() }
    }

    /// Puts a file there.
    pub(crate) fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// What a counter file holds at the second reading.
    pub(crate) fn later(mut self, path: &str, text: &str) -> Self {
        self.later.push((path.to_owned(), text.to_owned()));
        self
    }

    /// How far apart the two readings are.
    pub(crate) fn secs(self, secs: f64) -> Self {
        Self { secs, ..self }
    }

    /// When it is.
    pub(crate) fn now(self, now: u64) -> Self {
        Self { now: UnixTime(now), ..self }
    }

    /// Sets `check.param=number`.
    pub(crate) fn set(mut self, text: &str) -> Self {
        self.wanted.set(text).unwrap();
        self
    }

    /// A process, with its command line.
    pub(crate) fn process(self, pid: u32, state: char, argv: &[&str]) -> Self {
        let name = argv.first().map_or("kthread", |first| first.rsplit('/').next().unwrap());
        let stat =
            format!("{pid} ({name}) {state} 1 {pid} {pid} 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 1000 1000000 250 0 0\n");
        let cmdline: String = argv.iter().map(|argument| format!("{argument}\0")).collect();
        self.file(&format!("/proc/{pid}/stat"), stat).file(&format!("/proc/{pid}/cmdline"), cmdline)
    }

    /// Where a path of this host is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// The host.
    pub(crate) fn host(&self) -> Host {
        let mut host = Host::open(self.folder.path(), self.live).unwrap();
        host.now = self.now;
        host.samples = Samples::begin(&host, BootTime(0));
        host.samples.pretended_secs = Some(self.secs);
        for (path, text) in &self.later {
            std::fs::write(self.path(path), text).unwrap();
        }
        host
    }

    /// What a check finds there. Panics when it says that it has nothing to look at.
    pub(crate) fn run(&self, check: &'static Check) -> Vec<Finding> {
        let findings = look(check, &self.host_for(check), &self.wanted)
            .unwrap_or_else(|why| panic!("{} has nothing to look at: {}", check.id, why.en));
        for finding in findings.iter().filter(|finding| finding.status > Status::Unknown) {
            assert!(!finding.evidence.is_empty(), "without evidence: {finding:?}");
        }
        findings
    }

    /// The host as a checker has it for this check: who has not said that it needs rates gets none.
    fn host_for(&self, check: &Check) -> Host {
        let mut host = self.host();
        if !check.needs.rates {
            host.samples = Samples::default();
        }
        host
    }

    /// Whether a check has nothing to look at there.
    pub(crate) fn has_none_of(&self, check: &'static Check) -> bool {
        look(check, &self.host_for(check), &self.wanted).is_err()
    }

    /// The worst status that a check finds.
    pub(crate) fn status(&self, check: &'static Check) -> Status {
        self.run(check).iter().map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }
}
