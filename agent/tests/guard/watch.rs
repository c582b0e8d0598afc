//! Looking at others' shells and at the host's audit: who may, what they see, and that they do no more than look.

use crate::client::{Channel, Plan, own_user, shell};
use crate::customer::{CARL, DAN, EVE, EVE_AGAIN, ROOT, key_id, now};
use crate::host::{Host, OWN, eventually};
use cloud_doctor_proto::audit::{self, Head, Moment, Verifier};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::ChannelId;
use cloud_doctor_proto::limits::{AUDIT_PAGE_BYTES, WATCH_TAIL_BYTES, WATCHERS_MAX};
use cloud_doctor_proto::look::{Answer, AuditPage, LivingShell, Question};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::session::{Begin, FinReason, OpenRequest, Signal, ToClient, ToHolder};
use cloud_doctor_proto::time::BootTime;
use cloud_doctor_proto::trust::What;
use cloud_doctor_proto::visit::ChannelReply;
use serde_json::{Map, Value};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const LOOK: &str = "version = 1\n\
    [[rule]]\nscope = \"shell\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n\
    [[rule]]\nscope = \"exec\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n\
    [[rule]]\nscope = \"watch\"\nmode = \"ask\"\nusers = [\"root\", \"*\"]\n\
    [[rule]]\nscope = \"audit\"\nmode = \"ask\"\n[end]\n";
const LOOK_ALLOWED: &str = "version = 1\n\
    [[rule]]\nscope = \"shell\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n\
    [[rule]]\nscope = \"exec\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n\
    [[rule]]\nscope = \"watch\"\nmode = \"allow\"\nusers = [\"root\", \"*\"]\n[end]\n";

fn watch() -> Scope {
    Scope::Watch { user: own_user() }
}

/// A visit of `seed`'s owner that only looks.
#[track_caller]
fn looking(host: &Host, seed: u8, scopes: &[Scope]) -> Result<Plan, Refused> {
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, seed);
    plan.grant.scopes = scopes.to_vec();
    client.open(&plan, seed).map(|_| plan)
}

/// Eve's shell, which says nothing by itself.
fn eves_shell(host: &Host, id: u8) -> Channel {
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut channel = client.channel(&plan, ChannelKind::Shell, id, &shell()).unwrap();
    channel.begin();
    channel.say(&ToHolder::Input { offset: 0, data: b"PS1=; stty -echo; echo re''ady\n" });
    channel.see("ready");
    channel
}

const TYPED: u64 = "PS1=; stty -echo; echo re''ady\n".len() as u64;

fn attach() -> OpenRequest {
    OpenRequest { attach: true, term: String::new(), ..shell() }
}

/// A watcher that has begun to look.
#[track_caller]
fn watcher(host: &Host, plan: &Plan, id: u8) -> Result<Channel, Refused> {
    let mut channel = host.client().channel(plan, ChannelKind::Watch, id, &attach())?;
    channel.say(&ToHolder::Look { from: 0, last: WATCH_TAIL_BYTES });
    Ok(channel)
}

#[track_caller]
fn ask(host: &Host, plan: &Plan, question: Question) -> Result<Answer, Refused> {
    let mut client = host.client();
    let (initiator, open) = plan.knock(ChannelKind::Ask, ChannelId([9; 16]), &pack::to_bytes(&question), None);
    client.say(Kind::OpenChannel, &open);
    let reply: ChannelReply = client.answer(Kind::ChannelReply)?;
    let (_, answer) = initiator.finish(&reply.second).unwrap();
    Ok(pack::from_bytes(&answer, answer.len()).unwrap())
}

#[track_caller]
fn shells(host: &Host, plan: &Plan) -> Vec<LivingShell> {
    match ask(host, plan, Question::Shells {}).unwrap() {
        Answer::Shells { shells } => shells,
        other @ Answer::Audit(_) => panic!("{other:?}"),
    }
}

#[track_caller]
fn page(host: &Host, plan: &Plan, file: u64, offset: u64) -> AuditPage {
    match ask(host, plan, Question::Audit { file, offset }).unwrap() {
        Answer::Audit(page) => page,
        other @ Answer::Shells { .. } => panic!("{other:?}"),
    }
}

