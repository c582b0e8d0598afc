//! What a relay may have run without a grant: what the ceiling lists, at a bounded rate, signed.

use crate::client::Client;
use crate::host::Host;
use cloud_doctor_proto::checks::{CheckReport, CheckRequest, Report, ReportError};
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::{AgentId, Nonce, StreamId};
use cloud_doctor_proto::refusal::{Refusal, Refused};

const LISTED: &str = "version = 1\n[[rule]]\nscope = \"checks\"\nmode = \"allow\"\nchecks = [\"cpu.usage\"]\n[end]\n";
const NEVER: &str = "version = 1\n[[rule]]\nscope = \"checks\"\nmode = \"never\"\n[end]\n";

const NONCE: Nonce = Nonce([9; 16]);

fn ask(host: &Host, checks: &[&str]) -> Result<CheckReport, Refused> {
    let mut client = Client::silent(host.connect());
    client.say(
        Kind::StreamHead,
        &StreamHead {
            purpose: StreamPurpose::Checks,
            stream: StreamId([1; 16]),
            account: "ann@relay".into(),
            client: String::new(),
        },
    );
    let checks = checks.iter().map(|check| (*check).to_owned()).collect();
    client.say(Kind::CheckRequest, &CheckRequest { nonce: NONCE, checks });
    client.answer(Kind::CheckReport)
}

fn read(host: &Host, report: &CheckReport) -> Report {
    report.answers(&AgentId::of(&host.customer.verify_key()), &NONCE).unwrap()
}

#[test]
fn r_17_a_relay_has_only_run_what_the_ceiling_lists() {
    let host = Host::with_ceiling(LISTED);
    let signed = ask(&host, &["cpu.usage", "lb", "/bin/sh"]).unwrap();
    let report = read(&host, &signed);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!((report.findings[0].check.as_str(), report.findings[0].value.is_some()), ("cpu.usage", true));
    assert_eq!(report.asked, ["/bin/sh", "cpu.usage", "lb"], "a part is never passed off as the whole");
    assert_eq!(report.refused, ["/bin/sh", "lb"]);
    assert_eq!(report.sandbox_open, [""; 0]);
    assert_eq!(
        signed.answers(&AgentId::of(&host.customer.verify_key()), &Nonce([1; 16])),
        Err(ReportError::Nonce),
        "an older report is no answer"
    );
    host.audited(&["checks-reported", "ann@relay"]);
}

#[test]
fn r_18_runs_that_follow_too_soon_are_told_to_wait() {
    let host = Host::with_ceiling(LISTED);
    ask(&host, &[]).unwrap();
    let refused = ask(&host, &[]).unwrap_err();
    assert_eq!(refused.code, Refusal::ChecksTooOften);
    let secs: u64 = refused.detail.parse().unwrap();
    assert!((1..=20).contains(&secs), "{secs}");
}

#[test]
fn r_17_without_a_rule_nothing_runs() {
    for ceiling in [NEVER, "version = 1\n[end]\n"] {
        let host = Host::with_ceiling(ceiling);
        assert_eq!(ask(&host, &[]).unwrap_err().code, Refusal::ChecksNotAllowed);
    }
    let host = Host::with_ceiling(LISTED);
    assert_eq!(ask(&host, &["no.such-check"]).unwrap_err().code, Refusal::ChecksNotAllowed);
}
