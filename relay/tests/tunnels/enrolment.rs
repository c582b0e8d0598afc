//! First contact and leaving.

use crate::peer::{Agent, Frames, Peer};
use crate::world::{SECRET, Server, USES, World};
use cloud_doctor_proto::close::TunnelClose;
use cloud_doctor_proto::control::{
    EnrolBegin, EnrolCommit, EnrolDone, EnrolLog, EnrolRefusal, HostFacts, TransportBinding, Unenrol,
};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::limits::{ALPN_ENROL, ALPN_TUNNEL};
use cloud_doctor_proto::trust::TrustLog;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::{Actor, EnrolTokenId};
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;
use std::time::{Duration, Instant};

const WHO: Actor<'static> = Actor { account: "root", client: "test" };

/// A host on its way in.
struct Host<'a> {
    world: &'a World,
    server: Server,
    _peer: Peer,
    talk: Frames,
}

impl<'a> Host<'a> {
    async fn begin(world: &'a World, seed: u8, secret: [u8; 32]) -> Self {
        let server = Server::new(seed, world.tenant_id);
        let peer = Peer::connect(world, &server.transport, ALPN_ENROL).await.unwrap();
        let mut talk = peer.open().await;
        talk.say(Kind::EnrolBegin, &EnrolBegin { secret, host: HostFacts::default() }).await;
        Self { world, server, _peer: peer, talk }
    }

    async fn log(&mut self, mut entries: Vec<ByteBuf>) -> TrustLog {
        loop {
            let page: EnrolLog = self.talk.expect(Kind::EnrolLog).await;
            assert_eq!((page.tenant, page.from), (self.world.tenant_id, entries.len() as u64));
            entries.extend(page.entries);
            if !page.more {
                return TrustLog::replay(&entries, Some(self.world.tenant_id)).unwrap();
            }
        }
    }

    fn binding(&self) -> TransportBinding {
        TransportBinding::sign(&self.server.identity, self.server.transport_key(), self.world.tenant_id)
    }

    async fn commit(&mut self, log: &TrustLog, name: &str) {
        let entry = ByteBuf::from(self.server.entry(log, &self.world.batch, name).to_bytes());
        let binding = self.binding();
        self.talk.say(Kind::EnrolCommit, &EnrolCommit { entry, binding }).await;
    }

    async fn refused(&mut self) -> Option<EnrolRefusal> {
        self.talk.expect::<EnrolDone>(Kind::EnrolDone).await.refused
    }

    async fn enrol(&mut self, name: &str) -> Option<EnrolRefusal> {
        let log = self.log(Vec::new()).await;
        self.commit(&log, name).await;
        self.refused().await
    }
}

#[tokio::test]
async fn enr_01_a_token_enrols_and_the_tunnel_works_at_once() {
    let world = World::new().await;
    let mut host = Host::begin(&world, 1, SECRET).await;
    assert_eq!(host.enrol("web-1").await, None);
    let row = world.store.agent_by_transport_key(&host.server.transport_key()).await.unwrap().unwrap();
    assert_eq!((row.agent, row.name.as_str()), (host.server.agent(), "web-1"));
    assert!(world.log().await.agents.contains_key(&host.server.agent()));
    Agent::up(&world, &host.server).await;
    world.stop().await;
}

