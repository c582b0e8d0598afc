//! The relay's half of enrolment tokens: expiring, use-limited, revocable, stored as hashes.

use super::audit::{Action, note};
use super::rows::{bytes, count, int, time};
use super::{Actor, Scoped, Store, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// Names a token in lists; says nothing about its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnrolTokenId(pub [u8; 16]);

impl std::fmt::Display for EnrolTokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewEnrolToken {
    /// Its id.
    pub id: EnrolTokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// For people.
    pub label: String,
    /// Last second in which it counts.
    pub expires_at: UnixTime,
    /// Servers that it may enrol.
    pub uses_max: u32,
}

/// A token as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolToken {
    /// Its id.
    pub id: EnrolTokenId,
    /// For people.
    pub label: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixTime,
    /// Last second in which it counts.
    pub expires_at: UnixTime,
    /// Servers that it may enrol.
    pub uses_max: u64,
    /// Servers that it has enrolled.
    pub uses: u64,
    /// Taken back.
    pub revoked: bool,
}

/// Why a token does not count. For the audit: a stranger is told one sentence for all of them (ENR-02).
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// No token has this secret.
    #[error("unknown token")]
    Unknown,
    /// Past its last second.
    #[error("expired token")]
    Expired(TenantRef),
    /// Used as often as it may.
    #[error("used token")]
    Used(TenantRef),
    /// Taken back.
    #[error("revoked token")]
    Revoked(TenantRef),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const BY_SECRET: &str = "SELECT tenant_id, expires_at, uses_max, uses, revoked_at IS NOT NULL AS revoked \
                         FROM enrol_tokens WHERE secret_hash = ?";

/// The customer of a token that counts at `now`.
fn judge(row: Option<&SqliteRow>, now: UnixTime) -> Result<TenantRef, TokenRefused> {
    let row = row.ok_or(TokenRefused::Unknown)?;
    let wrong = |e: sqlx::Error| TokenRefused::Store(e.into());
    let tenant = TenantRef(row.try_get("tenant_id").map_err(wrong)?);
    if row.try_get::<bool, _>("revoked").map_err(wrong)? {
        return Err(TokenRefused::Revoked(tenant));
    }
    if now > time(row, "expires_at").map_err(wrong)? {
        return Err(TokenRefused::Expired(tenant));
    }
    if count(row, "uses").map_err(wrong)? >= count(row, "uses_max").map_err(wrong)? {
        return Err(TokenRefused::Used(tenant));
    }
    Ok(tenant)
}

/// Counts one use within a transaction.
pub(super) async fn use_token(
    tx: &mut Transaction<'static, Sqlite>,
    secret_hash: &[u8; 32],
    now: UnixTime,
) -> Result<TenantRef, TokenRefused> {
    let query = sqlx::query(BY_SECRET).bind(secret_hash.as_slice());
    let row = query.fetch_optional(&mut **tx).await.map_err(StoreError::from)?;
    let tenant = judge(row.as_ref(), now)?;
    let sql = "UPDATE enrol_tokens SET uses = uses + 1 WHERE secret_hash = ?";
    sqlx::query(sql).bind(secret_hash.as_slice()).execute(&mut **tx).await.map_err(StoreError::from)?;
    Ok(tenant)
}

impl Store {
    /// Whether a token counts now, without using it: before a stranger gets to see a log.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub async fn enrol_token_tenant(&self, secret_hash: &[u8; 32], now: UnixTime) -> Result<TenantRef, TokenRefused> {
        let query = sqlx::query(BY_SECRET).bind(secret_hash.as_slice());
        let row = query.fetch_optional(&self.readers).await.map_err(StoreError::from)?;
        judge(row.as_ref(), now)
    }
}

impl Scoped<'_> {
    /// Adds a token.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_enrol_token(&self, token: &NewEnrolToken, by: Actor<'_>, now: UnixTime) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "INSERT INTO enrol_tokens \
                   (token_id, tenant_id, secret_hash, label, created_by, created_at, expires_at, uses_max) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(token.id.0.as_slice())
            .bind(self.tenant.0)
            .bind(token.secret_hash.as_slice())
            .bind(&token.label)
            .bind(by.account)
            .bind(int(now))
            .bind(int(token.expires_at))
            .bind(i64::from(token.uses_max))
            .execute(&mut *tx)
            .await?;
        let subject = format!("{} {}", token.id, token.label);
        note(&mut tx, self.tenant, by, (Action::TokenCreated, &subject), now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// All tokens, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrol_tokens(&self) -> Result<Vec<EnrolToken>, StoreError> {
        let sql = "SELECT token_id, label, created_by, created_at, expires_at, uses_max, uses, \
                   revoked_at IS NOT NULL AS revoked FROM enrol_tokens WHERE tenant_id = ? \
                   ORDER BY created_at DESC, token_id LIMIT 1000";
        let rows = sqlx::query(sql).bind(self.tenant.0).fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(token).collect::<Result<_, _>>()?)
    }

    /// Takes a token back. `false`: there is none, or it was taken back before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_enrol_token(&self, id: EnrolTokenId, by: Actor<'_>, now: UnixTime) -> Result<bool, StoreError> {
        let mut tx = self.store.begin().await?;
        let sql = "UPDATE enrol_tokens SET revoked_at = ? WHERE tenant_id = ? AND token_id = ? AND revoked_at IS NULL";
        let query = sqlx::query(sql).bind(int(now)).bind(self.tenant.0).bind(id.0.as_slice());
        if query.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        note(&mut tx, self.tenant, by, (Action::TokenRevoked, &id.to_string()), now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn token(row: &SqliteRow) -> Result<EnrolToken, sqlx::Error> {
    Ok(EnrolToken {
        id: EnrolTokenId(bytes(row, "token_id")?),
        label: row.try_get("label")?,
        created_by: row.try_get("created_by")?,
        created_at: time(row, "created_at")?,
        expires_at: time(row, "expires_at")?,
        uses_max: count(row, "uses_max")?,
        uses: count(row, "uses")?,
        revoked: row.try_get("revoked")?,
    })
}
