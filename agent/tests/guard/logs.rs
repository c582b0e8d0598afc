//! The trust log as a relay hands it out: rolled back, forked, signed by somebody who may not, and recovered.

use crate::client::exec;
use crate::customer::{CARL, DAN, EVE, ROOT, STRANGER, key_id, named, now, sign_entry};
use crate::host::Host;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::control::TrustHead;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::FinReason;
use cloud_doctor_proto::trust::{Role, What};
use serde_bytes::ByteBuf;

#[test]
fn r_13_an_older_log_changes_nothing_and_a_fork_is_refused_and_audited() {
    let mut host = Host::start();
    let old = host.customer.clone();
    let entry = host.customer.says(What::RemovePerson { key: key_id(DAN) });
    host.trust_update(vec![entry]);
    let head = |frame: &frame::Frame| pack::from_bytes::<TrustHead>(&frame.body, 1000).unwrap();
    let answer = host.trust_update(old.log.entries_from(0, 100));
    assert_eq!(head(&answer), host.customer.log.head(), "entries that it has already");
    let mut fork = old.clone();
    let forged = fork.says(What::AddPerson {
        key: named(STRANGER, "mallory"),
        role: Role::Engineer,
        until: now().plus_secs(9000),
    });
    let answer = host.trust_update(vec![forged]);
    assert_eq!(pack::from_bytes::<Refused>(&answer.body, 1000).unwrap().code, Refusal::LogFork);
    host.audited(&["trust-log-refused"]);
    // Its own root signed it: a proof, kept and shown. What a stranger invents is none.
    host.audited(&["trust-log-fork-proved"]);
    let mut invented = old.log.next_entry(key_id(ROOT), now(), What::RemovePerson { key: key_id(CARL) });
    invented.by = key_id(STRANGER);
    host.trust_update(vec![ByteBuf::from(sign_entry(STRANGER, &invented))]);
    let shown = String::from_utf8_lossy(&host.ask(&["status"]).stdout).into_owned();
    assert_eq!(shown.matches("signed two different trust logs").count(), 1, "{shown}");
    host.kill();
    host.run();
    assert_eq!(head(&host.trust_update(Vec::new())), host.customer.log.head(), "after a restart");
}

#[test]
fn r_15_keys_added_by_somebody_else_than_a_root_do_not_count() {
    let host = Host::start();
    for signer in [EVE, CARL, STRANGER] {
        let what =
            What::AddPerson { key: named(STRANGER, "mallory"), role: Role::Engineer, until: now().plus_secs(9000) };
        let entry = sign_entry(signer, &host.customer.log.next_entry(key_id(signer), now(), what));
        let answer = host.trust_update(vec![ByteBuf::from(entry)]);
        assert_eq!(answer.kind, Kind::Refused, "{signer}");
    }
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, EVE);
    plan.grant.engineer = key_id(STRANGER);
    assert_eq!(client.open(&plan, STRANGER).unwrap_err().code, Refusal::UnknownEngineer);
}

const RECOVERY: u8 = 2;
const NEW_ROOT: u8 = 30;

impl Host {
    /// Hands guard the next entry, signed by this key; whether it was taken.
    fn says(&mut self, seed: u8, what: What) -> bool {
        let entry = sign_entry(seed, &self.customer.log.next_entry(key_id(seed), now(), what));
        let answer = self.trust_update(vec![ByteBuf::from(entry.clone())]);
        if answer.kind != Kind::TrustHead {
            assert_eq!(answer.kind, Kind::Refused);
            return false;
        }
        self.customer.log.append(&entry).unwrap();
        let head: TrustHead = pack::from_bytes(&answer.body, 1000).unwrap();
        assert_eq!(head, self.customer.log.head());
        true
    }
}

#[test]
fn r_15_a_replaced_root_opens_and_says_nothing_any_more() {
    let mut host = Host::start();
    let until = now().plus_secs(9000);
    let engineer = |seed| What::AddPerson { key: named(seed, "somebody"), role: Role::Engineer, until };
    assert!(host.says(ROOT, engineer(ROOT)), "as `tenant init` does");
    let mut client = host.client();
    let plan = client.plan(&host.customer, ROOT);
    client.open(&plan, ROOT).unwrap();
    let mut roots = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/cat"])).unwrap();
    roots.begin();
    let mut eves = {
        let plan = host.client().visit(&host.customer);
        host.client().channel(&plan, ChannelKind::Exec, 2, &exec(&["/bin/cat"])).unwrap()
    };
    eves.begin();
    let replaced = || What::ReplaceRoots { roots: vec![named(NEW_ROOT, "new root")] };
    for seed in [ROOT, EVE, STRANGER] {
        assert!(!host.says(seed, replaced()), "{seed}: only the recovery key replaces roots");
    }
    assert!(host.says(RECOVERY, replaced()));
    assert!(matches!(roots.end(), Some((_, FinReason::Revoked))), "the old root's visit ends");
    for what in [
        engineer(STRANGER),
        What::AddRoot { key: named(STRANGER, "mallory") },
        What::RemoveRoot { key: key_id(NEW_ROOT) },
        What::RemovePerson { key: key_id(EVE) },
        replaced(),
    ] {
        assert!(!host.says(ROOT, what.clone()), "{what:?}");
    }
    let mut client = host.client();
    let plan = client.plan(&host.customer, ROOT);
    assert_eq!(client.open(&plan, ROOT).unwrap_err().code, Refusal::UnknownEngineer);
    // Others stay, and the new root is heard; also by a guard that was started again.
    host.kill();
    host.run();
    assert!(!host.says(ROOT, engineer(STRANGER)));
    assert!(host.says(NEW_ROOT, engineer(STRANGER)));
    host.client().visit(&host.customer);
}
