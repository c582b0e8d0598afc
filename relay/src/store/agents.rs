//! Enrolled servers: which transport key speaks for which agent. A key that is off this list is revoked.

use super::audit::{Action, note};
use super::rows::{bytes, count_or_none, int, time, time_or_none, unsigned};
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::control::HostFacts;
use cloud_doctor_proto::ids::{AgentId, TenantId, VerifyKey};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// An enrolled server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// Whose.
    pub tenant: TenantRef,
    /// The customer's id: the hash that the agent has pinned.
    pub tenant_id: TenantId,
    /// The agent.
    pub agent: AgentId,
    /// Key of its tunnel.
    pub transport_key: VerifyKey,
    /// The name that the trust log gives it.
    pub name: String,
    /// What the server says about itself. A stranger's text.
    pub host: HostFacts,
    /// The agent's build. A stranger's text.
    pub build: String,
    /// Since when.
    pub enrolled_at: UnixTime,
    /// Last time that a tunnel stood.
    pub last_seen_at: Option<UnixTime>,
    /// Taken off the list.
    pub removed: bool,
}

/// A server that is being enrolled.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// The agent.
    pub agent: AgentId,
    /// Key of its tunnel.
    pub transport_key: VerifyKey,
    /// The name in its trust-log entry.
    pub name: String,
    /// What the server says about itself.
    pub host: HostFacts,
}

/// What a living tunnel tells about its server.
#[derive(Debug, Clone)]
pub struct AgentSeen {
    /// The agent.
    pub agent: AgentId,
    /// When.
    pub at: UnixTime,
}

fn agent(row: &SqliteRow) -> Result<AgentRow, sqlx::Error> {
    Ok(AgentRow {
        tenant: TenantRef(row.try_get("tenant_id")?),
        tenant_id: TenantId(bytes(row, "genesis")?),
        agent: AgentId(bytes(row, "agent_id")?),
        transport_key: VerifyKey(bytes(row, "transport_key")?),
        name: row.try_get("name")?,
        host: HostFacts {
            hostname: row.try_get("hostname")?,
            os: row.try_get("os")?,
            kernel: row.try_get("kernel")?,
            arch: row.try_get("arch")?,
            cpus: row.try_get("cpus")?,
            memory_bytes: count_or_none(row, "memory_bytes")?,
            booted_at: time_or_none(row, "booted_at")?,
        },
        build: row.try_get("build")?,
        enrolled_at: time(row, "enrolled_at")?,
        last_seen_at: time_or_none(row, "last_seen_at")?,
        removed: time_or_none(row, "removed_at")?.is_some(),
    })
}

/// All columns of a server, for a condition.
macro_rules! agents_where {
    ($where:literal) => {
        concat!(
            "SELECT t.genesis, a.tenant_id, a.agent_id, a.transport_key, a.name, a.hostname, a.os, a.kernel, a.arch, \
             a.cpus, a.memory_bytes, a.booted_at, a.build, a.enrolled_at, a.last_seen_at, a.removed_at \
             FROM agents a JOIN tenants t USING (tenant_id) WHERE ",
            $where
        )
    };
}

const BY_TRANSPORT_KEY: &str = agents_where!("a.transport_key = ?");
const OF_TENANT: &str = agents_where!("a.tenant_id = ? AND a.removed_at IS NULL ORDER BY a.name");
const ONE_OF_TENANT: &str = agents_where!("a.tenant_id = ? AND a.agent_id = ? AND a.removed_at IS NULL");

impl Store {
    /// The agent whose tunnel has this key, also when it was removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent_by_transport_key(&self, key: &VerifyKey) -> Result<Option<AgentRow>, StoreError> {
        let row = sqlx::query(BY_TRANSPORT_KEY).bind(key.0.as_slice()).fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(agent).transpose()?)
    }

    /// Notes that tunnels stood, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn touch_agents(&self, seen: &[AgentSeen]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for one in seen {
            let sql = "UPDATE agents SET last_seen_at = max(coalesce(last_seen_at, 0), ?) WHERE agent_id = ?";
            sqlx::query(sql).bind(int(one.at)).bind(one.agent.0.as_slice()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

impl Scoped<'_> {
    /// The customer's servers, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agents(&self) -> Result<Vec<AgentRow>, StoreError> {
        let rows = sqlx::query(OF_TENANT).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(agent).collect::<Result<_, _>>()?)
    }

    /// One of the customer's servers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agent(&self, id: &AgentId) -> Result<Option<AgentRow>, StoreError> {
        let query = sqlx::query(ONE_OF_TENANT).bind(self.tenant.0).bind(id.0.as_slice());
        let row = query.fetch_optional(&self.store.readers).await?;
        Ok(row.as_ref().map(agent).transpose()?)
    }

    /// Writes down what a server says about itself; called when it differs from the row.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_host_facts(&self, id: &AgentId, host: &HostFacts, build: &str) -> Result<(), StoreError> {
        let sql = "UPDATE agents SET hostname = ?, os = ?, kernel = ?, arch = ?, cpus = ?, memory_bytes = ?, \
                   booted_at = ?, build = ? WHERE tenant_id = ? AND agent_id = ?";
        sqlx::query(sql)
            .bind(&host.hostname)
            .bind(&host.os)
            .bind(&host.kernel)
            .bind(&host.arch)
            .bind(host.cpus)
            .bind(host.memory_bytes.map(unsigned))
            .bind(host.booted_at.map(int))
            .bind(build)
            .bind(self.tenant.0)
            .bind(id.0.as_slice())
            .execute(&self.store.writer)
            .await?;
        Ok(())
    }

    /// Takes a server off the list. `false`: it is not on it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_agent(&self, id: &AgentId, by: Actor<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        if !take_off(&mut tx, self.tenant, id, now).await? {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::ServerRemoved, &id.to_string()), now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Takes a server off the list within a transaction.
pub(super) async fn take_off(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    id: &AgentId,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let sql = "UPDATE agents SET removed_at = ? WHERE tenant_id = ? AND agent_id = ? AND removed_at IS NULL";
    let query = sqlx::query(sql).bind(int(now)).bind(tenant.0).bind(id.0.as_slice());
    let was_there = query.execute(&mut **tx).await?.rows_affected() == 1;
    // Runs of its checks are large: those are forgotten a few at a time.
    for sql in [
        "DELETE FROM labels WHERE tenant_id = ? AND agent_id = ?",
        "DELETE FROM check_waivers WHERE tenant_id = ? AND agent_id = ?",
        "DELETE FROM check_schedules WHERE tenant_id = ? AND agent_id = ?",
        "DELETE FROM recordings WHERE tenant_id = ? AND agent_id = ?",
    ] {
        sqlx::query(sql).bind(tenant.0).bind(id.0.as_slice()).execute(&mut **tx).await?;
    }
    Ok(was_there)
}

/// Whether the customer has a server, within a transaction.
pub(super) async fn is_there(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    agent: &AgentId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM agents WHERE tenant_id = ? AND agent_id = ? AND removed_at IS NULL";
    let query = sqlx::query(sql).bind(tenant.0).bind(agent.0.as_slice());
    Ok(query.fetch_optional(&mut **tx).await?.is_some())
}