/// Listens until the writer is told who watches.
#[track_caller]
fn named(channel: &mut Channel) -> Vec<String> {
    loop {
        let plain = channel.record().expect("the channel is open");
        let message = ToClient::decode(&plain).unwrap();
        if let ToClient::Watchers(watchers) = message {
            return watchers.people;
        }
        channel.take(&message);
    }
}

#[test]
fn a_watcher_sees_what_the_engineer_sees_and_the_engineer_who_watches() {
    let host = Host::with_ceiling(LOOK);
    let mut eve = eves_shell(&host, 1);
    let plan = looking(&host, CARL, &[watch(), Scope::Audit {}]).unwrap();
    let listed = shells(&host, &plan);
    let [one] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((one.channel, one.user.as_str()), (ChannelId([1; 16]), own_user().as_str()));
    assert_eq!((one.person.as_str(), one.reason.as_str(), one.ticket.as_str()), ("eve", "slow site", "T-1"));
    assert_eq!((one.attached, one.watchers, one.may_end), (true, 0, true));
    assert!(one.ends_in_secs > 590 && one.age_secs < 10, "{one:?}");

    let mut carl = watcher(&host, &plan, 1).unwrap();
    carl.see("ready");
    assert_eq!(named(&mut eve), ["carl"]);
    eve.say(&ToHolder::Input { offset: TYPED, data: b"echo live$((40+2))bytes\n" });
    carl.see("live42bytes");
    assert_eq!(shells(&host, &plan)[0].watchers, 1);
    let status = host.ask(&["status", "--json"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("\"watchers\":[\"carl\"]"), "{status:?}");

    drop(carl);
    assert_eq!(named(&mut eve), [""; 0]);
    for event in ["watch-opening", "watcher-came", "watcher-went"] {
        host.audited(&[event, "carl", &ChannelId([1; 16]).to_string()]);
    }
    // Coming back takes no new signature.
    let mut carl = watcher(&host, &looking(&host, CARL, &[watch()]).unwrap(), 1).unwrap();
    carl.see("live42bytes");
    assert_eq!(named(&mut eve), ["carl"]);
    eve.say(&ToHolder::Close);
    assert!(matches!(carl.end(), Some((_, FinReason::Closed))));
    assert!(matches!(eve.end(), Some((_, FinReason::Closed))));
}

#[test]
fn nothing_that_a_watcher_sends_reaches_the_shell() {
    let host = Host::with_ceiling(LOOK);
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut eve = eves_shell(&host, 1);
    let line = format!("echo owned >{}\n", file.path().display());
    let begin = Begin { out_from: 0, err_from: 0, cols: 3, rows: 3 };
    for message in [
        ToHolder::Input { offset: TYPED, data: line.as_bytes() },
        ToHolder::Input { offset: 0, data: line.as_bytes() },
        ToHolder::Resize { cols: 3, rows: 3 },
        ToHolder::Signal(Signal::Kill),
        ToHolder::Eof { offset: TYPED },
        ToHolder::Close,
        ToHolder::Begin(begin),
        ToHolder::Look { from: 0, last: 0 },
        ToHolder::Ack { out: u64::MAX, err: 0 },
        ToHolder::Ack { out: 0, err: 1 },
    ] {
        let plan = looking(&host, CARL, &[watch()]).unwrap();
        let mut carl = watcher(&host, &plan, 1).unwrap();
        carl.see("ready");
        carl.say(&message);
        assert_eq!(carl.end(), None, "cut without a word after {message:?}");
        // As its first record.
        let plan = looking(&host, CARL, &[watch()]).unwrap();
        let mut first = host.client().channel(&plan, ChannelKind::Watch, 1, &attach()).unwrap();
        if !matches!(message, ToHolder::Look { .. }) {
            first.say(&message);
            assert_eq!(first.end(), None, "{message:?} first");
        }
    }
    host.audited(&["view-misbehaved", "a watcher wants to do more than look"]);
    eve.say(&ToHolder::Input { offset: TYPED, data: b"stty size; echo al''ive\n" });
    eve.see("24 80\r\nalive");
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "");
}

