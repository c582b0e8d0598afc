//! A client's WebSocket to an agent's stream and back.

use crate::peer::{Agent, Frames};
use crate::world::{PATIENCE, Server, World, until};
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::routing::get;
use cloud_doctor_proto::close::StreamClose;
use cloud_doctor_proto::control::{StreamHead, StreamPurpose};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::StreamId;
use cloud_doctor_relay::broker::ws::{self, Ask, Report};
use cloud_doctor_relay::broker::{AgentStream, BrokerError};
use cloud_doctor_relay::clock;
use futures_util::{SinkExt as _, StreamExt as _};
use quinn::TransportConfig;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;

pub(crate) fn stream_head(account: &str) -> StreamHead {
    StreamHead {
        purpose: StreamPurpose::Sealed,
        stream: StreamId([7; 16]),
        account: account.into(),
        client: "192.0.2.7".into(),
    }
}

impl World {
    pub(crate) async fn open(&self, server: &Server) -> AgentStream {
        self.broker.open(&server.agent(), &stream_head("ann"), clock::instant()).await.unwrap()
    }
}

pub(crate) type Reports = Arc<Mutex<Vec<Report>>>;

/// The endpoint as the API mounts it, for one agent.
pub(crate) async fn serve(world: &World, server: &Server) -> (SocketAddr, Reports) {
    let reports = Reports::default();
    let (broker, agent, kept) = (world.broker.clone(), server.agent(), reports.clone());
    let handler = move |headers: HeaderMap, upgrade: WebSocketUpgrade| {
        let (broker, kept) = (broker.clone(), kept.clone());
        let (stream, cut) = (StreamId([7; 16]), CancellationToken::new());
        let end = cut.clone();
        let ask = Ask { agent, account: "ann".into(), client: "192.0.2.7".into(), stream, cut, end };
        let origins = ["https://relay.example".to_owned()];
        let done = move |report| kept.lock().unwrap().push(report);
        async move { ws::accept(upgrade, &headers, &origins, broker, ask, done) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = Router::new().route("/stream", get(handler));
    drop(tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }));
    (addr, reports)
}

pub(crate) type Client = WebSocketStream<TcpStream>;

