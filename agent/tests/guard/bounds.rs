//! What holds whatever is signed: the ceiling's file, and a bound to what strangers may cost.

use crate::client::exec;
use crate::customer::EVE;
use crate::host::{Host, OWN, nothing_started};
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::refusal::Refusal;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

#[test]
fn r_17_the_ceiling_is_read_from_the_root_owned_file_alone_and_at_once() {
    let host = Host::start();
    let ceiling = host.dir.join("etc/ceiling.toml");
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    std::fs::write(&ceiling, "version = 1\n[[rule]]\nscope = \"exec\"\nmode = \"never\"\n[end]\n").unwrap();
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
