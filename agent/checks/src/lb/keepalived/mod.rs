//! keepalived: its virtual servers, how their real servers are checked, and its virtual routers.
//!
//! Read from its own files as `keepalived` 2.2 to 2.4 reads them. What it would ignore is ignored, and said.

mod blocks;
mod checker;
mod lines;
#[cfg(test)]
mod tests;

use super::command_line::{path_of, running, values};
use super::includes::{Includes, whole};
use super::statement::Statement;
use super::{Fleet, Layer, Member, Place, Pool, Probe, System, Trouble};
use crate::host::Host;
use crate::words;
use checker::{Scope, settings_of};
use lines::Reader;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// `KEEPALIVED_CONFIG_FILE` of every distribution.
const FILE: &str = "/etc/keepalived/keepalived.conf";
/// What the service's own unit passes on the command line: Debian's and CentOS's.
const OPTION_FILES: [&str; 2] = ["/etc/default/keepalived", "/etc/sysconfig/keepalived"];

/// What stands in the files of this host.
pub(super) struct Configuration {
    pub(super) statements: Vec<Statement>,
    pub(super) troubles: Vec<Trouble>,
    pub(super) is_running: bool,
}

/// The virtual servers; nothing without keepalived or without one.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let Configuration { statements, troubles, .. } = configuration(host)?;
    let mut includes = Includes::new(host, System::Keepalived);
    includes.troubles = troubles;
    let servers = statements.iter().filter(|statement| statement.name() == "virtual_server");
    let pools = servers.filter_map(|server| pool(server, &mut includes)).collect::<Vec<_>>();
    let fleet = Fleet { pools, troubles: includes.troubles, ..Fleet::default() };
    (!fleet.pools.is_empty() || !fleet.troubles.is_empty()).then_some(fleet)
}

/// What is configured; nothing when keepalived is not on this host.
pub(super) fn configuration(host: &Host) -> Option<Configuration> {
    let process = running(host, &["keepalived"]).find(|process| !process.argv.is_empty());
    let options = OPTION_FILES.iter().find_map(|path| host.read(path).ok()).unwrap_or_default();
    let options: Vec<String> = options_of(&options);
    let arguments = process.map_or(options.as_slice(), |process| process.argv.get(1..).unwrap_or_default());
    let path = values(arguments, &["--use-file", "-f"]).last().map_or(FILE.to_owned(), |path| match process {
        Some(process) => path_of(host, process, path),
        None => (*path).to_owned(),
    });
    if process.is_none() && !host.exists(&path) {
        return None;
    }
    let name = host.name();
    let own = name.split('.').next().filter(|name| !name.is_empty());
    let id = values(arguments, &["--config-id", "-i"]).last().copied().or(own).map(str::to_owned);
    let mut includes = Includes::new(host, System::Keepalived);
    let lines = Reader::new(&mut includes, id).read(&path, &whole(&path));
    let statements = blocks::statements(&lines, &mut includes);
    Some(Configuration { statements, troubles: includes.troubles, is_running: process.is_some() })
}

/// The options in `DAEMON_ARGS="-f x"` or `KEEPALIVED_OPTIONS="-D"`.
fn options_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    let values = lines.filter(|(name, _)| ["DAEMON_ARGS", "KEEPALIVED_OPTIONS"].contains(name));
    let words = values.flat_map(|(_, value)| value.trim_matches(['"', '\'']).split_ascii_whitespace());
    words.map(str::to_owned).collect()
}

fn pool(server: &Statement, includes: &mut Includes<'_>) -> Option<Pool> {
    let protocol = server.last("protocol").map(Statement::argument);
    let (kind, port) = (server.argument(), server.words.get(2).map_or("", String::as_str));
    let address = match kind {
        "fwmark" | "group" if !port.is_empty() => format!("{kind} {port}"),
        _ => socket(kind, port).or_else(|| not_an_address(kind, &server.place, includes))?,
    };
    let is_address = kind != "fwmark" && kind != "group";
    if protocol.is_none() && is_address {
        let why = words!(
            "no protocol is set: keepalived takes UDP, and nothing answers on TCP",
            "未设置 protocol：keepalived 会按 UDP 处理，TCP 端口无人应答"
        );
        includes.trouble(&server.place, why);
    }
    // One address may serve TCP and UDP.
    let name = match protocol.filter(|protocol| *protocol != "TCP") {
        Some(protocol) => format!("{address}/{}", protocol.to_ascii_lowercase()),
        None => address,
    };
    let settings = settings_of(server);
    let mut names = BTreeSet::new();
    let mut members: Vec<Member> = Vec::new();
    for real in server.all("real_server") {
        let Some(member) = member(real, &settings, is_address.then_some(port), includes) else { continue };
        if names.insert(member.name.clone()) {
            members.push(member);
        } else {
            let why = words!("keepalived removes this second {}", "keepalived 会移除此重复的 {}", member.name);
            includes.trouble(&real.place, why);
        }
    }
    if let Some(sorry) = server.last("sorry_server")
        && let Some(address) = socket(sorry.argument(), sorry.words.get(2).map_or(port, String::as_str))
    {
        let (name, place) = (format!("{address} (sorry_server)"), sorry.place.clone());
        members.push(Member { name, address, place, probe: Probe::Never, disabled: false, backup: true });
    }
    // IPVS forwards connections and knows nothing of what is in them.
    Some(Pool { system: System::Keepalived, name, place: server.place.clone(), layer: Layer::Tcp, members })
}

fn member(real: &Statement, server: &Statement, port: Option<&str>, includes: &mut Includes<'_>) -> Option<Member> {
    let given = real.words.get(2).map(String::as_str).filter(|port| !port.trim_matches('0').is_empty());
    let address = socket(real.argument(), given.or(port).unwrap_or(""))
        .or_else(|| not_an_address(real.argument(), &real.place, includes))?;
    let probe = Scope { real: &settings_of(real), server, address: &address }.probe(&real.inside, includes);
    // IPVS gives nothing new to a server of weight 0.
    let disabled = real.last("weight").is_some_and(|weight| weight.argument() == "0");
    Some(Member { name: address.clone(), address, place: real.place.clone(), probe, disabled, backup: false })
}

/// `10.0.0.1:80`, `[fd00::1]:80`, and without a port where there is none.
fn socket(ip: &str, port: &str) -> Option<String> {
    let port = port.trim_start_matches('0');
    match (ip.parse::<IpAddr>().ok()?, port) {
        (ip, "") => Some(ip.to_string()),
        (IpAddr::V4(ip), port) => Some(format!("{ip}:{port}")),
        (IpAddr::V6(ip), port) => Some(format!("[{ip}]:{port}")),
    }
}

fn not_an_address<T>(word: &str, place: &Place, includes: &mut Includes<'_>) -> Option<T> {
    let why = words!("{word:?} is no IP address; keepalived skips it", "{word:?} 不是 IP 地址，keepalived 会跳过它");
    includes.trouble(place, why);
    None
}
