//! What the customer's people call their servers by: words and `key=value`, bounded. For lists and filters alone; no
//! decision is ever made by a label.

use super::agents::is_there;
use super::audit::{Action, note};
use super::rows::bytes;
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::refusal::one_line;
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};
use std::collections::{BTreeSet, HashMap};

/// Labels of one server: more are no help to anybody who reads a list.
pub const LABELS_MAX: usize = 16;
/// Characters of a key or word, and of a value.
const PART_CHARS_MAX: usize = 48;

/// A word, or a key with a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub(super) key: String,
    pub(super) value: Option<String>,
}

/// Not a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a label is a word or key=value, at most 48 printable characters each, without blanks and commas")]
pub struct NotALabel;

impl std::str::FromStr for Label {
    type Err = NotALabel;
    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let fits = |part: &str| {
            let plain = |c: char| !c.is_whitespace() && c != ',';
            !part.is_empty() && one_line(part, PART_CHARS_MAX) == part && part.chars().all(plain)
        };
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        if !fits(key) || !value.is_none_or(|value| fits(value) && !value.contains('=')) {
            return Err(NotALabel);
        }
        Ok(Self { key: key.to_owned(), value: value.map(str::to_owned) })
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            None => f.write_str(&self.key),
            Some(value) => write!(f, "{}={value}", self.key),
        }
    }
}

impl Label {
    /// Whether a server with these labels is meant: it has this one, or this key with any value.
    #[must_use]
    pub fn is_among(&self, labels: &BTreeSet<Label>) -> bool {
        labels.iter().any(|label| label.key == self.key && (self.value.is_none() || label.value == self.value))
    }
}

/// Labels that were not set.
#[derive(Debug, thiserror::Error)]
pub enum LabelsRefused {
    /// The customer has no such server.
    #[error("there is no such server")]
    Unknown,
    /// It would have more than [`LABELS_MAX`].
    #[error("a server has at most 16 labels")]
    TooMany,
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn label(row: &SqliteRow) -> Result<Label, sqlx::Error> {
    Ok(Label { key: row.try_get("key")?, value: row.try_get("value")? })
}

const OF_ONE: &str = "SELECT key, value FROM labels WHERE tenant_id = ? AND agent_id = ?";

/// A server that has a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledAgent {
    /// Whose.
    pub tenant: TenantRef,
    /// Which.
    pub agent: AgentId,
    /// As the trust log names it.
    pub name: String,
    /// The customer's name.
    pub customer: String,
}

