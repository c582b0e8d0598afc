//! The relay, strangers and damaged files against guard.

use crate::client::{Client, Plan, exec};
use crate::customer::{CARL, Customer, DAN, EVE, EVE_AGAIN, ROOT, STRANGER, key_id, named, now, sign_entry, signed};
use crate::host::{Host, OWN, eventually};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::control::{BindTransport, TransportBinding, TrustHead};
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::grant::Scope;
use cloud_doctor_proto::ids::{AgentId, ChannelId, ExchangeKey, Hash, TenantId, VerifyKey, VisitId};
use cloud_doctor_proto::pack;
use cloud_doctor_proto::refusal::{Refusal, Refused};
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_SECOND};
use cloud_doctor_proto::trust::{Role, What};
use cloud_doctor_proto::visit::{NeedSecond, OpenChannel, Second, VisitOpened};
use serde_bytes::ByteBuf;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

const ASK: &str = "version = 1\n[[rule]]\nscope = \"shell\"\nmode = \"ask\"\nusers = [\"root\", \"*\"]\n\
                   [[rule]]\nscope = \"exec\"\nmode = \"ask\"\nusers = [\"root\", \"*\"]\n";

#[track_caller]
fn nothing_started(host: &Host) {
    assert!(host.holders().is_empty());
    assert!(host.audit_lines().iter().all(|line| !line.contains("\"channel-opening\"")));
}

#[test]
fn r_01_a_channel_without_a_grant_is_refused_and_audited() {
    let host = Host::start();
    let mut client = host.client();
    let open = OpenChannel {
        visit: VisitId([7; 16]),
        channel: ChannelId([1; 16]),
        kind: ChannelKind::Shell,
        resume: 0,
        first: ByteBuf::from(vec![0; 96]),
    };
    client.say(Kind::OpenChannel, &open);
    assert_eq!(client.refusal(), Refusal::NoVisit);
    host.audited(&["\"refused\"", "no-visit", "eve@relay", "192.0.2.7"]);
    nothing_started(&host);
}

#[test]
fn r_02_signatures_of_other_keys_open_nothing() {
    let host = Host::start();
    for seed in [STRANGER, ROOT, CARL] {
        let mut client = host.client();
        let mut plan = client.plan(&host.customer, EVE);
        plan.grant.engineer = key_id(seed);
        assert_eq!(client.open(&plan, seed).unwrap_err().code, Refusal::UnknownEngineer, "{seed}");
    }
    // In eve's name by another key.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let mut request = plan.open(STRANGER);
    request.engineer.key = key_id(EVE);
    client.say(Kind::OpenVisit, &request);
    assert_eq!(client.refusal(), Refusal::Signature);
    nothing_started(&host);
}

#[test]
fn r_03_every_flipped_bit_of_a_grant_is_refused() {
    let host = Host::start();
    let mut asking = host.client();
    let plan = asking.plan(&host.customer, EVE);
    let good = plan.open(EVE);
    let mut client = host.client();
    // Each stream may try 32 times; every third bit keeps the test short, offsets differ so that all bits of bytes are met.
    for (count, bit) in (0..good.grant.len() * 8).step_by(3).enumerate() {
        if count % 30 == 0 {
            client = host.client();
        }
        let mut bad = good.clone();
        bad.grant[bit / 8] ^= 1 << (bit % 8);
        client.say(Kind::OpenVisit, &bad);
        assert_eq!(client.refusal(), Refusal::Signature, "bit {bit}");
    }
    // None of them used up the challenge.
    assert!(asking.open(&plan, EVE).is_ok());
}

#[test]
fn r_03_every_field_changed_and_signed_again_is_refused_for_its_own_reason() {
    let host = Host::start();
    type Change = fn(&mut Plan);
    let rows: [(Change, Refusal); 10] = [
        (|p| p.grant.version = 2, Refusal::Version),
        (|p| p.grant.tenant = TenantId([0; 32]), Refusal::OtherServer),
        (|p| p.grant.agent = AgentId([0; 32]), Refusal::OtherServer),
        (|p| p.grant.challenge = Hash([0; 32]), Refusal::Challenge),
        (|p| p.grant.engineer = key_id(DAN), Refusal::Signature),
        (|p| p.grant.scopes.clear(), Refusal::Malformed),
        (|p| p.grant.ttl_secs = 9 * 3600, Refusal::TooLong),
        (|p| p.grant.trust_seq += 1, Refusal::StaleLog),
        (|p| p.grant.trust_head = Hash([1; 32]), Refusal::LogFork),
        (|p| p.grant.reason = "x".repeat(501), Refusal::Malformed),
    ];
    for (number, (change, expected)) in rows.into_iter().enumerate() {
        let mut client = host.client();
        let mut plan = client.plan(&host.customer, EVE);
        change(&mut plan);
        assert_eq!(client.open(&plan, EVE).unwrap_err().code, expected, "row {number}");
    }
    nothing_started(&host);
}

