//! Grants that wait for a second signature.

use crate::customer::{Customer, sshsig};
use crate::world::{PASSWORD, World, base64};
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_SECOND};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_second_signature_reaches_who_waits_for_it_at_once() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(10);
    customer.add_approver(70);
    let server = world.add_server(&ann, &mut customer).await.to_string();
    let eve = json!({"name": "eve", "password": PASSWORD, "role": "member"});
    world.call("POST", "/api/v1/accounts", Some(&ann), Some(eve)).await.ok();
    let eve = world.sign_in("eve", PASSWORD).await;
    let ask = json!({"server": server, "grant": base64(b"grant"), "signature": base64(b"first"),
        "challenge": base64(b"challenge"), "valid_secs": 60});
    let made = world.call("POST", "/api/v1/approvals", Some(&ann), Some(ask)).await.ok();
    let path = format!("/api/v1/approvals/{}", made["id"].as_str().unwrap());
    let listed = world.get("/api/v1/approvals", &eve).await;
    assert_eq!(listed["approvals"][0]["grant"], base64(b"grant"));
    assert_eq!(listed["approvals"][0]["account"], "ann");
    assert!(world.get(&path, &ann).await["second"].is_null());

    let began = Instant::now();
    let waiting = format!("{path}?wait=25");
    let signing = format!("{path}/signature");
    let good = base64(&sshsig(70, NAMESPACE_SECOND, b"grant"));
    for junk in [
        base64(b"junk"),
        base64(&sshsig(71, NAMESPACE_SECOND, b"grant")),
        base64(&sshsig(70, NAMESPACE_GRANT, b"grant")),
        base64(&sshsig(70, NAMESPACE_SECOND, b"another grant")),
    ] {
        let refused = world.call("POST", &signing, Some(&ann), Some(json!({"signature": junk}))).await;
        assert_eq!(refused.problem(), "not-second", "junk takes nobody's place");
    }
    let second = json!({"signature": good});
    let sign = async {
        tokio::task::yield_now().await;
        world.call("POST", &signing, Some(&eve), Some(second.clone())).await
    };
    let (waited, signed) = tokio::join!(world.get(&waiting, &ann), sign);
    assert_eq!(signed.status, 204, "{signed:?}");
    assert_eq!(waited["second"], good);
    assert_eq!(waited["second_by"], "eve");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.call("POST", &signing, Some(&ann), Some(second)).await.problem(), "approval-over");
    assert_eq!(world.get("/api/v1/approvals", &eve).await, json!({"approvals": []}));
    world.stop().await;
}

#[tokio::test]
async fn what_is_too_large_or_for_no_server_does_not_wait() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let ask = |server: &str, grant: usize| {
        json!({"server": server, "grant": base64(&vec![1; grant]), "signature": base64(b"s"),
            "challenge": base64(b"c"), "valid_secs": 60})
    };
    let post = |body| {
        let (world, ann) = (&world, &ann);
        async move { world.call("POST", "/api/v1/approvals", Some(ann), Some(body)).await }
    };
    assert_eq!(post(ask(&server, 0)).await.problem(), "bad-request");
    assert_eq!(post(ask(&server, (16 << 10) + 1)).await.problem(), "bad-request");
    assert_eq!(post(ask(&"0".repeat(64), 10)).await.problem(), "unknown");
    assert_eq!(post(ask("x", 10)).await.problem(), "bad-request");
    assert_eq!(post(ask(&server, 16 << 10)).await.status, 201);
    world.stop().await;
}

#[tokio::test]
async fn a_stopping_relay_answers_those_who_wait() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let ask = json!({"server": server, "grant": base64(b"g"), "signature": base64(b"s"),
        "challenge": base64(b"c"), "valid_secs": 60});
    let made = world.call("POST", "/api/v1/approvals", Some(&ann), Some(ask)).await.ok();
    let path = format!("/api/v1/approvals/{}?wait=25", made["id"].as_str().unwrap());
    let bearer = format!("Bearer {ann}");
    let request = crate::client::request("GET", &path, &[("authorization", &bearer)], "");
    let mut waiting = TcpStream::connect(world.running.bound().clients).await.unwrap();
    waiting.write_all(request.as_bytes()).await.unwrap();
    // Connections are accepted in order: when a later one was answered, this one is being served.
    world.get("/api/v1/me", &ann).await;
    let began = Instant::now();
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let mut answer = Vec::new();
    waiting.read_to_end(&mut answer).await.unwrap();
    let answer = crate::client::parse(&answer);
    assert!(answer.ok()["second"].is_null(), "{answer:?}");
}
