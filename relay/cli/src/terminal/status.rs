//! One line about the connection while it is cut: on the last row of a terminal, or as plain lines elsewhere.

use crate::output;
use cloud_doctor::clock;
use cloud_doctor::messages::Id;
use cloud_doctor_proto::refusal::Language;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// A cut that is shorter than this is not worth a word.
const WORTH_A_WORD: Duration = Duration::from_millis(800);

/// What stands on the last row.
#[derive(Debug)]
pub(crate) struct Status {
    language: Language,
    on_terminal: bool,
    cut_at: Option<Instant>,
    shown: bool,
}

impl Status {
    pub(crate) fn new(language: Language, on_terminal: bool) -> Self {
        Self { language, on_terminal, cut_at: None, shown: false }
    }

    /// The link is gone.
    pub(crate) fn cut(&mut self) {
        self.cut_at.get_or_insert_with(clock::now);
    }

    /// Whether the link is gone.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut_at.is_some()
    }

    /// The link is back.
    pub(crate) fn back(&mut self) {
        self.cut_at = None;
        if std::mem::take(&mut self.shown) {
            if self.on_terminal {
                paint("");
            } else {
                output::say(&Id::Reconnected.with(&[]).text(self.language));
            }
        }
    }

    /// Called about each second.
    pub(crate) fn tick(&mut self) {
        let Some(cut_at) = self.cut_at else { return };
        let since = clock::now().saturating_duration_since(cut_at);
        if since < WORTH_A_WORD {
            return;
        }
        let text = Id::Reconnecting.with(&[&output::ago(since.as_secs())]).text(self.language);
        if self.on_terminal {
            paint(&format!(" cloud-doctor: {text} "));
        } else if !self.shown {
            output::say(&text);
        }
        self.shown = true;
    }
}

/// Writes the last row, in reverse where colours are wanted, and puts the cursor back.
fn paint(text: &str) {
    let (on, off) = if crate::words::colours() { ("\x1b[7m", "\x1b[0m") } else { ("", "") };
    let text = if text.is_empty() { String::new() } else { format!("{on}{text}{off}") };
    let mut stderr = std::io::stderr().lock();
    // A terminal that is gone shows nothing.
    drop(write!(stderr, "\x1b7\x1b[999;1H\x1b[2K{text}\x1b8").and_then(|()| stderr.flush()));
}