#[test]
fn an_approver_ends_the_visit_and_its_engineer_only_the_shell() {
    let host = Host::with_ceiling(LOOK_ALLOWED);
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut one = client.channel(&plan, ChannelKind::Shell, 1, &shell()).unwrap();
    one.begin();
    let mut two = host.client().channel(&plan, ChannelKind::Shell, 2, &shell()).unwrap();
    two.begin();
    let mut three = host.client().channel(&plan, ChannelKind::Shell, 3, &shell()).unwrap();
    three.begin();
    for channel in [&mut one, &mut two, &mut three] {
        channel.say(&ToHolder::Input { offset: 0, data: b"echo re''ady\n" });
        channel.see("ready");
    }
    // Another engineer may not, and is cut.
    let dans = looking(&host, DAN, &[watch()]).unwrap();
    assert!(shells(&host, &dans).iter().all(|shell| !shell.may_end && shell.person == "eve"));
    let mut dan = watcher(&host, &dans, 1).unwrap();
    dan.see("ready");
    dan.say(&ToHolder::End);
    assert_eq!(dan.end(), None);
    // Eve herself, from elsewhere: that shell only.
    let eves = looking(&host, EVE, &[watch()]).unwrap();
    let mut eve = watcher(&host, &eves, 1).unwrap();
    eve.see("ready");
    eve.say(&ToHolder::End);
    assert!(matches!(one.end(), Some((_, FinReason::Closed))));
    assert!(matches!(eve.end(), Some((_, FinReason::Closed))));
    // The customer: the whole visit.
    let carls = looking(&host, CARL, &[watch()]).unwrap();
    let mut carl = watcher(&host, &carls, 2).unwrap();
    carl.see("ready");
    carl.say(&ToHolder::End);
    for channel in [&mut two, &mut three, &mut carl] {
        assert!(matches!(channel.end(), Some((_, FinReason::Ended))));
    }
    let refused = host.client().channel(&plan, ChannelKind::Shell, 4, &shell()).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
    host.audited(&["channel-ended-by-watcher", "carl", "ended-by-customer"]);
    host.audited(&["visit-ended", "eve", "ended-by-customer"]);
}

#[test]
fn r_02_r_17_who_may_look_and_at_what() {
    let host = Host::with_ceiling(LOOK);
    let _eve = eves_shell(&host, 1);
    let code = |result: Result<Plan, Refused>| result.err().map(|refused| refused.code);
    let shell_too = Scope::Shell { user: own_user() };
    assert_eq!(code(looking(&host, CARL, &[shell_too, watch()])), Some(Refusal::ApproverScope));
    assert_eq!(code(looking(&host, ROOT, &[watch()])), Some(Refusal::UnknownEngineer));
    let mut client = host.client();
    let mut dans = client.plan(&host.customer, DAN);
    dans.grant.scopes = vec![watch()];
    client.say(Kind::OpenVisit, &dans.open(DAN));
    assert_eq!(client.hear().kind, Kind::NeedSecond, "an engineer needs the customer's word");

    // A visit for other users' shells, or for the audit alone, sees nothing of this one.
    let others = looking(&host, CARL, &[Scope::Watch { user: "nobody".into() }]).unwrap();
    assert_eq!(shells(&host, &others), []);
    assert_eq!(watcher(&host, &others, 1).err().unwrap().code, Refusal::Ceiling);
    let audit = looking(&host, CARL, &[Scope::Audit {}]).unwrap();
    assert_eq!(ask(&host, &audit, Question::Shells {}).unwrap_err().code, Refusal::Ceiling);
    assert_eq!(watcher(&host, &audit, 1).err().unwrap().code, Refusal::Ceiling);
    let audit_of_watcher = ask(&host, &others, Question::Audit { file: 0, offset: 0 });
    assert_eq!(audit_of_watcher.unwrap_err().code, Refusal::Ceiling);
    // Neither does a watcher's handshake open a shell, nor one for a shell that is none.
    let carls = looking(&host, CARL, &[watch()]).unwrap();
    let refused = host.client().channel(&carls, ChannelKind::Shell, 1, &attach()).err().unwrap();
    assert_eq!(refused.code, Refusal::Ceiling);
    assert_eq!(watcher(&host, &carls, 7).err().unwrap().code, Refusal::NoChannel);

    // The ceiling is asked each time.
    std::fs::write(host.dir.join("etc/ceiling.toml"), OWN).unwrap();
    assert_eq!(watcher(&host, &carls, 1).err().unwrap().code, Refusal::Ceiling);
    assert_eq!(ask(&host, &carls, Question::Shells {}).unwrap_err().code, Refusal::Ceiling);
}