async fn dial(addr: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Client, Error> {
    let mut request = format!("ws://{addr}/stream").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let tcp = TcpStream::connect(addr).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let config = WebSocketConfig::default().max_message_size(Some(8 << 20));
    Ok(client_async_with_config(request, tcp, Some(config)).await?.0)
}

pub(crate) async fn client(addr: SocketAddr) -> Client {
    dial(addr, &[("sec-websocket-protocol", "cloud-doctor.v1")]).await.unwrap()
}

async fn next(client: &mut Client) -> Message {
    loop {
        let message = timeout(PATIENCE, client.next()).await.expect("no message came").unwrap().unwrap();
        if !message.is_ping() {
            return message;
        }
    }
}

async fn close_code(client: &mut Client) -> StreamClose {
    loop {
        if let Message::Close(frame) = next(client).await {
            let frame = frame.expect("a reason");
            let code = StreamClose::from_number(u16::from(frame.code).into()).expect("a code of ours");
            assert_eq!(frame.reason.as_str(), code.text());
            return code;
        }
    }
}

pub(crate) async fn agent_side(agent: &Agent) -> Frames {
    let mut frames = agent.accept().await;
    let head: StreamHead = frames.expect(Kind::StreamHead).await;
    assert_eq!((head.purpose, head.account.as_str()), (StreamPurpose::Sealed, "ann"));
    frames
}

async fn read_exact(frames: &mut Frames, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    timeout(PATIENCE, frames.recv.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

pub(crate) fn report(reports: &Reports) -> Option<Report> {
    reports.lock().unwrap().first().copied()
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways_and_are_counted() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, reports) = serve(&world, &server).await;
    let mut client = client(addr).await;
    client.send(Message::Binary(b"hel".to_vec().into())).await.unwrap();
    client.send(Message::Binary(b"lo".to_vec().into())).await.unwrap();
    let mut frames = agent_side(&agent).await;
    assert_eq!(read_exact(&mut frames, 5).await, b"hello");
    frames.send.write_all(b"world").await.unwrap();
    let mut got = Vec::new();
    while got.len() < 5 {
        got.extend(next(&mut client).await.into_data());
    }
    assert_eq!(got, b"world");
    // The client's direction ends; the agent may still speak.
    client.send(Message::Binary(Vec::new().into())).await.unwrap();
    assert_eq!(frames.recv.read_to_end(10).await.unwrap(), b"");
    frames.send.write_all(b"bye").await.unwrap();
    frames.send.finish().unwrap();
    assert_eq!(next(&mut client).await.into_data().as_ref(), b"bye");
    assert_eq!(next(&mut client).await, Message::Binary(Vec::new().into()));
    assert_eq!(close_code(&mut client).await, StreamClose::Done);
    until(|| report(&reports).is_some()).await;
    assert_eq!(report(&reports), Some(Report { why: StreamClose::Done, bytes_to_agent: 5, bytes_to_client: 8 }));
    let counts = world.broker.counts();
    assert_eq!((counts.opened, counts.refused, counts.bytes_to_agents, counts.bytes_to_clients), (1, 0, 5, 8));
    until(|| world.registry.live(&server.agent()).unwrap().streams == 0).await;
    world.stop().await;
}

#[tokio::test]
async fn a_hundred_megabytes_arrive_in_order_whatever_the_pieces() {
    const TOTAL: usize = 32 << 20;
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, _reports) = serve(&world, &server).await;
    let mut client = client(addr).await;
    let mut frames = agent_side(&agent).await;
    let byte = |at: usize| u8::try_from((at * 7 + at / 251) % 256).unwrap();
    let writing = async {
        let mut at = 0;
        while at < TOTAL {
            let piece: Vec<u8> = (at..(at + 60_000).min(TOTAL)).map(byte).collect();
            at += piece.len();
            frames.send.write_all(&piece).await.unwrap();
        }
        frames.send.finish().unwrap();
    };
    let reading = async {
        let mut at = 0;
        loop {
            let data = next(&mut client).await.into_data();
            if data.is_empty() {
                return at;
            }
            for got in data {
                assert_eq!(got, byte(at));
                at += 1;
            }
        }
    };
    let ((), total) = tokio::join!(writing, reading);
    assert_eq!(total, TOTAL);
    world.stop().await;
}

#[tokio::test]
async fn flt_19_a_client_that_does_not_read_stops_the_agent_from_sending() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, _reports) = serve(&world, &server).await;
    let client = client(addr).await;
    let mut frames = agent_side(&agent).await;
    let mut taken = 0;
    let piece = vec![7; 64 << 10];
    while let Ok(written) = timeout(Duration::from_millis(500), frames.send.write(&piece)).await {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "nothing holds the agent up");
    }
    // One stream window here, what the kernel keeps of a TCP connection, and the peer's own send buffer.
    assert!(taken < 24 << 20, "{taken}");
    drop(client);
    world.stop().await;
}

/// Its machine is gone: nothing is answered and nobody says goodbye. One that only answers pings stays.
#[tokio::test]
async fn flt_17_a_client_that_vanished_is_let_go() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, reports) = serve(&world, &server).await;
    let vanished = client(addr).await;
    let mut frames = agent_side(&agent).await;
    let mut silent = client(addr).await;
    let _kept = agent_side(&agent).await;
    let answering = tokio::spawn(async move { while silent.next().await.is_some() {} });
    let began = Instant::now();
    let ended = timeout(Duration::from_secs(40), frames.recv.read_to_end(16)).await;
    assert!(ended.is_ok(), "the agent's stream is still open after {:?}", began.elapsed());
    until(|| !reports.lock().unwrap().is_empty()).await;
    assert_eq!(reports.lock().unwrap().len(), 1, "who answers stays");
    answering.abort();
    drop(vanished);
    world.stop().await;
}