#[test]
fn r_04_r_05_a_replayed_grant_opens_nothing_now_or_after_a_restart() {
    let mut host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    assert_eq!(client.open(&plan, EVE).unwrap_err().code, Refusal::Challenge);
    let unused = host.client().plan(&host.customer, EVE);
    host.kill();
    host.run();
    for plan in [&plan, &unused] {
        assert_eq!(host.client().open(plan, EVE).unwrap_err().code, Refusal::Challenge);
    }
    host.audited(&["\"refused\"", "\"challenge\""]);
    nothing_started(&host);
}

#[test]
fn r_04_a_replayed_first_message_starts_nothing() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let (initiator, open) = plan.channel(ChannelKind::Exec, ChannelId([1; 16]), &exec(&["/bin/true"]), None);
    client.say(Kind::OpenChannel, &open);
    let mut channel = client.finish(initiator).unwrap();
    // While it lives the holder knows it.
    let mut replay = host.client();
    replay.say(Kind::OpenChannel, &open);
    assert_eq!(replay.refusal(), Refusal::Handshake);
    channel.begin();
    assert!(channel.end().is_some());
    eventually("the holder is gone", || host.holders().is_empty().then_some(()));
    // Afterwards guard does.
    let mut replay = host.client();
    replay.say(Kind::OpenChannel, &open);
    assert_eq!(replay.refusal(), Refusal::Handshake);
    assert!(host.holders().is_empty());
}

#[test]
fn r_04_a_dead_resume_secret_ends_the_visit_and_is_audited() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let request = exec(&["/bin/cat"]);
    let mut first = client.channel(&plan, ChannelKind::Exec, 1, &request).unwrap();
    first.begin();
    let attach = cloud_doctor_proto::session::OpenRequest { attach: true, ..request };
    let resume = |handed: &cloud_doctor_proto::channel::Handed| {
        let (initiator, open) = plan.channel(ChannelKind::Exec, ChannelId([1; 16]), &attach, Some(handed));
        let mut client = host.client();
        client.say(Kind::OpenChannel, &open);
        client.finish(initiator)
    };
    let stolen = first.handed.clone();
    let mut second = resume(&stolen).unwrap();
    second.begin();
    assert!(matches!(first.end(), Some((_, cloud_doctor_proto::session::FinReason::TakenOver))));
    assert_eq!(resume(&stolen).err().unwrap().code, Refusal::Compromised);
    assert!(matches!(second.end(), Some((_, cloud_doctor_proto::session::FinReason::Compromised))));
    host.audited(&["visit-ended", "compromised"]);
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::NoVisit);
}

#[test]
fn r_06_a_grant_for_one_server_does_not_open_another_of_the_same_customer() {
    let one = Host::start();
    let other = Host::of(Customer::with_server(44), OWN);
    let mut other = other;
    other.run();
    let plan = one.client().plan(&one.customer, EVE);
    // The challenge is not its own.
    assert_eq!(other.client().open(&plan, EVE).unwrap_err().code, Refusal::Challenge);
    // And with its own challenge the grant still names the first one.
    let mut client = other.client();
    let mut plan = client.plan(&other.customer, EVE);
    plan.grant.agent = one.customer.agent();
    assert_eq!(client.open(&plan, EVE).unwrap_err().code, Refusal::OtherServer);
    nothing_started(&other);
}

#[test]
fn r_07_a_relay_with_keys_of_its_own_opens_no_channel() {
    let host = Host::start();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut evil = plan.clone();
    evil.secret = cloud_doctor_proto::channel::Secret([9; 32]);
    let refused = host.client().channel(&evil, ChannelKind::Exec, 1, &exec(&["/bin/true"])).err().unwrap();
    // The visit's id is the same, the key is not.
    assert_eq!(refused.code, Refusal::Handshake);
    // In the grant itself it is signed.
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let mut request = plan.open(EVE);
    let mut changed = plan.clone();
    changed.grant.client_key = ExchangeKey([9; 32]);
    request.grant = ByteBuf::from(changed.bytes());
    client.say(Kind::OpenVisit, &request);
    assert_eq!(client.refusal(), Refusal::Signature);
    nothing_started(&host);
}

