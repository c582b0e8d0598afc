//! Links that let new people in: one account each, one key, and word of how it went.

use crate::authenticator::{Authenticator, Manner};
use crate::client::Answer;
use crate::world::{PASSWORD, World, base64, unbase64};
use cloud_doctor_proto::join::JoinId;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

impl World {
    /// Makes a link; its id and token.
    async fn invite(&self, admin: &str, valid_secs: u64) -> (String, String) {
        let wish = json!({"name": "Nina Neu", "as": "engineer", "device": true, "valid_secs": valid_secs});
        let made = self.call("POST", "/api/v1/joins", Some(admin), Some(wish)).await.ok();
        let token = unbase64(&made["token"]);
        let id = JoinId::of(&token.as_slice().try_into().unwrap()).to_string();
        assert_eq!(made["id"], id, "whoever has the token knows its name");
        (id, made["token"].as_str().unwrap().to_owned())
    }

    async fn enter(&self, token: &str, account: &str) -> Answer {
        let body = json!({"token": token, "account": account, "password": PASSWORD});
        self.call("POST", "/api/v1/join", None, Some(body)).await
    }

    async fn send_key(&self, token: &str, key: &str, mac: u8) -> Answer {
        let body = json!({"key": key, "kind": "device", "mac": base64(&[mac; 32])});
        self.call("POST", "/api/v1/join/key", Some(token), Some(body)).await
    }
}

#[tokio::test]
async fn a_link_makes_one_account_and_carries_one_key() {
    let (world, ann) = World::with_ann().await;
    let (id, token) = world.invite(&ann, 60).await;
    let path = format!("/api/v1/joins/{id}");
    assert_eq!(world.enter(&token, "ann").await.problem(), "name-taken");
    let entered = world.enter(&token, "nina").await;
    let expected = json!({"account": "nina", "name": "Nina Neu", "as": "engineer", "device": true, "state": "joined"});
    assert_eq!((entered.status, entered.json()), (201, expected), "a taken name leaves the link as it was");
    let nina = world.sign_in("nina", PASSWORD).await;
    assert_eq!(world.get("/api/v1/me", &nina).await["role"], "member");
    assert_eq!(world.get(&path, &ann).await["state"], "joined");
    for (key, kind, mac) in
        [("", "device", 32), ("a\nb", "device", 32), ("k", "De", 32), ("k", "", 32), ("k", "device", 31)]
    {
        let body = json!({"key": key, "kind": kind, "mac": base64(&vec![1; mac])});
        let refused = world.call("POST", "/api/v1/join/key", Some(&nina), Some(body)).await;
        assert_eq!(refused.problem(), "bad-request", "{key:?} {kind:?} {mac}");
    }
    let began = Instant::now();
    let held = format!("{path}?wait=25");
    let (waited, sent) = tokio::join!(world.get(&held, &ann), world.send_key(&nina, "ssh-ed25519 AAAA", 7));
    assert_eq!((sent.status, &waited["state"], &waited["account"]), (204, &json!("key"), &json!("nina")));
    assert_eq!(waited["key"], json!({"key": "ssh-ed25519 AAAA", "kind": "device", "mac": base64(&[7; 32])}));
    assert_eq!(world.send_key(&nina, "ssh-ed25519 AAAA", 7).await.status, 204, "sent again, it is the same");
    assert_eq!(world.send_key(&nina, "ssh-ed25519 BBBB", 7).await.problem(), "join-over");
    assert_eq!(world.send_key(&ann, "ssh-ed25519 AAAA", 7).await.problem(), "unknown", "ann came without a link");
    let ended = format!("{path}/end");
    let accept = json!({"accepted": true});
    assert_eq!(world.call("POST", &ended, Some(&nina), Some(accept.clone())).await.problem(), "not-admin");
    let end = world.call("POST", &ended, Some(&ann), Some(accept.clone()));
    let (mine, end) = tokio::join!(world.get("/api/v1/join?wait=25", &nina), end);
    assert_eq!((end.status, &mine["state"]), (204, &json!("accepted")));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(world.call("POST", &ended, Some(&ann), Some(accept)).await.problem(), "join-over");
    assert_eq!(world.call("DELETE", &path, Some(&ann), None).await.problem(), "join-over");
    let audit = world.get("/api/v1/audit", &ann).await.to_string();
    for action in ["person-invited", "joined", "join-key", "join-ended"] {
        assert_eq!(
            audit.matches(&format!("\"{action}\"")).count(),
            if action == "join-key" { 2 } else { 1 },
            "{action}"
        );
    }
    world.stop().await;
}

