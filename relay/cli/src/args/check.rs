//! `check`: which server, which checks, how it is shown.

use crate::commands::help;
use clap::{Args, ValueEnum};
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
