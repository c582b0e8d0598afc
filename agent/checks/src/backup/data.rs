//! Where databases of this host keep what must not be lost.

use crate::host::{Host, Kind};

/// Usual data folders.
const FOLDERS: [(&str, &str); 9] = [
    ("MySQL", "/var/lib/mysql"),
    ("MySQL", "/www/server/data"),
    ("PostgreSQL", "/var/lib/postgresql"),
    ("PostgreSQL", "/var/lib/pgsql/data"),
    ("PostgreSQL", "/www/server/pgsql/data"),
    ("MongoDB", "/var/lib/mongodb"),
    ("MongoDB", "/var/lib/mongo"),
    ("InfluxDB", "/var/lib/influxdb"),
    ("Elasticsearch", "/var/lib/elasticsearch"),
];

/// A database's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Data {
    pub(super) name: &'static str,
    pub(super) folder: &'static str,
    pub(super) device: u64,
}

/// Those that are here.
pub(super) fn data(host: &Host) -> Vec<Data> {
    let there = FOLDERS.iter().filter_map(|(name, folder)| {
        let stat = host.stat(folder).ok().filter(|stat| stat.kind == Kind::Folder)?;
        // Packages leave an empty folder behind. One that may not be looked into is taken for full.
        let empty = host.list(folder).is_ok_and(|entries| entries.is_empty());
        (!empty).then_some(Data { name, folder, device: stat.device })
    });
    there.collect()
}
