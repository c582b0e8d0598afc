//! `enrol`: shows what it will write and what will leave the server, asks, and then joins or leaves no trace.
//!
//! ```text
//!  token, pins, words checked ─▶ shown, asked ─▶ keys made ─▶ relay's log verified, entry signed ─▶ files written
//!                                                      any failure: everything that was made is removed ◀┘
//! ```
//!
//! The configuration file is written last: a server is enrolled exactly when it exists.

use super::own_checks::OwnChecks;
use super::{Enrol, Exit, say};
use crate::messages::{Message, language};
use crate::policy;
use crate::session::clock;
use crate::state::config::{Config, Relay};
use crate::state::files::{self, FileError};
use crate::state::trust::TrustStore;
use crate::state::{Places, identity};
use crate::tunnel::enrol::{EnrolError, enrol};
use crate::tunnel::facts;
use crate::tunnel::key::{KeyError, TransportKey};
use cloud_doctor_proto::control::{EnrolBegin, EnrolCommit, EnrolRefusal, TransportBinding};
use cloud_doctor_proto::ids::{Hash, VerifyKey};
use cloud_doctor_proto::limits::NAME_CHARS_MAX;
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::token::Token;
use cloud_doctor_proto::trust::{LogError, TrustLog, What, batch_id};
use cloud_doctor_proto::words;
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// A token line has 133 characters.
const TOKEN_BYTES_MAX: u64 = 1 << 10;

/// Everything that was asked for, checked.
struct Plan<'a> {
    places: &'a Places,
    state_dir: Option<&'a Path>,
    options: &'a Enrol,
    relay: Relay,
    token: Token,
    name: String,
}

/// A sentence and who can act.
struct Problem {
    message: Message,
    value: String,
    exit: Exit,
}

impl Problem {
    fn new(message: Message, value: impl ToString) -> Self {
        Self { message, value: value.to_string(), exit: Exit::Failed }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        if error.source.kind() == std::io::ErrorKind::PermissionDenied {
            return Self { message: Message::NotPermitted, value: error.to_string(), exit: Exit::NoPermission };
        }
        Self::new(Message::Failed, error)
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::File(error) => error.into(),
            KeyError::Damaged(_) => Self::new(Message::Failed, error),
        }
    }
}

/// Why this side does not go on.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("another customer's log")]
    OtherLog,
    #[error("{0}")]
    Log(LogError),
    #[error("no such batch")]
    Batch,
}

/// `enrol`.
pub(super) fn run(places: &Places, state_dir: Option<&Path>, options: &Enrol) -> Exit {
    match plan(places, state_dir, options).and_then(|plan| carry_out(&plan)) {
        Ok(()) => Exit::Done,
        Err(problem) => {
            say::problem(problem.message, &[&problem.value]);
            problem.exit
        }
    }
}

fn plan<'a>(places: &'a Places, state_dir: Option<&'a Path>, options: &'a Enrol) -> Result<Plan<'a>, Problem> {
    if places.config().symlink_metadata().is_ok() {
        return Err(Problem {
            exit: Exit::Config,
            ..Problem::new(Message::AlreadyEnrolled, places.config().display())
        });
    }
    let usage = |problem: Problem| Problem { exit: Exit::Usage, ..problem };
    let pins = options.relay_pin.iter().map(|pin| pin.parse::<Pin>()).collect::<Result<Vec<_>, _>>();
    let pins = pins.map_err(|error| usage(Problem::new(Message::BadPin, error)))?;
    let trust: words::Pin = options.trust.parse().map_err(|error| usage(Problem::new(Message::BadPin, error)))?;
    let token = read_token(&options.token_file)?;
    if !trust.matches(&Hash(token.tenant.0)) {
        return Err(Problem::new(Message::TokenOtherCustomer, ""));
    }
    let name = options.name.clone().unwrap_or_else(|| facts::read().hostname);
    let name = one_line(name.trim(), NAME_CHARS_MAX).chars().take(NAME_CHARS_MAX).collect();
    let relay = Relay { url: options.relay.clone(), pins };
    Ok(Plan { places, state_dir, options, relay, token, name })
}

