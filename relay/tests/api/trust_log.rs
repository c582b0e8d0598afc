//! The trust log as clients read and extend it.

use crate::customer::Customer;
use crate::world::{World, base64, unbase64};
use cloud_doctor_proto::trust::TrustLog;
use serde_json::json;

#[tokio::test]
async fn a_log_grows_entry_by_entry_and_only_at_its_head() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(20);
    let post = |bytes: String| {
        let (world, ann) = (&world, &ann);
        async move { world.call("POST", "/api/v1/trust-log", Some(ann), Some(json!({"entry": bytes}))).await }
    };
    let entries = customer.new_entries();
    assert_eq!(post(base64(b"junk")).await.problem(), "entry-refused");
    assert_eq!(post(entries[1].clone()).await.problem(), "entry-refused", "the first entry must be a genesis");
    assert_eq!(post(entries[0].clone()).await.ok()["head"]["seq"], 0);
    assert_eq!(post(entries[0].clone()).await.problem(), "head-moved");
    assert_eq!(post(entries[1].clone()).await.ok()["head"]["seq"], 1);
    let (one, other) = (customer.engineer(50), customer.engineer(51));
    assert_eq!(post(base64(&one)).await.status, 201);
    let late = post(base64(&other)).await;
    assert_eq!(late.problem(), "head-moved");
    assert_eq!(late.json()["head"]["seq"], 2);
    let page = world.get("/api/v1/trust-log", &ann).await;
    let stored: Vec<Vec<u8>> = page["entries"].as_array().unwrap().iter().map(unbase64).collect();
    let log = TrustLog::replay(&stored, Some(customer.log.tenant())).unwrap();
    assert_eq!(page["tenant"], customer.log.tenant().to_string());
    assert_eq!(page["head"]["hash"], log.head().hash.to_string());
    assert_eq!(world.get("/api/v1/trust-log?from=2", &ann).await["entries"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/api/v1/trust-log?from=3", &ann).await["entries"].as_array().unwrap().len(), 0);
    assert_eq!(world.get("/api/v1/me", &ann).await["tenant"]["id"], customer.log.tenant().to_string());
    world.stop().await;
}

#[tokio::test]
async fn r_15_a_replaced_root_appends_nothing_any_more() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(80);
    let post = |bytes: String| {
        let (world, ann) = (&world, &ann);
        async move { world.call("POST", "/api/v1/trust-log", Some(ann), Some(json!({"entry": bytes}))).await }
    };
    for entry in customer.new_entries() {
        post(entry).await.ok();
    }
    let recovered = customer.recover(85);
    let overtaken = customer.engineer(50);
    assert_eq!(post(base64(&recovered)).await.status, 201);
    assert_eq!(post(base64(&recovered)).await.problem(), "head-moved", "replayed");
    assert_eq!(post(base64(&overtaken)).await.problem(), "head-moved", "what the old root signed before");
    customer.log.append(&recovered).unwrap();
    assert_eq!(post(base64(&customer.engineer(50))).await.problem(), "entry-refused");
    world.stop().await;
}

#[tokio::test]
async fn every_changed_bit_of_an_entry_is_refused() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(30);
    for entry in customer.new_entries() {
        world.call("POST", "/api/v1/trust-log", Some(&ann), Some(json!({"entry": entry}))).await.ok();
    }
    let good = customer.engineer(50);
    for at in (0..good.len()).step_by(5) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        let answer = world.call("POST", "/api/v1/trust-log", Some(&ann), Some(json!({"entry": base64(&bad)}))).await;
        assert!([409, 422].contains(&answer.status), "byte {at}: {answer:?}");
    }
    assert_eq!(world.get("/api/v1/trust-log", &ann).await["head"]["seq"], 1);
    world.stop().await;
}

#[tokio::test]
async fn one_log_belongs_to_one_customer_of_a_relay() {
    let (world, ann) = World::with_ann().await;
    let bob = world.add_bob().await;
    let genesis = Customer::new(40).new_entries()[0].clone();
    let body = json!({"entry": genesis});
    world.call("POST", "/api/v1/trust-log", Some(&ann), Some(body.clone())).await.ok();
    assert_eq!(world.call("POST", "/api/v1/trust-log", Some(&bob), Some(body)).await.problem(), "other-tenant");
    world.stop().await;
}

#[tokio::test]
async fn removing_a_server_in_the_log_takes_it_off_the_list() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(60);
    let agent = world.add_server(&ann, &mut customer).await;
    let servers = world.get("/api/v1/servers", &ann).await;
    assert_eq!(servers["servers"][0]["id"], agent.to_string());
    assert_eq!(servers["servers"][0]["hostname"], "web-1.example");
    assert!(servers["servers"][0]["online"].is_null());
    let entry = json!({"entry": base64(&customer.remove_agent(agent))});
    world.call("POST", "/api/v1/trust-log", Some(&ann), Some(entry)).await.ok();
    assert_eq!(world.get("/api/v1/servers", &ann).await, json!({"servers": []}));
    world.stop().await;
}
