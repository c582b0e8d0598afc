//! Grants that wait for a second signature.

use crate::customer::{Customer, sshsig};
use crate::streams::open;
use crate::world::{World, base64};
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, NAMESPACE_SECOND};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_second_signature_reaches_who_waits_for_it_at_once() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(10);
    customer.add_approver(70);
    let server = world.add_server(&ann, &mut customer).await.to_string();
    let eve = world.member(&ann, "eve").await;
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
    assert_eq!((&waited["state"], &waited["by"]), (&json!("signed"), &json!("eve")));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.call("POST", &signing, Some(&ann), Some(second)).await.problem(), "approval-over");
    assert_eq!(world.get("/api/v1/approvals", &eve).await["approvals"], json!([]));
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

impl World {
    /// Asks for a second signature; its path.
    async fn ask(&self, token: &str, server: &str, valid_secs: u64) -> String {
        let ask = json!({"server": server, "grant": base64(b"grant"), "signature": base64(b"first"),
            "challenge": base64(b"challenge"), "valid_secs": valid_secs});
        let made = self.call("POST", "/api/v1/approvals", Some(token), Some(ask)).await.ok();
        format!("/api/v1/approvals/{}", made["id"].as_str().unwrap())
    }

    /// Holds a call until it is answered, while something else is done a moment after it began.
    async fn meanwhile<T>(&self, path: &str, token: &str, other: impl Future<Output = T>) -> (Value, T) {
        let began = Instant::now();
        let held = self.get(path, token);
        let other = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            other.await
        };
        let answers = tokio::join!(held, other);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        answers
    }
}

#[tokio::test]
async fn aut_15_a_no_reaches_who_waits_at_once_with_its_reason() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(10);
    customer.add_approver(70);
    let server = world.add_server(&ann, &mut customer).await.to_string();
    let eve = world.member(&ann, "eve").await;
    let path = world.ask(&ann, &server, 60).await;
    let denial = format!("{path}/denial");
    for bad in ["two\nlines".to_owned(), "x".repeat(201), "\u{202e}x".to_owned()] {
        let refused = world.call("POST", &denial, Some(&eve), Some(json!({"why": bad}))).await;
        assert_eq!(refused.problem(), "bad-request", "{bad:?}");
    }
    let no = world.call("POST", &denial, Some(&eve), Some(json!({"why": "not on a Friday"})));
    let (waited, said) = world.meanwhile(&format!("{path}?wait=25"), &ann, no).await;
    assert_eq!(said.status, 204, "{said:?}");
    let facts = ["state", "by", "why"].map(|key| waited[key].as_str().unwrap().to_owned());
    assert_eq!(facts, ["denied", "eve", "not on a Friday"]);
    assert!(waited["second"].is_null() && waited["ended_at"].as_u64().unwrap() > 0);
    // The first answer stays.
    let signature = json!({"signature": base64(&sshsig(70, NAMESPACE_SECOND, b"grant"))});
    let late = world.call("POST", &format!("{path}/signature"), Some(&eve), Some(signature)).await;
    assert_eq!(late.problem(), "approval-over");
    assert_eq!(world.call("POST", &denial, Some(&eve), Some(json!({}))).await.problem(), "approval-over");
    assert_eq!(world.call("DELETE", &path, Some(&ann), None).await.problem(), "approval-over");
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    let last = audit.last().unwrap();
    assert_eq!((last["action"].as_str(), last["account"].as_str()), (Some("second-denied"), Some("eve")));
    world.stop().await;
}

