//! What can be typed after `cloud-doctor`.

mod approve;
mod check;
mod scan;
mod tenant;
mod top;

pub(crate) use approve::{Approve, ApproveCommand, SignAhead};
pub(crate) use check::{Check, CheckSchedule, Waive, Waiver};
pub(crate) use scan::{FailOn, Format, Scan, ScanCommand, ScanPlanCommand, ScanShow, ScanShown, ScanWhich};
pub(crate) use tenant::{
    Invitations, People, PersonAdd, PersonInvite, Policy, Recover, Roots, Tenant, TenantInit, TenantServer, Token,
    TokenCommand, TokenOrRevoke,
};
pub(crate) use top::Top;

use crate::commands::help;
use crate::fail;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use cloud_doctor_proto::refusal::Language;
use std::ffi::OsString;
use std::path::PathBuf;

/// Opens shells and runs commands on customers' servers, with the customer's consent
#[derive(Debug, Parser)]
#[command(name = "cloud-doctor", version, after_help = help::AFTER, max_term_width = 100)]
pub(crate) struct Cli {
    /// Relay to use, by its name in config.toml; default: the first one signed in to
    #[arg(long, global = true, value_name = "NAME", display_order = 900)]
    pub(crate) relay: Option<String>,
    /// Key to sign with: a private key file, or a .pub file of a key in the ssh-agent
    #[arg(long, global = true, value_name = "FILE", display_order = 901)]
    pub(crate) key: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the first account of a new relay, with the code that it shows
    Setup(Setup),
    /// Sign in to a relay
    Login(Login),
    /// Sign out
    Logout,
    /// List the customer's servers, and label them
    Servers(Servers),
    /// Open a shell on a server
    Shell(Shell),
    /// Run one command on a server
    Exec(Exec),
    /// List, attach to and end sessions
    Sessions(Sessions),
    /// Watch a living shell on a server: look, type nothing; takes an engineer's or an approver's signature
    Watch(Watch),
    /// Read a server's own audit log from afar and verify it; takes an engineer's or an approver's signature
    Audit(Audit),
    /// Look what is wrong with a server: the read-only checks that its ceiling allows, and what it signed of them
    Check(Check),
    /// Show or set how often the relay asks a server for its checks by itself; setting takes an admin
    CheckSchedule(CheckSchedule),
    /// Answer for findings of a server for some time; its reports go on showing them
    #[command(subcommand)]
    Waiver(Waiver),
    /// Look what is wrong with many servers at once, now or by the clock
    Scan(Scan),
    /// Look how a server is right now: what is wrong first, then its processes; no signature is needed
    Top(Top),
    /// Help somebody who has no account: prints a code for their server, and opens a shell when they say yes
    Invite(Invite),
    /// Show and change who a customer trusts
    #[command(subcommand)]
    Tenant(Tenant),
    /// Show and change who may sign in at the relay
    #[command(subcommand)]
    Account(Account),
    /// Give the second signature under somebody else's request, or say no
    Approve(Approve),
    /// Check a server's audit log offline
    VerifyAudit(VerifyAudit),
    /// Print completions for a shell
    Completion {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        dir: PathBuf,
    },
}

impl Command {
    /// The status of every failure, where others belong to a program on the server, or to what its checks found.
    pub(crate) fn failure(&self) -> Option<u8> {
        match self {
            Command::Shell(_) | Command::Exec(_) | Command::Invite(_) => Some(fail::ROAD),
            Command::Sessions(sessions) => {
                matches!(sessions.command, Some(SessionCommand::Attach(_))).then_some(fail::ROAD)
            }
            Command::Check(_) => Some(fail::UNTOLD),
            Command::Scan(scan) => scan.tells().then_some(fail::UNTOLD),
            Command::Setup(_)
            | Command::Login(_)
            | Command::Logout
            | Command::Servers(_)
            | Command::Top(_)
            | Command::Tenant(_)
            | Command::CheckSchedule(_)
            | Command::Waiver(_)
            | Command::Account(_)
            | Command::Approve(_)
            | Command::Watch(_)
            | Command::Audit(_)
            | Command::VerifyAudit(_)
            | Command::Completion { .. }
            | Command::Man { .. } => None,
        }
    }

    /// The language that was asked for.
    pub(crate) fn language(&self) -> Option<Language> {
        match self {
            Command::Check(check) => check.lang.map(Language::from),
            Command::Scan(scan) => scan.lang().map(Language::from),
            Command::Top(top) => top.lang.map(Language::from),
            Command::Setup(_)
            | Command::Login(_)
            | Command::Logout
            | Command::Servers(_)
            | Command::Shell(_)
            | Command::Exec(_)
            | Command::Sessions(_)
            | Command::Watch(_)
            | Command::Audit(_)
            | Command::Invite(_)
            | Command::Tenant(_)
            | Command::CheckSchedule(_)
            | Command::Waiver(_)
            | Command::Account(_)
            | Command::Approve(_)
            | Command::VerifyAudit(_)
            | Command::Completion { .. }
            | Command::Man { .. } => None,
        }
    }
}

