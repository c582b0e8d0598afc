//! The agent's command line: arguments in, one clear sentence and an exit code out.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 77 no permission, 78 not configured or configured wrongly.

mod approve;
mod audit;
mod ceiling;
mod check;
mod enrol;
mod events;
mod explain;
mod lockdown;
mod memory;
mod own_checks;
mod pack;
mod report;
mod roles;
mod say;
mod status;
mod unenrol;
mod visit;

use crate::state::Places;
use clap::{Args, Parser, Subcommand};
use cloud_doctor_proto::preset::Preset;
use std::path::PathBuf;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// Tried and failed.
    Failed,
    /// Asked for in the wrong way.
    Usage,
    /// Not allowed to this user.
    NoPermission,
    /// Not enrolled, or a file is not as it must be.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::Failed => ExitCode::from(1),
            Exit::Usage => ExitCode::from(2),
            Exit::NoPermission => ExitCode::from(77),
            Exit::Config => ExitCode::from(78),
        }
    }
}

/// The Cloud Doctor agent of this server.
#[derive(Debug, Parser)]
#[command(name = "cloud-doctor-agent", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    /// Keep everything in this folder instead of /etc and /var, for a trial without root.
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Enrol this server with a relay and pin its customer's trust log.
    Enrol(Enrol),
    /// Run the agent: by systemd, or in the foreground with --standalone.
    Run {
        /// Run all roles under one supervisor as the current user.
        #[arg(long)]
        standalone: bool,
    },
    /// Show how things are: relays, visits, shells, what waits for a signature.
    Status {
        /// One line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show who could do what here now, and what became of the last requests.
    Explain {
        /// One line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the host's own log and verify it.
    Audit {
        /// The lines as they are on disk, with their signatures, for `cloud-doctor verify-audit`.
        #[arg(long)]
        json: bool,
    },
    /// Look at this host: what is wrong, what it costs, what helps. Needs no relay and no configuration.
    Check(check::Options),
    /// Write all about this host into one file for a ticket. Needs no relay and no configuration.
    Report(Box<report::Options>),
    /// About checks of your own: packs in /etc/cloud-doctor/packs.
    Pack {
        #[command(subcommand)]
        command: PackCommand,
    },
    /// About the file that caps what anybody may do here.
    Ceiling {
        #[command(subcommand)]
        command: CeilingCommand,
    },
    /// Give the second signature to a grant that waits for it.
    Approve {
        /// The first digits of the visit's id; not needed when only one waits.
        id: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Say no to a grant that waits for a second signature.
    Deny {
        /// The first digits of the visit's id; not needed when only one waits.
        id: Option<String>,
    },
    /// End all shells and let nobody in until --undo.
    Lockdown {
        /// Open the server again.
        #[arg(long)]
        undo: bool,
    },
    /// Leave: the relay forgets this server, its keys are removed, its audit stays.
    Unenrol {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Let an engineer in once, without an account: shows who asks for what, and asks you.
    Visit {
        /// The code that the engineer reads to you, like relay.example:8443/K7QX-9M2P-4TZD-8RWN.
        code: String,
    },
    /// Role: meets the relay of a visit. Run by `visit`.
    #[command(hide = true)]
    VisitContact {
        #[arg(long)]
        r#become: u32,
    },
    /// Role: holds the identity and decides. Run by systemd.
    Guard {
        /// Ends with the supervisor that started it, and tells it when it is ready.
        #[arg(long, hide = true)]
        supervised: bool,
    },
    /// Role: connects to the relays. Run by systemd.
    Tunnel {
        /// Ends with the supervisor that started it.
        #[arg(long, hide = true)]
        supervised: bool,
        /// Gives up root for this user and group first.
        #[arg(long, hide = true)]
        r#become: Option<u32>,
    },
}

#[derive(Debug, Subcommand)]
enum PackCommand {
    /// Print the JSON Schema of packs.
    Schema,
    /// Run the tests that stand in packs, and say how each went.
    Test {
        /// The packs' files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Lock the packs of this host as they are now: from then on no other one is taken.
    Lock,
}

#[derive(Debug, Subcommand)]
enum CeilingCommand {
    /// Tell whether a ceiling would be accepted, and why not.
    Check {
        /// The file; the one in force when not given.
        file: Option<PathBuf>,
    },
}

/// What `enrol` needs to know.
#[derive(Debug, Args)]
struct Enrol {
    /// The relay's address: host:port or quic://host:port.
    #[arg(long, value_name = "URL")]
    relay: String,
    /// The relay's key: sha256: and 64 hexadecimal digits. Twice when the relay has a second one in reserve.
    #[arg(long, value_name = "PIN", required = true)]
    relay_pin: Vec<String>,
    /// The customer's six words, or the whole hash of the trust log's first entry.
    #[arg(long, value_name = "WORDS|HASH")]
    trust: String,
    /// What anybody may do here: own, vendor or checks-only. Every line is shown first.
    #[arg(long)]
    preset: Preset,
    /// The file that the token stands in; - reads standard input.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// What this server is called in the trust log; its host name when not given.
    #[arg(long)]
    name: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Show what would be done and stop.
    #[arg(long)]
    dry_run: bool,
}

/// Reads the arguments, on a stack of its own: it takes 130 kB of that, which the main thread would keep for as long as
/// a role runs.
fn parse() -> clap::error::Result<Arguments> {
    std::thread::scope(|scope| {
        let parsing = std::thread::Builder::new().spawn_scoped(scope, Arguments::try_parse);
        // No thread to be had: then it stays.
        parsing.ok().and_then(|parsing| parsing.join().ok()).unwrap_or_else(Arguments::try_parse)
    })
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => return check::usage(&error),
    };
    let places = Places::new(arguments.state_dir.as_deref());
    let exit = match arguments.command {
        Command::Check(options) => return check::run(&places, &options),
        Command::Report(options) => report::run(&places, &options),
        Command::Enrol(options) => enrol::run(&places, arguments.state_dir.as_deref(), &options),
        Command::Run { standalone } => roles::run(&places, arguments.state_dir.as_deref(), standalone),
        Command::Status { json } => status::run(&places, json),
        Command::Explain { json } => explain::run(&places, json),
        Command::Audit { json } => audit::run(&places, json),
        Command::Pack { command: PackCommand::Schema } => pack::schema(),
        Command::Pack { command: PackCommand::Test { files } } => pack::test(&files),
        Command::Pack { command: PackCommand::Lock } => pack::lock(&places),
        Command::Ceiling { command: CeilingCommand::Check { file } } => ceiling::check(&places, file.as_deref()),
        Command::Approve { id, yes } => approve::approve(&places, id.as_deref(), yes),
        Command::Deny { id } => approve::deny(&places, id.as_deref()),
        Command::Lockdown { undo } => lockdown::run(&places, undo),
        Command::Unenrol { yes } => unenrol::run(&places, yes),
        Command::Guard { supervised } => roles::guard(&places, supervised),
        Command::Tunnel { supervised, r#become } => roles::tunnel(&places, supervised, r#become),
        Command::Visit { code } => visit::run(&places, arguments.state_dir.as_deref(), &code),
        Command::VisitContact { r#become } => roles::visit_contact(&places, r#become),
    };
    exit.into()
}
