//! Who may have a tunnel: keys, bindings, protocols.

use crate::peer::{Agent, Peer, Shows, connect_with, head, hello, tls, tls_with};
use crate::weak::{WEAK_GROUPS, provider};
use crate::world::{Server, World};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{HelloAck, TransportBinding};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::ids::TenantId;
use cloud_doctor_proto::limits::{ALPN_ENROL, ALPN_TUNNEL};
use cloud_doctor_proto::time::UnixTime;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::Actor;
use ed25519_dalek::SigningKey;
use quinn::{ConnectionError, TransportConfig};
use rcgen::{CertificateParams, KeyPair};

#[tokio::test]
async fn tls_01_an_enrolled_key_gets_a_tunnel_and_facts_are_kept() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    assert_eq!(agent.ack.proto, 1);
    let live = world.registry.live(&server.agent()).unwrap();
    assert_eq!((live.tenant, live.streams), (world.tenant_id, 0));
    assert_eq!(world.registry.count(), 1);
    let row = world.store.of(world.tenant).agent(&server.agent()).await.unwrap().unwrap();
    assert_eq!((row.host.hostname.as_str(), row.build.as_str()), ("web-1", "test 1"));
    let booted_at = Some(UnixTime(1_800_000_000));
    assert_eq!((row.host.cpus, row.host.booted_at), (Some(8), booted_at));
    assert_eq!(row.host.memory_bytes, Some(u64::MAX / 2), "a stranger's number, cut to what is kept");
    drop(agent);
    world.until_live(&server.agent(), false).await;
    // The same start, as a clock that was set in between tells it; and another start.
    for (told, kept) in [(1_800_000_059, 1_800_000_000), (1_800_000_090, 1_800_000_090)] {
        let peer = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
        let mut hello = hello(&server, head(0));
        hello.host.booted_at = Some(UnixTime(told));
        let mut control = peer.open().await;
        control.say(Kind::Hello, &hello).await;
        control.expect::<HelloAck>(Kind::HelloAck).await;
        let row = world.store.of(world.tenant).agent(&server.agent()).await.unwrap().unwrap();
        assert_eq!(row.host.booted_at, Some(UnixTime(kept)));
        drop((control, peer));
        world.until_live(&server.agent(), false).await;
    }
    world.until_live(&server.agent(), false).await;
    assert_eq!(world.registry.count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn tls_01_strangers_are_closed_before_any_byte_of_ours() {
    let world = World::new().await;
    let stranger = SigningKey::from_bytes(&[9; 32]);
    let peer = Peer::connect(&world, &stranger, ALPN_TUNNEL).await.unwrap();
    assert_eq!(peer.closed().await, TunnelClose::NotEnrolled);
    assert_eq!(peer.connection.stats().frame_rx.stream, 0, "no application byte");
    world.stop().await;
}

#[tokio::test]
async fn tls_01_other_credentials_fail_the_handshake() {
    let world = World::new().await;
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut expired = CertificateParams::new(vec!["web".into()]).unwrap();
    expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let certificate = |params: CertificateParams| params.self_signed(&pair).unwrap().der().clone();
    let good = certificate(CertificateParams::new(vec!["web".into()]).unwrap());
    let ecdsa = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let pkcs8 = pair.serialize_der();
    let rows = [
        ("nothing", Shows::Nothing),
        ("a self-signed certificate", Shows::Chain(vec![good.clone()], pkcs8.clone())),
        ("an expired one", Shows::Chain(vec![certificate(expired)], pkcs8.clone())),
        ("a chain of fifty (TLS-02)", Shows::Chain(vec![good; 50], pkcs8)),
        ("an ECDSA raw key", Shows::Raw(rcgen::PublicKeyData::subject_public_key_info(&ecdsa), ecdsa.serialize_der())),
    ];
    for (what, shows) in rows {
        let tls = tls(world.pins, &shows, &[ALPN_TUNNEL]);
        // A client of TLS 1.3 is done before the server has seen its key: then the connection ends right after.
        let error = match connect_with(tls, TransportConfig::default(), world.addr).await {
            Err(error) => error,
            Ok((_endpoint, connection)) => {
                let error = tokio::time::timeout(crate::world::PATIENCE, connection.closed()).await.unwrap();
                assert_eq!(connection.stats().frame_rx.stream, 0, "{what}");
                error
            }
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other end fails the test")]
        let by_tls = match &error {
            ConnectionError::ConnectionClosed(close) => u64::from(close.error_code) & 0x100 != 0,
            ConnectionError::TransportError(error) => u64::from(error.code) & 0x100 != 0,
            _ => false,
        };
        assert!(by_tls, "{what}: {error:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn tls_02_weak_groups_and_long_chains_end_the_handshake() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    for groups in WEAK_GROUPS {
        let tls = tls_with(provider(groups), world.pins, &Shows::key(&server.transport), &[ALPN_TUNNEL]);
        let error = connect_with(tls, TransportConfig::default(), world.addr).await.expect_err("no handshake");
        // CRYPTO_ERROR with the alert handshake_failure.
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other end fails the test")]
        let code = match &error {
            ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
            _ => 0,
        };
        assert_eq!(code, 0x128, "{groups:?}: {error:?}");
    }
    // 64 KiB and more of certificates, in front of a key that is known.
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let names: Vec<String> = (0..200).map(|number| format!("a-name-that-takes-some-room-{number}.example")).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&pair).unwrap().der().clone();
    assert!(certificate.len() > 8 << 10);
    let tls = tls(world.pins, &Shows::Chain(vec![certificate; 10], pair.serialize_der()), &[ALPN_TUNNEL]);
    if let Ok((_endpoint, connection)) = connect_with(tls, TransportConfig::default(), world.addr).await {
        tokio::time::timeout(crate::world::PATIENCE, connection.closed()).await.unwrap();
        assert_eq!(connection.stats().frame_rx.stream, 0);
    }
    drop(Agent::up(&world, &server).await);
    world.stop().await;
}

#[tokio::test]
async fn tls_04_a_removed_server_loses_its_live_tunnel_and_stays_out() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let other = world.enrolled(2).await;
    let agent = Agent::up(&world, &server).await;
    let _other = Agent::up(&world, &other).await;
    let who = Actor { account: "root", client: "test" };
    assert!(world.store.of(world.tenant).remove_agent(&server.agent(), who, clock::now()).await.unwrap());
    world.registry.remove(&server.agent());
    assert_eq!(agent.peer.closed().await, TunnelClose::Removed);
    let again = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
    assert_eq!(again.closed().await, TunnelClose::NotEnrolled);
    assert!(world.registry.live(&other.agent()).is_some(), "nobody else is concerned");
    world.stop().await;
}

#[tokio::test]
async fn tls_06_nothing_is_resumed_and_early_data_has_no_way_in() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let tls = tls(world.pins, &Shows::key(&server.transport), &[ALPN_TUNNEL]);
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(crypto));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    for _ in 0..3 {
        let connecting = endpoint.connect_with(config.clone(), world.addr, "relay.invalid").unwrap();
        let Err(connecting) = connecting.into_0rtt() else { panic!("the relay handed out a ticket") };
        let connection = connecting.await.unwrap();
        let peer = connection.peer_identity().unwrap();
        assert!(peer.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().is_ok());
        // Tickets would come in the first flight after the handshake, together with the first acknowledgement.
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        crate::world::until(|| connection.stats().frame_rx.acks > 2).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn tls_07_other_protocols_are_refused_in_the_handshake() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    for alpn in [&b"h3"[..], b"http/1.1", b"cloud-doctor/2", b"cloud-doctor/10"] {
        let error = Peer::connect(&world, &server.transport, alpn).await.err().expect("refused");
        assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{error:?}");
    }
    let none = tls(world.pins, &Shows::key(&server.transport), &[]);
    match connect_with(none, TransportConfig::default(), world.addr).await {
        Err(_) => {}
        Ok((_endpoint, connection)) => drop(connection.closed().await),
    }
    assert_eq!(world.registry.count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn tls_08_silence_and_dripping_end_at_the_deadline() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let silent = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
    let dripping = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
    let unsure = Peer::connect(&world, &SigningKey::from_bytes(&[8; 32]), ALPN_ENROL).await.unwrap();
    let mut control = dripping.open().await;
    let drip = async {
        let mut bytes = cloud_doctor_proto::frame::message(Kind::Hello, &hello(&server, head(0))).into_iter();
        while control.send.write_all(&[bytes.next().unwrap()]).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let (a, b, c, ()) = tokio::join!(silent.closed(), dripping.closed(), unsure.closed(), drip);
    assert_eq!([a, b, c], [TunnelClose::Protocol; 3]);
    world.stop().await;
}

#[tokio::test]
async fn tls_01_a_binding_for_another_key_agent_or_customer_is_refused() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let other = world.enrolled(2).await;
    let trust = world.log().await.head();
    let mut flipped = hello(&server, trust).binding;
    flipped.signature[3] ^= 1;
    let rows = [
        (TransportBinding::sign(&server.identity, other.transport_key(), world.tenant_id), TunnelClose::NotEnrolled),
        (TransportBinding::sign(&other.identity, server.transport_key(), world.tenant_id), TunnelClose::NotEnrolled),
        (TransportBinding::sign(&server.identity, server.transport_key(), TenantId([3; 32])), TunnelClose::NotEnrolled),
        (flipped, TunnelClose::Protocol),
    ];
    for (binding, expected) in rows {
        let peer = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
        let mut control = peer.open().await;
        control.say(Kind::Hello, &cloud_doctor_proto::control::Hello { binding, ..hello(&server, trust) }).await;
        assert_eq!(peer.closed().await, expected);
        assert!(world.registry.live(&server.agent()).is_none());
    }
    world.stop().await;
}

#[tokio::test]
async fn r_11_no_common_version_is_said_and_a_newer_agent_is_met() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let trust = world.log().await.head();
    let greet = async |proto_min, proto_max| {
        let peer = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
        let mut control = peer.open().await;
        let hello = cloud_doctor_proto::control::Hello { proto_min, proto_max, ..hello(&server, trust) };
        control.say(Kind::Hello, &hello).await;
        (peer, control)
    };
    assert_eq!(greet(7, 9).await.0.closed().await, TunnelClose::Version);
    let (_peer, mut control) = greet(1, 9).await;
    let ack: HelloAck = control.expect(Kind::HelloAck).await;
    assert_eq!(ack.proto, 1);
    world.stop().await;
}

