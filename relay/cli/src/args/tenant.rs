//! What can be typed after `cloud-doctor tenant`.

use super::Listing;
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
