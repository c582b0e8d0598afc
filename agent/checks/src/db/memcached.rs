//! Whether strangers reach a memcached, which asks nobody for a password.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Reach};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::net::{IpAddr, SocketAddr};

pub(crate) const CHECK: Check = Check {
    id: "db.memcached-open",
    title: Text { en: "memcached open to others", zh: "memcached 对外开放" },
    reads: &["/etc/memcached.conf", "/etc/sysconfig/memcached", "/proc/*/cmdline", "/proc/net/fib_trie"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[],
    impact: Text {
        en: "Anybody who reaches it reads sessions and cached data and can put in false ones; over UDP it serves attacks on others.",
        zh: "任何可访问者都能读取会话与缓存数据，也可写入伪造数据；若开放 UDP，还会被用于对他人的放大攻击。",
    },
    remedy: Text {
        en: "Start it with -l 127.0.0.1 (or a private address) and -U 0, and let the security group block port 11211.",
        zh: "以 -l 127.0.0.1（或内网地址）和 -U 0 启动，并在安全组中拦截 11211 端口。",
    },
    run,
};

/// memcached(1).
const PORT: u16 = 11211;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let (options, source) = options(host)?;
    let is_closed = options.sasl || (options.binds.is_empty() && options.socket);
    let own = |address: &Option<IpAddr>| address.is_some_and(|ip| ip.to_canonical().is_loopback());
    if is_closed || (!options.binds.is_empty() && options.binds.iter().all(own)) {
        let summary = words!("memcached is closed to other hosts", "memcached 未对其他主机开放");
        return Ok(vec![Found::new("memcached", Status::Ok, summary).evidence(source, options.told())]);
    }
    // One in a container listens on the container's network, whatever its options say.
    if host.is_live() && !host.sockets()?.has_tcp(options.port.unwrap_or(PORT)) {
        let summary = words!("memcached listens on no address of this host", "memcached 未监听本机地址");
        return Ok(vec![Found::new("memcached", Status::Ok, summary).evidence(source, options.told())]);
    }
    let reach = reach(host, &options)?;
    let udp = if options.udp { ", UDP too" } else { "" };
    let (status, summary) = match reach {
        Reach::Internet => {
            let summary = words!(
                "memcached listens on a public address{udp}, unless a firewall or security group blocks it",
                "memcached 监听公网地址{udp}，除非防火墙或安全组已拦截"
            );
            (Status::Critical, summary)
        }
        Reach::Networks => {
            let summary =
                words!("memcached listens on the networks of this host{udp}", "memcached 对本机所在网络开放{udp}");
            (Status::Warning, summary)
        }
        Reach::Host => (Status::Ok, words!("memcached is closed to other hosts", "memcached 未对其他主机开放")),
    };
    Ok(vec![Found::new("memcached", status, summary).evidence(source, options.told())])
}

/// An image does not say which addresses it will have.
fn reach(host: &Host, options: &Options) -> Result<Reach, Gap> {
    let addresses = if host.is_live() { host.reachable()? } else { crate::host::Addresses::default() };
    let everywhere = [Some(IpAddr::from([0_u16; 8]))];
    let binds = if options.binds.is_empty() { &everywhere[..] } else { &options.binds };
    // A name could be any address.
    Ok(binds.iter().map(|ip| ip.map_or(Reach::Networks, |ip| addresses.reach(ip))).max().unwrap_or(Reach::Host))
}

/// What memcached(1) was started with, or will be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Nothing for a name.
    binds: Vec<Option<IpAddr>>,
    sasl: bool,
    socket: bool,
    udp: bool,
    /// Nothing is 11211.
    port: Option<u16>,
}

