//! The `global` section: what it says about probes, states and the sockets for operators.

use super::line::Line;
use super::notes::Notes;
use super::proxy::is_public;
use super::times::millis;
use super::variables::Variables;
use crate::lb::Place;

/// Sockets that are remembered.
const SOCKETS_MAX: usize = 32;

/// A socket for operators, `stats socket`.
#[derive(Debug, Clone)]
pub(crate) struct StatsSocket {
    /// As it stands there: a path, or an address.
    pub(crate) address: String,
    /// What who reaches it may do.
    pub(crate) is_admin: bool,
    /// Permission bits, where they are said.
    pub(crate) mode: Option<u32>,
    /// Whether it can be reached from elsewhere.
    pub(crate) is_public: bool,
    pub(crate) place: Place,
}

/// What counts of the section.
#[derive(Debug, Default)]
pub(super) struct Global {
    pub(super) max_spread_secs: Option<f64>,
    pub(super) has_state_file: bool,
    pub(super) sockets: Vec<StatsSocket>,
}

impl Global {
    /// Takes a line that belongs to the section.
    pub(super) fn take(&mut self, line: &Line<'_>, variables: &mut Variables, notes: &mut Notes) {
        match (line.word(0), line.word(1)) {
            ("setenv" | "presetenv" | "unsetenv" | "resetenv", _) => self.take_variable(line, variables),
            ("max-spread-checks", time) => match millis(time) {
                Ok(time) => self.max_spread_secs = Some(time.secs()).filter(|secs| *secs > 0.0),
                Err(why) => notes.trouble(line, why),
            },
            ("server-state-file" | "server-state-base", _) => self.has_state_file = true,
            ("stats", "socket") if self.sockets.len() < SOCKETS_MAX => self.sockets.extend(socket(line)),
            _ => {}
        }
    }

    #[expect(clippy::unused_self, reason = "one of the lines of the section")]
    fn take_variable(&self, line: &Line<'_>, variables: &mut Variables) {
        let (name, value) = (line.word(1), line.words.get(2));
        let value = value.filter(|value| value.unknown.is_none()).map(|value| value.text.as_str());
        match (line.word(0), value) {
            ("setenv", Some(value)) => variables.set(name, value),
            ("presetenv", Some(value)) => variables.preset(name, value),
            ("setenv" | "unsetenv", None) => variables.forget(name),
            ("resetenv", _) => *variables = Variables::default(),
            _ => {}
        }
    }
}

fn socket(line: &Line<'_>) -> Option<StatsSocket> {
    let address = line.words.get(2).filter(|word| word.unknown.is_none())?.text.clone();
    let after = |name: &str| {
        let mut words = line.words.iter().skip(3).map(|word| word.text.as_str());
        words.find(|word| *word == name).and_then(|_| words.next())
    };
    Some(StatsSocket {
        is_admin: after("level") == Some("admin"),
        mode: after("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok()),
        is_public: is_public(&address),
        place: line.place(),
        address,
    })
}
