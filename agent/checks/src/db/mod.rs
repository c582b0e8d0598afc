//! Databases and caches: what they say of themselves without a login, and how they are set.

pub(crate) mod memcached;
pub(crate) mod mysql_connections;
pub(crate) mod mysql_logs;
mod mysql_options;
pub(crate) mod mysql_safety;
pub(crate) mod postgres_archive_failing;
mod postgres_clusters;
pub(crate) mod postgres_connections;
pub(crate) mod postgres_safety;
pub(crate) mod postgres_trust;
pub(crate) mod redis;
pub(crate) mod redis_connections;
pub(crate) mod redis_host;
pub(crate) mod redis_memory;
pub(crate) mod redis_persistence;
pub(crate) mod redis_replication;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &mysql_connections::CHECK,
    &mysql_logs::CHECK,
    &mysql_safety::CHECK,
    &postgres_connections::CHECK,
    &postgres_safety::CHECK,
    &postgres_archive_failing::CHECK,
    &postgres_trust::CHECK,
    &redis_memory::CHECK,
    &redis_persistence::CHECK,
    &redis_connections::CHECK,
    &redis_replication::CHECK,
    &redis_host::CHECK,
    &memcached::CHECK,
];
