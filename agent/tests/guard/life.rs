//! Visits and channels from their beginning to their end.

use crate::client::{exec, shell};
use crate::customer::{CARL, DAN, EVE, EVE_AGAIN, ROOT, STRANGER, key_id, sign_entry, signed};
use crate::host::{Host, eventually, lives};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::session::{ExitStatus, FinReason};

#[test]
fn a_command_runs_under_a_grant_and_stands_in_the_audit() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let request = exec(&["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]);
    let mut channel = client.channel(&plan, ChannelKind::Exec, 1, &request).unwrap();
    channel.begin();
    assert_eq!(channel.end(), Some((Some(ExitStatus::Code(3)), FinReason::Exited)));
    assert_eq!((&channel.out[..], &channel.err[..]), (&b"out\n"[..], &b"err\n"[..]));
    host.audited(&["channel-ended", "code 3"]);
    let events: Vec<String> = host.audit().into_iter().map(|line| line.event).collect();
    let expected = ["guard-started", "visit-opened", "channel-opening", "channel-attached", "channel-began"];
    for event in expected {
        assert!(events.iter().any(|e| e == event), "{event} in {events:?}");
    }
    eventually("the holder is gone", || host.holders().is_empty().then_some(()));
}