/// AUT-03: what does not count is told in the same words, and leaves nothing.
#[tokio::test]
async fn aut_03_used_old_revoked_and_unknown_links_are_told_alike() {
    let (world, ann) = World::with_ann().await;
    let (_, used) = world.invite(&ann, 60).await;
    world.enter(&used, "first").await.ok();
    let (id, revoked) = world.invite(&ann, 60).await;
    assert_eq!(world.call("DELETE", &format!("/api/v1/joins/{id}"), Some(&ann), None).await.status, 204);
    let (old_id, old) = world.invite(&ann, 1).await;
    let held = format!("/api/v1/joins/{old_id}?wait=25");
    assert_eq!(world.get(&held, &ann).await["state"], "expired", "whoever waits is told");
    let unknown = base64(&[9; 16]);
    let (_, good) = world.invite(&ann, 60).await;
    let mut said = Vec::new();
    for token in
        [&used, &revoked, &old, &unknown, &String::new(), &format!("{good}AAAA"), &good[..good.len() - 2].into()]
    {
        let refused = world.enter(token, "second").await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "join"), "{token}");
        said.push(refused.body);
    }
    assert!(said.iter().all(|body| *body == said[0]), "{said:?}");
    assert_eq!(world.login("second", PASSWORD).await.problem(), "wrong-login");
    let listed = world.get("/api/v1/joins", &ann).await;
    let mut states: Vec<&str> =
        listed["joins"].as_array().unwrap().iter().map(|join| join["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    assert_eq!(states, ["expired", "joined", "open", "revoked"]);
    assert!(!listed.to_string().contains(&good), "no token in a list");
    world.stop().await;
}

#[tokio::test]
async fn links_are_made_by_admins_and_end_with_their_account() {
    let (world, ann) = World::with_ann().await;
    let wish = |valid_secs: u64, name: &str| json!({"name": name, "as": "approver", "valid_secs": valid_secs});
    let make = async |token: &str, body: Value| world.call("POST", "/api/v1/joins", Some(token), Some(body)).await;
    for (body, problem) in [
        (wish(0, "x"), "bad-request"),
        (wish(8 * 86_400, "x"), "bad-request"),
        (wish(60, "a\u{1b}b"), "bad-name"),
        (json!({"name": "x", "as": "root", "valid_secs": 60}), "bad-request"),
    ] {
        assert_eq!(make(&ann, body.clone()).await.problem(), problem, "{body}");
    }
    let (id, token) = world.invite(&ann, 60).await;
    world.enter(&token, "nina").await.ok();
    let nina = world.sign_in("nina", PASSWORD).await;
    assert_eq!(make(&nina, wish(60, "x")).await.problem(), "not-admin");
    let bob = world.add_bob().await;
    assert_eq!(world.get("/api/v1/joins", &bob).await, json!({"joins": []}));
    world.send_key(&nina, "ssh-ed25519 AAAA", 1).await.ok();
    world.call("DELETE", "/api/v1/accounts/nina", Some(&ann), None).await.ok();
    let left = world.get(&format!("/api/v1/joins/{id}"), &ann).await;
    assert_eq!((&left["state"], &left["account"]), (&json!("revoked"), &Value::Null));
    // Whoever gets the name next came by no link.
    let next = world.member(&ann, "nina").await;
    assert_eq!(world.call("GET", "/api/v1/join", Some(&next), None).await.problem(), "unknown");
    world.stop().await;
}

#[tokio::test]
async fn aut_09_a_link_makes_an_account_with_a_passkey_and_says_before_what_it_is_for() {
    let (world, ann) = World::with_ann().await;
    let (_, token) = world.invite(&ann, 60).await;
    let offer = world.call("POST", "/api/v1/join/look", None, Some(json!({"token": token}))).await.ok();
    assert_eq!((&offer["name"], &offer["by"], &offer["as"]), (&json!("Nina Neu"), &json!("ann"), &json!("engineer")));
    let (home, mut key) = (Manner::honest(&world.origin()), Authenticator::new("nina"));
    let start = |account: &str, token: &str| json!({"token": token, "account": account});
    let begin = "/api/v1/join/passkey/start";
    let unknown = base64(&[9; 16]);
    assert_eq!(world.at_home("POST", begin, None, &start("nina", &unknown)).await.problem(), "join");
    let begun = world.at_home("POST", begin, None, &start("nina", &token)).await.ok();
    let credential = key.make(&begun["options"], &home);
    let finish = |token: &str| json!({"token": token, "id": begun["id"], "name": "laptop", "credential": credential});
    let (_, other) = world.invite(&ann, 60).await;
    let swapped = world.at_home("POST", "/api/v1/join/passkey", None, &finish(&other)).await;
    assert_eq!(swapped.problem(), "passkey-refused", "it was begun with another link");
    let begun = world.at_home("POST", begin, None, &start("nina", &token)).await.ok();
    let credential = key.make(&begun["options"], &home);
    let finish = json!({"token": token, "id": begun["id"], "name": "laptop", "credential": credential});
    let done = world.at_home("POST", "/api/v1/join/passkey", None, &finish).await;
    assert_eq!(done.status, 201, "{done:?}");
    let nina = done.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("/api/v1/me", &nina).await["role"], "member");
    assert_eq!(world.get("/api/v1/me/totp", &nina).await["password"], false);
    assert_eq!(world.sign_in_by(&key).await.status, 200);
    for path in ["/api/v1/join/look", begin, "/api/v1/join"] {
        let body = json!({"token": token, "account": "nora", "password": PASSWORD});
        assert_eq!(world.at_home("POST", path, None, &body).await.problem(), "join", "{path}: the link is used up");
    }
    world.stop().await;
}