fn read_token(path: &Path) -> Result<Token, Problem> {
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin().take(TOKEN_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Problem::new(Message::TokenFile, format!("{}: {error}", path.display())))?;
    Token::parse(&text).map_err(|error| Problem::new(Message::BadToken, error))
}

fn carry_out(plan: &Plan<'_>) -> Result<(), Problem> {
    show(plan);
    if plan.options.dry_run {
        say::tell(Message::EnrolDryRun, &[]);
        return Ok(());
    }
    if !plan.options.yes && !say::ask(Message::EnrolAsk) {
        say::tell(Message::EnrolNo, &[]);
        return Ok(());
    }
    let mut undo = Undo { places: plan.places, state_dir: plan.state_dir, wrote_ceiling: false, keep: false };
    let agent = join(plan, &mut undo)?;
    undo.keep = true;
    say::tell(Message::Enrolled, &[&agent, &plan.name]);
    match plan.state_dir {
        Some(dir) => say::tell(Message::EnrolNextStandalone, &[&dir.display().to_string()]),
        None => say::tell(Message::EnrolNextSystem, &[]),
    }
    Ok(())
}

fn show(plan: &Plan<'_>) {
    say::tell(Message::EnrolIntro, &[&plan.name, &plan.relay.url]);
    let ceiling = plan.places.ceiling();
    if ceiling.symlink_metadata().is_ok() {
        say::tell(Message::EnrolCeilingKept, &[&ceiling.display().to_string()]);
        // Programs that it lets a relay start are shown: it may be older than anybody remembers.
        if let Ok(kept) = policy::load(&ceiling) {
            OwnChecks::of(plan.places, &kept, clock::unix_time()).tell();
        }
    } else {
        say::tell(Message::EnrolCeiling, &[&ceiling.display().to_string()]);
        for line in plan.options.preset.text().lines() {
            say::line(&format!("    {line}"));
        }
    }
    say::tell(Message::EnrolLeaves, &[]);
}

/// Makes the keys, joins, writes the files. Returns the server's id.
fn join(plan: &Plan<'_>, undo: &mut Undo<'_>) -> Result<String, Problem> {
    let places = plan.places;
    make_dirs(places, plan.state_dir)?;
    // What an enrolment that was killed left behind; no configuration file, so no server relies on it.
    files::remove(&identity::path(&places.guard))?;
    TrustStore::remove(&places.guard)?;
    let transport = TransportKey::load_or_create(&places.tunnel)?;
    let identity = SigningKey::from_bytes(&Zeroizing::new(crate::guard::random()));
    identity::create(&places.guard, &identity)?;
    let log = talk(plan, &identity, &transport)?;
    TrustStore::create(&places.guard, &log)?;
    let ceiling = places.ceiling();
    if ceiling.symlink_metadata().is_err() {
        files::create(&ceiling, files::PUBLIC, plan.options.preset.text().as_bytes())?;
        undo.wrote_ceiling = true;
    }
    Config::new(log.tenant(), &plan.name, std::slice::from_ref(&plan.relay)).save(&places.config())?;
    Ok(identity::agent_id(&identity).to_string())
}

fn make_dirs(places: &Places, state_dir: Option<&Path>) -> Result<(), Problem> {
    if let Some(dir) = state_dir {
        files::make_dir(dir, 0o700)?;
        files::make_dir(&places.tunnel, 0o700)?;
    }
    files::make_dir(&places.etc, 0o755)?;
    files::make_dir(&places.guard, 0o700)?;
    Ok(())
}