#[tokio::test]
async fn an_open_page_learns_of_a_request_and_of_its_end_within_a_second() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let eve = world.member(&ann, "eve").await;
    let bob = world.add_bob().await;
    let empty = world.get("/api/v1/approvals?wait=25", &eve).await;
    assert_eq!(empty["approvals"], json!([]), "nothing is held for who has seen nothing");
    let held = |seen: &Value| format!("/api/v1/approvals?wait=25&seen={}", seen.as_str().unwrap());
    let (news, path) = world.meanwhile(&held(&empty["seen"]), &eve, world.ask(&ann, &server, 60)).await;
    let (asked, who) = (&news["approvals"][0], json!("ann"));
    assert_eq!((&asked["account"], &asked["state"], &asked["by"]), (&who, &json!("waiting"), &Value::Null));
    assert!(path.ends_with(asked["id"].as_str().unwrap()));
    let others = world.get(&held(&empty["seen"]).replace("25", "0"), &bob).await;
    assert_eq!(others, empty, "another customer's list has not changed");
    // Only who asked, or an admin, takes it back.
    let third = world.member(&ann, "third").await;
    assert_eq!(world.call("DELETE", &path, Some(&third), None).await.problem(), "not-admin");
    let back = world.call("DELETE", &path, Some(&ann), None);
    let (gone, back) = world.meanwhile(&held(&news["seen"]), &eve, back).await;
    assert_eq!((back.status, &gone), (204, &empty));
    assert_eq!(world.get(&path, &ann).await["state"], "withdrawn");
    world.stop().await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_expires_and_says_so() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let path = world.ask(&ann, &server, 1).await;
    let seen = world.get("/api/v1/approvals", &ann).await["seen"].as_str().unwrap().to_owned();
    let (one, list) = (format!("{path}?wait=25"), format!("/api/v1/approvals?wait=25&seen={seen}"));
    let began = Instant::now();
    let (waited, listed) = tokio::join!(world.get(&one, &ann), world.get(&list, &ann));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((&waited["state"], &waited["by"]), (&json!("expired"), &Value::Null));
    assert_eq!(listed["approvals"], json!([]));
    let late = world.call("POST", &format!("{path}/denial"), Some(&ann), Some(json!({}))).await;
    assert_eq!(late.problem(), "approval-over");
    world.stop().await;
}

#[tokio::test]
async fn a_request_goes_with_its_askers_last_stream() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let eve = world.member(&ann, "eve").await;
    let (anns, eves) = (world.ask(&ann, &server, 60).await, world.ask(&eve, &server, 60).await);
    // The server is away, so the stream ends as soon as it began.
    let stream = format!("/api/v1/servers/{server}/stream?purpose=shell");
    let waiting = format!("{anns}?wait=25");
    let (waited, _) = tokio::join!(world.get(&waiting, &ann), open(&world, &stream, &ann, &[]));
    assert_eq!((&waited["state"], &waited["by"]), (&json!("withdrawn"), &json!("ann")));
    assert_eq!(world.get(&eves, &ann).await["state"], "waiting", "somebody else still waits");
    world.stop().await;
}

#[tokio::test]
async fn past_requests_are_listed_in_pages_newest_first() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let mut asked = Vec::new();
    for _ in 0..53 {
        let path = world.ask(&ann, &server, 60).await;
        world.call("POST", &format!("{path}/denial"), Some(&ann), Some(json!({"why": "no"}))).await.ok();
        asked.push(path.rsplit('/').next().unwrap().to_owned());
    }
    world.ask(&ann, &server, 60).await;
    let first = world.get("/api/v1/approvals/past", &ann).await;
    let page = first["approvals"].as_array().unwrap();
    assert_eq!((page.len(), &first["more"]), (50, &json!(true)));
    assert_eq!((&page[0]["state"], &page[0]["by"], &page[0]["why"]), (&json!("denied"), &json!("ann"), &json!("no")));
    assert_eq!(page[0]["grant"], base64(b"grant"));
    assert!(page[0].get("signature").is_none());
    let last = page[49]["id"].as_str().unwrap();
    let second = world.get(&format!("/api/v1/approvals/past?before={last}"), &ann).await;
    assert_eq!((second["approvals"].as_array().unwrap().len(), &second["more"]), (3, &json!(false)));
    let mut listed: Vec<&str> =
        page.iter().chain(second["approvals"].as_array().unwrap()).map(|one| one["id"].as_str().unwrap()).collect();
    listed.sort_unstable();
    asked.sort_unstable();
    assert_eq!(listed, asked, "each once, and none that still waits");
    let odd = world.call("GET", "/api/v1/approvals/past?before=x", Some(&ann), None).await;
    assert_eq!(odd.problem(), "bad-request");
    world.stop().await;
}
