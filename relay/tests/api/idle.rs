//! What somebody costs who is there and says nothing (DOS-02).

use crate::client::{PATIENCE, parse, request};
use crate::customer::Customer;
use crate::program::Relay;
use crate::tls::{TLS, client_config};
use crate::world::{World, data};
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Measured after these, when what the relay needs once is there.
const FIRST: u32 = 40;
/// Sockets of one relay that one machine may open, and without a limit of one account.
const LIMITS: &str = "[limits]\nconnections = 20000\nconnections_per_network = 20000\nopens_per_minute = 100000\n";

/// Pages of the relay's memory, in KiB.
fn resident(relay: &Relay) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn connect(relay: &Relay, tls: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(relay.clients).await.unwrap();
    tls.connect("relay.test".try_into().unwrap(), stream).await.unwrap()
}

/// A WebSocket that answers pings until the relay closes it.
async fn watch(relay: &Relay, tls: &TlsConnector, path: &str, tokens: &[String]) -> JoinHandle<()> {
    for token in tokens.iter().cycle() {
        let mut request = format!("wss://{}{path}", relay.clients).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request.headers_mut().insert("sec-websocket-protocol", "cloud-doctor.v1".parse().unwrap());
        let opened = client_async(request, connect(relay, tls).await).await;
        let Ok((mut socket, _)) = opened else {
            // An account has a limit too, and there are not as many accounts as sockets.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while socket.next().await.unwrap().unwrap().to_text().unwrap() != "{\"state\":\"away\"}" {}
        return tokio::spawn(async move { while socket.next().await.is_some_and(|said| said.is_ok()) {} });
    }
    unreachable!("there are tokens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dos_02_an_idle_socket_costs_forty_kib_at_most_and_nobody_notices() {
    let count = if std::env::var_os("CLOUD_DOCTOR_STRESS").is_some_and(|value| value == "1") { 9_500 } else { 200 };
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let mut tokens = vec![ann.clone()];
    for name in ["eve", "joe", "kim", "lee"] {
        tokens.push(world.member(&ann, name).await);
    }
    let World { dir, running, .. } = world;
    running.stop().await;
    std::fs::write(data(&dir).join("relay.toml"), format!("{TLS}{LIMITS}")).unwrap();
    let relay = Relay::start(&data(&dir), &[]);
    let tls = TlsConnector::from(client_config(&[b"http/1.1"]));
    let path = format!("/api/v1/servers/{server}/metrics/live");
    let mut open = Vec::new();
    while open.len() < FIRST as usize {
        open.push(watch(&relay, &tls, &path, &tokens).await);
    }
    let before = resident(&relay);
    for number in 0..count {
        open.push(watch(&relay, &tls, &path, &tokens[number as usize % tokens.len()..]).await);
    }
    let each = resident(&relay).saturating_sub(before) / count;
    assert!(each <= 40, "{each} KiB for each of {count}");
    assert!(each > 0, "nothing was measured");
    assert!(open.iter().all(|socket| !socket.is_finished()), "who is idle stays");
    let mut another = connect(&relay, &tls).await;
    let bearer = format!("Bearer {ann}");
    another.write_all(request("GET", "/api/v1/servers", &[("authorization", &bearer)], "").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(tokio::time::timeout(PATIENCE, another.read_to_end(&mut answer)).await.expect("others are answered"));
    assert_eq!(parse(&answer).status, 200);
    open.iter().for_each(JoinHandle::abort);
}