#[tokio::test]
async fn dos_08_a_key_that_reconnects_all_the_time_is_told_to_wait() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let other = world.enrolled(2).await;
    let mut refused = 0;
    for _ in 0..15 {
        let peer = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
        let mut control = peer.open().await;
        control.say(Kind::Hello, &hello(&server, head(0))).await;
        match control.hear().await {
            Some(_) => {}
            None => {
                assert_eq!(peer.closed().await, TunnelClose::TooOften);
                refused += 1;
            }
        }
    }
    assert!((3..=5).contains(&refused), "{refused} of 15");
    Agent::up(&world, &other).await;
    world.stop().await;
}

#[tokio::test]
async fn cod_06_a_control_stream_that_begins_or_goes_on_wrongly_ends_the_tunnel() {
    let world = World::new().await;
    let server = Server::new(1, world.tenant_id);
    let first = world.enrolled(1).await;
    let rows: [&[u8]; 4] = [
        &cloud_doctor_proto::frame::encode(Kind::Ping, &[]),
        &cloud_doctor_proto::frame::encode(Kind::Hello, b"not a map"),
        &[0xff; 16],
        &[0, 2, 0, 0, 0, 1, 0],
    ];
    for bytes in rows {
        let peer = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
        let mut control = peer.open().await;
        control.send.write_all(bytes).await.unwrap();
        assert_eq!(peer.closed().await, TunnelClose::Protocol);
    }
    let mut agent = Agent::up(&world, &first).await;
    agent.control.send.write_all(&cloud_doctor_proto::frame::encode(Kind::Ping, &[])).await.unwrap();
    agent.control.send.write_all(&[0, 0, 0, 3, 0x7f, 0xff, 0, 1, 2, 3]).await.unwrap();
    agent.control.send.write_all(&cloud_doctor_proto::frame::encode(Kind::TrustHead, b"junk")).await.unwrap();
    assert_eq!(agent.peer.closed().await, TunnelClose::Protocol);
    world.stop().await;
}
