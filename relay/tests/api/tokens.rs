//! Enrolment tokens as admins make and revoke them.

use crate::world::{World, unbase64};
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::TokenRefused;
use serde_json::json;
use sha2::{Digest as _, Sha256};

#[tokio::test]
async fn enr_02_tokens_expire_are_revoked_and_stay_within_their_limits() {
    let (world, ann) = World::with_ann().await;
    let make = |body| {
        let (world, ann) = (&world, &ann);
        async move { world.call("POST", "/api/v1/enrolment-tokens", Some(ann), Some(body)).await }
    };
    for bad in [
        json!({"label": "x", "valid_secs": 0, "uses": 1}),
        json!({"label": "x", "valid_secs": 700_000, "uses": 1}),
        json!({"label": "x", "valid_secs": 60, "uses": 0}),
        json!({"label": "x", "valid_secs": 60, "uses": 20_000}),
        json!({"label": "x", "valid_secs": 60}),
        json!({"label": "x", "valid_secs": "60", "uses": 1}),
    ] {
        assert_eq!(make(bad.clone()).await.problem(), "bad-request", "{bad}");
    }
    let made = make(json!({"label": "rack 7", "valid_secs": 60, "uses": 3})).await.ok();
    assert!(made["agents"].as_str().unwrap().starts_with("quic://127.0.0.1:"), "{made}");
    assert_eq!(made["agents_pin"], world.running.bound().agent_pins[0].to_string());
    let hash: [u8; 32] = Sha256::digest(unbase64(&made["secret"])).into();
    let store = world.store().await;
    let now = clock::now();
    store.enrol_token_tenant(&hash, now).await.unwrap();
    let late = store.enrol_token_tenant(&hash, now.plus_secs(61)).await;
    assert!(matches!(late, Err(TokenRefused::Expired(_))), "{late:?}");
    let path = format!("/api/v1/enrolment-tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(world.call("DELETE", &path, Some(&ann), None).await.status, 204);
    assert_eq!(world.call("DELETE", &path, Some(&ann), None).await.problem(), "unknown");
    assert!(matches!(store.enrol_token_tenant(&hash, now).await, Err(TokenRefused::Revoked(_))));
    assert!(matches!(store.enrol_token_tenant(&[0; 32], now).await, Err(TokenRefused::Unknown)));
    let listed = world.get("/api/v1/enrolment-tokens", &ann).await;
    assert_eq!((&listed["tokens"][0]["label"], &listed["tokens"][0]["revoked"]), (&json!("rack 7"), &json!(true)));
    store.close().await;
    world.stop().await;
}
