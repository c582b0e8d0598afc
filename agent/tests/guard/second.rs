//! Second signatures: by another key and person, by root on the server, or not at all.

use crate::client::{Plan, exec};
use crate::customer::{CARL, DAN, EVE, EVE_AGAIN, signed};
use crate::host::{Host, eventually, nothing_started, with_a_tunnel_user};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_SECOND};
use cloud_doctor_proto::visit::{NeedSecond, Second, VisitOpened};

const ASK: &str = "version = 1\n[[rule]]\nscope = \"shell\"\nmode = \"ask\"\nusers = [\"root\", \"*\"]\n\
                   [[rule]]\nscope = \"exec\"\nmode = \"ask\"\nusers = [\"root\", \"*\"]\n[end]\n";

#[test]
fn aut_15_the_second_signature_comes_from_another_key_and_person() {
    let host = Host::with_ceiling(ASK);
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    client.say(Kind::OpenVisit, &plan.open(EVE));
    let need: NeedSecond = client.answer(Kind::NeedSecond).unwrap();
    assert_eq!((need.visit, need.remote, need.local), (plan.visit(), true, false));
    let bytes = plan.bytes();
    let rows = [
        (signed(EVE, NAMESPACE_SECOND, &bytes), Refusal::SamePerson),
        (signed(EVE_AGAIN, NAMESPACE_SECOND, &bytes), Refusal::SamePerson),
        (signed(DAN, NAMESPACE_SECOND, &bytes), Refusal::SecondSignature),
        (signed(CARL, NAMESPACE_GRANT, &bytes), Refusal::SecondSignature),
        (signed(CARL, NAMESPACE_SECOND, b"another grant"), Refusal::SecondSignature),
    ];
    for (number, (second, expected)) in rows.into_iter().enumerate() {
        client.say(Kind::Second, &Second { second });
        assert_eq!(client.refusal(), expected, "row {number}");
    }
    client.say(Kind::Second, &Second { second: signed(CARL, NAMESPACE_SECOND, &bytes) });
    let opened: VisitOpened = client.answer(Kind::VisitOpened).unwrap();
    assert_eq!(opened.visit, plan.visit());
    host.audited(&["visit-opened", "\"second\":\"carl\""]);
}

#[test]
fn r_08_a_second_signature_may_come_with_the_grant_and_cannot_be_left_out() {
    let host = Host::with_ceiling(ASK);
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let mut request = plan.open(EVE);
    request.second = Some(signed(CARL, NAMESPACE_SECOND, &plan.bytes()));
    client.say(Kind::OpenVisit, &request);
    assert!(client.answer::<VisitOpened>(Kind::VisitOpened).is_ok());
    // Stripped by the relay: the visit waits, and a channel under it is refused.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    client.say(Kind::OpenVisit, &plan.open(EVE));
    assert!(client.answer::<NeedSecond>(Kind::NeedSecond).is_ok());
    let refused = host.client().channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
    let output = host.ask(&["deny"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(client.refusal(), Refusal::Denied);
    nothing_started(&host);
}

#[test]
fn a_channel_sent_along_with_a_grant_waits_for_the_second_signature() {
    let host = Host::with_ceiling(ASK);
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let (initiator, open) = plan.channel(ChannelKind::Exec, ChannelId([1; 16]), &exec(&["/bin/echo", "hi"]), None);
    client.say(Kind::OpenVisit, &plan.open(EVE));
    client.say(Kind::OpenChannel, &open);
    assert!(client.answer::<NeedSecond>(Kind::NeedSecond).is_ok());
    client.say(Kind::Second, &Second { second: signed(CARL, NAMESPACE_SECOND, &plan.bytes()) });
    assert!(client.answer::<VisitOpened>(Kind::VisitOpened).is_ok());
    let mut channel = client.finish(initiator).unwrap();
    channel.begin();
    assert!(channel.end().is_some());
    // Denied: one refusal, not two, and the stream is still good.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let (_, open) = plan.channel(ChannelKind::Exec, ChannelId([2; 16]), &exec(&["/bin/true"]), None);
    client.say(Kind::OpenVisit, &plan.open(EVE));
    client.say(Kind::OpenChannel, &open);
    assert!(client.answer::<NeedSecond>(Kind::NeedSecond).is_ok());
    assert!(host.ask(&["deny", &plan.visit().to_string()[..8]]).status.success());
    assert_eq!(client.refusal(), Refusal::Denied);
    assert!(client.challenge(&host.customer).is_ok());
}

#[test]
fn standalone_has_no_local_signer_and_says_so() {
    let host = Host::with_ceiling(&ASK.replace("mode = \"ask\"", "mode = \"ask\"\nsecond = [\"local\"]"));
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let refused = client.open(&plan, EVE).unwrap_err();
    assert_eq!(refused.code, Refusal::SignerKind);
    assert!(refused.detail.contains("local"), "{}", refused.detail);
}

#[test]
fn root_on_the_server_gives_the_second_signature() {
    let Some(host) = with_a_tunnel_user(ASK) else { return };
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    client.say(Kind::OpenVisit, &plan.open(EVE));
    let need: NeedSecond = client.answer(Kind::NeedSecond).unwrap();
    assert_eq!((need.remote, need.local), (true, true));
    let shown = String::from_utf8_lossy(&host.ask(&["status"]).stdout).into_owned();
    let words = cloud_doctor_proto::words::words(&cloud_doctor_proto::grant::Grant::hash(&plan.bytes()));
    for expected in ["eve", "slow site", "T-1", "for 10 min", &words] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let unanswered = host.ask(&["approve"]);
    assert_eq!(unanswered.status.code(), Some(1), "nobody said yes");
    let output = host.ask(&["approve", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    assert!(client.answer::<VisitOpened>(Kind::VisitOpened).is_ok());
    host.audited(&["visit-opened", "root on this server"]);
    let mut channel = client.channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/true"])).unwrap();
    channel.begin();
    assert!(channel.end().is_some());
    let output = host.ask(&["approve", "--yes"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("No such grant"), "{output:?}");
}

#[test]
fn a_client_that_goes_away_takes_its_waiting_grant_with_it() {
    let host = Host::with_ceiling(ASK);
    for _ in 0..20 {
        // More than may wait at once: each leaves room for the next one.
        let mut client = host.client();
        let Ok(reply) = client.challenge(&host.customer) else { break };
        let plan = Plan::answering(&host.customer, EVE, &reply);
        client.say(Kind::OpenVisit, &plan.open(EVE));
        assert!(client.answer::<NeedSecond>(Kind::NeedSecond).is_ok());
        drop(client);
    }
    host.audited(&["second-signature-missing", "no-answer"]);
    eventually("nothing waits", || {
        let status: serde_json::Value = serde_json::from_slice(&host.ask(&["status", "--json"]).stdout).unwrap();
        status["pending"].as_array().unwrap().is_empty().then_some(())
    });
}