impl Store {
    /// All customers' servers with a label: for the operator, who decides what leaves this relay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn labelled(&self, label: &Label) -> Result<Vec<LabelledAgent>, StoreError> {
        let sql = "SELECT a.tenant_id, a.agent_id, a.name, t.name AS customer FROM labels l JOIN agents a USING (tenant_id, agent_id) \
                   JOIN tenants t USING (tenant_id) WHERE l.key = ?1 AND (?2 IS NULL OR l.value = ?2) \
                   AND a.removed_at IS NULL ORDER BY a.tenant_id, a.name";
        let rows = sqlx::query(sql).bind(&label.key).bind(&label.value).fetch_all(&self.readers).await?;
        let read = |row: &SqliteRow| {
            let agent = AgentId(bytes(row, "agent_id")?);
            Ok::<_, sqlx::Error>(LabelledAgent {
                tenant: TenantRef(row.try_get("tenant_id")?),
                agent,
                name: row.try_get("name")?,
                customer: row.try_get("customer")?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

impl Scoped<'_> {
    /// The labels of all the customer's servers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn labels(&self) -> Result<HashMap<AgentId, BTreeSet<Label>>, StoreError> {
        let sql = "SELECT agent_id, key, value FROM labels WHERE tenant_id = ?";
        let rows = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        let mut all = HashMap::<AgentId, BTreeSet<Label>>::new();
        for row in &rows {
            all.entry(AgentId(bytes(row, "agent_id")?)).or_default().insert(label(row)?);
        }
        Ok(all)
    }

    /// The labels of one server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn labels_of(&self, agent: &AgentId) -> Result<BTreeSet<Label>, StoreError> {
        let query = sqlx::query(OF_ONE).bind(self.tenant.0).bind(agent.0.as_slice());
        Ok(query.fetch_all(&self.store.readers).await?.iter().map(label).collect::<Result<_, _>>()?)
    }

    /// Takes labels off a server, then puts others on; a key has one value. Returns what it has then.
    ///
    /// # Errors
    /// [`LabelsRefused`]; nothing was changed.
    pub async fn label(
        &self,
        agent: &AgentId,
        (add, remove): (&[Label], &[Label]),
        by: Actor<'_>,
        now: UnixTime,
    ) -> Result<BTreeSet<Label>, LabelsRefused> {
        let mut tx = self.store.begin().await?;
        let of = (self.tenant, agent);
        if !is_there(&mut tx, self.tenant, agent).await? {
            return Err(LabelsRefused::Unknown);
        }
        change(&mut tx, of, add, remove).await?;
        let labels = read(&mut tx, of).await?;
        if labels.len() > LABELS_MAX {
            return Err(LabelsRefused::TooMany);
        }
        let said: Vec<String> = labels.iter().map(Label::to_string).collect();
        let subject = format!("{agent} {}", said.join(","));
        note(&mut tx, self.tenant, by, (Action::ServerLabelled, &subject), now).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(labels)
    }
}

type Tx = Transaction<'static, Sqlite>;
type Of<'a> = (TenantRef, &'a AgentId);

async fn change(tx: &mut Tx, (tenant, agent): Of<'_>, add: &[Label], remove: &[Label]) -> Result<(), StoreError> {
    let sql = "DELETE FROM labels WHERE tenant_id = ?1 AND agent_id = ?2 AND key = ?3 AND (?4 IS NULL OR value = ?4)";
    for Label { key, value } in remove {
        let query = sqlx::query(sql).bind(tenant.0).bind(agent.0.as_slice()).bind(key).bind(value);
        query.execute(&mut **tx).await?;
    }
    let sql = "INSERT INTO labels (tenant_id, agent_id, key, value) VALUES (?, ?, ?, ?) \
               ON CONFLICT (tenant_id, agent_id, key) DO UPDATE SET value = excluded.value";
    for Label { key, value } in add {
        let query = sqlx::query(sql).bind(tenant.0).bind(agent.0.as_slice()).bind(key).bind(value);
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

async fn read(tx: &mut Tx, (tenant, agent): Of<'_>) -> Result<BTreeSet<Label>, StoreError> {
    let query = sqlx::query(OF_ONE).bind(tenant.0).bind(agent.0.as_slice());
    Ok(query.fetch_all(&mut **tx).await?.iter().map(label).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn labels_are_words_or_keys_with_a_value() {
        for good in ["web", "env=prod", "团队=支付", "a/b.c-d_e=1:2", &"x".repeat(48)] {
            assert_eq!(good.parse::<Label>().unwrap().to_string(), good);
        }
        let long = "x".repeat(49);
        for bad in ["", "=", "=x", "x=", "a b", "a,b", "a=b=c", "a\nb", "a\u{202e}b", "a=\u{1b}[2J", &long] {
            assert_eq!(bad.parse::<Label>(), Err(NotALabel), "{bad:?}");
        }
    }

    #[test]
    fn a_filter_means_a_label_or_any_value_of_a_key() {
        let label = |text: &str| text.parse::<Label>().unwrap();
        let labels = BTreeSet::from([label("web"), label("env=prod")]);
        for (text, expected) in
            [("web", true), ("env", true), ("env=prod", true), ("env=test", false), ("prod", false), ("web=1", false)]
        {
            assert_eq!(label(text).is_among(&labels), expected, "{text}");
        }
    }
}
