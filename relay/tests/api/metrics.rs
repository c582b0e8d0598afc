//! Metrics through the API, as far as no agent is needed: who may look, what an absent server looks like, what is refused.
//! A server's half is in `tunnels/watch.rs` and `tunnels/recorder.rs`.

use crate::client::{PATIENCE, raw, request};
use crate::customer::Customer;
use crate::streams::{UPGRADE, opened};
use crate::world::{PLAIN, World};
use futures_util::StreamExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

async fn look(world: &World, path: &str, token: &str) -> WebSocketStream<TcpStream> {
    let clients = world.running.bound().clients;
    let mut request = format!("ws://{clients}{path}").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("sec-websocket-protocol", "cloud-doctor.v1".parse().unwrap());
    let tcp = TcpStream::connect(clients).await.unwrap();
    client_async(request, tcp).await.unwrap().0
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    tokio::time::timeout(PATIENCE, socket.next()).await.expect("nothing was said").unwrap().unwrap()
}

async fn audited(world: &World, token: &str, action: &str) -> usize {
    let audit = world.get("/api/v1/audit", token).await["events"].as_array().unwrap().clone();
    audit.iter().filter(|event| event["action"] == action).count()
}

#[tokio::test]
async fn who_looks_at_an_absent_server_is_told_waits_and_is_noted_once() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let path = format!("/api/v1/servers/{server}/metrics/live");
    let mut socket = look(&world, &path, &ann).await;
    assert_eq!(next(&mut socket).await.to_text().unwrap(), "{\"state\":\"opening\"}");
    assert_eq!(next(&mut socket).await.to_text().unwrap(), "{\"state\":\"away\"}");
    assert_eq!(audited(&world, &ann, "metrics-watched").await, 1);
    assert_eq!(world.get("/api/v1/sessions", &ann).await["sessions"].as_array().unwrap().len(), 0, "no sealed stream");
    let farewell = async {
        let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("no close with a reason") };
        assert_eq!(u16::from(frame.code), 1012);
    };
    tokio::join!(world.stop(), farewell);
}

#[tokio::test]
async fn web_01_nobody_looks_from_a_foreign_page_and_a_watcher_says_nothing() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let path = format!("/api/v1/servers/{server}/metrics/live");
    let open = async |token: &str, extra: &[(&str, &str)]| {
        let bearer = format!("Bearer {token}");
        let headers = [&[("authorization", bearer.as_str())][..], &UPGRADE, extra].concat();
        opened(&world, &request("GET", &path, &headers, "")).await
    };
    assert_eq!(open(&ann, &[("origin", "https://evil.example")]).await.status, 403);
    assert_eq!(open("nobody", &[]).await.status, 401);
    let bob = world.add_bob().await;
    assert_eq!(open(&bob, &[]).await.problem(), "unknown");
    assert_eq!(world.call("GET", &path, Some(&ann), None).await.problem(), "not-websocket");
    assert_eq!(audited(&world, &ann, "metrics-watched").await, 0, "refused ones leave no row");
    let mut socket = look(&world, &path, &ann).await;
    futures_util::SinkExt::send(&mut socket, Message::text("x")).await.unwrap();
    let closed = loop {
        if let Message::Close(frame) = next(&mut socket).await {
            break frame.unwrap();
        }
    };
    assert_eq!(u16::from(closed.code), 4400);
    world.stop().await;
}

#[tokio::test]
async fn an_absent_server_has_no_history_and_empty_last_minutes() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let metrics = format!("/api/v1/servers/{server}/metrics");
    let ask = async |more: &str| world.call("GET", &format!("{metrics}/{more}"), Some(&ann), None).await;
    for away in ["range?from=1&to=2", "processes?count=5", "events?from=1&to=2"] {
        assert_eq!(ask(away).await.problem(), "server-away", "{away}");
    }
    let ranges = ["range", "range?from=2&to=1", "range?from=1&to=2&step=5"];
    let others = ["processes?count=0", "processes?count=201", "events", "events?from=2&to=2", "events?from=-1&to=2"];
    for bad in ranges.into_iter().chain(others) {
        assert_eq!(ask(bad).await.problem(), "bad-request", "{bad}");
    }
    let last = ask("recorder").await;
    assert_eq!((last.status, last.body.as_str()), (200, ""));
    assert!(last.has("x-cloud-doctor-connected: no") && last.has("content-type: application/octet-stream"), "{last:?}");
    assert!(!last.has("x-cloud-doctor-vanished-at: "), "{last:?}");
    world.stop().await;
}

#[tokio::test]
async fn no_server_leaves_without_a_label_in_the_configuration() {
    let export = "[metrics]\nexport_label = 'prometheus=yes'\n";
    for (config, status) in [(PLAIN.to_owned(), 404), (format!("{PLAIN}{export}"), 200)] {
        let world = World::fresh(&config).await;
        let admin = world.running.bound().admin.unwrap();
        let answer = raw(admin, request("GET", "/metrics/servers", &[], "").as_bytes()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        world.stop().await;
    }
}
