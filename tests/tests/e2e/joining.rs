//! New people by a link: the key that the person's page made is the one that is signed in, or none.

use cloud_doctor_proto::join::JoinLink;
use cloud_doctor_tests::calls::call;
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::people::Person;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Client, Plan, Site};
use cloud_doctor_tests::world::World;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

const PASSWORD: &str = "ninas own long password";

fn site() -> Site {
    Site::planned(Plan { web: Web::Plain, ..Plan::default() }, |_| {})
}

/// The page of an invited person, as far as the relay can tell.
struct Page {
    relay: SocketAddr,
    link: JoinLink,
    login: String,
}

impl Page {
    fn open(site: &Site, link: &str) -> Self {
        let (console, fragment) = link.split_once("/#/join/").expect("a link to the console");
        assert_eq!(console, site.relay.url());
        let link = JoinLink::parse(fragment.trim()).expect("three parts");
        Self { relay: site.relay.listening().clients, link, login: String::new() }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        call(self.relay, &self.login, ("POST", path), body)
    }

    /// Makes the account and signs in.
    #[track_caller]
    fn join(&mut self, account: &str) {
        let (status, told) = self.enter(account);
        assert_eq!((status, &told["state"]), (201, &json!("joined")), "{told}");
        let (status, login) = self.post("/login", &json!({"account": account, "password": PASSWORD}));
        assert_eq!(status, 200, "{login}");
        self.login = login["token"].as_str().unwrap().to_owned();
    }

    fn enter(&self, account: &str) -> (u16, Value) {
        let token = BASE64URL_NOPAD.encode(&self.link.token);
        self.post("/join", &json!({"token": token, "account": account, "password": PASSWORD}))
    }

    /// Sends a key that the link vouches for; `sent` is what arrives, if somebody on the way changes it.
    fn send(&self, kind: &str, key: &Person, sent: Option<&Person>) -> u16 {
        let mac = BASE64URL_NOPAD.encode(&self.link.mac(kind, key.public().blob()));
        let line = sent.unwrap_or(key).public().to_openssh().unwrap();
        self.post("/join/key", &json!({"key": line, "kind": kind, "mac": mac})).0
    }

    fn state(&self) -> Value {
        call(self.relay, &self.login, ("GET", "/join?wait=20"), &Value::Null).1["state"].clone()
    }
}

fn invite(site: &Site, more: &[&str]) -> String {
    site.client.must(&[&["tenant", "engineer", "invite", "--name", "Nina Neu"], more].concat())
}

/// Starts an invitation that waits; its link.
fn waiting(site: &Site) -> (Process, String) {
    let arguments = ["tenant", "engineer", "invite", "--name", "Nina Neu", "--wait"];
    let process = site.start("invite", &arguments, Stdio::null());
    let link = eventually(SOON, "a link", || process.stdout().lines().next().map(str::to_owned));
    (process, link)
}

fn keys(site: &Site) -> Value {
    serde_json::from_str(&site.client.must(&["tenant", "engineer", "list", "--json"])).unwrap()
}