impl Options {
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let (mut options, mut words) = (Self::default(), words);
        while let Some(word) = words.next() {
            // `-l ADDRESS`, `-lADDRESS`, `--listen=ADDRESS`.
            let mut value = |short: &str, long: &str| {
                if word == short || word == long {
                    return words.next().map(str::to_owned);
                }
                let joined = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
                joined.or_else(|| word.strip_prefix(short).filter(|_| !word.starts_with("--"))).map(str::to_owned)
            };
            if let Some(list) = value("-l", "--listen") {
                options.binds.extend(list.split(',').filter(|part| !part.is_empty()).map(bind));
            } else if let Some(port) = value("-U", "--udp-port") {
                options.udp = port != "0";
            } else if let Some(port) = value("-p", "--port") {
                options.port = port.parse().ok();
            } else if value("-s", "--unix-socket").is_some() {
                options.socket = true;
            } else if matches!(word, "-S" | "--enable-sasl")
                || word.starts_with("-Y")
                || word.starts_with("--auth-file")
            {
                options.sasl = true;
            }
        }
        options
    }

    fn told(&self) -> String {
        let binds = self.binds.iter().map(|ip| ip.map_or_else(|| "a name".to_owned(), |ip| ip.to_string()));
        let binds = binds.collect::<Vec<_>>().join(", ");
        let place = if self.binds.is_empty() { "all addresses (no -l)" } else { &binds };
        format!("listens on {place}, udp {}, sasl {}", self.udp, self.sasl)
    }
}

fn bind(text: &str) -> Option<IpAddr> {
    if text == "localhost" {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The running server's options, else the configured ones.
fn options(host: &Host) -> Result<(Options, String), Gap> {
    if let Some(process) = host.processes().iter().find(|process| process.program() == "memcached") {
        let words = process.argv.iter().skip(1).map(String::as_str);
        return Ok((Options::parse(words), format!("/proc/{}/cmdline", process.pid)));
    }
    let debian = "/etc/memcached.conf";
    match host.read(debian) {
        Ok(text) => {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            return Ok((Options::parse(lines.flat_map(str::split_ascii_whitespace)), debian.to_owned()));
        }
        Err(Gap::NotHere(_)) => {}
        Err(gap) => return Err(gap),
    }
    let red_hat = "/etc/sysconfig/memcached";
    let text = host.read(red_hat)?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("OPTIONS=")).unwrap_or_default();
    Ok((Options::parse(line.trim_matches(['"', '\'']).split_ascii_whitespace()), red_hat.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    fn live(address: &str, argv: &[&str]) -> Status {
        let trie = format!("Local:\n |-- {address}\n    /32 host LOCAL\n");
        let tcp = "sl\n 0: 00000000:2BCB 00000000:0000 0A 0:0 0:0 0 0 0 7\n";
        Fixture::live().file("/proc/net/fib_trie", trie).file("/proc/net/tcp", tcp).process(5, 'S', argv).status(&CHECK)
    }

    #[test]
    fn sec_06_memcached_is_not_for_strangers() {
        let program = "/usr/bin/memcached";
        for (address, argv, expected) in [
            ("47.96.0.10", &[program, "-m", "64", "-l", "127.0.0.1", "-l", "::1"][..], Status::Ok),
            ("47.96.0.10", &[program, "-u", "memcache"], Status::Critical),
            ("47.96.0.10", &[program, "-l0.0.0.0", "-U", "11211"], Status::Critical),
            ("10.0.0.5", &[program, "--listen=0.0.0.0"], Status::Warning),
            ("47.96.0.10", &[program, "-l", "0.0.0.0", "-S"], Status::Ok),
            ("47.96.0.10", &[program, "-s", "/run/memcached.sock"], Status::Ok),
            ("47.96.0.10", &[program, "-l", "cache.local"], Status::Warning),
            // In a container: this port is not open here.
            ("47.96.0.10", &[program, "-p", "11212"], Status::Ok),
        ] {
            assert_eq!(live(address, argv), expected, "{argv:?}");
        }
        for (path, text, expected) in [
            ("/etc/memcached.conf", "-d\n-m 64\n# -l 0.0.0.0\n-l 127.0.0.1\n-l ::1\n", Status::Ok),
            ("/etc/sysconfig/memcached", "PORT=\"11211\"\nOPTIONS=\"\"\n", Status::Warning),
            ("/etc/sysconfig/memcached", "OPTIONS=\"-l 127.0.0.1,::1\"\n", Status::Ok),
            ("/etc/memcached.conf", "\0", Status::Unknown),
        ] {
            assert_eq!(Fixture::image().file(path, text).status(&CHECK), expected, "{text}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
