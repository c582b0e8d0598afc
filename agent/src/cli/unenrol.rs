//! `unenrol`: the server leaves. The relay forgets it, keys and pinned log go, the audit stays.
//!
//! The relay may be gone for ever; leaving must not depend on it.

use super::{Exit, say};
use crate::audit::{Audit, Event};
use crate::checker::kept;
use crate::messages::Message;
use crate::state::config::Config;
use crate::state::files::{FileError, Lock};
use crate::state::trust::TrustStore;
use crate::state::{Places, files, identity};
use crate::tunnel::enrol::{EnrolError, unenrol};
use crate::tunnel::key::TransportKey;
use crate::tunnel::metrics;
use cloud_doctor_proto::control::Unenrol;
use ed25519_dalek::SigningKey;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How often, and after which pauses, a guard that is stopping is looked for: three seconds.
const LOOKS: u32 = 30;
const LOOK: Duration = Duration::from_millis(100);

/// `unenrol`.
pub(super) fn run(places: &Places, yes: bool) -> Exit {
    let config = match Config::load(&places.config()) {
        Ok(config) => config,
        Err(error) => {
            say::problem(Message::NotEnrolled, &[&error.to_string()]);
            return Exit::Config;
        }
    };
    let _lock = match lock_when_free(places) {
        Ok(lock) => lock,
        Err(error) if error.source.kind() == io::ErrorKind::WouldBlock => {
            say::problem(Message::StopFirst, &[]);
            return Exit::Failed;
        }
        Err(error) => return say::file_problem(&error),
    };
    let aside = identity::load(&places.guard).map_or_else(|_| places.audit(), |key| audit_aside(places, &key));
    say::tell(Message::UnenrolIntro, &[&config.name, &aside.display().to_string()]);
    if !yes && !say::ask(Message::UnenrolAsk) {
        say::tell(Message::EnrolNo, &[]);
        return Exit::Done;
    }
    note(places);
    tell_relays(places, &config);
    match remove(places) {
        Ok(()) => {
            say::tell(Message::Unenrolled, &[]);
            Exit::Done
        }
        Err(error) => say::file_problem(&error),
    }
}

/// The state's lock. Guard may still be stopping when `systemctl stop cloud-doctor.target` has returned: systemd waits for
/// the target alone.
#[expect(clippy::disallowed_methods, reason = "a command of root's that has nothing else to do meanwhile")]
fn lock_when_free(places: &Places) -> Result<Lock, FileError> {
    for _ in 0..LOOKS {
        match Lock::take(&places.guard) {
            Err(error) if error.source.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(LOOK),
            other => return other,
        }
    }
    Lock::take(&places.guard)
}

/// The last line of the audit. A log that cannot be written does not keep anybody from leaving.
fn note(places: &Places) {
    let Ok(identity) = identity::load(&places.guard) else { return };
    let now = crate::guard::now();
    if let Ok(mut audit) = Audit::open(&places.audit(), identity, now) {
        audit.note(now, &Event::new("unenrolled"));
    }
}

/// Tells each relay. One that cannot be told is named: its operator can remove the server there.
fn tell_relays(places: &Places, config: &Config) {
    let told = identity::load(&places.guard).map_err(|error| error.to_string()).and_then(|identity| {
        let key = TransportKey::load_or_create(&places.tunnel).map_err(|error| error.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let leave = Unenrol::sign(&identity);
        for relay in config.relays() {
            let left: Result<(), EnrolError<Infallible>> =
                runtime.block_on(unenrol(&relay.url, &relay.pins, &key, &leave));
            if let Err(error) = left {
                say::problem(Message::RelayNotTold, &[&relay.url, &error.to_string()]);
            }
        }
        Ok(())
    });
    if let Err(error) = told {
        say::problem(Message::RelayNotTold, &["-", &error]);
    }
}

/// Configuration last: as long as it is there, the command can be repeated.
fn remove(places: &Places) -> Result<(), FileError> {
    set_audit_aside(places)?;
    TrustStore::remove(&places.guard)?;
    TransportKey::remove(&places.tunnel)?;
    metrics::forget(&places.tunnel)?;
    files::remove(&places.lockdown())?;
    files::remove(&kept::file(&places.guard))?;
    files::remove(&identity::path(&places.guard))?;
    files::remove(&places.config())
}

/// The audit stays, under the name of who wrote it and with the key that verifies it: the next enrolment begins another
/// one. With a damaged key the customer's trust log still has its public half.
fn set_audit_aside(places: &Places) -> Result<(), FileError> {
    let Ok(key) = identity::load(&places.guard) else { return Ok(()) };
    if places.audit().symlink_metadata().is_err() {
        return Ok(());
    }
    let line = format!("{}\n", identity::public(&key));
    files::replace(&places.audit().join("identity.pub"), files::PRIVATE, line.as_bytes())?;
    let aside = audit_aside(places, &key);
    std::fs::rename(places.audit(), &aside).map_err(FileError::at(&aside))
}

fn audit_aside(places: &Places, key: &SigningKey) -> PathBuf {
    places.guard.join(format!("audit-{}", identity::agent_id(key).short()))
}
