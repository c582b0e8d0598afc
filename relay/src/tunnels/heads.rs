//! How far each customer's trust log goes, so that tunnels push new entries the moment they are stored.

use cloud_doctor_proto::ids::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// One watch per customer with a tunnel or a write since the start.
#[derive(Debug, Default)]
pub struct Heads(Mutex<HashMap<TenantId, watch::Sender<u64>>>);

impl Heads {
    /// Says that the log of `tenant` now ends with entry `seq`. Call it after the entry is on disk.
    pub fn bump(&self, tenant: TenantId, seq: u64) {
        self.sender(tenant, |sender| {
            sender.send_if_modified(|head| {
                let newer = seq > *head;
                *head = (*head).max(seq);
                newer
            });
        });
    }

    /// Follows the log of `tenant`. The value is a hint: what counts is in the store.
    pub(super) fn follow(&self, tenant: TenantId) -> watch::Receiver<u64> {
        self.sender(tenant, watch::Sender::subscribe)
    }

    fn sender<T>(&self, tenant: TenantId, with: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        // The lock guards the map only; nothing inside it waits.
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        with(heads.entry(tenant).or_insert_with(|| watch::Sender::new(0)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_follower_sees_growth_and_nothing_else() {
        let heads = Heads::default();
        let tenant = TenantId([1; 32]);
        let mut follower = heads.follow(tenant);
        assert!(!follower.has_changed().unwrap());
        heads.bump(tenant, 3);
        assert!(follower.has_changed().unwrap());
        assert_eq!(*follower.borrow_and_update(), 3);
        heads.bump(tenant, 2);
        heads.bump(TenantId([2; 32]), 9);
        assert!(!follower.has_changed().unwrap());
    }
}
