//! Streams between clients and agents: who, when, how much. Never what.

use super::approvals::withdraw_of;
use super::audit::{Action, note};
use super::rows::{bytes, bytes_or_none, count, int, time, time_or_none, unsigned};
use super::{Actor, Scoped, Store, StoreError};
use cloud_doctor_proto::ids::{AgentId, ChannelId, StreamId, VisitId};
use cloud_doctor_proto::time::UnixTime;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use std::collections::HashMap;

/// Old rows forgotten in one transaction: a few milliseconds of the one writer.
const FORGOTTEN_AT_ONCE: u32 = 500;

/// A stream that begins.
#[derive(Debug, Clone)]
pub struct StreamOpened {
    /// Its id.
    pub stream: StreamId,
    /// Account that asked.
    pub account: String,
    /// Where it leads.
    pub agent: AgentId,
    /// From where the client came.
    pub client: String,
    /// What the client says it is for; bookkeeping only.
    pub purpose: String,
    /// The visit, as the client says.
    pub visit: Option<VisitId>,
    /// The channel, as the client says.
    pub channel: Option<ChannelId>,
}

/// How a stream ended.
#[derive(Debug, Clone)]
pub struct StreamClosed {
    /// Bytes from client to agent.
    pub bytes_up: u64,
    /// Bytes from agent to client.
    pub bytes_down: u64,
    /// Why, in a word.
    pub reason: String,
}

/// A stream as lists show it.
#[derive(Debug, Clone)]
pub struct StreamRow {
    /// How it began.
    pub opened: StreamOpened,
    /// When.
    pub opened_at: UnixTime,
    /// When it ended.
    pub closed_at: Option<UnixTime>,
    /// Bytes from client to agent, once it ended.
    pub bytes_up: u64,
    /// Bytes from agent to client, once it ended.
    pub bytes_down: u64,
    /// Why it ended.
    pub reason: Option<String>,
}

/// Which streams are meant; nothing said means all.
#[derive(Debug, Clone, Default)]
pub struct WhichStreams {
    /// To this server.
    pub agent: Option<AgentId>,
    /// Of this account.
    pub account: Option<String>,
    /// Open ones, or ended ones.
    pub open: Option<bool>,
    /// Opened before this one.
    pub before: Option<StreamId>,
}

/// All columns of streams, for a condition.
macro_rules! streams_where {
    ($where:literal) => {
        concat!(
            "SELECT stream_id, account, agent_id, client, purpose, visit_id, channel_id, opened_at, closed_at, \
             bytes_up, bytes_down, close_reason FROM streams WHERE tenant_id = ?1 AND ",
            $where
        )
    };
}

impl Store {
    /// Closes what a relay that died left open.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_stale_streams(&self, now: UnixTime) -> Result<u64, StoreError> {
        let sql = "UPDATE streams SET closed_at = ?, close_reason = 'relay restarted' WHERE closed_at IS NULL";
        Ok(sqlx::query(sql).bind(int(now)).execute(&self.writer).await?.rows_affected())
    }

    /// Forgets streams that ended before a moment, some hundred at a time: others write too. Whether more are left. The
    /// audit keeps that they were opened.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_streams(&self, ended_before: UnixTime) -> Result<bool, StoreError> {
        let sql = "DELETE FROM streams WHERE stream_id IN (SELECT stream_id FROM streams WHERE closed_at < ? LIMIT ?)";
        let query = sqlx::query(sql).bind(int(ended_before)).bind(i64::from(FORGOTTEN_AT_ONCE));
        Ok(query.execute(&self.writer).await?.rows_affected() == u64::from(FORGOTTEN_AT_ONCE))
    }
}

