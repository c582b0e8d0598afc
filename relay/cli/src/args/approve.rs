//! What can be typed after `cloud-doctor approve`.

use super::Listing;
use crate::commands::help;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Approve {
    /// Request to look at; default: lists those that wait
    pub(crate) id: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Say no: whoever waits for it is told at once
    #[arg(long, requires = "id", conflicts_with = "yes")]
    pub(crate) deny: bool,
    /// Why not, in a sentence that whoever waits will read
    #[arg(long, value_name = "TEXT", requires = "deny")]
    pub(crate) why: Option<String>,
    /// Print JSON (lists only)
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Option<ApproveCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApproveCommand {
    /// Sign ahead: for some hours, one engineer's key needs no second signature on one server
    Ahead(SignAhead),
    /// End what was signed ahead; what it opened ends within seconds
    EndAhead {
        /// Number of its entry in the trust log
        entry: u64,
    },
    /// List what is signed ahead
    ListAhead(Listing),
}

#[derive(Debug, Args)]
#[command(after_help = help::AHEAD)]
pub(crate) struct SignAhead {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    /// The engineer: name, key id or fingerprint
    #[arg(long = "for", value_name = "WHO")]
    pub(crate) engineer: String,
    /// User whose shells may be opened; may be repeated
    #[arg(long, short, value_name = "USER", required = true)]
    pub(crate) user: Vec<String>,
    /// Commands too, not only shells
    #[arg(long)]
    pub(crate) commands: bool,
    /// First moment, within seven days: now, 22:00, +2h or 2026-11-25T22:00Z
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub(crate) from: String,
    /// Last moment, at most a day after the first; +2h counts from the first
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Why, for the customer's trust log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) why: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}
