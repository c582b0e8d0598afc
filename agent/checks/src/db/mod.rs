//! Databases and caches: what they say of themselves without a login, and how they are set.

pub(crate) mod memcached;
pub(crate) mod redis;
pub(crate) mod redis_connections;
pub(crate) mod redis_host;
pub(crate) mod redis_memory;
pub(crate) mod redis_persistence;
pub(crate) mod redis_replication;

use crate::check::Check;

/// This group's checks.
pub(crate) const CHECKS: &[&Check] = &[
    &redis_memory::CHECK,
    &redis_persistence::CHECK,
    &redis_connections::CHECK,
    &redis_replication::CHECK,
    &redis_host::CHECK,
    &memcached::CHECK,
];
