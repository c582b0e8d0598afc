//! systemd's units and what became of them, asked once for all checks.
//!
//! Only properties that can be read are asked for, and only of units that a check may speak of: those that failed, running
//! services, timers. It must never call a method that changes a unit.

use super::Host;
use super::dbus::Bus;
use super::dbus::codec::{Answer, Call, Reader, Value};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::time::UnixTime;
use std::io;

/// Units that are asked for their properties; a host with more says so.
const ASKED_MAX: usize = 600;
/// Units that are listed.
const UNITS_MAX: usize = 20_000;

const SERVICE: &str = "org.freedesktop.systemd1.Service";
const TIMER: &str = "org.freedesktop.systemd1.Timer";
const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// All units.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Systemd {
    pub(crate) units: Vec<Unit>,
    /// Units whose properties were not asked, because there are too many.
    pub(crate) unasked: usize,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unit {
    /// Like `nginx.service`.
    pub(crate) name: String,
    /// `loaded`, `not-found`, `error`, `masked`.
    pub(crate) load: String,
    /// `active`, `failed`, `activating`, …
    pub(crate) active: String,
    /// `running`, `exited`, `auto-restart`, …
    pub(crate) sub: String,
    /// Its name on the bus.
    pub(crate) path: String,
    /// When its state changed last.
    pub(crate) changed: Option<UnixTime>,
    /// Why a service ended: `exit-code`, `signal`, `oom-kill`, `start-limit-hit`, …
    pub(crate) result: Option<String>,
    /// The exit status of a service's main process.
    pub(crate) exit_status: Option<u64>,
    /// How often systemd has started a service again since somebody started it.
    pub(crate) restarts: Option<u64>,
    /// When a timer ran last.
    pub(crate) triggered: Option<UnixTime>,
    /// When a timer runs next, where that is a time of day.
    pub(crate) due: Option<UnixTime>,
    /// What a timer starts.
    pub(crate) starts: Option<String>,
}

impl Unit {
    /// Whether it is a service.
    pub(crate) fn is_service(&self) -> bool {
        self.name.ends_with(".service")
    }

    fn is_timer(&self) -> bool {
        self.name.ends_with(".timer")
    }

    /// Which properties a check may want.
    fn wanted(&self) -> &'static [(&'static str, &'static str)] {
        let failed = self.active == "failed";
        if self.is_service() && (failed || self.active != "inactive") {
            &[(UNIT, "StateChangeTimestamp"), (SERVICE, "Result"), (SERVICE, "ExecMainStatus"), (SERVICE, "NRestarts")]
        } else if self.is_timer() && self.active == "active" {
            &[(TIMER, "LastTriggerUSec"), (TIMER, "NextElapseUSecRealtime"), (TIMER, "Unit")]
        } else if failed {
            &[(UNIT, "StateChangeTimestamp")]
        } else {
            &[]
        }
    }

    fn set(&mut self, property: &str, value: Value) {
        let number = match &value {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::Negative => None,
        };
        let text = match value {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Negative => None,
        };
        match property {
            "StateChangeTimestamp" => self.changed = number.and_then(time),
            "Result" => self.result = text,
            "ExecMainStatus" => self.exit_status = number,
            "NRestarts" => self.restarts = number,
            "LastTriggerUSec" => self.triggered = number.and_then(time),
            "NextElapseUSecRealtime" => self.due = number.and_then(time),
            "Unit" => self.starts = text,
            _ => {}
        }
    }
}

/// systemd counts microseconds since 1970; 0 and the highest number are no time.
fn time(micros: u64) -> Option<UnixTime> {
    (micros > 0 && micros < u64::MAX).then_some(UnixTime(micros / 1_000_000))
}

impl Host {
    /// systemd's units.
    ///
    /// # Errors
    /// [`Gap::NotHere`] where systemd does not run; [`Gap::Unknown`] when it does not answer, or on a root that is not
    /// running.
    pub(crate) fn systemd(&self) -> Result<&Systemd, Gap> {
        self.memo.systemd.get_or_init(|| self.ask_systemd()).as_ref().map_err(Clone::clone)
    }

