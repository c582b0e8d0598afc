//! `visit`: lets an engineer in once. In the foreground, with root's own word, until Ctrl-C.
//!
//! ```text
//!  code ─▶ who offers ─▶ waiting ─▶ what is asked ─ six words as heard ─▶ open, event by event ─▶ over
//!                          ▲ taken back ◀─┘  └─ no, or other words ─▶ over
//! ```
//!
//! The words are typed, never shown: what is compared cannot be drawn by somebody else's text, and no yes can be given
//! before they were heard.

use super::roles::{log, runtime};
use super::{Exit, events, say};
use crate::guard::admin::{self, Answer, Ask, PendingLine, Status};
use crate::guest::{self, Folder, GuestError, Own};
use crate::messages::{Message, language};
use crate::policy::{self, Watch};
use crate::standalone::{self, Roles};
use crate::state::config::Config;
use crate::state::trust::TrustStore;
use crate::state::{Places, identity};
use crate::stop::Stop;
use cloud_doctor_proto::audit::Verifier;
use cloud_doctor_proto::guest::{Code, GuestOffer};
use cloud_doctor_proto::limits::GUEST_CODE_SECS;
use rustix::process::DumpableBehavior;
use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing_subscriber::filter::LevelFilter;

/// Between two looks at guard.
const LOOK: Duration = Duration::from_millis(300);
/// For an answer to reach the engineer.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Where visits are kept on an installed system: not below guard's own directory, which nobody else may enter.
const VISITS: &str = "/var/lib/cloud-doctor-visits";
/// A code is as good as nothing when nobody came with a request in this time.
const PATIENCE: Duration = Duration::from_secs(GUEST_CODE_SECS);
/// Words may be misheard so often.
const TRIES: usize = 3;
/// Characters of a stranger's text on a line.
const TEXT_CHARS_MAX: usize = 80;
/// The audit is read in pieces of this size.
const NEWS_BYTES_MAX: u64 = 256 << 10;
/// Events that say nothing to whoever watches.
const UNSHOWN: [&str; 4] = ["guard-started", "transport-key-bound", "second-signature-needed", "visit-opened"];

/// How a visit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Denied,
    /// Ctrl-C, a closed terminal, or the visit's time.
    Over,
    /// Nobody asked for anything in time.
    Nobody,
    /// Root locked the server down, or changed its ceiling.
    OwnWord,
}

/// `visit`.
pub(super) fn run(places: &Places, state_dir: Option<&Path>, code: &str) -> Exit {
    if !rustix::process::geteuid().is_root() {
        say::problem(Message::VisitNeedsRoot, &[]);
        return Exit::NoPermission;
    }
    let code: Code = match code.parse() {
        Ok(code) => code,
        Err(error) => {
            say::problem(Message::VisitBadCode, &[&format!("{error}")]);
            return Exit::Usage;
        }
    };
    if !rustix::termios::isatty(io::stdin()) {
        say::problem(Message::VisitNeedsTerminal, &[]);
        return Exit::Usage;
    }
    let own = match own(places) {
        Ok(own) => own,
        Err(exit) => return exit,
    };
    // Keys are made in this process: no core file, no look from outside.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    log(LevelFilter::ERROR);
    let visits = state_dir.map_or_else(|| PathBuf::from(VISITS), |dir| dir.join("visits"));
    let folder = match Folder::make(&visits) {
        Ok(folder) => folder,
        Err(error) => return say::file_problem(&error),
    };
    let visit = Visit { places, folder: &folder, code: &code, own };
    let exit = runtime().map_err(GuestError::from).and_then(|runtime| runtime.block_on(visit.go()));
    let exit = exit.unwrap_or_else(|error| problem(&error, &code));
    let key = identity::load(&folder.places.guard).map(|key| identity::public(&key).to_string());
    let cleared = folder.clear();
    if let (Ok(key), true) = (key, folder.places.audit().exists()) {
        say::tell(Message::VisitRecord, &[&key, &folder.places.audit().display().to_string()]);
    }
    cleared.map_or_else(|error| say::file_problem(&error), |()| exit)
}

/// What the server's own customer has laid down, and root's own lockdown. `None`: nobody has.
fn own(places: &Places) -> Result<Option<Own>, Exit> {
    if places.is_locked_down() {
        say::problem(Message::VisitLockedDown, &[]);
        return Err(Exit::Failed);
    }
    let missing = |path: &Path| path.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    let enrolled = !missing(&places.config());
    // On an enrolled server a missing ceiling means never.
    if missing(&places.ceiling()) && !enrolled {
        return Ok(None);
    }
    let ceiling = policy::load(&places.ceiling()).map_err(|error| {
        say::problem(Message::VisitOwnCeiling, &[&error.told().text(language())]);
        Exit::Config
    })?;
    let broken = |error: &dyn std::fmt::Display| {
        say::problem(Message::TrustBroken, &[&error.to_string()]);
        Exit::Config
    };
    let policy = match enrolled {
        true => {
            let config = Config::load(&places.config()).map_err(|error| broken(&error))?;
            let log = TrustStore::read(&places.guard, config.tenant()).map_err(|error| broken(&error))?;
            Some(log.policy)
        }
        false => None,
    };
    Ok(Some(Own { ceiling, policy }))
}