#[test]
fn a_person_who_came_by_a_link_opens_servers_with_the_key_that_its_page_made() {
    let site = site();
    let link = invite(&site, &["--days", "5"]);
    let mut page = Page::open(&site, &link);
    page.join("nina");
    let nina = Person::new("nina");
    // Later, on another day: nothing waits for it.
    assert!(site.client.ask(&["tenant", "engineer", "accept"]).status.success());
    assert!(!keys(&site).to_string().contains("Nina"), "no key has come yet");
    assert_eq!(page.send("sshsig", &nina, None), 204);
    let listed = site.client.must(&["tenant", "engineer", "invitations"]);
    assert!(listed.contains("Nina Neu") && listed.contains("key is here"), "{listed}");
    site.client.must(&["tenant", "engineer", "accept", "Nina Neu"]);
    assert_eq!(page.state(), "accepted");
    let listed = keys(&site);
    let key = &listed["people"].as_array().unwrap().iter().find(|key| key["person"] == "Nina Neu").unwrap();
    assert_eq!((&key["key"], &key["kind"]), (&json!(nina.id().to_string()), &json!("sshsig")));
    let again = site.client.ask(&["tenant", "engineer", "accept", "Nina Neu"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("No links"), "the secret is forgotten");

    let client = Client::new(&site.world, "nina");
    client.ssh_agent.add(&nina.write(&site.world.path("nina")));
    let file = site.world.path("ninas-password");
    fs::write(&file, PASSWORD).unwrap();
    let (url, words) = (site.url(), site.words());
    client.must(&["login", &url, "--account", "nina", "--password-file", file.to_str().unwrap(), "--trust", &words]);
    assert_eq!(client.must(&["exec", "web-1", "--user", "root", "--", "/bin/echo", "hello"]), "hello\n");

    let (status, told) = page.enter("somebody");
    assert_eq!((status, &told["code"]), (403, &json!("join")), "a link counts once");
    for secret in [&page.link.secret[..], &page.link.token] {
        for form in [secret.to_vec(), BASE64URL_NOPAD.encode(secret).into_bytes()] {
            let found = World::found_below(&site.relay.data, &form);
            assert!(found.is_empty(), "the relay keeps a part of the link in {found:?}");
        }
    }
}

/// whoever carries the key cannot make it another one.
#[test]
fn r_12_a_key_that_was_changed_on_the_way_is_refused_and_the_link_is_dead() {
    let site = site();
    let (mut inviting, link) = waiting(&site);
    let mut page = Page::open(&site, &link);
    page.join("nina");
    let (nina, mallory) = (Person::new("nina"), Person::new("mallory"));
    assert_eq!(page.send("sshsig", &nina, Some(&mallory)), 204);
    assert_eq!(inviting.wait(SOON).code(), Some(6), "{}", inviting.stderr());
    assert!(inviting.stderr().contains("has changed it"), "{}", inviting.stderr());
    assert_eq!(page.state(), "refused");
    assert!(!keys(&site).to_string().contains("Nina"));
    assert_eq!(page.send("sshsig", &nina, None), 409, "dead for the real key as well");
    assert!(site.client.ask(&["tenant", "engineer", "accept"]).status.success());
    assert!(!keys(&site).to_string().contains("Nina"));
    // Under a kind that it was not made as, a key counts for more than it is.
    let (mut inviting, link) = waiting(&site);
    let mut page = Page::open(&site, &link);
    page.join("nora");
    let mac = BASE64URL_NOPAD.encode(&page.link.mac("device", nina.public().blob()));
    let body = json!({"key": nina.public().to_openssh(), "kind": "sshsig", "mac": mac});
    assert_eq!(page.post("/join/key", &body).0, 204);
    assert_eq!(inviting.wait(SOON).code(), Some(6), "{}", inviting.stderr());
}

#[test]
fn a_browsers_key_without_a_touch_is_let_in_by_name_only() {
    let site = site();
    let (mut inviting, link) = waiting(&site);
    let mut page = Page::open(&site, &link);
    page.join("nina");
    let nina = Person::new("nina");
    assert_eq!(page.send("device", &nina, None), 204);
    assert_eq!(inviting.wait(SOON).code(), Some(5), "{}", inviting.stderr());
    assert!(inviting.stderr().contains("accept --device"), "{}", inviting.stderr());
    assert_eq!(site.client.ask(&["tenant", "engineer", "accept"]).status.code(), Some(5));
    site.client.must(&["tenant", "engineer", "accept", "--device"]);
    let listed = keys(&site).to_string();
    assert!(listed.contains("Nina Neu") && listed.contains("\"device\""), "{listed}");
    assert_eq!(page.state(), "accepted");
    // What was taken back counts no more.
    let link = invite(&site, &["--approver"]);
    site.client.must(&["tenant", "approver", "invitations", "--revoke", "Nina Neu"]);
    let (status, told) = Page::open(&site, &link).enter("norbert");
    assert_eq!((status, &told["code"]), (403, &json!("join")));
}