#[test]
fn scopes_kinds_and_users_beyond_the_grant_are_refused() {
    let host = Host::start();
    let mut client = host.client();
    let mut plan = client.plan(&host.customer, EVE);
    plan.grant.scopes.retain(|scope| matches!(scope, Scope::Exec { .. }));
    client.open(&plan, EVE).unwrap();
    let refused = client.channel(&plan, ChannelKind::Shell, 1, &crate::client::shell()).err().unwrap();
    assert_eq!(refused.code, Refusal::Ceiling, "a shell under a grant for commands");
    let mut request = exec(&["/bin/true"]);
    request.user = "nobody".into();
    let refused = host.client().channel(&plan, ChannelKind::Exec, 2, &request).err().unwrap();
    assert_eq!(refused.code, Refusal::Ceiling, "another user than the grant's");
    // The handshake of a command does not open a shell.
    let (_, mut open) = plan.channel(ChannelKind::Exec, ChannelId([3; 16]), &exec(&["/bin/true"]), None);
    open.kind = ChannelKind::Shell;
    let mut client = host.client();
    client.say(Kind::OpenChannel, &open);
    assert_eq!(client.refusal(), Refusal::Handshake);
    nothing_started(&host);
}

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

#[test]
fn r_17_the_ceiling_is_read_from_the_root_owned_file_alone_and_at_once() {
    let host = Host::start();
    let ceiling = host.dir.join("etc/ceiling.toml");
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    std::fs::write(&ceiling, "version = 1\n[[rule]]\nscope = \"exec\"\nmode = \"never\"\n").unwrap();
    let refused = client.channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/true"])).err().unwrap();
    assert_eq!(refused.code, Refusal::Ceiling, "an open visit does not outlive the ceiling");
    std::fs::write(&ceiling, OWN).unwrap();
    std::fs::set_permissions(&ceiling, std::fs::Permissions::from_mode(0o666)).unwrap();
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    let refused = client.open(&plan, EVE).unwrap_err();
    assert_eq!(refused.code, Refusal::Ceiling);
    assert!(refused.detail.contains("chmod go-w"), "{}", refused.detail);
    let status = String::from_utf8_lossy(&host.ask(&["status"]).stdout).into_owned();
    assert!(status.contains("Nothing is allowed") && status.contains("chmod go-w"), "{status}");
    assert_eq!(host.ask(&["ceiling", "check"]).status.code(), Some(78));
    nothing_started(&host);
}

#[test]
fn r_18_a_flood_of_challenges_is_bounded_and_leaves_no_flood_in_the_audit() {
    let host = Host::start();
    let mut client = host.client();
    let (mut given, mut busy) = (0, 0);
    for count in 0..400 {
        if count % 30 == 0 {
            client = host.client();
        }
        match client.challenge(&host.customer) {
            Ok(_) => given += 1,
            Err(refused) => {
                assert_eq!(refused.code, Refusal::Busy);
                busy += 1;
            }
        }
    }
    assert!(given <= 64 && busy >= 300, "{given} given, {busy} refused");
    let refusals = host.audit().iter().filter(|line| line.event == "refused").count();
    assert!(refusals <= 30, "{refusals}");
}

#[test]
fn r_18_garbage_is_refused_and_harms_nobody() {
    let host = Host::start();
    let pid = host.guard_pid();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0, 0, 0, 0, 0, 0, 1], &[0, 0, 0, 1, 1, 3, 0, 0xc1]]
    {
        let mut stream = host.connect();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let mut client = host.client();
        client.stream.write_all(garbage).unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        while client.try_hear().is_some() {}
    }
    host.client().visit(&host.customer);
    assert_eq!(host.guard_pid(), pid);
}

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
fn loc_03_nothing_that_others_could_read_or_write_is_made() {
    let host = Host::start();
    host.client().visit(&host.customer);
    let mode = |path: &str| std::fs::symlink_metadata(host.dir.join(path)).unwrap().permissions().mode() & 0o7777;
    for (path, expected) in [
        ("run", 0o700),
        ("run/h", 0o700),
        ("run/guard.sock", 0o600),
        ("run/admin.sock", 0o600),
        ("guard/audit", 0o700),
        ("guard/audit/0000000000000000.jsonl", 0o600),
        ("guard/lock", 0o600),
        ("guard/trust.head", 0o600),
    ] {
        assert_eq!(mode(path), expected, "{path}");
    }
    // No core file, and no look into its memory by others of the same user.
    let environ = std::fs::metadata(format!("/proc/{}/environ", host.guard_pid())).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&environ), 0);
}

