//! Metrics of this host: sampled each second, shown to those who watch, and kept for fourteen days.
//!
//! ```text
//! sampler (a thread) ── each second ──▶ watchers, if there are any ── a tunnel's stream
//!                    └─ each minute ──▶ history, on disk ◀── ranges, when asked for
//! ```
//!
//! The sampler is a thread of its own, so that no keystroke waits for a file of the kernel. It must never start a
//! process, read a command line, speak to the network, or cost the host more than it tells: everything is bounded.

mod catalog;
mod clock;
mod history;
mod kept;
mod parse;
pub(crate) mod past;
mod sampler;
mod slow;
mod source;
mod table;

pub(crate) use history::Answer;
pub(crate) use sampler::{Metrics, Settings, Tick};
pub(crate) use table::Named;
