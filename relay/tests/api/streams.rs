//! The WebSocket to a server, as far as no agent is needed.

use crate::client::{Answer, PATIENCE, parse, request};
use crate::customer::Customer;
use crate::world::{PASSWORD, PLAIN, World};
use cloud_doctor_proto::ids::StreamId;
use cloud_doctor_proto::time::{DAY_SECS, UnixTime};
use cloud_doctor_relay::access::BearerToken;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::{StreamClosed, StreamOpened};
use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const UPGRADE: [(&str, &str); 4] = [
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "cloud-doctor.v1"),
];

/// Asks for a stream; returns the answer and whatever follows it.
pub(crate) async fn open(world: &World, path: &str, token: &str, extra: &[(&str, &str)]) -> (Answer, Vec<u8>) {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(UPGRADE);
    headers.extend(extra);
    shake_hands(world, &request("GET", path, &headers, "")).await
}

/// Sends a handshake; the answer, with its body when it is a refusal.
pub(crate) async fn opened(world: &World, text: &str) -> Answer {
    let (answer, rest) = shake_hands(world, text).await;
    let body = if answer.status == 101 { String::new() } else { String::from_utf8(rest).unwrap() };
    Answer { body, ..answer }
}

async fn shake_hands(world: &World, text: &str) -> (Answer, Vec<u8>) {
    let text = text.replace("connection: close", "connection: upgrade");
    let exchange = async {
        let mut stream = TcpStream::connect(world.running.bound().clients).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = parse(&head);
        let mut rest = vec![0; answer.length().unwrap_or(0)];
        if answer.status == 101 {
            drop(stream.read_to_end(&mut rest).await);
        } else {
            stream.read_exact(&mut rest).await.unwrap();
        }
        (answer, rest)
    };
    tokio::time::timeout(PATIENCE, exchange).await.unwrap()
}

