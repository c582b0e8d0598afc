//! Verified copies of customers' trust logs, to refuse junk before it is stored. No server believes us for it.

use crate::store::{Scoped, StoreError};
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::limits::ENTRIES_PAGE;
use cloud_doctor_proto::trust::{LogError, TrustLog};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Customers whose logs are kept verified; others are verified again when they enrol the next server.
const LOGS_MAX: usize = 64;

/// A log that could not be read or does not verify.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadLogError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not a log: the database was tampered with or damaged.
    #[error("the stored trust log does not verify: {0}")]
    Log(#[from] LogError),
}

/// Verified copies by customer.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<HashMap<TenantId, Arc<TrustLog>>>);

impl Logs {
    /// The customer's log as the store has it now.
    pub(crate) async fn newest(&self, scoped: Scoped<'_>, tenant: TenantId) -> Result<Arc<TrustLog>, ReadLogError> {
        // Locked for a look and for an insert, never in between: two readers at once verify the same entries twice.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned();
        let mut log = known;
        loop {
            let from = log.as_ref().map_or(0, |log| log.head().seq + 1);
            let page = scoped.log_entries(from, ENTRIES_PAGE).await?;
            let more = page.len() == ENTRIES_PAGE;
            log = Some(extend(log, &page, tenant)?);
            if !more {
                break;
            }
        }
        let log = log.ok_or(LogError::Empty)?;
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.len() >= LOGS_MAX && !logs.contains_key(&tenant) {
            logs.clear();
        }
        logs.insert(tenant, log.clone());
        Ok(log)
    }
}

fn extend(log: Option<Arc<TrustLog>>, page: &[Vec<u8>], tenant: TenantId) -> Result<Arc<TrustLog>, LogError> {
    match log {
        None => TrustLog::replay(page, Some(tenant)).map(Arc::new),
        Some(log) if page.is_empty() => Ok(log),
        Some(log) => {
            let mut longer = (*log).clone();
            for entry in page {
                longer.append(entry)?;
            }
            Ok(Arc::new(longer))
        }
    }
}
