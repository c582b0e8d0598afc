//! HAProxy: its configuration as it is in effect.
//!
//! Reads what HAProxy reads, in its order and by its rules (`doc/configuration.txt`, `src/cfgparse.c`, `src/tools.c`), with
//! the line behind every value. What depends on its environment, its version or a condition that only it can tell is said
//! to be unknown; nothing is guessed. It must never keep passwords: of `stats auth` it knows only that it is there.

mod conditions;
mod file;
mod global;
mod line;
mod locate;
mod notes;
mod pool;
mod proxy;
mod server;
#[cfg(test)]
mod tests;
mod times;
mod variables;
mod words;

pub(crate) use global::StatsSocket;
pub(crate) use notes::{BareTime, IdleInterval, Restart};

use super::{Fleet, Place, System, Trouble, fleet};
use crate::found::Gap;
use crate::host::Host;
use crate::words;
use cloud_doctor_proto::finding::Words;
use file::Reader;
use locate::Located;

/// Servers that are looked at (CHK-01): a finding for each of them is no help to anybody.
pub(super) const MEMBERS_MAX: usize = 10_000;

/// What only HAProxy has.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    pub(crate) instances: Vec<Instance>,
    pub(crate) bare_times: Vec<BareTime>,
    pub(crate) idle_intervals: Vec<IdleInterval>,
    pub(crate) restarts: Vec<Restart>,
    pub(crate) pages: Vec<StatsPage>,
}

/// One HAProxy.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) files: Vec<String>,
    /// Empty when none runs.
    pub(crate) pids: Vec<u32>,
    pub(crate) sockets: Vec<StatsSocket>,
    /// Why not all of its files were read.
    pub(crate) unread: Option<Words>,
}

/// A page with statistics on an address that others can reach.
#[derive(Debug, Clone)]
pub(crate) struct StatsPage {
    /// The section's subject.
    pub(crate) subject: String,
    pub(crate) place: Place,
    /// Neither a password nor rules stand before it.
    pub(crate) is_open: bool,
    /// Servers can be switched there.
    pub(crate) is_admin: bool,
}

/// Reads every HAProxy of this host.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let instances = locate::instances(host);
    if instances.is_empty() {
        return None;
    }
    let (mut fleet, mut extras) = (Fleet::default(), Extras::default());
    for located in instances {
        read_instance(host, located, &mut fleet, &mut extras);
    }
    host.memo.haproxy.set(extras).ok();
    Some(fleet)
}

/// What only HAProxy has, on this host.
///
/// # Errors
/// [`Gap::NotHere`] when there is no HAProxy.
pub(crate) fn extras(host: &Host) -> Result<&Extras, Gap> {
    let none = || Gap::NotHere(words!("HAProxy is not installed here", "此主机未安装 HAProxy"));
    // Reading the fleet reads this too.
    fleet(host).map_err(|_| none())?;
    host.memo.haproxy.get().ok_or_else(none)
}

fn read_instance(host: &Host, located: Located, fleet: &mut Fleet, extras: &mut Extras) {
    let Located { files, pids, mut troubles } = located;
    let mut reader = Reader::new(locate::variables(host));
    for file in &files {
        match bytes(host, file, !pids.is_empty()) {
            Ok(bytes) => reader.read(file, &bytes),
            Err(trouble) => troubles.push(trouble),
        }
    }
    let unread = troubles.first().map(|trouble| trouble.why.clone());
    let (pools, pages) = reader.finish();
    fleet.pools.extend(pools);
    fleet.troubles.append(&mut troubles);
    fleet.troubles.append(&mut reader.notes.troubles);
    extras.bare_times.append(&mut reader.notes.bare_times);
    extras.idle_intervals.append(&mut reader.notes.idle_intervals);
    extras.restarts.append(&mut reader.notes.restarts);
    extras.pages.extend(pages);
    extras.instances.push(Instance { files, pids, sockets: reader.global.sockets, unread });
}

/// A file, as bytes: HAProxy knows no encoding. It refuses a NUL, and so does this.
fn bytes(host: &Host, file: &str, runs: bool) -> Result<Vec<u8>, Trouble> {
    let trouble = |line, why| {
        let place = Place { file: file.to_owned(), line, text: String::new() };
        Trouble { system: System::Haproxy, place, why }
    };
    let bytes = host.read_bytes(file).map_err(|gap| match gap {
        Gap::NotHere(_) if runs => trouble(
            0,
            words!(
                "HAProxy runs with {file}, which is not there: it may run in a container, then look from inside",
                "HAProxy 运行时使用 {file}，但此处没有该文件：它可能运行在容器中，请在容器内检查"
            ),
        ),
        Gap::NotHere(why) | Gap::Unknown(why) => trouble(0, why),
    })?;
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else { return Ok(bytes) };
    let before = bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
    let line = u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1);
    Err(trouble(
        line,
        words!(
            "byte {at} is NUL (binary or UTF-16); HAProxy refuses such a file",
            "第 {at} 字节为 NUL（二进制或 UTF-16），HAProxy 会拒绝此文件"
        ),
    ))
}
