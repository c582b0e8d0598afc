//! nginx, NGINX Plus and Tengine: what their configuration says as it is in effect, as pools of servers.
//!
//! ```text
//!  instance   which nginx runs with which file        token, parse, tree   the file with its includes
//!  upstream   groups, and who passes to them           probe                how a dead server is noticed
//! ```

mod instance;
mod parse;
mod probe;
mod token;
mod tree;
mod upstream;

pub(crate) use instance::Instance;
pub(crate) use tree::{Directive, Scope, visit, visit_scopes};
pub(crate) use upstream::{Module, Pass, Upstream, setting, upstreams};

use super::{Fleet, Layer, Member, Place, Pool, Trouble};
use crate::found::Gap;
use crate::host::Host;
use crate::words;
use std::collections::BTreeMap;

/// Every nginx of this host.
///
/// # Errors
/// [`Gap::NotHere`] when there is none.
pub(crate) fn instances(host: &Host) -> Result<&[Instance], Gap> {
    let found = host.memo.nginx.get_or_init(|| instance::find(host));
    if found.is_empty() {
        return Err(Gap::NotHere(words!("nginx is not installed here", "此主机未安装 nginx")));
    }
    Ok(found)
}

/// The groups of every nginx of this host that could be read.
///
/// # Errors
/// As [`balancing`].
pub(crate) fn all_upstreams(host: &Host) -> Result<Vec<Upstream<'_>>, Gap> {
    Ok(balancing(host)?.into_iter().flat_map(|instance| upstreams(instance).0).collect())
}

/// The instances that have groups of servers.
///
/// # Errors
/// [`Gap::NotHere`] when there is no nginx, or none that has groups; [`Gap::Unknown`] when nothing could be read.
pub(crate) fn balancing(host: &Host) -> Result<Vec<&Instance>, Gap> {
    let mut all = readable(host)?;
    all.retain(|instance| !upstreams(instance).0.is_empty());
    match (all.is_empty(), instances(host)?.iter().flat_map(|one| &one.troubles).next()) {
        // What was not read may have some.
        (true, Some(trouble)) => Err(Gap::Unknown(trouble.why.clone())),
        (true, None) => Err(Gap::NotHere(words!("nginx balances no load here", "此主机的 nginx 未配置负载均衡"))),
        (false, _) => Ok(all),
    }
}

/// The instances whose configuration was read, in part at least.
///
/// # Errors
/// As [`instances`]; [`Gap::Unknown`] with the first trouble when nothing could be read.
pub(crate) fn readable(host: &Host) -> Result<Vec<&Instance>, Gap> {
    let instances = instances(host)?;
    let read: Vec<_> = instances.iter().filter(|one| !one.tree.is_empty() || one.troubles.is_empty()).collect();
    let trouble = || instances.iter().flat_map(|one| &one.troubles).next();
    match (read.is_empty(), trouble()) {
        (true, Some(trouble)) => Err(Gap::Unknown(trouble.why.clone())),
        (true, None) | (false, _) => Ok(read),
    }
}

/// nginx as a load balancer; nothing where it only serves files.
pub(crate) fn read(host: &Host) -> Option<Fleet> {
    let mut fleet = Fleet::default();
    for instance in instances(host).ok()? {
        fleet.troubles.extend(instance.troubles.iter().cloned());
        let (all, more) = upstreams(instance);
        fleet.pools.extend(all.iter().map(pool));
        if more > 0 {
            let place = Place { file: instance.file.clone(), ..Place::default() };
            let why = words!("{more} more upstreams were not looked at", "另有 {more} 个 upstream 未检查");
            fleet.troubles.push(Trouble { system: instance.system, place, why });
        }
    }
    (!fleet.pools.is_empty() || !fleet.troubles.is_empty()).then_some(fleet)
}

fn pool(upstream: &Upstream<'_>) -> Pool {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let members = upstream.servers.iter().zip(upstream.probes()).map(|(server, probe)| {
        let times = seen.entry(server.address).or_default();
        *times += 1;
        let name = if *times == 1 { server.address.to_owned() } else { format!("{}#{times}", server.address) };
        Member {
            name,
            address: server.address.to_owned(),
            place: server.directive.place(),
            probe,
            disabled: server.is_down(),
            backup: server.is_backup(),
        }
    });
    Pool {
        system: upstream.system,
        name: upstream.name.to_owned(),
        place: upstream.directive.place(),
        layer: layer(upstream),
        members: members.collect(),
    }
}

fn layer(upstream: &Upstream<'_>) -> Layer {
    let layers = upstream.passes.iter().map(|pass| match pass.module {
        Module::Proxy | Module::Grpc => Layer::Http,
        Module::Fastcgi | Module::Uwsgi | Module::Scgi | Module::Memcached => Layer::Protocol,
        Module::Stream => Layer::Tcp,
    });
    layers.max().unwrap_or(if upstream.stream { Layer::Tcp } else { Layer::Http })
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
