//! `visit`: lets an engineer in once. In the foreground, with root's own word, until Ctrl-C.
//!
//! ```text
//!  code ─▶ who offers ─▶ waiting ─▶ what is asked, six words ─ y ─▶ open, event by event ─▶ over
//!                          ▲ taken back ◀─┘      └─ n ─▶ over
//! ```

use super::roles::{log, runtime};
use super::{Exit, audit, events, say};
use crate::guard::admin::{self, Answer, Ask, PendingLine, Status};
use crate::guest::{self, Folder, GuestError};
use crate::messages::{Message, language};
use crate::policy;
use crate::standalone::{self, Roles};
use crate::state::{Places, identity};
use cloud_doctor_proto::ceiling::Ceiling;
use cloud_doctor_proto::guest::{Code, GuestOffer};
use std::io::{self, BufRead as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing_subscriber::filter::LevelFilter;

/// Between two looks at guard.
const LOOK: Duration = Duration::from_millis(300);
/// For an answer to reach the engineer.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Where visits are kept on an installed system: not below guard's own directory, which nobody else may enter.
const VISITS: &str = "/var/lib/cloud-doctor-visits";
/// Events that say nothing to whoever watches.
const UNSHOWN: [&str; 4] = ["guard-started", "transport-key-bound", "second-signature-needed", "visit-opened"];

/// How a visit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Denied,
    /// Ctrl-C, a closed terminal, or the visit's time.
    Over,
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
    let own = match ceiling(places) {
        Ok(own) => own,
        Err(exit) => return exit,
    };
    log(LevelFilter::ERROR);
    let visits = state_dir.map_or_else(|| PathBuf::from(VISITS), |dir| dir.join("visits"));
    let folder = match Folder::make(&visits) {
        Ok(folder) => folder,
        Err(error) => return say::file_problem(&error),
    };
    let exit =
        runtime().map_err(GuestError::from).and_then(|runtime| runtime.block_on(go(&folder, &code, own.as_ref())));
    let exit = exit.unwrap_or_else(|error| problem(&error, &code));
    let key = identity::load(&folder.places.guard).map(|key| identity::public(&key).to_string());
    if let Err(error) = folder.clear() {
        return say::file_problem(&error);
    }
    if let (Ok(key), true) = (key, folder.places.audit().exists()) {
        say::tell(Message::VisitRecord, &[&key, &folder.places.audit().display().to_string()]);
    }
    exit
}

/// The server's own ceiling, where it has one, and root's own lockdown.
fn ceiling(places: &Places) -> Result<Option<Ceiling>, Exit> {
    if places.lockdown().symlink_metadata().is_ok() {
        say::problem(Message::VisitLockedDown, &[]);
        return Err(Exit::Failed);
    }
    if places.ceiling().symlink_metadata().is_err() {
        return Ok(None);
    }
    policy::load(&places.ceiling()).map(Some).map_err(|error| {
        say::problem(Message::VisitOwnCeiling, &[&error.told().text(language())]);
        Exit::Config
    })
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

async fn go(folder: &Folder, code: &Code, own: Option<&Ceiling>) -> Result<Exit, GuestError> {
    let mut desk = Desk::open(folder)?;
    say::tell(Message::VisitMeeting, &[&code.relay]);
    let offer = tokio::select! {
        biased;
        () = desk.stop.asked() => return Ok(Exit::Done),
        offer = guest::prepare(folder, code, own) => offer?,
    };
    let roles = Roles { places: &folder.places, dir: &folder.path, tunnel_user: Some(folder.nobody) };
    let ended = standalone::run(roles, desk.attend(&offer, &code.relay)).await?;
    desk.news();
    match ended {
        Some(End::Denied) => say::tell(Message::VisitDenied, &[]),
        Some(End::Over) => say::tell(Message::VisitOver, &[]),
        None if desk.denied => say::tell(Message::VisitDenied, &[]),
        None => say::tell(Message::VisitEndedThere, &[]),
    }
    Ok(Exit::Done)
}

/// What ends a command in the foreground.
struct Stop {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Stop {
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.hup.recv() => {}
        }
    }
}

