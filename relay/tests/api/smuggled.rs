//! Requests whose end two readers could see in different places: a proxy in front of the relay must not be led to pass
//! on a second one in the body of the first (WEB-17).

use crate::world::{PLAIN, World};
use futures_util::future::join_all;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// More than an idle connection is kept.
const CLOSED: Duration = Duration::from_secs(40);

/// What must not be answered.
const SECOND: &str = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: relay.test\r\n\r\n";

/// The status codes of all answers on one connection, until the relay closes it.
async fn answers(relay: SocketAddr, text: &str) -> Vec<u16> {
    let exchange = async {
        let mut stream = TcpStream::connect(relay).await.unwrap();
        drop(stream.write_all(text.as_bytes()).await);
        let mut said = Vec::new();
        drop(stream.read_to_end(&mut said).await);
        let said = String::from_utf8_lossy(&said).into_owned();
        said.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
    };
    tokio::time::timeout(CLOSED, exchange).await.unwrap_or_else(|_| panic!("the relay closes: {text}"))
}

fn post(headers: &str, body: &str) -> String {
    let kind = "content-type: application/json";
    format!("POST /api/v1/login HTTP/1.1\r\nhost: relay.test\r\n{kind}\r\n{headers}\r\n\r\n{body}")
}

#[tokio::test]
async fn web_17_one_request_is_one_request_however_its_length_is_told() {
    let world = World::fresh(PLAIN).await;
    let relay = world.running.bound().clients;
    let last = format!("0\r\n\r\n{SECOND}");
    let len = last.len();
    let chunked = "transfer-encoding: chunked";
    let lies = [
        post(&format!("content-length: {len}\r\n{chunked}"), &last),
        post(&format!("{chunked}\r\ncontent-length: {len}"), &last),
        post(&format!("content-length: 5\r\n{chunked}"), &last),
        post("transfer-encoding: xchunked", &last),
        post("transfer-encoding: chunked, identity", &last),
        post("transfer-encoding : chunked", &last),
        post("transfer-encoding:\x0bchunked", &last),
        post(&format!("x: y\r\n {chunked}"), &last),
        post("content-length: 0\r\ncontent-length: 5", &last),
        post("content-length: +5", &last),
        post("content-length: 0x5", &last),
        post("content-length: -1", &last),
        post("content-length: 99999999999999999999", &last),
        post(chunked, &last).replace("HTTP/1.1\r\nhost", "HTTP/1.0\r\nhost"),
        post(chunked, &format!("0x0\r\n\r\n{SECOND}")),
        post(chunked, &format!("-1\r\n\r\n{SECOND}")),
        post(chunked, &format!("10000000000000000\r\n\r\n{SECOND}")),
        post(chunked, &format!("2;\nxx\r\n{{}}{last}")),
        post("x: a\rcontent-length: 0", &last),
        post("x y: z", &last),
        post("x: \0", &last),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SECOND}"),
    ];
    let all = join_all(lies.iter().map(|lie| answers(relay, lie))).await;
    for (lie, said) in lies.iter().zip(all) {
        assert!(said.len() <= 1 && said.iter().all(|status| (400..=505).contains(status)), "{said:?} to {lie}");
    }
    // A body that nobody reads is a body; and what follows a whole request is another one.
    let unread = format!("GET /api/v1/me HTTP/1.1\r\nhost: relay.test\r\ncontent-length: {}\r\n\r\n", SECOND.len());
    let [unread, both] = [unread + SECOND, [SECOND, SECOND].concat()];
    let (unread, both) = tokio::join!(answers(relay, &unread), answers(relay, &both));
    assert_eq!((unread, both), (vec![401], vec![200, 200]));
    world.stop().await;
}