fn problem(error: &GuestError, code: &Code) -> Exit {
    match error {
        GuestError::OtherKey => say::problem(Message::VisitOtherKey, &[&code.relay]),
        GuestError::UnknownCode => say::problem(Message::VisitUnknownCode, &[]),
        GuestError::File(error) => return say::file_problem(error),
        GuestError::Key(_) | GuestError::Offer(_) | GuestError::Io(_) | GuestError::Road(_) => {
            say::problem(Message::Failed, &[&error.to_string()]);
        }
    }
    Exit::Failed
}

/// One visit, from its code to its end.
struct Visit<'a> {
    /// The server's own, whatever of it there is.
    places: &'a Places,
    folder: &'a Folder,
    code: &'a Code,
    own: Option<Own>,
}

impl Visit<'_> {
    async fn go(&self) -> Result<Exit, GuestError> {
        let mut desk = Desk::open(self)?;
        say::tell(Message::VisitMeeting, &[&self.code.relay]);
        let offer = tokio::select! {
            biased;
            () = desk.stop.asked() => return Ok(Exit::Done),
            offer = guest::prepare(self.folder, self.code, self.own.as_ref()) => offer?,
        };
        let (places, dir) = (&self.folder.places, &self.folder.path);
        let roles = Roles { places, dir, tunnel_user: Some(self.folder.nobody) };
        let ended = standalone::run(roles, desk.attend(&offer)).await?;
        desk.news.tell();
        let denied = if desk.open { Message::VisitDeniedMore } else { Message::VisitDenied };
        let last = match ended {
            Some(End::Denied) => denied,
            None if desk.denied => denied,
            Some(End::Over) => Message::VisitOver,
            Some(End::Nobody) => Message::VisitNobody,
            Some(End::OwnWord) => Message::VisitOwnWord,
            None => Message::VisitEndedThere,
        };
        say::tell(last, &[]);
        Ok(Exit::Done)
    }
}

/// Root's terminal.
struct Desk<'a> {
    visit: &'a Visit<'a>,
    /// The server's own ceiling.
    ceiling: Watch,
    stop: Stop,
    lines: mpsc::Receiver<String>,
    news: News,
    /// The request that root was asked about, and how often other words were typed under it.
    asked: Option<(PendingLine, usize)>,
    /// Root has said yes once.
    open: bool,
    /// Root has said no.
    denied: bool,
}

impl<'a> Desk<'a> {
    fn open(visit: &'a Visit<'a>) -> io::Result<Self> {
        // Suspended too: a visit cannot be left alone in the background.
        let stop = Stop::on(&[
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::from_raw(libc::SIGTSTP),
        ])?;
        let news = News::new(&visit.folder.places);
        let ceiling = Watch::new(visit.places.ceiling());
        Ok(Self { visit, ceiling, stop, lines: lines(), news, asked: None, open: false, denied: false })
    }

    async fn attend(&mut self, offer: &GuestOffer) -> End {
        let relay = self.visit.code.relay.as_str();
        say::tell(Message::VisitOffer, &[&short(&offer.account), relay, &offer.engineer.fingerprint()]);
        say::tell(Message::VisitWaiting, &[]);
        let mut patience = std::pin::pin!(sleep(PATIENCE));
        loop {
            tokio::select! {
                biased;
                () = self.stop.asked() => return End::Over,
                () = patience.as_mut(), if !self.open => return End::Nobody,
                Some(line) = self.lines.recv() => if self.answer(&line) {
                    // So that the engineer hears the answer before the road goes, maybe by the engineer's hand.
                    self.denied = true;
                    sleep(LAST_WORDS).await;
                    return End::Denied;
                },
                () = sleep(LOOK) => {}
            }
            if self.is_overruled() {
                return End::OwnWord;
            }
            // A guard that is being restarted is asked again.
            let socket = self.visit.folder.places.admin_socket();
            let Ok(Answer::Status(status)) = admin::ask(&socket, &Ask::Status) else { continue };
            if self.open && status.visits.is_empty() {
                return End::Over;
            }
            self.look(&status);
            self.news.tell();
        }
    }