impl Scoped<'_> {
    /// Notes that a stream begins. Nothing is piped before this is on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stream_opened(&self, stream: &StreamOpened, now: UnixTime) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO streams \
                   (stream_id, tenant_id, account, agent_id, client, purpose, visit_id, channel_id, opened_at) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(stream.stream.0.as_slice())
            .bind(self.tenant.0)
            .bind(&stream.account)
            .bind(stream.agent.0.as_slice())
            .bind(&stream.client)
            .bind(&stream.purpose)
            .bind(stream.visit.as_ref().map(|id| id.0.to_vec()))
            .bind(stream.channel.as_ref().map(|id| id.0.to_vec()))
            .bind(int(now))
            .execute(&mut *tx)
            .await?;
        let by = Actor { account: &stream.account, client: &stream.client };
        note(&mut tx, self.tenant, by, (Action::StreamOpened, &stream.agent.to_string()), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes that a stream ended. With an account's last stream to a server goes what it waited for there; whether that
    /// was anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stream_closed(&self, id: &StreamId, end: &StreamClosed, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE streams SET closed_at = ?, bytes_up = ?, bytes_down = ?, close_reason = ? \
                   WHERE tenant_id = ? AND stream_id = ? AND closed_at IS NULL RETURNING account, agent_id";
        let row = sqlx::query(sql)
            .bind(int(now))
            .bind(unsigned(end.bytes_up))
            .bind(unsigned(end.bytes_down))
            .bind(&end.reason)
            .bind(self.tenant.0)
            .bind(id.0.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let of = (row.try_get("account")?, row.try_get("agent_id")?);
        let withdrawn = withdraw_of(&mut tx, self.tenant, of, now).await?;
        tx.commit().await?;
        Ok(withdrawn)
    }

    /// Accounts that have a stream open, by server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn people_here(&self) -> Result<HashMap<AgentId, u64>, StoreError> {
        let sql = "SELECT agent_id, count(DISTINCT account) AS people FROM streams \
                   WHERE tenant_id = ? AND closed_at IS NULL GROUP BY agent_id";
        let rows = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        let read = |row: &SqliteRow| Ok::<_, sqlx::Error>((AgentId(bytes(row, "agent_id")?), count(row, "people")?));
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Open streams to one server, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn streams_to(&self, agent: &AgentId) -> Result<Vec<StreamRow>, StoreError> {
        let sql = streams_where!("agent_id = ?2 AND closed_at IS NULL ORDER BY opened_at, stream_id");
        let query = sqlx::query(sql).bind(self.tenant.0).bind(agent.0.as_slice());
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(stream).collect::<Result<_, _>>()?)
    }

    /// One stream.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stream(&self, id: &StreamId) -> Result<Option<StreamRow>, StoreError> {
        let sql = streams_where!("stream_id = ?2");
        let query = sqlx::query(sql).bind(self.tenant.0).bind(id.0.as_slice());
        Ok(query.fetch_optional(&self.store.readers).await?.as_ref().map(stream).transpose()?)
    }

    /// Streams that are meant, open ones first, then the newest, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn streams(&self, which: &WhichStreams, most: u32) -> Result<Vec<StreamRow>, StoreError> {
        let sql = streams_where!(
            "(?2 IS NULL OR agent_id = ?2) AND (?3 IS NULL OR account = ?3) AND (?4 IS NULL OR (closed_at IS NULL) = ?4) \
             AND (?5 IS NULL OR (opened_at, stream_id) < (SELECT opened_at, stream_id FROM streams \
             WHERE tenant_id = ?1 AND stream_id = ?5)) \
             ORDER BY closed_at IS NOT NULL, opened_at DESC, stream_id DESC LIMIT ?6"
        );
        let query = sqlx::query(sql)
            .bind(self.tenant.0)
            .bind(which.agent.map(|agent| agent.0.to_vec()))
            .bind(&which.account)
            .bind(which.open)
            .bind(which.before.map(|stream| stream.0.to_vec()))
            .bind(i64::from(most));
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(stream).collect::<Result<_, _>>()?)
    }
}

fn stream(row: &SqliteRow) -> Result<StreamRow, sqlx::Error> {
    Ok(StreamRow {
        opened: StreamOpened {
            stream: StreamId(bytes(row, "stream_id")?),
            account: row.try_get("account")?,
            agent: AgentId(bytes(row, "agent_id")?),
            client: row.try_get("client")?,
            purpose: row.try_get("purpose")?,
            visit: bytes_or_none(row, "visit_id")?.map(VisitId),
            channel: bytes_or_none(row, "channel_id")?.map(ChannelId),
        },
        opened_at: time(row, "opened_at")?,
        closed_at: time_or_none(row, "closed_at")?,
        bytes_up: count(row, "bytes_up")?,
        bytes_down: count(row, "bytes_down")?,
        reason: row.try_get("close_reason")?,
    })
}