#[test]
fn r_14_a_watcher_whose_key_is_removed_is_cut_and_the_shell_lives() {
    let mut host = Host::with_ceiling(LOOK);
    let mut eve = eves_shell(&host, 1);
    let plan = looking(&host, CARL, &[watch()]).unwrap();
    let mut carl = watcher(&host, &plan, 1).unwrap();
    carl.see("ready");
    let since = Instant::now();
    let entry = host.customer.says(What::RemovePerson { key: key_id(CARL) });
    host.trust_update(vec![entry]);
    assert_eq!(carl.end(), Some((None, FinReason::Revoked)));
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(watcher(&host, &plan, 1).err().unwrap().code, Refusal::NoVisit);
    assert_eq!(ask(&host, &plan, Question::Shells {}).unwrap_err().code, Refusal::NoVisit);
    eve.say(&ToHolder::Input { offset: TYPED, data: b"echo al''ive\n" });
    eve.see("alive");
    host.audited(&["visit-ended", "carl", "revoked"]);
}

#[test]
fn flt_03_a_watcher_outlives_guard_and_comes_back_without_a_signature() {
    let mut host = Host::with_ceiling(LOOK);
    let mut eve = eves_shell(&host, 1);
    let plan = looking(&host, CARL, &[watch()]).unwrap();
    let mut carl = watcher(&host, &plan, 1).unwrap();
    carl.see("ready");
    host.kill();
    eve.say(&ToHolder::Input { offset: TYPED, data: b"echo wit''hout\n" });
    carl.see("without");
    host.run();
    host.audited(&["channel-found"]);
    let (handed, seen) = (carl.handed.clone(), carl.out.len() as u64);
    drop(carl);
    eve.say(&ToHolder::Input { offset: TYPED + 15, data: b"echo mean''while\n" });
    eve.see("meanwhile");
    let (initiator, open) = plan.channel(ChannelKind::Watch, ChannelId([1; 16]), &attach(), Some(&handed));
    let mut client = host.client();
    client.say(Kind::OpenChannel, &open);
    let mut carl = client.finish(initiator).unwrap();
    carl.say(&ToHolder::Look { from: seen, last: u64::MAX });
    carl.see("meanwhile");
    assert!(!String::from_utf8_lossy(&carl.out).contains("without"), "it was shown before");
    // A new guard cuts whom the log trusts no more, as the old one would have.
    host.kill();
    host.run();
    let entry = host.customer.says(What::RemovePerson { key: key_id(CARL) });
    host.trust_update(vec![entry]);
    assert_eq!(carl.end(), Some((None, FinReason::Revoked)));
}

#[test]
fn r_20_a_watchers_dead_secret_ends_its_own_visit_and_no_shell() {
    let host = Host::with_ceiling(LOOK);
    let mut eve = eves_shell(&host, 1);
    let plan = looking(&host, CARL, &[watch()]).unwrap();
    let mut carl = watcher(&host, &plan, 1).unwrap();
    carl.see("ready");
    let stolen = carl.handed.clone();
    let come_back = |handed| {
        let (initiator, open) = plan.channel(ChannelKind::Watch, ChannelId([1; 16]), &attach(), Some(handed));
        let mut client = host.client();
        client.say(Kind::OpenChannel, &open);
        client.finish(initiator)
    };
    let mut again = come_back(&stolen).unwrap();
    again.say(&ToHolder::Look { from: 0, last: WATCH_TAIL_BYTES });
    again.see("ready");
    assert_eq!(carl.end(), Some((None, FinReason::TakenOver)));
    assert_eq!(come_back(&stolen).err().unwrap().code, Refusal::Compromised);
    assert_eq!(again.end(), Some((None, FinReason::Compromised)));
    assert_eq!(come_back(&again.handed).err().unwrap().code, Refusal::NoVisit);
    eve.say(&ToHolder::Input { offset: TYPED, data: b"echo al''ive\n" });
    eve.see("alive");
    host.audited(&["dead-secret-used", &plan.visit().to_string()]);
}

