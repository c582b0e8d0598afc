//! The customer's audit log on the relay: append-only, numbered without gaps, on disk before it is acknowledged.
//! The host keeps its own; that one is signed and does not depend on us.
//!
//! A change and its row are one transaction: methods that change something take the [`Actor`] and write the row
//! themselves, so there is no change without a row and no row without its change.

use super::rows::{count, int, time, unsigned};
use super::{Scoped, StoreError, TenantRef};
use cloud_doctor_proto::time::UnixTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, Sqlite, Transaction};

/// Who does something, from where. Both are stored as they are and escaped where they are shown.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The account's name; empty for the relay itself and for hosts.
    pub account: &'a str,
    /// The address it came from.
    pub client: &'a str,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $id:literal;)*) => {
        /// Everything that the log can say. A row keeps its id for ever: ids are never used again for something else.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// All of them. The console has a sentence for each; its tests read them here.
            pub const ALL: &'static [Action] = &[$(Action::$name,)*];

            /// As it stands in the log.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Action::$name => $id,)* }
            }
        }
    };
}

actions! {
    /// The customer and the first account were made.
    SetUp "set-up";
    /// An account came.
    AccountAdded "account-added";
    /// An account went.
    AccountRemoved "account-removed";
    /// An account may manage the relay.
    AccountMadeAdmin "account-made-admin";
    /// An account may no longer.
    AccountMadeMember "account-made-member";
    /// An account may not sign in.
    AccountDisabled "account-disabled";
    /// An account may again.
    AccountEnabled "account-enabled";
    /// An account has lost its ways in, and somebody got a link to make new ones.
    AccountReset "account-reset";
    /// That link was used.
    ResetUsed "reset-used";
    /// An account has another password.
    PasswordChanged "password-changed";
    /// An account may sign in by one more passkey.
    PasskeyAdded "passkey-added";
    /// A passkey has another name.
    PasskeyRenamed "passkey-renamed";
    /// A passkey signs in no more.
    PasskeyRemoved "passkey-removed";
    /// An account may sign in by a provider.
    IdentityLinked "identity-linked";
    /// An account may no longer.
    IdentityUnlinked "identity-unlinked";
    /// An account needs a code besides its password.
    SecondStepOn "second-step-on";
    /// An account needs no code any more.
    SecondStepOff "second-step-off";
    /// An account has new recovery codes.
    RecoveryCodesMade "recovery-codes-made";
    /// One of them was used.
    RecoveryCodeUsed "recovery-code-used";
    /// Somebody signed in.
    SignedIn "signed-in";
    /// A sign-in was ended.
    LoginEnded "login-ended";
    /// All sign-ins of an account but one were ended.
    LoginsEnded "logins-ended";
    /// A link for a new person was made.
    PersonInvited "person-invited";
    /// A new person made an account with it.
    Joined "joined";
    /// A new person brought a key.
    JoinKey "join-key";
    /// That link is over.
    JoinEnded "join-ended";
    /// An install token was made.
    TokenCreated "token-created";
    /// An install token was taken back.
    TokenRevoked "token-revoked";
    /// A server was enrolled.
    ServerEnrolled "server-enrolled";
    /// Something was not enrolled.
    EnrolmentRefused "enrolment-refused";
    /// A server has other labels.
    ServerLabelled "server-labelled";
    /// A server was removed.
    ServerRemoved "server-removed";
    /// The trust log grew.
    LogAppended "log-appended";
    /// A stream to a server was opened.
    StreamOpened "stream-opened";
    /// None was opened.
    StreamRefused "stream-refused";
    /// A stream was cut by somebody.
    StreamCut "stream-cut";
    /// Somebody waits for a second signature.
    SecondAsked "second-asked";
    /// It was given.
    SecondGiven "second-given";
    /// It was denied.
    SecondDenied "second-denied";
    /// Nobody waits for it any more.
    SecondWithdrawn "second-withdrawn";
    /// A code for somebody without an account was made.
    Invited "invited";
    /// A guest came with it.
    GuestCame "guest-came";
    /// The guest is gone.
    GuestLeft "guest-left";
    /// That code is over.
    InvitationEnded "invitation-ended";
    /// A server was asked for checks.
    ChecksAsked "checks-asked";
    /// A server is asked for checks by the clock, or no more.
    ChecksScheduled "checks-scheduled";
    /// Somebody answers for a finding.
    FindingWaived "finding-waived";
    /// Nobody answers for it any more.
    FindingUnwaived "finding-unwaived";
    /// Somebody looks at a server's metrics.
    MetricsWatched "metrics-watched";
    /// Many servers are being asked for checks.
    ScanStarted "scan-started";
    /// A scan was ended before its time.
    ScanCancelled "scan-cancelled";
    /// Servers are to be scanned by the clock.
    ScanPlanAdded "scan-plan-added";
    /// At other times, or others.
    ScanPlanChanged "scan-plan-changed";
    /// No more.
    ScanPlanRemoved "scan-plan-removed";
    /// A plan begins no scans until somebody lets it go on.
    ScanPlanPaused "scan-plan-paused";
    /// A plan begins scans again.
    ScanPlanResumed "scan-plan-resumed";
}

/// An event as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the customer's first is 1.
    pub seq: u64,
    /// When, by the relay's clock. Order is by number.
    pub at: UnixTime,
    /// Account that did it.
    pub account: String,
    /// From which address.
    pub client: String,
    /// What.
    pub action: String,
    /// To whom or what.
    pub subject: String,
}

/// Appends a row within a transaction.
pub(super) async fn note(
    tx: &mut Transaction<'static, Sqlite>,
    tenant: TenantRef,
    by: Actor<'_>,
    (action, subject): (Action, &str),
    now: UnixTime,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (tenant_id, seq, at, account, client, action, subject) \
               SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM audit WHERE tenant_id = ?1";
    sqlx::query(sql)
        .bind(tenant.0)
        .bind(int(now))
        .bind(by.account)
        .bind(by.client)
        .bind(action.id())
        .bind(subject)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

impl Scoped<'_> {
    /// Appends a row about something that changes nothing here, such as a refused enrolment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note(&self, by: Actor<'_>, action: Action, subject: &str, now: UnixTime) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        note(&mut tx, self.tenant, by, (action, subject), now).await?;
        Ok(tx.commit().await?)
    }

    /// The last events before number `before`, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_rows_before(&self, before: u64, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT seq, at, account, client, action, subject FROM audit \
                   WHERE tenant_id = ? AND seq < ? ORDER BY seq DESC LIMIT ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(unsigned(before)).bind(i64::from(most));
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().rev().map(audit_row).collect::<Result<_, _>>()?)
    }

    /// Events after number `after`, oldest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_rows(&self, after: u64, most: u32) -> Result<Vec<AuditRow>, StoreError> {
        let sql = "SELECT seq, at, account, client, action, subject FROM audit \
                   WHERE tenant_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let query = sqlx::query(sql).bind(self.tenant.0).bind(unsigned(after)).bind(i64::from(most));
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(audit_row).collect::<Result<_, _>>()?)
    }
}

fn audit_row(row: &SqliteRow) -> Result<AuditRow, sqlx::Error> {
    Ok(AuditRow {
        seq: count(row, "seq")?,
        at: time(row, "at")?,
        account: row.try_get("account")?,
        client: row.try_get("client")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
    })
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn every_action_has_an_id_of_its_own() {
        for action in Action::ALL {
            let id = action.id();
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{id}");
            assert_eq!(Action::ALL.iter().filter(|other| other.id() == id).count(), 1, "{id}");
        }
    }
}
