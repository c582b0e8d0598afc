//! `scan`: which servers and checks, how results are shown, and what makes the command fail.

use super::Listing;
use super::check::Lang;
use crate::commands::help;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = help::SCAN)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) which: ScanWhich,
    /// Do not wait for the end: print the scan's id
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) shown: ScanShown,
    #[command(subcommand)]
    pub(crate) command: Option<ScanCommand>,
}

impl Scan {
    /// Its status says what was found: one that could not be told must look like none of those.
    pub(crate) fn tells(&self) -> bool {
        match self.command {
            None | Some(ScanCommand::Show(_)) => true,
            Some(ScanCommand::List(_) | ScanCommand::Cancel { .. } | ScanCommand::Plan(_)) => false,
        }
    }

    /// The language that was asked for.
    pub(crate) fn lang(&self) -> Option<Lang> {
        match &self.command {
            None => self.shown.lang,
            Some(ScanCommand::Show(show)) => show.shown.lang,
            Some(ScanCommand::List(_) | ScanCommand::Cancel { .. } | ScanCommand::Plan(_)) => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ScanWhich {
    /// Only servers with this label; key=value, a word, or a key with any value; may be repeated
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Vec<String>,
    /// Checks: ids, like cpu.usage, or groups, like cpu; may be repeated; default: all that each server's ceiling allows
    #[arg(long, value_name = "ID|GROUP", value_delimiter = ',')]
    pub(crate) check: Vec<String>,
    /// Servers asked at once; one that is silent for a second holds up nobody; default: 128
    #[arg(long, value_name = "N")]
    pub(crate) at_once: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanShown {
    /// Exit with 1 for warnings and 2 for critical findings, or only with 2, or with neither
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "warning")]
    pub(crate) fail_on: FailOn,
    /// Exit with 4 when a server was absent, silent or refused, and nothing worse was found
    #[arg(long)]
    pub(crate) fail_on_absent: bool,
    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,
    /// How results are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "human")]
    pub(crate) format: Format,
    /// Write results into this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Also what is as it should be
    #[arg(long)]
    pub(crate) all: bool,
    /// In English or in Chinese; default: as the locale says
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Lang>,
}

impl ScanShown {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Warning,
    Critical,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
    Csv,
    Junit,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScanCommand {
    /// Show a scan, and wait for its end
    Show(ScanShow),
    /// List the newest scans
    List(Listing),
    /// End a scan; servers that have not answered get no result
    Cancel {
        /// Scan id, or the beginning of one
        id: String,
    },
    /// Scans by the clock
    #[command(subcommand)]
    Plan(ScanPlanCommand),
}

#[derive(Debug, Args)]
pub(crate) struct ScanShow {
    /// Scan id, or the beginning of one
    pub(crate) id: String,
    /// Do not wait for the end: show what there is
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) shown: ScanShown,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScanPlanCommand {
    /// Plan scans by the clock; replaces a plan of the same name
    Add {
        /// Name of the plan
        name: String,
        /// When, in UTC: minute hour day month weekday, for example "30 2 * * 1-5"
        cron: String,
        #[command(flatten)]
        which: ScanWhich,
    },
    /// List plans
    List(Listing),
    /// Have a plan wait: no scan begins until it is resumed
    Pause {
        /// Name of the plan
        name: String,
    },
    /// Let a plan go on
    Resume {
        /// Name of the plan
        name: String,
    },
    /// Take a plan away; its scans stay
    Remove {
        /// Name of the plan
        name: String,
    },
}
