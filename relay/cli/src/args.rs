//! What can be typed after `cloud-doctor`.

use crate::commands::help;
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
    /// Whether the exit status belongs to a program on the server.
    pub(crate) fn passes_status(&self) -> bool {
        match self {
            Command::Shell(_) | Command::Exec(_) | Command::Invite(_) => true,
            Command::Sessions(sessions) => matches!(sessions.command, Some(SessionCommand::Attach(_))),
            Command::Setup(_)
            | Command::Login(_)
            | Command::Logout
            | Command::Servers(_)
            | Command::Tenant(_)
            | Command::Account(_)
            | Command::Approve(_)
            | Command::Watch(_)
            | Command::Audit(_)
            | Command::VerifyAudit(_)
            | Command::Completion { .. }
            | Command::Man { .. } => false,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// The relay, for example https://relay.example:8443
    pub(crate) url: String,
    /// Pin of a self-signed relay, as it prints it when it starts
    #[arg(long, value_name = "sha256:HEX")]
    pub(crate) pin: Option<String>,
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
    /// The relay, for example https://relay.example:8443
    pub(crate) url: String,
    /// Pin of a self-signed relay, as it prints it when it starts
    #[arg(long, value_name = "sha256:HEX")]
    pub(crate) pin: Option<String>,
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
pub(crate) enum Tenant {
    /// Begin a customer's trust log: its first root key, and a recovery key to be kept offline
    Init(TenantInit),
    /// Show who is trusted, in plain words
    Show(Listing),
    /// Trust the relay's customer on this computer, after comparing six words with its owner
    Trust {
        /// The six words, or the hash in hex
        #[arg(required = true, num_args = 1..)]
        words: Vec<String>,
    },
    /// Keys that may change who is trusted; with --key they sign, also the recovery key
    #[command(subcommand)]
    Root(Roots),
    /// Replace all root keys by a new one, with the recovery key that `tenant init` wrote
    Recover(Recover),
    /// People who may open visits
    #[command(subcommand)]
    Engineer(People),
    /// People who may give second signatures
    #[command(subcommand)]
    Approver(People),
    /// Rules for all servers; the stricter of these and a server's ceiling wins
    #[command(subcommand)]
    Policy(Policy),
    /// Make an install token for new servers, or take one back
    Token(TokenOrRevoke),
    /// List install tokens at the relay
    Tokens(Listing),
    /// Servers in the trust log
    #[command(subcommand)]
    Server(TenantServer),
}

#[derive(Debug, Args)]
pub(crate) struct TenantInit {
    /// The customer's name
    pub(crate) name: String,
    /// Root key: a private key file, or a .pub file of a key in the ssh-agent; default: the agent's first key
    #[arg(long, value_name = "KEY")]
    pub(crate) root: Option<PathBuf>,
    /// Where to write the recovery key; must not exist yet
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_out: PathBuf,
    /// Your name in the log; default: your account's name
    #[arg(long, value_name = "NAME")]
    pub(crate) person: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum People {
    /// Add a person's key
    Add(PersonAdd),
    /// Remove a person's key; running visits end within seconds
    Remove {
        /// Name, key id or fingerprint
        who: String,
    },
    /// List them
    List(Listing),
    /// Let a new person in by a link: no key file to send, no fingerprint to compare
    Invite(PersonInvite),
    /// List links for new people, or take one back
    Invitations(Invitations),
    /// Sign in the keys of people who used a link that was made on this computer
    Accept {
        /// Name or id of the link; default: all of them
        who: Option<String>,
        /// Also a key that lives in a browser and signs without a touch
        #[arg(long)]
        device: bool,
    },
    /// Renew a key that is in the log
    Renew {
        /// Name, key id or fingerprint
        who: String,
        /// Days from now on, at most 90
        #[arg(long, default_value_t = 90, value_name = "N")]
        days: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PersonAdd {
    /// The public key file
    pub(crate) key_file: PathBuf,
    /// The person's name; two keys of one person have the same name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// The key lives in a browser, which signs without a touch: it counts only where a server's ceiling names "device"
    #[arg(long)]
    pub(crate) device: bool,
    /// An ecdsa-sha2-nistp256 key that is no browser's
    #[arg(long, conflicts_with = "device")]
    pub(crate) ssh: bool,
    /// Days that it counts, at most 90
    #[arg(long, default_value_t = 90, value_name = "N")]
    pub(crate) days: u64,
}

#[derive(Debug, Args)]
pub(crate) struct PersonInvite {
    /// The person's name; two keys of one person have the same name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Days that the key will count, at most 90
    #[arg(long, default_value_t = 90, value_name = "N")]
    pub(crate) days: u64,
    /// Hours that the link counts, at most 168
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub(crate) hours: u64,
    /// Also a key that lives in a browser and signs without a touch
    #[arg(long)]
    pub(crate) device: bool,
    /// To give second signatures, not to open visits
    #[arg(long)]
    pub(crate) approver: bool,
    /// Where the console is, when it is not at the relay
    #[arg(long, value_name = "URL")]
    pub(crate) console: Option<String>,
    /// Wait until the person's key is here, and sign it in
    #[arg(long)]
    pub(crate) wait: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Invitations {
    /// Link to take back: the person's name, or the beginning of its id
    #[arg(long, value_name = "WHO")]
    pub(crate) revoke: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show the rules
    Show(Listing),
    /// Replace the rules: what is not given is not limited
    Set {
        /// Longest visit, for example 2h
        #[arg(long, value_name = "TIME")]
        visit: Option<String>,
        /// User whose shells and commands need a second signature everywhere; may be repeated
        #[arg(long, value_name = "USER")]
        second_for: Vec<String>,
        /// User that nobody becomes anywhere; may be repeated
        #[arg(long, value_name = "USER")]
        never: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Roots {
    /// Add a root key
    Add {
        /// The public key file
        key_file: PathBuf,
        /// The person's name; two keys of one person have the same name
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Remove a root key; what else it could sign ends with it, also its install tokens
    Remove {
        /// Name, key id or fingerprint
        who: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List them
    List(Listing),
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The recovery key's file, encrypted by a passphrase or not
    pub(crate) recovery_file: PathBuf,
    /// Public key file of the new root
    #[arg(long, value_name = "FILE")]
    pub(crate) root: PathBuf,
    /// Name of the new root's owner
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TokenOrRevoke {
    #[command(flatten)]
    pub(crate) make: Token,
    #[command(subcommand)]
    pub(crate) command: Option<TokenCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Take an install token back: it installs no further server; those that it installed stay
    Revoke {
        /// The token's id, or the beginning of one
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Servers that it may install
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) max: u32,
    /// Hours that it counts, at most 168
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub(crate) hours: u64,
    /// For people
    #[arg(long, value_name = "TEXT", default_value = "install")]
    pub(crate) note: String,
    /// Where to write the token; must not exist yet
    #[arg(long, value_name = "FILE", default_value = "cloud-doctor.token")]
    pub(crate) out: PathBuf,
    /// Where servers reach the relay, when it does not say so itself: quic://host:port
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) relay_address: Option<String>,
    /// The relay's pin for servers, when it does not say so itself; twice when it has a second one in reserve
    #[arg(long, value_name = "sha256:HEX")]
    pub(crate) relay_pin: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantServer {
    /// Call a server something else in the trust log
    Rename {
        /// Server: its name, or the beginning of its id
        server: String,
        /// Its new name
        name: String,
    },
    /// Remove a server from the trust log: nobody opens anything there any more
    Remove {
        /// Server: its name, or the beginning of its id
        server: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
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

#[derive(Debug, Clone, Args)]
pub(crate) struct Looking {
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
    pub(crate) looking: Looking,
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
    pub(crate) looking: Looking,
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
