//! People: who may sign, who signs second, who is removed, and the customer's own last word.

use cloud_doctor_tests::calls::call;
use cloud_doctor_tests::eventually::{SOON, eventually, never};
use cloud_doctor_tests::people::Person;
use cloud_doctor_tests::process;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Client, Plan, Site};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Somebody with a client and a key of their own, who trusts the site's customer.
#[track_caller]
pub(crate) fn colleague(site: &Site, name: &str) -> (Client, String) {
    let client = Client::new(&site.world, name);
    let key = Person::new(name).write(&site.world.path(name));
    client.ssh_agent.add(&key);
    let words = site.words();
    let (url, password) = (site.url(), site.world.path("password"));
    let mut arguments = vec!["login", &url, "--account", "owner", "--password-file", password.to_str().unwrap()];
    arguments.extend(["--trust", &words]);
    let pin = site.relay.listening().clients_pin.clone();
    if let Some(pin) = &pin {
        arguments.extend(["--pin", pin]);
    }
    client.must(&arguments);
    (client, format!("{}.pub", key.display()))
}

pub(crate) const SLEEP: [&str; 4] = ["/bin/sh", "-c", "echo pid $$; exec sleep 1000", "sh"];

#[track_caller]
pub(crate) fn pid(client: &process::Process) -> u32 {
    eventually(SOON, "the command's id", || client.stdout().strip_prefix("pid ")?.trim().parse().ok())
}

#[test]
fn a_removed_engineers_visits_end_within_five_seconds() {
    let site = Site::new();
    let (erin, key) = colleague(&site, "erin");
    site.client.must(&["tenant", "engineer", "add", &key, "--name", "erin"]);
    let argv = [&["exec", "web-1", "--user", "root", "--"][..], &SLEEP].concat();
    let attached = site.world.start("attached", erin.command(&argv));
    let mut detached = site.world.start("detached", erin.command(&argv));
    let pids = [pid(&attached), pid(&detached)];
    detached.kill();
    let mine = site.start("mine", &argv, Stdio::null());
    let mine = pid(&mine);
    site.client.must(&["tenant", "engineer", "remove", "erin"]);
    let removed = Instant::now();
    for pid in pids {
        eventually(SOON, "a removed engineer's command is ended", || (!process::lives(pid)).then_some(()));
    }
    assert!(removed.elapsed() < Duration::from_secs(5), "{:?}", removed.elapsed());
    assert!(process::lives(mine), "another engineer's command was ended too");
    let output = site.world.output("again", erin.command(&argv));
    assert_eq!(output.status.code(), Some(255));
    eventually(SOON, "the client is told why", || attached.stderr().contains("removed").then_some(()));
}

#[test]
fn a_key_that_is_listed_as_a_browsers_counts_only_where_the_ceiling_names_device() {
    let site = Site::new();
    let (bob, key) = colleague(&site, "bob");
    site.client.must(&["tenant", "engineer", "add", &key, "--name", "bob", "--device"]);
    let shown = site.client.must(&["tenant", "show"]);
    assert!(shown.lines().any(|line| line.starts_with("bob") && line.contains(" device ")), "{shown}");
    let again = site.client.ask(&["tenant", "engineer", "add", &key, "--name", "bob"]);
    assert!(!again.status.success(), "a browser's key was made more of");
    let ask = || bob.ask(&["exec", "web-1", "--user", "root", "--", "/bin/echo", "hello"]);
    let refused = ask();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(255) && said.contains("device"), "{said}");
    assert!(site.exec(&["/bin/true"]).status.success(), "the owner's key is none");
    let ceiling = fs::read_to_string(site.agent.ceiling()).unwrap();
    fs::write(site.agent.ceiling(), ceiling.replace("\"webauthn\"]", "\"webauthn\", \"device\"]")).unwrap();
    assert_eq!(ask().stdout, b"hello\n");
}

#[test]
fn aut_15_a_second_signature_by_another_person() {
    let site = Site::planned(Plan { preset: "vendor", ..Plan::default() }, |_| {});
    let (anna, key) = colleague(&site, "anna");
    site.client.must(&["tenant", "approver", "add", &key, "--name", "anna"]);
    let argv = ["exec", "web-1", "--user", "root", "--reason", "disk is full", "--", "/bin/echo", "approved"];
    let mut waiting = site.start("waiting", &argv, Stdio::null());
    let id = eventually(SOON, "the request", || {
        let listed: serde_json::Value =
            serde_json::from_slice(&site.world.output("approve", anna.command(&["approve", "--json"])).stdout).ok()?;
        let list = listed.as_object()?.values().find_map(|value| value.as_array())?;
        Some(list.first()?["id"].as_str()?.to_owned())
    });
    // The engineer cannot be the second person.
    let own = site.ask(&["approve", &id, "--yes"]);
    assert!(!own.status.success(), "the engineer approved the own request");
    assert!(waiting.ended().is_none());
    anna.must(&["approve", &id, "--yes"]);
    let status = waiting.wait(SOON);
    assert!(status.success(), "{}", waiting.stderr());
    assert_eq!(waiting.stdout(), "approved\n");
}