/// Asks on a socket as the user nobody; what came back. Needs root.
fn nobody_asks(socket: &std::path::Path, question: &[u8]) -> String {
    let script = "$SIG{PIPE} = 'IGNORE'; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
                  connect($s, pack_sockaddr_un($ARGV[0])) or die; syswrite($s, pack('H*', $ARGV[1])); \
                  my $n = sysread($s, my $answer, 100); print 'got:', $answer // '';";
    let output = std::process::Command::new("/usr/bin/setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/perl", "-MSocket", "-e", script])
        .arg(socket)
        .arg(data_encoding::HEXLOWER.encode(question))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn loc_01_another_user_is_not_let_in_even_when_the_directory_is_open() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let host = Host::start();
    let run = host.dir.join("run");
    // What the modes forbid is allowed here on purpose: the kernel's word about the peer must be enough.
    for dir in host.dir.ancestors().take(2).chain([run.as_path()]) {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    for socket in ["guard.sock", "admin.sock"] {
        let path = run.join(socket);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(nobody_asks(&path, b"{\"do\":\"lockdown\"}\n"), "got:", "{socket}");
    }
    host.audited(&["\"refused\"", "guard.sock"]);
    host.audited(&["\"refused\"", "admin.sock"]);
    host.client().visit(&host.customer);
}

#[test]
fn loc_01_a_socket_path_that_is_taken_is_replaced_not_followed() {
    let mut host = Host::enrolled(OWN);
    let run = host.dir.join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
    let victim = host.dir.join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    std::os::unix::fs::symlink(&victim, run.join("guard.sock")).unwrap();
    std::os::unix::fs::symlink(&victim, run.join("admin.sock")).unwrap();
    host.run();
    host.client().visit(&host.customer);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    // A run directory that others could write to is not used at all.
    host.kill();
    std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = host.ask(&["guard"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nobody else can write"), "{output:?}");
}

#[test]
fn loc_02_the_tunnel_can_ask_for_its_binding_and_nothing_more() {
    let host = Host::start();
    let mut tunnel = Client::silent(host.connect());
    tunnel.say(Kind::BindTransport, &BindTransport { transport: VerifyKey([7; 32]) });
    let binding: TransportBinding = tunnel.answer(Kind::TransportBinding).unwrap();
    let claim = binding.verify().unwrap();
    assert_eq!((claim.identity, claim.transport), (host.customer.verify_key(), VerifyKey([7; 32])));
    for kind in [Kind::Hello, Kind::OpenVisit, Kind::OpenChannel, Kind::Record, Kind::Second, Kind::Unenrol] {
        let mut tunnel = Client::silent(host.connect());
        tunnel.stream.write_all(&frame::encode(kind, b"\x80")).unwrap();
        assert_eq!(tunnel.refusal(), Refusal::Malformed, "{kind:?}");
        assert!(tunnel.try_hear().is_none(), "{kind:?}: and the connection is over");
    }
    nothing_started(&host);
}

#[test]
fn a_second_guard_on_the_same_state_does_not_begin() {
    let host = Host::start();
    let output = host.ask(&["guard"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another guard runs"), "{output:?}");
    host.client().visit(&host.customer);
}

/// A server whose tunnel runs as the user nobody, as an installed agent's does as a user of its own.
fn with_a_tunnel_user(ceiling: &str) -> Option<Host> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let mut host = Host::enrolled(ceiling);
    std::os::unix::fs::chown(host.dir.join("tunnel"), Some(65534), Some(65534)).unwrap();
    host.run();
    // The temporary folder above is the test's, not the agent's.
    for dir in host.dir.ancestors().take(2) {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    Some(host)
}

#[test]
fn loc_01_the_tunnels_user_reaches_its_own_socket_and_no_other() {
    let Some(host) = with_a_tunnel_user(OWN) else { return };
    let mode = |path: &str| std::fs::symlink_metadata(host.dir.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(
        (mode("run"), mode("run/guard.sock"), mode("run/admin.sock"), mode("run/h")),
        (0o710, 0o660, 0o600, 0o700)
    );
    // Seven bytes of a frame that has no place there: guard answers, so the tunnel's user was let in.
    let answer = nobody_asks(&host.dir.join("run/guard.sock"), &[0, 0, 0, 0, 1, 8, 0]);
    assert!(answer.len() > "got:".len(), "{answer}");
    let script = "socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
                  print connect($s, pack_sockaddr_un($ARGV[0])) ? 'in' : 'out';";
    for socket in ["run/admin.sock", "run/h/x-v1.sock"] {
        let output = std::process::Command::new("/usr/bin/setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/perl", "-MSocket", "-e", script])
            .arg(host.dir.join(socket))
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"out", "{socket}");
    }
    for file in ["guard/identity.key", "guard/trust.log", "guard/audit/0000000000000000.jsonl"] {
        let read = std::process::Command::new("/usr/bin/setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "/bin/cat"])
            .arg(host.dir.join(file))
            .output()
            .unwrap();
        assert!(!read.status.success() && read.stdout.is_empty(), "{file}");
    }
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
