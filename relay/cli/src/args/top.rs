//! `top`: which server, and how it is shown.

use super::check::Lang;
use crate::commands::help;
use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = help::TOP)]
pub(crate) struct Top {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    /// Print one screen as plain lines, as when the output is no terminal
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    pub(crate) once: bool,
    /// Print one sample of all values as JSON
    #[arg(long, conflicts_with = "csv")]
    pub(crate) json: bool,
    /// Print a part of the server's history as CSV
    #[arg(long)]
    pub(crate) csv: bool,
    /// How far back the CSV goes, for example 15m, 1h or 2d
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "csv")]
    pub(crate) since: String,
    /// In English or in Chinese; default: as the locale says
    #[arg(long, value_enum)]
    pub(crate) lang: Option<Lang>,
}
