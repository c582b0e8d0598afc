//! One's own logins: seen, ended one by one and all together, with their streams.

use crate::browser::OURS;
use crate::client::{PATIENCE, request};
use crate::customer::Customer;
use crate::streams::{UPGRADE, opened};
use crate::world::{PASSWORD, PLAIN, World};
use cloud_doctor_proto::ids::AgentId;
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_relay::access::BearerToken;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::{Lifetime, LoginKind, NewLogin, Way};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn logins(world: &World, token: &str) -> Vec<Value> {
    world.get("/api/v1/me/logins", token).await["logins"].as_array().unwrap().clone()
}

impl World {
    /// A login of the same account that began an hour ago and was not used since.
    pub(crate) async fn old_login(&self, token: &str) -> String {
        let me = self.get("/api/v1/me", token).await;
        self.old_login_of(me["account"].as_str().unwrap(), token).await
    }

    /// The same of a named account of the customer that the token belongs to.
    pub(crate) async fn old_login_of(&self, name: &str, token: &str) -> String {
        let store = self.store().await;
        let tenant = store.login(&BearerToken::parse(token).unwrap().hash()).await.unwrap().unwrap().account.tenant;
        let accounts = store.of(tenant).accounts().await.unwrap();
        let account = accounts.into_iter().find(|account| account.name == name).unwrap();
        let (token, now) = (BearerToken::random().unwrap(), clock::now());
        let login = NewLogin {
            token_hash: &token.hash(),
            kind: LoginKind::Browser,
            way: Way::Password,
            place: b"",
            client: "192.0.2.1",
            user_agent: "",
            lifetime: Lifetime { ends_at: now.plus_secs(600), idle_secs: 7200 },
        };
        assert!(store.of(account.tenant).begin_login(&account, &login, UnixTime(now.0 - 3600)).await.unwrap());
        store.close().await;
        token.reveal()
    }
}