/// Root's terminal.
struct Desk<'a> {
    folder: &'a Folder,
    stop: Stop,
    lines: mpsc::Receiver<String>,
    /// Lines of the audit that were shown or passed over.
    shown: usize,
    /// Bytes of the audit when it was last read.
    audit_bytes: u64,
    /// Root has said no.
    denied: bool,
}

impl<'a> Desk<'a> {
    fn open(folder: &'a Folder) -> io::Result<Self> {
        let stop = Stop {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        };
        Ok(Self { folder, stop, lines: lines(), shown: 0, audit_bytes: 0, denied: false })
    }

    async fn attend(&mut self, offer: &GuestOffer, relay: &str) -> End {
        say::tell(Message::VisitOffer, &[&offer.account, relay, &offer.engineer.fingerprint()]);
        say::tell(Message::VisitWaiting, &[]);
        let mut asked: Option<PendingLine> = None;
        let mut open = false;
        loop {
            tokio::select! {
                biased;
                () = self.stop.asked() => return End::Over,
                Some(line) = self.lines.recv() => if let Some(pending) = asked.take() {
                    match self.answer(&line, &pending) {
                        Ok(()) => open = true,
                        Err(end) => {
                            // So that the engineer hears the answer before the road goes, maybe by the engineer's hand.
                            self.denied = true;
                            sleep(LAST_WORDS).await;
                            return end;
                        }
                    }
                },
                () = sleep(LOOK) => {}
            }
            // A guard that is being restarted is asked again.
            let Ok(Answer::Status(status)) = admin::ask(&self.folder.places.admin_socket(), &Ask::Status) else {
                continue;
            };
            if open && status.visits.is_empty() {
                return End::Over;
            }
            asked = waits(asked, &status);
            self.news();
        }
    }

    /// What root typed under a request.
    fn answer(&self, line: &str, pending: &PendingLine) -> Result<(), End> {
        let socket = self.folder.places.admin_socket();
        let visit = pending.visit.clone();
        if !say::is_yes(line) {
            // A guard that cannot be told denies with the tunnel's end.
            admin::ask(&socket, &Ask::Deny { visit }).ok();
            return Err(End::Denied);
        }
        match admin::ask(&socket, &Ask::Approve { visit }) {
            Ok(Answer::Done(_)) => {
                say::tell(Message::VisitOpen, &[&pending.minutes.to_string()]);
                Ok(())
            }
            Ok(other @ (Answer::Status(_) | Answer::Refused(_) | Answer::Failed(_))) => {
                say::answer(&other);
                Err(End::Denied)
            }
            Err(error) => {
                say::guard_away(&self.folder.places, &error);
                Err(End::Denied)
            }
        }
    }

    /// Shows what happened since the last look.
    fn news(&mut self) {
        let segments = crate::audit::segments(&self.folder.places.audit()).unwrap_or_default();
        let bytes = segments.iter().filter_map(|path| Some(path.metadata().ok()?.len())).sum();
        if bytes == self.audit_bytes {
            return;
        }
        let (mut count, shown) = (0, self.shown);
        let read = audit::read(&self.folder.places, |_, payload| {
            count += 1;
            if count > shown && !UNSHOWN.contains(&payload.event.as_str()) {
                say::line(&events::line(payload));
            }
        });
        if read.is_ok() {
            (self.audit_bytes, self.shown) = (bytes, count);
        }
    }
}

/// Shows a request that has just come; says so when the one that was shown has gone.
fn waits(asked: Option<PendingLine>, status: &Status) -> Option<PendingLine> {
    if let Some(asked) = asked {
        if status.pending.iter().any(|pending| pending.visit == asked.visit) {
            return Some(asked);
        }
        say::line("");
        say::tell(Message::VisitGone, &[]);
    }
    let pending = status.pending.first()?;
    say::line("");
    say::tell(Message::VisitAsks, &[&pending.engineer, &pending.scopes, &pending.minutes.to_string()]);
    if !(pending.reason.is_empty() && pending.ticket.is_empty()) {
        say::tell(Message::VisitWhy, &[&pending.reason, &pending.ticket]);
    }
    say::tell(Message::VisitWords, &[&pending.words]);
    say::prompt(Message::VisitAsk);
    Some(pending.clone())
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