    /// Root has locked the server down meanwhile, or changed what may happen there.
    fn is_overruled(&mut self) -> bool {
        let places = self.visit.places;
        let changed = |own: &Own| policy::load(&places.ceiling()).ok().as_ref() != Some(&own.ceiling);
        places.is_locked_down() || self.visit.own.as_ref().is_some_and(|own| self.ceiling.is_changed() && changed(own))
    }

    /// What root typed under a request. `true`: no.
    fn answer(&mut self, line: &str) -> bool {
        let Some((pending, tries)) = self.asked.take() else { return false };
        let socket = self.visit.folder.places.admin_socket();
        let visit = pending.visit.clone();
        if pending.heard(line) {
            return match admin::ask(&socket, &Ask::Approve { visit }) {
                Ok(Answer::Done(_)) => {
                    say::tell(Message::VisitOpen, &[&pending.minutes.to_string()]);
                    self.open = true;
                    false
                }
                Ok(other @ (Answer::Status(_) | Answer::Refused(_) | Answer::Failed(_))) => {
                    say::answer(&other);
                    true
                }
                Err(error) => {
                    say::guard_away(&self.visit.folder.places, &error);
                    true
                }
            };
        }
        if tries + 1 < TRIES && line.split_whitespace().count() > 1 {
            say::tell(Message::VisitOtherWords, &[]);
            say::prompt(Message::VisitAsk);
            self.asked = Some((pending, tries + 1));
            return false;
        }
        // A guard that cannot be told denies with the tunnel's end.
        admin::ask(&socket, &Ask::Deny { visit }).ok();
        true
    }

    /// Shows a request that has just come; says so when the one that was shown has gone.
    fn look(&mut self, status: &Status) {
        if let Some((asked, _)) = &self.asked {
            if status.pending.iter().any(|pending| pending.visit == asked.visit) {
                return;
            }
            say::line("");
            say::tell(Message::VisitGone, &[]);
            self.asked = None;
        }
        let Some(pending) = status.pending.first() else { return };
        say::line("");
        say::tell(Message::VisitAsks, &[&short(&pending.engineer), &pending.minutes.to_string()]);
        for scope in pending.scopes.split(", ") {
            say::tell(Message::VisitScope, &[scope]);
        }
        if !(pending.reason.is_empty() && pending.ticket.is_empty()) {
            say::tell(Message::VisitWhy, &[&short(&pending.reason), &short(&pending.ticket)]);
        }
        // What was typed before the question was there is no answer to it.
        rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush).ok();
        while self.lines.try_recv().is_ok() {}
        say::prompt(Message::VisitAsk);
        self.asked = Some((pending.clone(), 0));
    }
}

/// A stranger's text, for a line that others' words stand on too: no runs of blanks, and not long.
fn short(text: &str) -> String {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.chars().count() <= TEXT_CHARS_MAX {
        return plain;
    }
    plain.chars().take(TEXT_CHARS_MAX).chain(std::iter::once('…')).collect()
}

/// The audit as it grows: each line is verified and shown once.
struct News {
    guard: PathBuf,
    dir: PathBuf,
    /// From the moment on at which there is an identity.
    verifier: Option<Verifier>,
    /// The segment that is read, and how far.
    at: (Option<PathBuf>, u64),
}

impl News {
    fn new(places: &Places) -> Self {
        Self { guard: places.guard.clone(), dir: places.audit(), verifier: None, at: (None, 0) }
    }

    /// Shows what happened since the last look.
    fn tell(&mut self) {
        if self.verifier.is_none() {
            self.verifier = identity::load(&self.guard).ok().map(|key| Verifier::new(identity::public(&key)));
        }
        for path in crate::audit::segments(&self.dir).unwrap_or_default() {
            let from = match &self.at.0 {
                Some(read) if *read > path => continue,
                Some(read) if *read == path => self.at.1,
                Some(_) | None => 0,
            };
            let Some(to) = self.read(&path, from) else { return };
            self.at = (Some(path), to);
        }
    }

    /// Whole lines of a segment from a place on; where they end.
    fn read(&mut self, path: &Path, from: u64) -> Option<u64> {
        let mut file = File::open(path).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut text = Vec::new();
        file.take(NEWS_BYTES_MAX).read_to_end(&mut text).ok()?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            let payload = self.verifier.as_mut()?.line(line).ok()?;
            if !UNSHOWN.contains(&payload.event.as_str()) {
                say::line(&events::line(&payload));
            }
        }
        Some(from + u64::try_from(whole).unwrap_or(0))
    }
}

/// Lines that root types. The thread ends with the process: nothing else can end a read of a terminal.
fn lines() -> mpsc::Receiver<String> {
    let (to, from) = mpsc::channel(4);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if to.blocking_send(line).is_err() {
                return;
            }
        }
    });
    from
}
