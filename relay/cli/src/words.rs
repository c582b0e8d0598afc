//! Which language this person reads, and whether they want colours.

use cloud_doctor_proto::refusal::Language;
use std::io::IsTerminal as _;

/// From the locale variables.
pub(crate) fn language() -> Language {
    let get = |name: &str| std::env::var(name).ok();
    Language::from_locale(get("LC_ALL").as_deref(), get("LC_MESSAGES").as_deref(), get("LANG").as_deref())
}

/// Colours on standard error: on a terminal, where they are wanted.
pub(crate) fn colours() -> bool {
    colours_wanted() && std::io::stderr().is_terminal()
}

/// Unless `NO_COLOR` is set to anything, or the terminal has none.
pub(crate) fn colours_wanted() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