async fn sessions(world: &World, token: &str) -> Vec<Value> {
    let ended = async {
        loop {
            let list = world.get("/api/v1/sessions", token).await["sessions"].as_array().unwrap().clone();
            if list.iter().all(|session| !session["closed_at"].is_null()) {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("every stream's end is written")
}

#[tokio::test]
async fn a_relay_forgets_streams_after_90_days_and_keeps_their_audit() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let store = world.store().await;
    let tenant = store.login(&BearerToken::parse(&ann).unwrap().hash()).await.unwrap().unwrap().account.tenant;
    let days_ago = |days: u64| UnixTime(clock::now().0 - days * DAY_SECS);
    for (number, days) in [(1, 300), (2, 91), (3, 89), (4, 1)] {
        let opened = StreamOpened {
            stream: StreamId([number; 16]),
            account: "ann".into(),
            agent: server,
            client: "192.0.2.1".into(),
            purpose: "shell".into(),
            visit: None,
            channel: None,
        };
        let end = StreamClosed { bytes_up: 1, bytes_down: 2, reason: "done".into() };
        store.of(tenant).stream_opened(&opened, days_ago(days)).await.unwrap();
        store.of(tenant).stream_closed(&opened.stream, &end, days_ago(days)).await.unwrap();
    }
    store.close().await;
    let world = world.restart().await;
    let forgotten = async {
        while sessions(&world, &ann).await.len() > 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("old streams are forgotten");
    let left: Vec<String> =
        sessions(&world, &ann).await.iter().map(|row| row["stream"].as_str().unwrap()[..2].to_owned()).collect();
    assert_eq!(left, ["04", "03"]);
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    assert_eq!(audit.iter().filter(|event| event["action"] == "stream-opened").count(), 4);
    world.stop().await;
}

#[tokio::test]
async fn streams_are_listed_by_server_and_account_in_pages() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let eve = world.member(&ann, "eve").await;
    let store = world.store().await;
    let tenant = store.login(&BearerToken::parse(&ann).unwrap().hash()).await.unwrap().unwrap().account.tenant;
    let end = StreamClosed { bytes_up: 1, bytes_down: 2, reason: "done".into() };
    for number in 0..=202_u8 {
        let elsewhere = cloud_doctor_proto::ids::AgentId([1; 32]);
        let opened = StreamOpened {
            stream: StreamId([number; 16]),
            account: if number == 1 { "eve".into() } else { "ann".into() },
            agent: if number == 2 { elsewhere } else { server },
            client: "192.0.2.1".into(),
            purpose: "shell".into(),
            visit: None,
            channel: None,
        };
        store.of(tenant).stream_opened(&opened, UnixTime(clock::now().0 - u64::from(number))).await.unwrap();
        if number > 0 {
            store.of(tenant).stream_closed(&opened.stream, &end, clock::now()).await.unwrap();
        }
    }
    store.close().await;
    let list = async |query: &str| {
        let answer = world.get(&format!("/api/v1/sessions?{query}"), &ann).await;
        let ids =
            answer["sessions"].as_array().unwrap().iter().map(|one| one["stream"].as_str().unwrap()[..2].to_owned());
        (ids.collect::<Vec<_>>(), answer["more"].as_bool().unwrap())
    };
    assert_eq!(list("account=eve").await, (vec!["01".to_owned()], false));
    assert_eq!(list(&format!("server={}", "01".repeat(32))).await, (vec!["02".to_owned()], false));
    assert_eq!(list("state=open").await, (vec!["00".to_owned()], false));
    let (first, more) = list("").await;
    assert_eq!((first.len(), &first[..2], more), (200, &["00".to_owned(), "01".to_owned()][..], true));
    let (past, more) = list("state=past").await;
    assert_eq!((past.len(), &past[0][..], more), (200, "01", true));
    let (rest, more) = list(&format!("state=past&before={}", past[199].repeat(16))).await;
    assert_eq!((rest, more), (vec!["c9".to_owned(), "ca".to_owned()], false));
    for bad in ["state=closed", "server=x", "before=x"] {
        let refused = world.call("GET", &format!("/api/v1/sessions?{bad}"), Some(&ann), None).await;
        assert_eq!(refused.problem(), "bad-request", "{bad}");
    }
    // Only its own account, or an admin, ends a stream that is open.
    let open = format!("/api/v1/sessions/{}", "00".repeat(16));
    assert_eq!(world.call("DELETE", &open, Some(&eve), None).await.problem(), "not-admin");
    assert_eq!(world.call("DELETE", &open, Some(&ann), None).await.status, 204);
    let past = format!("/api/v1/sessions/{}", "01".repeat(16));
    assert_eq!(world.call("DELETE", &past, Some(&eve), None).await.problem(), "unknown");
    world.stop().await;
}

#[tokio::test]
async fn a_stream_to_an_absent_server_is_closed_with_a_reason_and_written_down() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let path = format!("/api/v1/servers/{server}/stream?purpose=shell&channel={}", "ab".repeat(16));
    let (answer, rest) = open(&world, &path, &ann, &[]).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert!(answer.has("sec-websocket-protocol: cloud-doctor.v1"));
    let code = cloud_doctor_proto::close::StreamClose::Unreachable.number();
    assert_eq!(rest[0], 0x88, "a close frame: {rest:?}");
    assert_eq!(u64::from(u16::from_be_bytes([rest[2], rest[3]])), u64::from(code));
    let list = sessions(&world, &ann).await;
    assert_eq!(list.len(), 1);
    let facts = ["account", "purpose", "channel", "server"].map(|key| list[0][key].as_str().unwrap().to_owned());
    assert_eq!(facts, ["ann".to_owned(), "shell".to_owned(), "ab".repeat(16), server.to_string()]);
    let audit = world.get("/api/v1/audit", &ann).await;
    let last = audit["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (last["action"].as_str(), last["subject"].as_str()),
        (Some("stream-opened"), Some(&*server.to_string()))
    );
    world.stop().await;
}

#[tokio::test]
async fn web_01_a_stream_opens_from_no_foreign_page_and_never_without_a_login() {
    let (world, ann) = World::with_ann().await;
    let bob = world.add_bob().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let path = format!("/api/v1/servers/{server}/stream");
    let status = |token: String, extra: Vec<(&'static str, &'static str)>| {
        let (world, path) = (&world, &path);
        async move { open(world, path, &token, &extra).await.0.status }
    };
    assert_eq!(status("nobody".into(), vec![]).await, 401);
    assert_eq!(status(bob, vec![]).await, 404);
    assert_eq!(status(ann.clone(), vec![("origin", "https://evil.example")]).await, 403);
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    assert_eq!(audit.iter().filter(|event| event["action"] == "stream-refused").count(), 1);
    let unknown = open(&world, &format!("{path}?purpose=mischief"), &ann, &[]).await;
    assert_eq!(unknown.0.status, 400);
    assert_eq!(world.call("GET", &path, Some(&ann), None).await.problem(), "not-websocket");
    assert!(sessions(&world, &ann).await.iter().all(|session| session["bytes_up"] == 0));
    world.stop().await;
}

#[tokio::test]
async fn aud_04_opens_beyond_the_limit_leave_no_row() {
    let world = World::fresh(&format!("{PLAIN}[limits]\nopens_per_minute = 2\n")).await;
    world.set_up().await.ok();
    let ann = world.sign_in("ann", PASSWORD).await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let path = format!("/api/v1/servers/{server}/stream");
    for _ in 0..2 {
        assert_eq!(world.call("POST", "/api/v1/stream-tickets", Some(&ann), None).await.status, 201, "costs nothing");
        assert_eq!(open(&world, &path, &ann, &[]).await.0.status, 101);
    }
    let rows = sessions(&world, &ann).await.len();
    for _ in 0..5 {
        assert_eq!(open(&world, &path, &ann, &[]).await.0.status, 429);
    }
    // A page learns it where it can read it, as no browser shows a page how a handshake was refused.
    let refused = world.call("POST", "/api/v1/stream-tickets", Some(&ann), None).await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "limited"));
    assert_eq!(sessions(&world, &ann).await.len(), rows);
    world.stop().await;
}

/// COD-04: nothing is compressed anywhere, so that nothing can be a bomb, and no length tells what was typed.
#[tokio::test]
async fn cod_04_no_stream_is_compressed_whoever_asks() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let path = format!("/api/v1/servers/{server}/stream");
    for offer in ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame"] {
        let (answer, _) = open(&world, &path, &ann, &[("sec-websocket-extensions", offer)]).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        assert!(!answer.has("sec-websocket-extensions"), "{answer:?}");
    }
    // A list that does not change while it is asked for: streams take a moment to end.
    let plain = world.get("/api/v1/trust-log", &ann).await.to_string();
    for coding in ["gzip", "br", "zstd", "deflate", "*"] {
        let bearer = format!("Bearer {ann}");
        let headers = [("authorization", bearer.as_str()), ("accept-encoding", coding)];
        let answer = world.raw(request("GET", "/api/v1/trust-log", &headers, "").as_bytes()).await;
        assert!(!answer.has("content-encoding"), "{answer:?}");
        assert_eq!(answer.ok().to_string(), plain);
    }
    world.stop().await;
}