/// Where a relay is that this computer may not know yet.
#[derive(Debug, Args)]
pub(crate) struct RelayAt {
    /// The relay, for example https://relay.example:8443
    pub(crate) url: String,
    /// Pin of a self-signed relay, as it prints it when it starts
    #[arg(long, value_name = "sha256:HEX")]
    pub(crate) pin: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Setup {
    #[command(flatten)]
    pub(crate) at: RelayAt,
    /// Name of the first account
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Name of the first customer
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// File with the one-time code; - reads it from standard input; default: asks
    #[arg(long, value_name = "FILE")]
    pub(crate) code_file: Option<PathBuf>,
    /// File with the password; - reads it from standard input; default: asks
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) at: RelayAt,
    /// Account name; default: the last one used here, else your user name
    #[arg(long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// File with the password; - reads it from standard input; default: asks
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// File with the six digits or a recovery code, for an account with a second step; default: asks
    #[arg(long, value_name = "FILE")]
    pub(crate) code_file: Option<PathBuf>,
    /// The customer's six words or hash, compared with its owner; trusts this customer from now on
    #[arg(long, value_name = "WORDS")]
    pub(crate) trust: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Servers {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Only servers with this label; key=value, a word, or a key with any value; may be repeated
    #[arg(long, value_name = "LABEL")]
    pub(crate) label: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Option<ServersCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServersCommand {
    /// Put labels on a server, or take them off; a key has one value
    Label {
        /// Server: its name, or the beginning of its id
        server: String,
        /// Labels to put on: words, or key=value
        labels: Vec<String>,
        /// Label to take off; may be repeated
        #[arg(long, value_name = "LABEL")]
        remove: Vec<String>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Asking {
    /// User on the server; default: `user` in config.toml, else your own user name
    #[arg(long, short, value_name = "USER")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) visit: VisitTerms,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VisitTerms {
    /// Longest time of the visit, for example 30m or 2h
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) time: String,
    /// Why, for the customer's audit
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Number of the ticket
    #[arg(long, value_name = "TICKET", default_value = "", hide_default_value = true)]
    pub(crate) ticket: String,
}

#[derive(Debug, Args)]
#[command(after_help = help::SHELL)]
pub(crate) struct Shell {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Args)]
#[command(after_help = help::EXEC)]
pub(crate) struct Exec {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) asking: Asking,
    /// Forward standard input; without it the command reads an empty one
    #[arg(long, short = 'i')]
    pub(crate) stdin: bool,
    /// The command and its arguments, exactly; no shell reads them
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) argv: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(after_help = help::INVITE)]
pub(crate) struct Invite {
    /// User on their server
    #[arg(long, short, value_name = "USER", default_value = "root")]
    pub(crate) user: String,
    /// Longest time of the visit, for example 30m or 2h
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub(crate) time: String,
    /// Why: the customer reads it before saying yes
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    /// Number of the ticket
    #[arg(long, value_name = "TICKET", default_value = "", hide_default_value = true)]
    pub(crate) ticket: String,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Sessions {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Closed ones too
    #[arg(long)]
    pub(crate) all: bool,
    #[command(subcommand)]
    pub(crate) command: Option<SessionCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Attach to a session that lives on without a view; takes a signature
    Attach(OneSession),
    /// End a session; takes a signature
    End(OneSession),
}

#[derive(Debug, Args)]
pub(crate) struct OneSession {
    /// Session id, or the beginning of one
    pub(crate) id: String,
    /// The server that it is on; needed for sessions that were opened on another computer
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Option<String>,
    #[command(flatten)]
    pub(crate) asking: Asking,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// List accounts
    List(Listing),
    /// Add an account; it opens no server by itself
    Add {
        /// Name of the account
        name: String,
        /// May manage accounts, tokens and servers at the relay
        #[arg(long)]
        admin: bool,
        /// File with the password; - reads it from standard input; default: asks
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove an account and end its sign-ins
    Remove {
        /// Name of the account
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Change your own password
    Password,
}

#[derive(Debug, Args)]
#[command(after_help = help::WATCH)]
pub(crate) struct Watch {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    /// Shell to watch, by the beginning of its id; not needed when only one lives
    #[arg(long, value_name = "ID")]
    pub(crate) shell: Option<String>,
    /// Users whose shells to watch; may be repeated; default: root, and the user that `shell` would ask for
    #[arg(long, short, value_name = "USER")]
    pub(crate) user: Vec<String>,
    #[command(flatten)]
    pub(crate) visit: VisitTerms,
    /// End the shell instead of watching it; for an approver this ends the engineer's whole visit
    #[arg(long)]
    pub(crate) end: bool,
    /// Only list the living shells, as JSON
    #[arg(long, conflicts_with = "end")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Server: its name, or the beginning of its id
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) visit: VisitTerms,
    /// Write the signed lines into this file too, for `verify-audit`; must not exist yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyAudit {
    /// The log's files, oldest first
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Server whose log it is: name or beginning of its id, as in your trust log
    #[arg(long, value_name = "SERVER", required_unless_present = "identity", conflicts_with = "identity")]
    pub(crate) server: Option<String>,
    /// The server's identity key in hex, without any trust log
    #[arg(long, value_name = "HEX")]
    pub(crate) identity: Option<String>,
    /// Print every event
    #[arg(long)]
    pub(crate) show: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The command line in a language.
pub(crate) fn command(language: Language) -> clap::Command {
    match language {
        Language::En => Cli::command(),
        Language::Zh => help::in_chinese(Cli::command()),
    }
}