    fn ask_systemd(&self) -> Result<Systemd, Gap> {
        self.must_live()?;
        // sd_booted(3).
        if !self.exists("/run/systemd/system") {
            return Err(Gap::NotHere(words!("systemd does not run here", "此主机未运行 systemd")));
        }
        let (bus, own) = ("/run/dbus/system_bus_socket", "/run/systemd/private");
        let (path, is_bus) = if self.exists(bus) { (bus, true) } else { (own, false) };
        Bus::connect(self, path, is_bus).and_then(|mut bus| read(&mut bus)).map_err(|error| no_answer(path, &error))
    }
}

fn no_answer(path: &str, error: &io::Error) -> Gap {
    let kind = error.kind();
    Gap::Unknown(if matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        words!("systemd did not answer within 5 s at {path}", "systemd 5 秒内未在 {path} 响应")
    } else if kind == io::ErrorKind::PermissionDenied {
        words!(
            "systemd may not be asked by this user at {path}; run it as root",
            "当前用户无权通过 {path} 询问 systemd；请以 root 运行"
        )
    } else {
        words!("systemd cannot be asked at {path}: {error}", "无法通过 {path} 询问 systemd：{error}")
    })
}

fn read(bus: &mut Bus) -> io::Result<Systemd> {
    let list = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: "org.freedesktop.systemd1.Manager",
        member: "ListUnits",
        arguments: &[],
    };
    let mut units = match bus.call(&list)? {
        Answer::Return { signature, body } if signature == "a(ssssssouso)" => {
            parse_units(&body).ok_or_else(|| io::Error::other("its list of units cannot be read"))?
        }
        Answer::Return { .. } => return Err(io::Error::other("its list of units has another form")),
        Answer::Refused(name) => return Err(io::Error::other(name)),
    };
    // Names stand in order, so that the same units are asked on every run.
    units.sort_by(|one, other| one.name.cmp(&other.name));
    let wanting: Vec<usize> = (0..units.len()).filter(|index| !units[*index].wanted().is_empty()).collect();
    let unasked = wanting.len().saturating_sub(ASKED_MAX);
    let mut asked = Vec::new();
    for index in wanting.into_iter().take(ASKED_MAX) {
        asked.extend(units[index].wanted().iter().map(|(interface, property)| (index, [*interface, *property])));
    }
    let paths: Vec<String> = units.iter().map(|unit| unit.path.clone()).collect();
    let calls: Vec<Call<'_>> = asked
        .iter()
        .map(|(index, arguments)| Call {
            destination: "org.freedesktop.systemd1",
            path: &paths[*index],
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments,
        })
        .collect();
    for ((index, [_, property]), answer) in asked.iter().zip(bus.call_all(&calls)?) {
        // A property that an old systemd does not know, or a unit that is gone meanwhile, is refused.
        if let Answer::Return { body, .. } = answer
            && let Some(value) = Reader::new(&body).variant()
        {
            units[*index].set(property, value);
        }
    }
    Ok(Systemd { units, unasked })
}

