//! Redis and Valkey on this host, asked once for `INFO` over loopback and without a password. It must never send anything
//! else, and never judge.

use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Process, Protocol, Sockets};
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Instances that are asked. Each may take its whole deadline.
const INSTANCES_MAX: usize = 8;
/// Lines of one answer.
const LINES_MAX: usize = 2000;
const PORT: u16 = 6379;
/// `QUIT` makes the server close, so that the answer ends.
const QUESTION: &[u8] = b"INFO\r\nQUIT\r\n";

/// One server.
#[derive(Debug)]
pub(crate) struct Instance {
    /// `redis 127.0.0.1:6379`.
    pub(crate) name: String,
    /// Its answer, or why there is none.
    pub(crate) info: Result<Info, Words>,
}

/// What a server says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Info(BTreeMap<String, String>);

impl Info {
    /// A value as it was said.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A number.
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        self.text(key)?.parse::<f64>().ok().filter(|number| number.is_finite())
    }

    /// Lines for evidence: `key:value` of those that are there.
    pub(crate) fn lines(&self, keys: &[&str]) -> String {
        let lines = keys.iter().filter_map(|key| Some(format!("{key}:{}", self.text(key)?)));
        lines.collect::<Vec<_>>().join(" ")
    }
}

/// The servers of this host.
///
/// # Errors
/// [`Gap::NotHere`] when there are none; [`Gap::Unknown`] when sockets cannot be seen.
pub(crate) fn instances(host: &Host) -> Result<&[Instance], Gap> {
    let sockets = host.sockets()?;
    let all = host.memo.redis.get_or_init(|| {
        let places = places(host.processes(), sockets);
        places.into_iter().take(INSTANCES_MAX).map(|(port, address)| ask(host, port, address)).collect()
    });
    if all.is_empty() {
        return Err(Gap::NotHere(words!("no Redis listens on this host", "此主机没有监听中的 Redis")));
    }
    Ok(all)
}

/// One finding for each server that answered; why not for the others.
///
/// # Errors
/// As [`instances`].
pub(crate) fn each(host: &Host, judge: impl Fn(&str, &Info) -> Found) -> Outcome {
    let found = instances(host)?.iter().map(|Instance { name, info }| match info {
        Ok(info) => judge(name, info),
        Err(why) => Found::new(name, Status::Unknown, why.clone()),
    });
    Ok(found.collect())
}

/// Whether a process is a server; its title is `redis-server 127.0.0.1:6379 [cluster]`.
pub(crate) fn is_server(process: &Process) -> bool {
    matches!(process.program(), "redis-server" | "valkey-server" | "keydb-server")
        && !process.argv.iter().any(|part| part.contains("[sentinel]") || part == "--sentinel")
}

