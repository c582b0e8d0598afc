//! `check`, `check-schedule` and `waiver`: which server, which checks, how it is shown, who answers for what.

use super::Listing;
use crate::commands::help;
use clap::{Args, Subcommand, ValueEnum};
use cloud_doctor_proto::refusal::Language;

#[derive(Debug, Args)]
#[command(after_help = help::CHECK)]
pub(crate) struct Check {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    /// Checks: ids, like cpu.usage, or groups, like cpu; default: all that the server's ceiling allows
    #[arg(value_name = "ID|GROUP", conflicts_with = "last")]
    pub(crate) which: Vec<String>,
    /// Print one line of JSON, as cloud-doctor-agent check does
    #[arg(long)]
    pub(crate) json: bool,
    /// Also what is as it should be, and what there is nothing of
    #[arg(long)]
    pub(crate) all: bool,
    /// In English or in Chinese; default: as the locale says
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Lang>,
    /// Ask nothing: show the newest run that the relay has
    #[arg(long)]
    pub(crate) last: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Lang {
    En,
    Zh,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Language::En,
            Lang::Zh => Language::Zh,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckSchedule {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    /// How often from now on, 5m to 7d, for example 6h; or off
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Waiver {
    /// Answer for a finding of the server's newest report, in place of an earlier waiver of it; takes an admin
    Add(Waive),
    /// List who answers for which finding, also what counts no more
    List {
        /// Server: its name, or the beginning of its id
        server: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Take a waiver back; takes an admin
    Remove {
        /// Server: its name, or the beginning of its id
        server: String,
        /// Waiver: the beginning of its id
        waiver: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = help::WAIVER)]
pub(crate) struct Waive {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    /// Id of the check, like disk.space
    pub(crate) check: String,
    /// What the finding is about, as `check` shows it; not needed where only one finding of the check is bad
    pub(crate) subject: Option<String>,
    /// Why it may stay as it is, for those who read the list
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Last moment, at most 366 days from now: +30d, 22:00 or 2026-11-25T22:00Z
    #[arg(long, value_name = "TIME", default_value = "+30d")]
    pub(crate) until: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