/// `ListUnits`: name, description, load, active, sub, following, path, job's id, job's type, job's path.
fn parse_units(body: &[u8]) -> Option<Vec<Unit>> {
    let mut reader = Reader::new(body);
    let end = reader.array(8)?;
    let mut units = Vec::new();
    while reader.is_before(end) {
        if units.len() == UNITS_MAX {
            return None;
        }
        reader.align(8)?;
        let mut text = || reader.string().map(str::to_owned);
        let (name, _description, load, active, sub) = (text()?, text()?, text()?, text()?, text()?);
        let (_following, path) = (text()?, text()?);
        reader.u32()?;
        reader.string()?;
        reader.string()?;
        let name = cloud_doctor_proto::refusal::one_line(&name, 255);
        units.push(Unit { name, load, active, sub, path, ..Unit::default() });
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::dbus::codec::tests::{answer, units, variant_u64};
    use super::*;
    use crate::host::fixture::Fixture;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread::JoinHandle;

    /// A bus that answers one connection: hello, a list of units, and 7 for every property.
    fn serve(fixture: &Fixture, list: Vec<u8>) -> JoinHandle<()> {
        serve_at(fixture, "/run/dbus/system_bus_socket", 2, list)
    }

    /// The list is the answer to call number `list_is`.
    fn serve_at(fixture: &Fixture, path: &str, list_is: u32, list: Vec<u8>) -> JoinHandle<()> {
        std::fs::create_dir_all(fixture.path(path).parent().unwrap()).unwrap();
        let listener = UnixListener::bind(fixture.path(path)).unwrap();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line).unwrap();
            assert!(line.starts_with(b"\0AUTH EXTERNAL 3"), "{line:?}");
            stream.get_mut().write_all(b"OK 0123456789abcdef\r\n").unwrap();
            line.clear();
            stream.read_until(b'\n', &mut line).unwrap();
            assert_eq!(line, b"BEGIN\r\n");
            while let Some(serial) = next_call(&mut stream) {
                let reply = match serial {
                    serial if serial == list_is => answer(serial, "a(ssssssouso)", &list),
                    1 => answer(1, "", &[]),
                    serial => answer(serial, "v", &variant_u64(7_000_000)),
                };
                // A signal in between answers nobody.
                let mut signal = answer(0, "", &[]);
                signal[1] = 4;
                signal.extend_from_slice(&reply);
                if stream.get_mut().write_all(&signal).is_err() {
                    return;
                }
            }
        })
    }

    fn next_call(stream: &mut BufReader<UnixStream>) -> Option<u32> {
        let mut head = [0; 16];
        stream.read_exact(&mut head).ok()?;
        let whole = super::super::dbus::codec::message_length(&head).unwrap();
        stream.read_exact(&mut vec![0; whole - 16]).ok()?;
        Some(u32::from_le_bytes(head[8..12].try_into().unwrap()))
    }

    fn fixture() -> Fixture {
        Fixture::live().file("/run/systemd/system/x", "")
    }

    #[test]
    fn units_and_their_properties_are_asked() {
        let fixture = fixture();
        let rows = [
            ["nginx.service", "loaded", "active", "running"],
            ["backup.timer", "loaded", "active", "waiting"],
            ["data.mount", "loaded", "failed", "failed"],
            ["rescue.service", "loaded", "inactive", "dead"],
        ];
        let server = serve(&fixture, units(&rows));
        let host = fixture.host();
        let systemd = host.systemd().unwrap().clone();
        let names: Vec<&str> = systemd.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["backup.timer", "data.mount", "nginx.service", "rescue.service"]);
        assert_eq!(systemd.units[0].due, Some(UnixTime(7)));
        assert_eq!(systemd.units[1].changed, Some(UnixTime(7)));
        assert_eq!((systemd.units[2].restarts, &systemd.units[2].result), (Some(7_000_000), &None));
        assert_eq!(systemd.units[3].changed, None);
        server.join().unwrap();
    }

    #[test]
    fn without_a_bus_systemd_itself_is_asked() {
        let fixture = fixture();
        let list = units(&[["a.service", "loaded", "active", "running"]]);
        let server = serve_at(&fixture, "/run/systemd/private", 1, list);
        assert_eq!(fixture.host().systemd().unwrap().units[0].restarts, Some(7_000_000));
        server.join().unwrap();
    }

    #[test]
    fn more_units_than_may_be_asked_are_counted() {
        let fixture = fixture();
        let names: Vec<String> = (0..ASKED_MAX + 5).map(|number| format!("a{number}.mount")).collect();
        let rows: Vec<_> = names.iter().map(|name| [name.as_str(), "loaded", "failed", "failed"]).collect();
        let server = serve(&fixture, units(&rows));
        assert_eq!(fixture.host().systemd().unwrap().unasked, 5);
        server.join().unwrap();
    }

    #[test]
    fn without_systemd_there_is_none_and_without_an_answer_it_is_unknown() {
        assert!(matches!(Fixture::live().host().systemd(), Err(Gap::NotHere(_))));
        assert!(matches!(Fixture::image().host().systemd(), Err(Gap::Unknown(_))));
        assert!(matches!(fixture().host().systemd(), Err(Gap::Unknown(_))));
        for damaged in [Vec::new(), vec![0xff; 40], units(&[["a", "b", "c", "d"]])[..40].to_vec()] {
            let fixture = fixture();
            let server = serve(&fixture, damaged);
            assert!(matches!(fixture.host().systemd(), Err(Gap::Unknown(_))));
            server.join().unwrap();
        }
    }

    #[test]
    fn no_time_is_no_time() {
        assert_eq!((time(0), time(u64::MAX), time(1_500_000)), (None, None, Some(UnixTime(1))));
    }
}