#[tokio::test]
async fn flt_01_the_client_is_told_why_its_stream_ended() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let (addr, reports) = serve(&world, &server).await;
    let mut early = client(addr).await;
    assert_eq!(close_code(&mut early).await, StreamClose::Unreachable);

    let agent = Agent::up(&world, &server).await;
    let mut gone = client(addr).await;
    let mut refused = client(addr).await;
    let mut text = client(addr).await;
    let frames = [agent_side(&agent).await, agent_side(&agent).await, agent_side(&agent).await];
    let mut first = frames.into_iter();
    // Streams are in the order of the upgrades or not: reset one of them as a tunnel without guard does.
    let mut one = first.next().unwrap();
    one.send.reset(u32::from(StreamClose::GuardAway.number()).into()).unwrap();
    text.send(Message::Text("hello".into())).await.unwrap();
    let mut codes = Vec::new();
    for client in [&mut gone, &mut refused, &mut text] {
        let code = timeout(Duration::from_secs(1), close_code(client)).await;
        codes.extend(code.ok());
    }
    assert!(codes.contains(&StreamClose::GuardAway) || codes.contains(&StreamClose::Protocol), "{codes:?}");
    agent.peer.connection.close(0u32.into(), b"");
    until(|| reports.lock().unwrap().len() == 4).await;
    let reasons: Vec<StreamClose> = reports.lock().unwrap().iter().map(|report| report.why).collect();
    assert_eq!(reasons[0], StreamClose::Unreachable);
    assert!(reasons.contains(&StreamClose::AgentGone), "{reasons:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_agents_stream() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, reports) = serve(&world, &server).await;
    let mut client = client(addr).await;
    client.send(Message::Binary(b"last words".to_vec().into())).await.unwrap();
    let mut frames = agent_side(&agent).await;
    drop(client);
    assert_eq!(read_exact(&mut frames, 10).await, b"last words", "what was sent still arrives");
    assert!(timeout(PATIENCE, frames.recv.read_to_end(1)).await.unwrap().is_ok());
    let stopped = timeout(PATIENCE, frames.send.stopped()).await.unwrap().unwrap();
    assert!(stopped.is_some());
    until(|| report(&reports).is_some()).await;
    world.stop().await;
}

#[tokio::test]
async fn web_01_other_origins_and_protocols_are_refused_before_the_upgrade() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    let (addr, _reports) = serve(&world, &server).await;
    let ours = ("sec-websocket-protocol", "cloud-doctor.v1");
    let status = async |headers: &[(&'static str, &str)]| match dial(addr, headers).await {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    };
    assert_eq!(status(&[ours, ("origin", "https://evil.example")]).await, 403);
    assert_eq!(status(&[]).await, 400);
    assert_eq!(status(&[("sec-websocket-protocol", "chat")]).await, 400);
    assert_eq!(status(&[ours, ("origin", "https://relay.example")]).await, 101);
    assert_eq!(world.broker.counts().opened, 1);
    drop(agent);
    world.stop().await;
}

#[tokio::test]
async fn h_12_thirty_opens_a_minute_and_engineer() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let _agent = Agent::up(&world, &server).await;
    let now = Instant::now();
    let open = async |account: &str, now| world.broker.open(&server.agent(), &stream_head(account), now).await;
    for _ in 0..30 {
        drop(open("ann", now).await.unwrap());
    }
    assert_eq!(open("ann", now).await.unwrap_err(), BrokerError::TooMany);
    drop(open("bob", now).await.unwrap());
    drop(open("ann", now + Duration::from_secs(2)).await.unwrap());
    assert_eq!(open("ann", now + Duration::from_secs(2)).await.unwrap_err(), BrokerError::TooMany);
    assert_eq!(world.broker.counts().refused, 2);
    world.stop().await;
}

#[tokio::test]
async fn qui_06_sixty_four_streams_to_one_agent_and_then_no_room() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let trust = world.log().await.head();
    let mut generous = TransportConfig::default();
    generous.max_concurrent_bidi_streams(1000u32.into());
    let _agent = Agent::up_with(&world, &server, trust, generous).await;
    let mut open = Vec::new();
    for index in 0..64 {
        let account = format!("account-{}", index / 20);
        open.push(world.broker.open(&server.agent(), &stream_head(&account), clock::instant()).await.unwrap());
    }
    let another = async || world.broker.open(&server.agent(), &stream_head("zoe"), clock::instant()).await;
    assert_eq!(another().await.unwrap_err(), BrokerError::Busy);
    assert_eq!(world.registry.live(&server.agent()).unwrap().streams, 64);
    drop(open.pop());
    another().await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn an_agent_without_credit_is_busy_and_not_waited_for() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let trust = world.log().await.head();
    let mut stingy = TransportConfig::default();
    stingy.max_concurrent_bidi_streams(1u32.into());
    let _agent = Agent::up_with(&world, &server, trust, stingy).await;
    let _first = world.open(&server).await;
    let began = Instant::now();
    let second = world.broker.open(&server.agent(), &stream_head("ann"), clock::instant()).await;
    assert_eq!(second.unwrap_err(), BrokerError::Busy);
    assert!(began.elapsed() < Duration::from_secs(4));
    world.stop().await;
}