/// Ports and how they are reached from here: nothing when only over another address.
fn places(processes: &[Process], sockets: &Sockets) -> BTreeMap<u16, Option<IpAddr>> {
    let titles = processes.iter().filter(|process| is_server(process)).flat_map(|process| &process.argv);
    let ports = titles.flat_map(|title| title.split(' ')).filter_map(|word| word.rsplit_once(':')?.1.parse().ok());
    let ports: BTreeSet<u16> = ports.chain([PORT]).collect();
    let mut all = BTreeMap::new();
    for one in sockets.listening.iter().filter(|one| one.protocol == Protocol::Tcp) {
        let port = one.address.port();
        if !ports.contains(&port) {
            continue;
        }
        let way = match one.address.ip().to_canonical() {
            IpAddr::V4(four) if four.is_unspecified() => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            IpAddr::V6(six) if six.is_unspecified() => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            own if own.is_loopback() => Some(own),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let known = all.entry(port).or_insert(way);
        *known = known.or(way);
    }
    all
}

fn ask(host: &Host, port: u16, address: Option<IpAddr>) -> Instance {
    let Some(address) = address else {
        let why = words!(
            "Redis at port {port} listens on no loopback address; only those are asked",
            "端口 {port} 的 Redis 未监听回环地址；此处只询问回环地址"
        );
        return Instance { name: format!("redis port {port}"), info: Err(why) };
    };
    let place = SocketAddr::new(address, port);
    let name = format!("redis {place}");
    let info = match host.ask_tcp(place, QUESTION) {
        Ok(answer) => parse(&answer, &name),
        Err(Gap::NotHere(why) | Gap::Unknown(why)) => Err(why),
    };
    Instance { name, info }
}

/// RESP: `$LENGTH` and the text, or `-CODE why`.
fn parse(answer: &str, name: &str) -> Result<Info, Words> {
    if answer.starts_with("-NOAUTH") || answer.starts_with("-NOPERM") {
        return Err(words!("{name} needs a password", "{name} 需要密码"));
    }
    if answer.starts_with("-DENIED") {
        return Err(words!("{name} is in protected mode and refuses this host", "{name} 处于保护模式，拒绝本机访问"));
    }
    if answer.starts_with("-LOADING") {
        return Err(words!("{name} is still loading its data", "{name} 仍在加载数据"));
    }
    let mut lines = answer.lines();
    let length = lines.next().and_then(|line| line.strip_prefix('$')?.trim().parse::<u64>().ok());
    let pairs = lines.take(LINES_MAX).filter_map(|line| line.trim().split_once(':'));
    let info = Info(pairs.map(|(key, value)| (key.to_owned(), value.chars().take(200).collect())).collect());
    // Other programs may sit at this port.
    if length.is_none() || info.text("redis_version").is_none() {
        return Err(words!("{name} does not answer as Redis does", "{name} 的响应不像 Redis"));
    }
    Ok(info)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// A host with a Redis that answers `info` to whoever asks first.
    pub(crate) fn host(info: &str) -> Fixture {
        let text = format!("# Server\r\nredis_version:7.0.15\r\n{}", info.replace('\n', "\r\n"));
        answering(format!("${}\r\n{text}\r\n+OK\r\n", text.len()))
    }

    /// A host with a server that says this.
    pub(crate) fn answering(answer: String) -> Fixture {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; QUESTION.len()];
            stream.read_exact(&mut question).unwrap();
            assert_eq!(question, QUESTION);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        Fixture::live()
            .file("/proc/net/tcp", format!("sl\n 0: 0100007F:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 7\n"))
            .process(50, 'S', &[&format!("redis-server 127.0.0.1:{port}")])
    }

    #[test]
    fn db_10_a_server_is_asked_once_and_may_refuse() {
        for (answer, part) in [
            ("-NOAUTH Authentication required.\r\n+OK\r\n", "needs a password"),
            ("-DENIED Redis is running in protected mode", "protected mode"),
            ("HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as Redis"),
            ("", "does not answer as Redis"),
        ] {
            let fixture = answering(answer.to_owned());
            let host = fixture.host();
            let all = instances(&host).unwrap();
            assert!(all[0].info.as_ref().unwrap_err().en.contains(part), "{answer}");
        }
        let fixture = host("used_memory:5\nodd\n");
        let host = fixture.host();
        assert_eq!(instances(&host).unwrap()[0].info.as_ref().unwrap().number("used_memory"), Some(5.0));
        // The second time nobody listens any more.
        assert!(instances(&host).unwrap()[0].info.is_ok());
        let none = Fixture::live().file("/proc/net/tcp", "sl\n");
        assert!(matches!(instances(&none.host()), Err(Gap::NotHere(_))));
    }

    #[test]
    fn db_10_only_loopback_is_asked() {
        let away = Fixture::live().file("/proc/net/tcp", "sl\n 0: 0500000A:18EB 00000000:0000 0A 0:0 0:0 0 0 0 7\n");
        let host = away.host();
        assert!(instances(&host).unwrap()[0].info.as_ref().unwrap_err().en.contains("loopback"));
    }
}
