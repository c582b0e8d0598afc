//! The part of a guest that speaks to a relay which nobody has met yet: a child of its own, as nobody.
//!
//! ```text
//!  parent (root)                     child (nobody)              relay
//!     │ code ─────────────────────────▶ │ ──── whose key? ──────▶ │
//!     │ ◀───────────────────────── offer │ ◀─── who asks to help   │
//!     │ binding ──────────────────────▶ │ ──── come back with ───▶ │
//!     │ ◀─────────────────────────── met │                         │
//! ```
//!
//! One line each, over the child's standard input and output. Whatever the child says is a stranger's word.

use super::{Folder, GuestError};
use crate::standalone;
use crate::state::Places;
use crate::tunnel::enrol::EnrolError;
use crate::tunnel::facts;
use crate::tunnel::guest::{MeetError, meet as meet_relay};
use crate::tunnel::key::TransportKey;
use cloud_doctor_proto::guest::{Code, GuestCommit, GuestOffer};
use cloud_doctor_proto::limits::GREETING_BYTES_MAX;
use cloud_doctor_proto::pack;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::trust::LogError;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead as _, Write as _};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Two handshakes and two answers, each with a deadline of its own.
const PATIENCE: Duration = Duration::from_secs(90);
/// Longest line of the child: an offer in hex.
const LINE_BYTES_MAX: u64 = 4 * GREETING_BYTES_MAX as u64;

/// A line of the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Says {
    /// A [`GuestOffer`] in hex.
    Offer(String),
    /// The relay took the tunnel; its pin.
    Met(String),
    OtherKey,
    UnknownCode,
    Failed(String),
}

/// The child.
struct Contact {
    _child: Child,
    to: ChildStdin,
    from: tokio::io::Take<BufReader<ChildStdout>>,
}

/// Has a child meet the relay; `commit` answers the offer.
///
/// # Errors
/// [`GuestError`].
pub(crate) async fn meet(
    folder: &Folder,
    code: &Code,
    commit: impl FnOnce(&GuestOffer) -> Result<GuestCommit, LogError>,
) -> Result<Pin, GuestError> {
    let talk = async {
        let mut contact = Contact::start(folder)?;
        contact.say(&code.to_string()).await?;
        let offer = match contact.hear().await? {
            Says::Offer(hex) => decode::<GuestOffer>(&hex)?,
            other @ (Says::Met(_) | Says::OtherKey | Says::UnknownCode | Says::Failed(_)) => return Err(other.into()),
        };
        let committed = commit(&offer)?;
        contact.say(&HEXLOWER.encode(&pack::to_bytes(&committed))).await?;
        match contact.hear().await? {
            Says::Met(pin) => Ok(pin.parse().map_err(|_| odd())?),
            other @ (Says::Offer(_) | Says::OtherKey | Says::UnknownCode | Says::Failed(_)) => Err(other.into()),
        }
    };
    timeout(PATIENCE, talk).await.map_err(|_| GuestError::Road("the relay does not answer any more".to_owned()))?
}

impl From<Says> for GuestError {
    fn from(says: Says) -> Self {
        match says {
            Says::OtherKey => Self::OtherKey,
            Says::UnknownCode => Self::UnknownCode,
            Says::Failed(why) => Self::Road(why),
            Says::Offer(_) | Says::Met(_) => odd().into(),
        }
    }
}

fn odd() -> io::Error {
    io::Error::other("the process that speaks to the relay said something odd")
}

fn decode<T: serde::de::DeserializeOwned>(hex: &str) -> io::Result<T> {
    let bytes = HEXLOWER.decode(hex.as_bytes()).map_err(|_| odd())?;
    pack::from_bytes(&bytes, GREETING_BYTES_MAX).map_err(|_| odd())
}

impl Contact {
    #[expect(clippy::disallowed_methods, reason = "our own binary")]
    fn start(folder: &Folder) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["visit-contact", "--become", &folder.nobody.to_string(), "--state-dir"])
            .arg(&folder.path)
            .env_clear()
            .envs(standalone::environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (to, from) = child.stdin.take().zip(child.stdout.take()).ok_or_else(odd)?;
        Ok(Self { _child: child, to, from: BufReader::new(from).take(LINE_BYTES_MAX) })
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.to.write_all(format!("{line}\n").as_bytes()).await
    }

    async fn hear(&mut self) -> io::Result<Says> {
        let mut line = String::new();
        self.from.read_line(&mut line).await?;
        serde_json::from_str(&line).map_err(|_| odd())
    }
}

/// The child's side. It has become nobody already.
///
/// # Errors
/// A parent that is gone.
pub(crate) fn run(places: &Places, runtime: &tokio::runtime::Runtime) -> io::Result<()> {
    let code: Code = ask()?.parse().map_err(|_| odd())?;
    let key = TransportKey::load_or_create(&places.tunnel).map_err(io::Error::other)?;
    let commit = async |offer: GuestOffer| {
        say(&Says::Offer(HEXLOWER.encode(&pack::to_bytes(&offer))))?;
        // The parent answers within milliseconds; nothing else runs here that could wait for it.
        decode(ask()?.trim())
    };
    let met = runtime.block_on(meet_relay(&code, &key, facts::read(), commit));
    say(&match met {
        Ok(pin) => Says::Met(pin.to_string()),
        Err(MeetError::OtherKey(_)) => Says::OtherKey,
        Err(MeetError::UnknownCode) => Says::UnknownCode,
        Err(MeetError::Road(EnrolError::Caller(error))) => return Err(error),
        Err(error @ MeetError::Road(_)) => Says::Failed(error.to_string()),
    })
}

fn ask() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

fn say(says: &Says) -> io::Result<()> {
    let line = serde_json::to_string(says).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")?;
    io::stdout().flush()
}
