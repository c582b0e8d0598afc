//! Any two scans side by side, and which checks have surely looked at each server of a scan: without that, what one scan
//! does not list would be taken for good. Never: a guess; what one of the two cannot tell is said to be so.

use super::scan_findings::{self, CheckCount, ScanFinding, WhichFindings};
use super::scans::ScanRef;
use super::{Scoped, StoreError, TenantRef};
use cloud_doctor_proto::ids::AgentId;
use sha2::{Digest as _, Sha256};
use sqlx::{Sqlite, Transaction};

/// A scan (?2) beside another one (?3) of a customer (?1): what is not as it should be there, how that stood in the other,
/// and what has gone since. `unsure`: one of the two has not looked. Ranks are those of [`super::scan_servers::Rank`].
macro_rules! beside {
    ($of:literal) => {
        concat!(
            "WITH beside AS (\
             SELECT f.agent_id, f.check_id, f.subject, f.rank, f.waived, f.en, f.zh, CASE WHEN f.rank = 2 THEN '' \
             WHEN b.rank IS NULL THEN iif(EXISTS (SELECT 1 FROM scan_servers s JOIN scan_looked l USING (tenant_id, scan_no, looked) \
             WHERE s.tenant_id = ?1 AND s.scan_no = ?3 AND s.agent_id = f.agent_id AND l.check_id = f.check_id), 'new', 'unsure') \
             WHEN f.rank < b.rank THEN 'worse' WHEN f.rank > b.rank THEN 'better' ELSE '' END AS change \
             FROM scan_findings f LEFT JOIN scan_findings b ON b.tenant_id = ?1 AND b.scan_no = ?3 AND b.agent_id = f.agent_id \
             AND b.check_id = f.check_id AND b.subject = f.subject AND b.rank <= 2 \
             WHERE f.tenant_id = ?1 AND f.scan_no = ?2 AND f.rank <= 2 \
             UNION ALL \
             SELECT agent_id, check_id, subject, iif(gone, 3, 2), waived, '', '', iif(gone, 'gone', 'unsure') FROM \
             (SELECT b.agent_id, b.check_id, b.subject, b.waived, EXISTS (SELECT 1 FROM scan_servers s \
             JOIN scan_looked l USING (tenant_id, scan_no, looked) WHERE s.tenant_id = ?1 AND s.scan_no = ?2 \
             AND s.agent_id = b.agent_id AND l.check_id = b.check_id) AS gone \
             FROM scan_findings b WHERE b.tenant_id = ?1 AND b.scan_no = ?3 AND b.rank <= 1 AND NOT EXISTS (\
             SELECT 1 FROM scan_findings f WHERE f.tenant_id = ?1 AND f.scan_no = ?2 AND f.agent_id = b.agent_id \
             AND f.check_id = b.check_id AND f.subject = b.subject AND f.rank <= 2))) ",
            $of
        )
    };
}

impl Scoped<'_> {
    /// How many findings of a scan are how beside another scan, by check.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change_counts(&self, scan: ScanRef, since: ScanRef) -> Result<Vec<CheckCount>, StoreError> {
        let sql = beside!(
            "SELECT rank, check_id, waived, change, count(*) AS findings, count(DISTINCT agent_id) AS servers FROM beside \
             GROUP BY rank, check_id, waived, change ORDER BY rank, servers DESC, check_id"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(scan.0).bind(since.0);
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(scan_findings::counted).collect::<Result<_, _>>()?)
    }

    /// Findings of a scan beside another scan, the worst first, then by check; at most `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes_since(
        &self,
        (scan, since): (ScanRef, ScanRef),
        which: &WhichFindings,
        most: u32,
    ) -> Result<Vec<ScanFinding>, StoreError> {
        let sql = beside!(
            "SELECT f.agent_id, coalesce((SELECT name FROM scan_servers s WHERE s.tenant_id = ?1 AND s.scan_no = ?2 \
             AND s.agent_id = f.agent_id), (SELECT name FROM scan_servers s WHERE s.tenant_id = ?1 AND s.scan_no = ?3 \
             AND s.agent_id = f.agent_id), '') AS name, f.check_id, f.subject, f.rank, f.waived, f.change, f.en, f.zh FROM beside f \
             WHERE (?4 IS NULL OR f.rank = ?4) AND (?5 IS NULL OR f.check_id = ?5) AND (?6 IS NULL OR f.agent_id = ?6) \
             AND (?7 IS NULL OR f.change = ?7) AND (?8 IS NULL OR f.waived = ?8) \
             AND (?9 IS NULL OR (f.rank, f.check_id, f.agent_id, f.subject) > (?9, ?10, ?11, ?12)) \
             ORDER BY f.rank, f.check_id, f.agent_id, f.subject LIMIT ?13"
        );
        let query = sqlx::query(sql).bind(self.tenant.0).bind(scan.0).bind(since.0);
        let query = which.bound(query).bind(i64::from(most));
        let rows = query.fetch_all(&self.store.readers).await?;
        Ok(rows.iter().map(scan_findings::finding).collect::<Result<_, _>>()?)
    }
}

/// Says which checks have surely looked at a server.
pub(super) async fn looked(
    tx: &mut Transaction<'static, Sqlite>,
    (tenant, scan, agent): (TenantRef, ScanRef, &AgentId),
    checks: &[String],
) -> Result<(), StoreError> {
    if checks.is_empty() {
        return Ok(());
    }
    let set = number_of(checks);
    let sql = "SELECT EXISTS (SELECT 1 FROM scan_looked WHERE tenant_id = ? AND scan_no = ? AND looked = ?)";
    let query = sqlx::query_scalar(sql).bind(tenant.0).bind(scan.0).bind(set);
    let known: bool = query.fetch_one(&mut **tx).await?;
    for check in checks.iter().filter(|_| !known) {
        let sql =
            "INSERT INTO scan_looked (tenant_id, scan_no, looked, check_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(tenant.0).bind(scan.0).bind(set).bind(check).execute(&mut **tx).await?;
    }
    let sql = "UPDATE scan_servers SET looked = ? WHERE tenant_id = ? AND scan_no = ? AND agent_id = ?";
    let query = sqlx::query(sql).bind(set).bind(tenant.0).bind(scan.0).bind(agent.0.as_slice());
    query.execute(&mut **tx).await?;
    Ok(())
}

/// The number of a set, whatever the order of its checks.
fn number_of(checks: &[String]) -> i64 {
    let mut sorted: Vec<&str> = checks.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let hash: [u8; 32] = Sha256::digest(sorted.join("\n")).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
