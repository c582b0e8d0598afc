//! Whoever takes all the time in the world: dripping headers, bodies, upgrades, and silence (DOS-03, WEB-17).

use crate::client::request;
use crate::customer::Customer;
use crate::streams::UPGRADE;
use crate::world::World;
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Some deadlines and a busy machine; without a deadline, the drips go on for longer.
const CLOSED: Duration = Duration::from_secs(50);

/// Sends the beginning, then a byte each second; returns what the relay said until it closed.
async fn drip(relay: SocketAddr, (what, begin, rest): (&str, String, String)) -> (String, String) {
    let mut stream = TcpStream::connect(relay).await.unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    let (mut from_relay, mut to_relay) = stream.split();
    let dripping = async {
        for byte in rest.bytes().cycle() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if rest.is_empty() || to_relay.write_all(&[byte]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let reading = tokio::time::timeout(CLOSED, from_relay.read_to_end(&mut said));
    tokio::select! {
        () = dripping => {}
        read = reading => drop(read.unwrap_or_else(|_| panic!("the relay closes: {what}"))),
    }
    (what.to_owned(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn dos_03_web_17_whoever_drips_or_says_nothing_is_let_go() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let bearer = format!("Bearer {ann}");
    let keep = |text: String| text.replace("connection: close\r\n", "");
    let headers = keep(request("GET", "/api/v1/me", &[("authorization", &bearer)], ""));
    let upgrade = [&[("authorization", bearer.as_str())][..], &UPGRADE].concat();
    let upgrade = request("GET", &format!("/api/v1/servers/{server}/stream"), &upgrade, "");
    let upgrade = upgrade.replace("connection: close", "connection: upgrade");
    let unfinished = |text: &str| text[..text.len() - 2].to_owned() + "x: ";
    let body = |path: &str, length: &str| {
        let of = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        keep(request("POST", path, &of, "")).replace("\r\n\r\n", &format!("\r\n{length}\r\n\r\n"))
    };
    let (checks, long) = (format!("/api/v1/servers/{server}/checks"), "content-length: 1000");
    let (x, nothing) = ("x".to_owned(), String::new());
    let slow = [
        ("nothing", nothing.clone(), nothing.clone()),
        ("an idle connection", headers.clone(), nothing.clone()),
        ("headers", unfinished(&headers), x.clone()),
        ("headers of an upgrade", unfinished(&upgrade), x.clone()),
        ("a body", body("/api/v1/approvals", long), " ".to_owned()),
        ("a body in chunks", body("/api/v1/approvals", "transfer-encoding: chunked"), "1\r\n \r\n".to_owned()),
        ("a body where the answer takes long", body(&checks, long), " ".to_owned()),
        ("a body that stops", body(&checks, long), nothing.clone()),
        ("a body that nobody reads", body("/api/v1/logout", long), " ".to_owned()),
        ("a body before a login", body("/api/v1/login", long), " ".to_owned()),
    ];
    let began = Instant::now();
    let all = join_all(slow.into_iter().map(|slow| drip(world.running.bound().clients, slow))).await;
    for (what, said) in &all {
        assert!(!said.contains(" 101 ") && !said.contains(" 500 "), "{what}: {said}");
    }
    let late = all.iter().filter(|(what, said)| what.starts_with("a body") && said.contains("\"too-slow\""));
    assert_eq!(late.count(), 5, "{all:?}");
    assert!(began.elapsed() > Duration::from_secs(5), "nobody was cut for being slow");
    world.get("/api/v1/me", &world.sign_in("ann", crate::world::PASSWORD).await).await;
    world.stop().await;
}