#[tokio::test]
async fn enr_01_a_token_for_one_used_by_two_at_once_enrols_exactly_one() {
    let world = World::new().await;
    world.token([9; 32], 1, clock::now().plus_secs(60)).await;
    let mut first = Host::begin(&world, 1, [9; 32]).await;
    let mut second = Host::begin(&world, 2, [9; 32]).await;
    let (log, other) = (first.log(Vec::new()).await, second.log(Vec::new()).await);
    first.commit(&log, "one").await;
    second.commit(&other, "two").await;
    let results = [first.refused().await, second.refused().await];
    assert!(results.contains(&None) && results.contains(&Some(EnrolRefusal::Token)), "{results:?}");
    assert_eq!(world.log().await.agents.len(), 1);
    let actions = async || {
        let events = world.store.of(world.tenant).audit_rows(0, 1000).await.unwrap();
        events.into_iter().filter(|event| event.action.contains("enrol")).map(|e| e.action).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + crate::world::PATIENCE;
    while !actions().await.iter().any(|action| action.contains("refused")) {
        assert!(Instant::now() < deadline, "the audit names the loser: {:?}", actions().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn enr_01_hosts_that_overtake_each_other_all_get_in() {
    let world = World::new().await;
    let mut hosts = Vec::new();
    for seed in 1..=8 {
        hosts.push(Host::begin(&world, seed, SECRET).await);
    }
    let mut logs = Vec::new();
    for host in &mut hosts {
        logs.push(host.log(Vec::new()).await);
    }
    for (host, log) in hosts.iter_mut().zip(&logs) {
        host.commit(log, "web").await;
    }
    // All but the first are told of newer entries and sign again.
    for (host, log) in hosts.iter_mut().zip(&logs) {
        let mut entries = log.entries_from(0, 1000);
        loop {
            let frame = host.talk.hear().await.unwrap();
            if frame.kind == Kind::EnrolDone {
                let done: EnrolDone = cloud_doctor_proto::pack::from_bytes(&frame.body, 1000).unwrap();
                assert_eq!(done.refused, None);
                break;
            }
            let page: EnrolLog = cloud_doctor_proto::pack::from_bytes(&frame.body, 1 << 20).unwrap();
            assert_eq!(page.from, entries.len() as u64);
            entries.extend(page.entries);
            let newer = TrustLog::replay(&entries, Some(world.tenant_id)).unwrap();
            host.commit(&newer, "web").await;
        }
    }
    assert_eq!(world.log().await.agents.len(), 8);
    world.stop().await;
}

#[tokio::test]
async fn enr_02_every_token_that_does_not_count_gets_the_same_answer_in_the_same_time() {
    let world = World::new().await;
    let now = clock::now();
    world.token([1; 32], 5, cloud_doctor_proto::time::UnixTime(now.0 - 1)).await;
    let revoked: EnrolTokenId = world.token([2; 32], 5, now.plus_secs(60)).await;
    assert!(world.store.of(world.tenant).revoke_enrol_token(revoked, WHO, now).await.unwrap());
    world.token([3; 32], 1, now.plus_secs(60)).await;
    assert_eq!(Host::begin(&world, 1, [3; 32]).await.enrol("web").await, None);
    let mut times = Vec::new();
    for secret in [[1; 32], [2; 32], [3; 32], [4; 32]] {
        let mut best = Duration::MAX;
        for seed in 50..55 {
            let server = Server::new(seed, world.tenant_id);
            let peer = Peer::connect(&world, &server.transport, ALPN_ENROL).await.unwrap();
            let mut talk = peer.open().await;
            let began = Instant::now();
            talk.say(Kind::EnrolBegin, &EnrolBegin { secret, host: HostFacts::default() }).await;
            let frame = talk.hear().await.unwrap();
            best = best.min(began.elapsed());
            assert_eq!(
                frame.body,
                cloud_doctor_proto::pack::to_bytes(&EnrolDone { refused: Some(EnrolRefusal::Token) })
            );
            // Twenty are allowed at once from one address.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        times.push(best);
    }
    let spread = *times.iter().max().unwrap() - *times.iter().min().unwrap();
    assert!(spread <= Duration::from_millis(20), "{times:?}");
    world.stop().await;
}

#[tokio::test]
async fn enr_03_only_an_entry_of_ones_own_is_taken() {
    let world = World::new().await;
    let before = world.log().await.head();
    let names = ["", &"x".repeat(10_000), "a\nb", "a\0b"];
    for name in names {
        let mut host = Host::begin(&world, 1, SECRET).await;
        assert_eq!(host.enrol(name).await, Some(EnrolRefusal::Entry), "{name:.20}");
    }
    let other = Server::new(7, world.tenant_id);
    let foreign = SigningKey::from_bytes(&[8; 32]);
    for row in 0..4 {
        let mut host = Host::begin(&world, 1, SECRET).await;
        let log = host.log(Vec::new()).await;
        let mut entry = host.server.entry(&log, &world.batch, "web").to_bytes();
        let mut binding = host.binding();
        match row {
            0 => entry = other.entry(&log, &world.batch, "web").to_bytes(),
            1 => entry = host.server.entry(&log, &foreign, "web").to_bytes(),
            2 => binding = TransportBinding::sign(&host.server.identity, other.transport_key(), world.tenant_id),
            _ => *entry.last_mut().unwrap() ^= 1,
        }
        host.talk.say(Kind::EnrolCommit, &EnrolCommit { entry: ByteBuf::from(entry), binding }).await;
        assert_eq!(host.refused().await, Some(EnrolRefusal::Entry), "row {row}");
    }
    assert_eq!(world.log().await.head(), before);
    let uses = world.store.of(world.tenant).enrol_tokens().await.unwrap()[0].uses;
    assert_eq!(uses, 0, "of {USES}: a refused entry uses nothing up");
    world.stop().await;
}

#[tokio::test]
async fn enr_04_a_flood_from_one_address_is_limited() {
    let world = World::new().await;
    let mut limited = 0;
    for seed in 0..40 {
        let mut host = Host::begin(&world, seed, [0xee; 32]).await;
        match host.refused().await {
            Some(EnrolRefusal::Token) => {}
            Some(EnrolRefusal::Limited) => limited += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(limited > 0, "40 at once, 20 per second");
    world.stop().await;
}

#[tokio::test]
async fn enr_08_an_enrolled_server_is_not_taken_over() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let agent = Agent::up(&world, &server).await;
    // The same identity from another machine with a fresh token.
    let mut thief = Host::begin(&world, 2, SECRET).await;
    thief.server.identity = server.identity.clone();
    assert_eq!(thief.enrol("web").await, Some(EnrolRefusal::Entry));
    assert!(world.registry.live(&server.agent()).is_some());
    assert!(agent.peer.connection.close_reason().is_none());
    world.stop().await;
}

#[tokio::test]
async fn enr_06_garbage_and_silence_on_the_enrolment_protocol_change_nothing() {
    let world = World::new().await;
    let before = world.log().await.head();
    for bytes in [&[0xff; 64][..], &[0, 0, 0, 1, 0, 6, 0, 0], &cloud_doctor_proto::frame::encode(Kind::Hello, &[])] {
        let server = Server::new(1, world.tenant_id);
        let peer = Peer::connect(&world, &server.transport, ALPN_ENROL).await.unwrap();
        let mut talk = peer.open().await;
        talk.send.write_all(bytes).await.unwrap();
        assert_eq!(peer.closed().await, TunnelClose::Protocol);
    }
    assert_eq!(world.log().await.head(), before);
    world.stop().await;
}

#[tokio::test]
async fn enr_09_a_server_leaves_by_its_own_word_only() {
    let world = World::new().await;
    let (server, other) = (world.enrolled(1).await, world.enrolled(2).await);
    let agent = Agent::up(&world, &server).await;
    let leave = async |server: &Server, leave: Unenrol| {
        let peer = Peer::connect(&world, &server.transport, ALPN_ENROL).await.unwrap();
        let mut talk = peer.open().await;
        talk.say(Kind::Unenrol, &leave).await;
        talk.expect::<EnrolDone>(Kind::EnrolDone).await.refused
    };
    assert_eq!(leave(&other, Unenrol::sign(&server.identity)).await, Some(EnrolRefusal::Entry));
    let mut forged = Unenrol::sign(&other.identity);
    forged.identity = Unenrol::sign(&server.identity).identity;
    assert_eq!(leave(&server, forged).await, Some(EnrolRefusal::Entry));
    assert!(world.registry.live(&server.agent()).is_some());
    assert_eq!(leave(&server, Unenrol::sign(&server.identity)).await, None);
    assert_eq!(agent.peer.closed().await, TunnelClose::Removed);
    let again = Peer::connect(&world, &server.transport, ALPN_TUNNEL).await.unwrap();
    assert_eq!(again.closed().await, TunnelClose::NotEnrolled);
    world.stop().await;
}