/// The sign-in that the owner's client keeps.
pub(crate) fn login(site: &Site) -> String {
    let file = fs::read_dir(site.client.home.join("tokens")).unwrap().flatten().next().unwrap();
    fs::read_to_string(file.path()).unwrap().trim().to_owned()
}

#[test]
fn aut_15_a_second_person_who_says_no_is_heard_at_once() {
    let site = Site::planned(Plan { preset: "vendor", web: Web::Plain, ..Plan::default() }, |_| {});
    let (anna, _) = colleague(&site, "anna");
    let argv = ["exec", "web-1", "--user", "root", "--", "/bin/echo", "approved"];
    let mut waiting = site.start("waiting", &argv, Stdio::null());
    let id = eventually(SOON, "the request", || {
        let listed = site.world.output("approve", anna.command(&["approve", "--json"])).stdout;
        let listed: serde_json::Value = serde_json::from_slice(&listed).ok()?;
        Some(listed["approvals"].as_array()?.first()?["id"].as_str()?.to_owned())
    });
    anna.must(&["approve", &id, "--deny", "--why", "not on a Friday"]);
    assert_eq!(waiting.wait(SOON).code(), Some(255));
    assert!(
        waiting.stderr().contains("said no") && waiting.stderr().contains("not on a Friday"),
        "{}",
        waiting.stderr()
    );
    // One that goes away takes its request along.
    let mut leaving = site.start("leaving", &argv, Stdio::null());
    let relay = site.relay.listening().clients;
    let open = || call(relay, &login(&site), ("GET", "/approvals"), &serde_json::Value::Null).1["approvals"].clone();
    eventually(SOON, "the request", || (open().as_array()?.len() == 1).then_some(()));
    leaving.kill();
    eventually(SOON, "the request is withdrawn", || open().as_array()?.is_empty().then_some(()));
    let past = call(relay, &login(&site), ("GET", "/approvals/past"), &serde_json::Value::Null).1;
    // Both may be of the same second, in which none is the newer one.
    let mut states: Vec<_> =
        past["approvals"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    assert_eq!(states, ["denied", "withdrawn"]);
}

#[test]
fn a_stream_that_is_ended_at_the_relay_does_not_come_back() {
    let site = Site::planned(Plan { web: Web::Plain, ..Plan::default() }, |_| {});
    let argv = [&["exec", "web-1", "--user", "root", "--"][..], &SLEEP].concat();
    let mut client = site.start("client", &argv, Stdio::null());
    let command = pid(&client);
    let (relay, login) = (site.relay.listening().clients, login(&site));
    let (_, open) = call(relay, &login, ("GET", "/sessions?state=open"), &serde_json::Value::Null);
    let stream = open["sessions"][0]["stream"].as_str().unwrap().to_owned();
    let path = format!("/sessions/{stream}");
    assert_eq!(call(relay, &login, ("DELETE", &path), &serde_json::Value::Null).0, 204);
    assert_eq!(client.wait(SOON).code(), Some(255));
    assert!(client.stderr().contains("has ended the stream"), "{}", client.stderr());
    // The relay lets go of it a moment after its client.
    let again = || call(relay, &login, ("DELETE", &path), &serde_json::Value::Null).0;
    eventually(SOON, "it has ended", || (again() == 404).then_some(()));
    let (_, past) = call(relay, &login, ("GET", "/sessions?state=past"), &serde_json::Value::Null);
    let ended = &past["sessions"][0];
    assert_eq!((&ended["stream"], &ended["account"]), (&stream.into(), &"owner".into()));
    assert!(ended["reason"].as_str().unwrap().contains("has ended the stream"), "{ended}");
    assert!(ended["bytes_up"].as_u64().unwrap() > 0 && ended["bytes_down"].as_u64().unwrap() > 0, "{ended}");
    assert!(process::lives(command), "what runs on the server is the visit's, not the relay's");
}

#[test]
fn loc_02_standalone_knows_no_local_signature_but_a_local_no() {
    let site = Site::planned(Plan { preset: "vendor", ..Plan::default() }, |_| {});
    let argv = ["exec", "web-1", "--user", "root", "--", "/bin/echo", "approved"];
    let mut waiting = site.start("waiting", &argv, Stdio::null());
    // Here the tunnel runs as the same user: what this user says is not what root says.
    eventually(SOON, "the request is known on the server", || {
        let asked = site.agent.ask(&["approve", "--yes"]);
        assert!(!asked.status.success(), "the tunnel's user gave the second signature");
        String::from_utf8_lossy(&asked.stderr).contains("cannot be told").then_some(())
    });
    assert!(waiting.ended().is_none());
    assert!(site.agent.ask(&["deny"]).status.success());
    assert_eq!(waiting.wait(SOON).code(), Some(255));
    assert!(waiting.stderr().contains("said no"), "{}", waiting.stderr());
    site.agent.wait_for_audit(&["denied"]);
}

#[test]
fn h_v_3_lockdown_ends_everything_with_the_relay_dead() {
    let mut site = Site::new();
    let argv = [&["exec", "web-1", "--user", "root", "--"][..], &SLEEP].concat();
    let client = site.start("running", &argv, Stdio::null());
    let pid = pid(&client);
    site.relay.kill();
    let begun = Instant::now();
    assert!(site.agent.ask(&["lockdown"]).status.success());
    eventually(SOON, "the command is ended", || (!process::lives(pid)).then_some(()));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    site.relay.run();
    let refused = eventually(SOON, "a refusal by the server", || {
        let output = site.exec(&["/bin/true"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.contains("locked").then_some(output)
    });
    assert_eq!(refused.status.code(), Some(255));
    // It stays so when the agent is started again.
    site.agent.stop();
    site.agent.run();
    site.wait_until_online();
    never(Duration::from_millis(300), "a locked server opens", || site.exec(&["/bin/true"]).status.success());
    assert!(site.agent.ask(&["lockdown", "--undo"]).status.success());
    eventually(SOON, "open again", || site.exec(&["/bin/true"]).status.success().then_some(()));
}

#[test]
fn forbidden_and_unknown_users_get_one_sentence() {
    let site = Site::with(|agent| {
        let rule =
            "version = 1\n[[rule]]\nscope = \"exec\"\nmode = \"allow\"\nusers = [\"daemon\", \"nosuchuser\"]\n[end]\n";
        fs::write(agent.ceiling(), rule).unwrap();
    });
    let ask = |user: &str| {
        let output = site.ask(&["exec", "web-1", "--user", user, "--", "/usr/bin/id", "-un"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
    };
    let (code, said, _) = ask("root");
    assert!(code == Some(255) && said.contains("ceiling") && said.contains("exec root"), "{said}");
    let (code, said, _) = ask("nosuchuser");
    assert!(code == Some(255) && said.contains("user nosuchuser does not exist"), "{code:?}: {said}");
    let (code, said, out) = ask("daemon");
    assert_eq!((code, &*out), (Some(0), &b"daemon\n"[..]), "{said}");
    let shell = site.ask(&["shell", "web-1", "--user", "daemon"]);
    assert_eq!(shell.status.code(), Some(255));
    // A ceiling that is gone, malformed or writable by others allows nothing.
    for damage in ["", "version = 2", "version = 1\nsurprise = true\n[end]"] {
        fs::write(site.agent.ceiling(), damage).unwrap();
        assert_eq!(ask("daemon").0, Some(255), "{damage:?}");
    }
    fs::remove_file(site.agent.ceiling()).unwrap();
    assert_eq!(ask("daemon").0, Some(255));
}

#[test]
fn h_v_1_the_hosts_audit_is_verified_offline() {
    let mut site = Site::new();
    for _ in 0..3 {
        assert!(site.exec(&["/bin/true"]).status.success());
    }
    site.agent.stop();
    site.relay.stop();
    let folder = site.agent.state.join("guard/audit");
    let file = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let file = file.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max().unwrap();
    let copy = site.world.path("audit.jsonl");
    let verify = || site.ask(&["verify-audit", copy.to_str().unwrap(), "--server", "web-1"]);
    let whole = fs::read(&file).unwrap();
    fs::write(&copy, &whole).unwrap();
    let good = verify();
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    for (number, at) in (0..whole.len()).step_by(whole.len() / 40).enumerate() {
        let mut bad = whole.clone();
        bad[at] ^= 1 << (number % 7);
        fs::write(&copy, &bad).unwrap();
        assert!(!verify().status.success(), "byte {at} was changed and nobody noticed");
    }
}