/// Opens a stream whose relay waits for us to close it: there is no agent behind it, and we say nothing.
async fn stream(world: &World, server: AgentId, token: &str) -> TcpStream {
    let bearer = format!("Bearer {token}");
    let headers = [&[("authorization", bearer.as_str())], &UPGRADE[..]].concat();
    let text = request("GET", &format!("/api/v1/servers/{server}/stream"), &headers, "");
    let mut stream = TcpStream::connect(world.running.bound().clients).await.unwrap();
    stream.write_all(text.replace("connection: close", "connection: upgrade").as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    stream
}

/// Why the account's streams ended, once all have.
async fn ends(world: &World, token: &str) -> Vec<String> {
    let ended = async {
        loop {
            let list = world.get("/api/v1/sessions", token).await["sessions"].as_array().unwrap().clone();
            if !list.is_empty() && list.iter().all(|session| !session["closed_at"].is_null()) {
                return list.iter().map(|session| session["reason"].as_str().unwrap().to_owned()).collect();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("streams end")
}

#[tokio::test]
async fn aut_08_logins_are_listed_as_what_they_are_and_end_one_by_one() {
    let (world, here) = World::with_ann().await;
    let body = json!({"account": "ann", "password": PASSWORD, "lasting": true}).to_string();
    let name = format!("tool/1 {}", "x".repeat(500));
    let answer = world.raw(request("POST", "/api/v1/login", &[("user-agent", &name)], &body).as_bytes()).await.ok();
    let there = answer["token"].as_str().unwrap().to_owned();
    let page = world.page("ann").await;
    let list = logins(&world, &here).await;
    let mut kinds: Vec<_> = list.iter().map(|login| (login["kind"].as_str().unwrap(), login["this"] == true)).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [("browser", false), ("program", false), ("program", true)]);
    assert!(list.iter().all(|login| login["way"] == "password" && login["client"] == "127.0.0.1"), "{list:?}");
    let tool = list.iter().find(|login| login["user_agent"].as_str().unwrap().starts_with("tool/1")).unwrap();
    assert!(tool["user_agent"].as_str().unwrap().chars().count() <= 201, "{tool}");
    assert!(tool["ends_at"].as_u64().unwrap() > clock::now().0 + 20 * 86_400, "{tool}");
    let text = format!("{list:?}");
    assert!(!text.contains(&there) && !text.contains(&here), "a list holds no token");
    let path = format!("/api/v1/me/logins/{}", tool["id"].as_str().unwrap());
    let bob = world.add_bob().await;
    assert_eq!(world.call("DELETE", &path, Some(&bob), None).await.problem(), "unknown");
    world.get("/api/v1/me", &there).await;
    assert_eq!(world.call("DELETE", &path, Some(&here), None).await.status, 204);
    assert_eq!(world.call("DELETE", &path, Some(&here), None).await.problem(), "unknown");
    assert_eq!(world.call("GET", "/api/v1/me", Some(&there), None).await.problem(), "signed-out");
    assert_eq!(world.call("DELETE", "/api/v1/me/logins", Some(&here), None).await.status, 204);
    let me = world.raw(request("GET", "/api/v1/me", &[("cookie", &page)], "").as_bytes()).await;
    assert_eq!(me.problem(), "signed-out");
    assert_eq!(logins(&world, &here).await.len(), 1);
    world.get("/api/v1/me", &bob).await;
    world.stop().await;
}

#[tokio::test]
async fn aut_08_a_login_takes_its_streams_with_it_however_it_ends() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let (out, ended, others) = (
        world.sign_in("ann", PASSWORD).await,
        world.sign_in("ann", PASSWORD).await,
        world.sign_in("ann", PASSWORD).await,
    );
    let _out = stream(&world, server, &out).await;
    assert_eq!(world.call("POST", "/api/v1/logout", Some(&out), None).await.status, 204);
    assert_eq!(ends(&world, &ann).await, ["the login ended"]);
    let _ended = stream(&world, server, &ended).await;
    let id = logins(&world, &ended).await.iter().find(|login| login["this"] == true).unwrap()["id"].clone();
    let path = format!("/api/v1/me/logins/{}", id.as_str().unwrap());
    assert_eq!(world.call("DELETE", &path, Some(&ann), None).await.status, 204);
    assert_eq!(ends(&world, &ann).await, ["the login ended"; 2]);
    let (_others, _here) = (stream(&world, server, &others).await, stream(&world, server, &ann).await);
    assert_eq!(world.call("DELETE", "/api/v1/me/logins", Some(&ann), None).await.status, 204);
    let mut ends = ends(&world, &ann).await;
    ends.sort_unstable();
    let why = cloud_doctor_proto::close::StreamClose::Unreachable.text();
    let mut expected = vec!["the login ended"; 3];
    expected.push(why);
    expected.sort_unstable();
    assert_eq!(ends, expected, "its own stays until it ends by itself");
    world.stop().await;
}

#[tokio::test]
async fn aut_08_what_a_page_asks_by_itself_keeps_no_login_from_ending() {
    let (world, ann) = World::with_ann().await;
    let token = world.old_login(&ann).await;
    let (store, hash) = (world.store().await, BearerToken::parse(&token).unwrap().hash());
    let bearer = format!("Bearer {token}");
    let used = async || store.login(&hash).await.unwrap().unwrap().used_at;
    let idle = used().await;
    let ask = async |extra: &[(&str, &str)]| {
        let headers = [&[("authorization", bearer.as_str())], extra].concat();
        world.raw(request("GET", "/api/v1/servers", &headers, "").as_bytes()).await.ok();
    };
    ask(&[("x-cloud-doctor-by-itself", "yes")]).await;
    assert_eq!(used().await, idle, "nobody is known to sit there");
    ask(&[]).await;
    assert!(used().await > idle);
    let from = logins(&world, &ann).await.into_iter().filter(|login| login["client"] == "127.0.0.1").count();
    assert_eq!(from, 2, "where it was used last, not where it began");
    store.close().await;
    world.stop().await;
}

#[tokio::test]
async fn aut_08_a_page_s_socket_is_as_much_use_as_the_call_for_its_ticket() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let token = world.old_login(&ann).await;
    let (store, hash) = (world.store().await, BearerToken::parse(&token).unwrap().hash());
    let used = async || store.login(&hash).await.unwrap().unwrap().used_at;
    let page = world.page("ann").await;
    let cookie = format!("{}={token}", page.split_once('=').unwrap().0);
    let host = world.running.bound().clients.to_string();
    let ours = format!("http://{host}");
    let open = async |extra: &[(&str, &str)]| {
        let headers = [&[("cookie", cookie.as_str())], &OURS[..], extra].concat();
        let ticket = world.raw(request("POST", "/api/v1/stream-tickets", &headers, "").as_bytes()).await.ok();
        let protocol = format!("cloud-doctor.v1, ticket.{}", ticket["ticket"].as_str().unwrap());
        let page = [("cookie", &*cookie), ("origin", &*ours), ("sec-websocket-protocol", &*protocol)];
        let path = format!("/api/v1/servers/{server}/stream?purpose=ask");
        let text = request("GET", &path, &[&page, &UPGRADE[..3]].concat(), "");
        assert_eq!(opened(&world, &text.replace("relay.test", &host)).await.status, 101);
    };
    let idle = used().await;
    open(&[("x-cloud-doctor-by-itself", "yes")]).await;
    assert_eq!(used().await, idle, "a page asked by a timer");
    open(&[]).await;
    assert!(used().await > idle, "somebody clicked");
    store.close().await;
    world.stop().await;
}

#[tokio::test]
async fn aut_02_aut_03_before_anybody_signed_in_a_page_learns_the_ways_and_no_name() {
    let world = World::fresh(PLAIN).await;
    let ways = async || world.call("GET", "/api/v1/sign-in", None, None).await.ok();
    assert_eq!(ways().await["set_up"], true);
    world.set_up().await.ok();
    let after = ways().await;
    assert_eq!((&after["set_up"], &after["password"]), (&json!(false), &json!(true)));
    assert!(!after.to_string().contains("ann") && !after.to_string().contains("ACME"), "{after}");
    world.stop().await;
}
