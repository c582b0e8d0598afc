//! New trust-log entries reach connected agents at once, page by page.

use crate::peer::{Agent, head};
use crate::world::World;
use cloud_doctor_proto::control::{TrustHead, TrustUpdate};
use cloud_doctor_proto::frame::Kind;
use cloud_doctor_proto::limits::ENTRIES_PAGE;
use quinn::TransportConfig;
use std::time::Duration;

#[tokio::test]
async fn r_13_an_agent_behind_gets_every_entry_and_then_each_new_one() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    for seed in 0..120 {
        world.add_engineer(seed + 10).await;
    }
    let newest = world.log().await.head();
    let mut agent = Agent::up_with(&world, &server, head(0), TransportConfig::default()).await;
    let mut log = cloud_doctor_proto::trust::TrustLog::genesis(
        &world.store.of(world.tenant).log_entries(0, 1).await.unwrap()[0],
        Some(world.tenant_id),
    )
    .unwrap();
    while log.head() != newest {
        let update: TrustUpdate = agent.control.expect(Kind::TrustUpdate).await;
        assert!(update.entries.len() <= ENTRIES_PAGE);
        for entry in &update.entries {
            log.append(entry).unwrap();
        }
        agent.control.say(Kind::TrustHead, &log.head()).await;
    }
    let grown = world.add_engineer(200).await;
    let update: TrustUpdate = agent.control.expect(Kind::TrustUpdate).await;
    log.append(&update.entries[0]).unwrap();
    assert_eq!(log.head(), grown);
    world.stop().await;
}

/// Growth while an answer is awaited counts, whichever of the two the relay sees first.
#[tokio::test]
async fn r_13_an_agent_that_refuses_is_asked_for_what_came_meanwhile() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let stuck = world.log().await.head();
    let mut agent = Agent::up_with(&world, &server, stuck, TransportConfig::default()).await;
    world.add_engineer(20).await;
    let first: TrustUpdate = agent.control.expect(Kind::TrustUpdate).await;
    world.add_engineer(21).await;
    // The relay has seen the growth before it hears the refusal.
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent.control.say(Kind::TrustHead, &TrustHead { ..stuck }).await;
    let second: TrustUpdate = agent.control.expect(Kind::TrustUpdate).await;
    assert!(second.entries.len() > first.entries.len());
    world.stop().await;
}

#[tokio::test]
async fn r_13_an_agent_that_refuses_is_asked_again_only_when_the_log_grows() {
    let world = World::new().await;
    let server = world.enrolled(1).await;
    let stuck = world.log().await.head();
    let mut agent = Agent::up_with(&world, &server, stuck, TransportConfig::default()).await;
    for _ in 0..3 {
        world.add_engineer(20).await;
        let update: TrustUpdate = agent.control.expect(Kind::TrustUpdate).await;
        assert!(!update.entries.is_empty());
        agent.control.say(Kind::TrustHead, &TrustHead { ..stuck }).await;
    }
    world.stop().await;
}