fn talk(plan: &Plan<'_>, identity: &SigningKey, transport: &TransportKey) -> Result<TrustLog, Problem> {
    let begin = EnrolBegin { secret: plan.token.secret, host: facts::read() };
    let sign = |entries: &[ByteBuf]| sign(plan, identity, transport.public(), entries);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Problem::new(Message::Failed, error))?;
    let joined = runtime.block_on(enrol(&plan.relay.url, &plan.relay.pins, transport, &begin, sign));
    let entries = joined.map_err(|error| match error {
        EnrolError::Caller(Stop::OtherLog) => Problem::new(Message::WrongWords, ""),
        EnrolError::Caller(Stop::Log(error)) => Problem::new(Message::LogBroken, error.text(language())),
        EnrolError::Caller(Stop::Batch) => Problem::new(Message::BatchUnknown, ""),
        EnrolError::Refused(refusal) => Problem::new(refused(refusal), ""),
        other @ (EnrolError::Address(_)
        | EnrolError::Dial(_)
        | EnrolError::Closed(_)
        | EnrolError::Wire(_)
        | EnrolError::Log
        | EnrolError::Silent) => Problem::new(Message::EnrolFailed, other),
    })?;
    TrustLog::replay(&entries, Some(plan.token.tenant))
        .map_err(|error| Problem::new(Message::LogBroken, error.text(language())))
}

fn refused(refusal: EnrolRefusal) -> Message {
    match refusal {
        EnrolRefusal::Token => Message::EnrolToken,
        EnrolRefusal::Entry => Message::EnrolEntry,
        EnrolRefusal::Limited => Message::EnrolLimited,
        EnrolRefusal::Unavailable => Message::EnrolUnavailable,
        EnrolRefusal::Unknown => Message::EnrolUnknown,
    }
}

/// Verifies the log from its first entry on and signs this server's own entry behind it.
fn sign(
    plan: &Plan<'_>,
    identity: &SigningKey,
    transport: VerifyKey,
    entries: &[ByteBuf],
) -> Result<EnrolCommit, Stop> {
    let mut log = TrustLog::replay(entries, Some(plan.token.tenant)).map_err(|error| match error {
        LogError::OtherTenant { .. } => Stop::OtherLog,
        other @ (LogError::Pack { .. }
        | LogError::Fork { .. }
        | LogError::NotAllowed { .. }
        | LogError::Signature { .. }
        | LogError::Rule { .. }
        | LogError::Empty) => Stop::Log(other),
    })?;
    let batch = SigningKey::from_bytes(&plan.token.batch_seed);
    let by = batch_id(&identity::public(&batch));
    if !log.batches.contains_key(&by) {
        return Err(Stop::Batch);
    }
    let what = What::AddAgent { identity: identity::public(identity), name: plan.name.clone() };
    let entry = log.next_entry(by, clock::unix_time(), what).sign_with_batch(&batch).to_bytes();
    log.append(&entry).map_err(Stop::Log)?;
    let binding = TransportBinding::sign(identity, transport, log.tenant());
    Ok(EnrolCommit { entry: ByteBuf::from(entry), binding })
}

/// Removes what a failed enrolment made.
struct Undo<'a> {
    places: &'a Places,
    state_dir: Option<&'a Path>,
    wrote_ceiling: bool,
    keep: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let places = self.places;
        let ceiling = if self.wrote_ceiling { files::remove(&places.ceiling()) } else { Ok(()) };
        let removed = [
            files::remove(&places.config()),
            ceiling,
            TrustStore::remove(&places.guard),
            files::remove(&identity::path(&places.guard)),
            TransportKey::remove(&places.tunnel),
        ];
        for error in removed.into_iter().filter_map(Result::err) {
            say::problem(Message::Failed, &[&error.to_string()]);
        }
        if let Some(dir) = self.state_dir {
            for empty in [&places.etc, &places.guard, &places.tunnel, dir] {
                // A directory with anything in it stays: it is not ours to empty.
                std::fs::remove_dir(empty).ok();
            }
        }
    }
}