#[test]
fn dos_watchers_are_bounded() {
    let host = Host::with_ceiling(LOOK);
    let _eve = eves_shell(&host, 1);
    let looks: Vec<Channel> = (0..WATCHERS_MAX)
        .map(|number| {
            let seed = if number % 2 == 0 { CARL } else { EVE_AGAIN };
            let mut one = watcher(&host, &looking(&host, seed, &[watch()]).unwrap(), 1).unwrap();
            one.see("ready");
            one
        })
        .collect();
    let late = looking(&host, CARL, &[watch()]).unwrap();
    assert_eq!(watcher(&host, &late, 1).err().unwrap().code, Refusal::Watched);
    drop(looks);
    eventually("a place is free", || watcher(&host, &late, 1).ok().map(|mut one| one.see("ready")));
}

#[test]
fn aud_01_the_audit_is_read_from_afar_as_it_stands_on_disk() {
    let mut host = Host::enrolled(LOOK);
    // More than a page, with a line over its edge.
    let moment = Moment { at: now(), boot: BootTime(1) };
    let mut head = Head::EMPTY;
    let lines: String = (0..200)
        .map(|number| {
            let fields = Map::from_iter([("text".to_owned(), Value::from("x".repeat(number * 3)))]);
            let (line, next) = audit::encode(head, moment, "of-yesterday", &fields, &host.customer.identity);
            head = next;
            line + "\n"
        })
        .collect();
    std::fs::create_dir(host.dir.join("guard/audit")).unwrap();
    std::fs::set_permissions(host.dir.join("guard/audit"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(host.dir.join("guard/audit/0000000000000000.jsonl"), lines).unwrap();
    host.run();
    let plan = looking(&host, CARL, &[Scope::Audit {}]).unwrap();
    let first = page(&host, &plan, 0, 0);
    assert_eq!((first.files.len(), first.files[0].first), (1, 0));
    let mut bytes = first.data.into_vec();
    assert_eq!(bytes.len(), AUDIT_PAGE_BYTES);
    loop {
        let next = page(&host, &plan, 0, bytes.len() as u64).data;
        if next.is_empty() {
            break;
        }
        bytes.extend(next.iter());
    }
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().map(str::to_owned).collect::<Vec<_>>(), host.audit_lines());
    let mut verifier = Verifier::new(host.customer.verify_key());
    let events: Vec<String> = text.lines().map(|line| verifier.line(line).unwrap().event).collect();
    assert_eq!(events.iter().filter(|event| *event == "audit-read").count(), 1, "reading does not make it longer");
    assert!(page(&host, &plan, 7, 0).data.is_empty());
    assert!(page(&host, &plan, 0, u64::MAX).data.is_empty());
    // One stream takes many questions.
    let mut client = host.client();
    for number in 0..50 {
        let question = pack::to_bytes(&Question::Audit { file: 0, offset: number });
        let (initiator, open) = plan.knock(ChannelKind::Ask, ChannelId([9; 16]), &question, None);
        client.say(Kind::OpenChannel, &open);
        let reply: ChannelReply = client.answer(Kind::ChannelReply).unwrap();
        assert!(initiator.finish(&reply.second).is_ok());
    }
}

#[test]
fn explain_says_who_may_look() {
    let host = Host::with_ceiling(LOOK);
    let said = host.ask(&["explain"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        text.contains("watch of root, * (any but root): with an approver's own signature (local sshsig)"),
        "{text}"
    );
    assert!(text.contains("audit of this server: with an approver's own signature"), "{text}");
    let checked = host.ask(&["ceiling", "check"]);
    assert!(checked.status.success() && !String::from_utf8_lossy(&checked.stdout).contains("cannot do"), "{checked:?}");
}
