//! A host's own checks in plain words: which there are, what each starts and as whom, and whether a relay may have it run.
//!
//! It reads packs and evaluates nothing of them. It must never run anything.

use super::say;
use crate::messages::{Message, language};
use crate::own::{self, Allowed};
use crate::state::Places;
use crate::zone;
use cloud_doctor_checks::{Wanted, pack};
use cloud_doctor_proto::ceiling::{Ceiling, OWN_CHECKS, ScopeName};
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::plugin::Plugin;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use serde::Serialize;
use std::collections::BTreeSet;

const TEXT: usize = 1000;

/// One of a host's own checks.
#[derive(Debug, Serialize)]
struct OwnCheck {
    id: String,
    /// The pack's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<String>,
    /// The program with its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest: Option<String>,
    /// Whether the relay may have it run now.
    relay_may: bool,
}

/// What a ceiling makes of a host's own checks.
#[derive(Debug, Default, Serialize)]
pub(super) struct OwnChecks {
    #[serde(rename = "own_checks")]
    checks: Vec<OwnCheck>,
    /// What is left out, and why.
    #[serde(skip)]
    refused: Vec<(String, Words)>,
    /// Names of checks in the ceiling that nothing has.
    #[serde(skip)]
    unknown: Vec<String>,
}

impl OwnChecks {
    /// Those of this host, under `ceiling`.
    pub(super) fn of(places: &Places, ceiling: &Ceiling, now: UnixTime) -> Self {
        let own = own::load(&places.etc, ceiling.plugins.clone());
        let allowed = Allowed::new(ceiling, now, zone::offset_secs(), &[]);
        let mut checks = Vec::new();
        for source in &own.sources.packs {
            // They were read a moment ago.
            let Ok(pack) = pack::open(source) else { continue };
            checks.extend(pack.ids.into_iter().map(|id| OwnCheck {
                relay_may: allowed.may(&id),
                id,
                pack: Some(one_line(&source.path, TEXT)),
                runs: None,
                user: None,
                longest: None,
            }));
        }
        checks.extend(own.plugins.iter().map(|plugin| OwnCheck {
            id: plugin.id.clone(),
            pack: None,
            runs: Some(command(plugin)),
            user: Some(one_line(&plugin.user, TEXT)),
            longest: Some(plugin.timeout.to_string()),
            relay_may: allowed.may(&plugin.id),
        }));
        let unknown = unknown(ceiling, &checks);
        Self { checks, refused: own.sources.refused, unknown }
    }

    /// Tells them to the person at the terminal.
    pub(super) fn tell(&self) {
        for OwnCheck { id, pack, runs, user, longest, relay_may } in &self.checks {
            let may = if *relay_may { Message::OwnFromAfar } else { Message::OwnNotFromAfar };
            let may = may.text(language(), &[]);
            match (pack, runs, user, longest) {
                (None, Some(runs), Some(user), Some(longest)) => {
                    say::tell(Message::OwnPlugin, &[id, runs, user, longest, &may]);
                }
                (pack, _, _, _) => say::tell(Message::OwnPackCheck, &[id, pack.as_deref().unwrap_or_default(), &may]),
            }
        }
        for (what, why) in &self.refused {
            for line in why.get(language()).lines() {
                say::tell(Message::OwnRefused, &[what, line]);
            }
        }
        for name in &self.unknown {
            say::tell(Message::OwnUnknown, &[name]);
        }
    }
}

/// The program and its arguments as a shell would take them, though none does.
fn command(plugin: &Plugin) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/._-+=:,@%~".contains(one);
    let word = |text: &String| match text {
        text if !text.is_empty() && text.chars().all(is_plain) => text.clone(),
        text => format!("'{}'", text.replace('\'', "'\\''")),
    };
    let words: Vec<_> = std::iter::once(&plugin.exec).chain(&plugin.args).map(word).collect();
    one_line(&words.join(" "), TEXT)
}

/// Names that stand in rules and that no check and no group has.
fn unknown(ceiling: &Ceiling, own: &[OwnCheck]) -> Vec<String> {
    let is_known = |name: &str| {
        name == OWN_CHECKS
            || name == pack::REFUSED
            || own.iter().any(|check| check.id == name)
            || cloud_doctor_checks::all().any(|check| check.id == name || check.group().name() == name)
    };
    let about = || ceiling.rules.iter().filter(|rule| rule.scope == ScopeName::Checks);
    let names: BTreeSet<_> = about().flat_map(|rule| &rule.checks).filter(|name| !is_known(name)).cloned().collect();
    let set = about().flat_map(|rule| &rule.set).map(ToString::to_string);
    let strange = set.filter(|setting| Wanted::default().set(setting).is_err());
    names.into_iter().chain(strange).map(|name| one_line(&name, 100)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn r_17_what_a_ceiling_declares_and_lets_a_relay_run_is_told() {
        let etc = tempfile::tempdir().unwrap();
        let places = Places { etc: etc.path().to_owned(), ..Places::new(None) };
        let text = "version = 1\n[[plugin]]\nid = 'x.site.raid'\nexec = '/opt/check_raid'\nargs = ['-w', 'a b', \"it's\", '']\n\
             [[plugin]]\nid = 'x.site.ups'\nexec = '/opt/check_ups'\nuser = 'nut'\ntimeout = '3s'\n\
             [[rule]]\nscope = 'checks'\nmode = 'allow'\nchecks = ['x.site.raid', 'cpu', 'x.site.raidd', 'cpu.usage']\n[end]\n";
        let own = OwnChecks::of(&places, &text.parse().unwrap(), UnixTime(1_800_000_000));
        let told: Vec<_> = own.checks.iter().map(|one| (one.id.as_str(), one.relay_may)).collect();
        assert_eq!(told, [("x.site.raid", true), ("x.site.ups", false)]);
        assert_eq!(own.checks[0].runs.as_deref(), Some("/opt/check_raid -w 'a b' 'it'\\''s' ''"));
        assert_eq!(own.unknown, ["x.site.raidd"]);
    }
}
