//! Asks every running HAProxy once for all checks: its own state and its statistics, over the socket for operators that
//! its configuration names. Only questions that change nothing are asked.

use super::table::Table;
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::lb::haproxy::{Instance, StatsSocket, extras};
use crate::many::many;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use std::net::SocketAddr;

/// Both in one connection; answers come one after the other.
const QUESTION: &[u8] = b"show info;show stat\n";

/// One HAProxy, as it answered.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// As findings name it.
    subject: String,
    answer: Result<Answer, Words>,
}

/// What it answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// The socket.
    pub(super) source: String,
    info: Vec<(String, String)>,
    pub(super) table: Table,
}

impl Answer {
    /// A number of `show info`.
    pub(super) fn info(&self, name: &str) -> Option<f64> {
        let (_, value) = self.info.iter().find(|(known, _)| known == name)?;
        value.parse::<u32>().ok().map(f64::from)
    }
}

/// What `look` finds at each HAProxy; one finding that says why for each that cannot be asked.
///
/// # Errors
/// None runs here.
pub(super) fn each(host: &Host, look: impl Fn(&Answer) -> Vec<Found>) -> Outcome {
    let extras = extras(host)?;
    let running = || extras.instances.iter().filter(|instance| !instance.pids.is_empty());
    if running().next().is_none() {
        return Err(Gap::NotHere(words!("HAProxy does not run here", "此主机未运行 HAProxy")));
    }
    let runtimes = host.memo.haproxy_runtimes.get_or_init(|| running().map(|instance| ask(host, instance)).collect());
    let found = runtimes.iter().flat_map(|runtime| match &runtime.answer {
        Ok(answer) => look(answer),
        Err(why) => vec![Found::new(&runtime.subject, Status::Unknown, why.clone())],
    });
    Ok(many(found.collect()))
}

/// The first socket that answers.
fn ask(host: &Host, instance: &Instance) -> Runtime {
    let subject = format!("haproxy {}", instance.files.first().map_or("", String::as_str));
    let mut why = words!(
        "HAProxy cannot be asked: its configuration names no stats socket that can be reached from here",
        "无法询问 HAProxy：其配置中没有本机可用的 stats socket"
    );
    if let Some(unread) = &instance.unread {
        why = unread.clone();
    }
    for socket in &instance.sockets {
        match ask_socket(host, socket) {
            Some(Ok(answer)) => return Runtime { subject, answer: Ok(answer) },
            Some(Err(Gap::NotHere(reason) | Gap::Unknown(reason))) => why = reason,
            None => {}
        }
    }
    Runtime { subject, answer: Err(why) }
}

/// Nothing for a kind of socket that cannot be reached by name.
fn ask_socket(host: &Host, socket: &StatsSocket) -> Option<Result<Answer, Gap>> {
    let address = socket.address.as_str();
    let path = address.strip_prefix("unix@").unwrap_or(address);
    let asked = if path.starts_with('/') {
        host.ask_unix(path, QUESTION)
    } else {
        let (_, address) = address.rsplit_once('@').unwrap_or(("", address));
        let port = address
            .strip_prefix("localhost:")
            .or_else(|| address.strip_prefix("*:"))
            .or_else(|| address.strip_prefix(':'));
        let address = port.map_or_else(|| address.to_owned(), |port| format!("127.0.0.1:{port}"));
        host.ask_tcp(address.parse::<SocketAddr>().ok()?, QUESTION)
    };
    Some(asked.and_then(|text| parse(path, &text)))
}

fn parse(source: &str, text: &str) -> Result<Answer, Gap> {
    let Some(table) = Table::parse(text) else {
        return Err(Gap::Unknown(words!(
            "{source} does not answer as HAProxy does",
            "{source} 的应答不是 HAProxy 的格式"
        )));
    };
    let info = text.lines().take_while(|line| !line.starts_with("# pxname,"));
    let info =
        info.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Ok(Answer { source: source.to_owned(), info: info.take(500).collect(), table })
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    /// A running HAProxy that answers with these rows, for as long as the test asks.
    pub(in crate::haproxy) fn answering(info: &str, rows: &[&str]) -> Fixture {
        let columns = "# pxname,svname,qcur,scur,slim,req_tot,status,lastchg,chkfail,chkdown,check_status,check_code,qtime,act,bck,type,hrsp_2xx,hrsp_5xx,";
        let answer = format!("Name: HAProxy\n{info}\n\n{columns}\n{}\n\n", rows.join("\n"));
        let fixture = Fixture::live()
            .file("/etc/haproxy/haproxy.cfg", "global\n stats socket /run/haproxy/admin.sock mode 660 level admin\n")
            .file("/run/haproxy/other", "")
            .process(10, 'S', &["/usr/sbin/haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg"]);
        let listener = UnixListener::bind(fixture.path("/run/haproxy/admin.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut question = [0; QUESTION.len()];
                stream.read_exact(&mut question).unwrap();
                assert_eq!(question, QUESTION);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        fixture
    }

    #[test]
    fn lb_12_who_cannot_be_asked_is_unknown_and_never_fine() {
        let file = "/etc/haproxy/haproxy.cfg";
        for (config, part) in [
            ("global\n maxconn 10\n", "no stats socket"),
            ("global\n maxconn 10\n\0", "is NUL"),
            ("global\n stats socket abns@x\n", "no stats socket"),
            ("global\n stats socket /run/gone.sock\n", "/run/gone.sock is not there"),
            ("global\n stats socket /etc/haproxy/haproxy.cfg\n", "cannot be asked"),
            ("global\n stats socket ipv4@10.9.9.9:1999\n", "only this host's own services"),
        ] {
            let fixture = Fixture::live().file(file, config).process(10, 'S', &["haproxy", "-f", file]);
            let Ok(found) = each(&fixture.host(), |_| Vec::new()) else { panic!("{config}") };
            assert_eq!((found.len(), found[0].status), (1, Status::Unknown), "{config}");
            assert!(found[0].summary.en.contains(part), "{}", found[0].summary.en);
        }
        assert!(matches!(each(&Fixture::live().file(file, "").host(), |_| Vec::new()), Err(Gap::NotHere(_))));
        assert!(matches!(each(&Fixture::live().host(), |_| Vec::new()), Err(Gap::NotHere(_))));
        assert!(parse("s", "Permission denied\n").is_err());
    }
}
