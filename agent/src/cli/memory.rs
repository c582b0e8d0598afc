//! What root's own runs of checks remember from one to the next: the same for `check`, its `--watch`, and `report`.
//!
//! Runs on another root, with other thresholds or with packs of the moment say nothing about the next one: what they find
//! is never kept, nor judged by what was. It must never fail a run.

use crate::checker::kept::{Anew, Memory};
use crate::messages::Message;
use crate::state::Places;
use cloud_doctor_checks::{Check, Ran};
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_proto::time::UnixTime;
use std::io::{self, Write as _};

/// With what earlier runs found, where these are `usual` ones and root's.
pub(super) fn open(places: &Places, usual: bool, language: Language) -> Memory {
    let folder = (usual && rustix::process::geteuid().is_root()).then(|| places.checks.clone());
    let (memory, anew) = Memory::open(folder);
    let why = anew.map(|anew| match anew {
        Anew::File(error) => error.to_string(),
        Anew::Damaged(file, damaged) => format!("{}: {}", file.display(), damaged.words().get(language)),
    });
    if let Some(why) = why {
        tell(Message::RecordAnew, language, &why);
    }
    memory
}

/// Learns what a run found.
pub(super) fn learn(memory: &mut Memory, ran: &mut [(&'static Check, Ran)], now: UnixTime, language: Language) {
    if let Err(error) = memory.learn(ran, now) {
        tell(Message::RecordNotKept, language, &error.to_string());
    }
}

fn tell(message: Message, language: Language, why: &str) {
    // Nobody reads: the results are told all the same.
    writeln!(io::stderr(), "cloud-doctor-agent: {}", message.text(language, &[why])).ok();
}
