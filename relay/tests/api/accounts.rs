//! Set-up, sign-in, accounts.

use crate::world::{PASSWORD, PLAIN, World, data};
use serde_json::json;

#[tokio::test]
async fn aut_03_set_up_happens_once_and_there_is_no_default_account() {
    let world = World::fresh(PLAIN).await;
    for (account, password) in [("admin", "admin"), ("admin", "password"), ("root", ""), ("", "")] {
        assert_eq!(world.login(account, password).await.problem(), "wrong-login");
    }
    let wrong = json!({"code": "AAAAAA", "account": "x", "password": PASSWORD});
    assert_eq!(world.call("POST", "/api/v1/setup", None, Some(wrong)).await.problem(), "set-up-code");
    let code = world.running.setup_code().unwrap().reveal();
    let weak = json!({"code": code, "account": "ann", "password": "short"});
    assert_eq!(world.call("POST", "/api/v1/setup", None, Some(weak)).await.problem(), "weak-password");
    assert_eq!(world.set_up().await.status, 201);
    assert_eq!(world.set_up().await.problem(), "set-up-closed");
    let world = world.restart().await;
    assert!(world.running.setup_code().is_none());
    let again = json!({"code": code, "account": "eve", "password": PASSWORD});
    assert_eq!(world.call("POST", "/api/v1/setup", None, Some(again)).await.problem(), "set-up-closed");
    world.sign_in("ann", PASSWORD).await;
    world.stop().await;
}

#[tokio::test]
async fn aut_02_unknown_account_and_wrong_password_look_the_same() {
    let (world, _) = World::with_ann().await;
    let known = world.login("ann", "not her password").await;
    let unknown = world.login("nobody", "not her password").await;
    let head = |answer: &crate::client::Answer| {
        answer.head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((known.status, &known.body, head(&known)), (unknown.status, &unknown.body, head(&unknown)));
    assert_eq!(known.problem(), "wrong-login");
    world.stop().await;
}

#[tokio::test]
async fn aut_01_the_sixth_attempt_within_a_minute_is_refused_for_known_and_unknown_alike() {
    let (world, _) = World::with_ann().await;
    for account in ["ann", "nobody"] {
        for _ in 0..5 {
            assert_eq!(world.login(account, "wrong").await.problem(), "wrong-login");
        }
        assert_eq!(world.login(account, "wrong").await.problem(), "limited");
    }
    assert_eq!(world.login("another", "wrong").await.problem(), "wrong-login");
    world.stop().await;
}

#[tokio::test]
async fn aut_08_a_login_ends_at_logout_and_a_new_one_is_another() {
    let (world, first) = World::with_ann().await;
    let second = world.sign_in("ann", PASSWORD).await;
    assert_ne!(first, second);
    assert_eq!(world.call("POST", "/api/v1/logout", Some(&first), None).await.status, 204);
    assert_eq!(world.call("GET", "/api/v1/me", Some(&first), None).await.problem(), "signed-out");
    assert_eq!(world.get("/api/v1/me", &second).await["account"], "ann");
    let world = world.restart().await;
    assert_eq!(world.get("/api/v1/me", &second).await["role"], "admin", "logins outlive the relay's process");
    world.stop().await;
}

#[tokio::test]
async fn aut_08_a_lasting_login_ends_at_logout_and_by_a_new_password() {
    let (world, here) = World::with_ann().await;
    let lasting = json!({"account": "ann", "password": PASSWORD, "lasting": true});
    let log_in = async || world.call("POST", "/api/v1/login", None, Some(lasting.clone())).await.ok();
    let made = log_in().await;
    let days = (made["ends_at"].as_u64().unwrap() - cloud_doctor_relay::clock::now().0) / 86_400;
    assert!((29..=30).contains(&days), "{made}");
    let first = made["token"].as_str().unwrap().to_owned();
    assert_eq!(world.call("POST", "/api/v1/logout", Some(&first), None).await.status, 204);
    assert_eq!(world.call("GET", "/api/v1/me", Some(&first), None).await.problem(), "signed-out");
    let second = log_in().await["token"].as_str().unwrap().to_owned();
    world.get("/api/v1/me", &second).await;
    let change = json!({"old": PASSWORD, "new": "another long one"});
    assert_eq!(world.call("PUT", "/api/v1/me/password", Some(&here), Some(change)).await.status, 204);
    assert_eq!(world.call("GET", "/api/v1/me", Some(&second), None).await.problem(), "signed-out");
    for file in ["relay.db", "relay.db-wal"] {
        let bytes = std::fs::read(data(&world.dir).join(file)).unwrap_or_default();
        assert!(!bytes.windows(second.len()).any(|window| window == second.as_bytes()), "{file}");
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_16_no_token_or_password_stands_in_the_database() {
    let (world, token) = World::with_ann().await;
    let body = json!({"label": "rack", "valid_secs": 60, "uses": 1});
    let made = world.call("POST", "/api/v1/enrolment-tokens", Some(&token), Some(body)).await.ok();
    let secret = crate::world::unbase64(&made["secret"]);
    let shown = [token.as_bytes(), PASSWORD.as_bytes(), made["secret"].as_str().unwrap().as_bytes(), &secret];
    let login = data_encoding::BASE64URL_NOPAD.decode(&token.as_bytes()["cd_ses_".len()..]).unwrap();
    let list = world.call("GET", "/api/v1/enrolment-tokens", Some(&token), None).await;
    assert!(!list.body.contains(made["secret"].as_str().unwrap()));
    for file in ["relay.db", "relay.db-wal"] {
        let Ok(bytes) = std::fs::read(data(&world.dir).join(file)) else { continue };
        for planted in shown.iter().copied().chain([&login[..]]) {
            assert!(!bytes.windows(planted.len()).any(|window| window == planted), "{file}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_14_accounts_come_and_go_and_what_is_removed_counts_no_more() {
    let (world, ann) = World::with_ann().await;
    let add = |name: &str, role: &str| json!({"name": name, "password": PASSWORD, "role": role});
    let post = |token: String, body| {
        let world = &world;
        async move { world.call("POST", "/api/v1/accounts", Some(&token), Some(body)).await }
    };
    assert_eq!(post(ann.clone(), add("eve", "member")).await.status, 201);
    assert_eq!(post(ann.clone(), add("eve", "admin")).await.problem(), "name-taken");
    assert_eq!(post(ann.clone(), add("x", "king")).await.problem(), "bad-request");
    assert_eq!(post(ann.clone(), add("a\u{202e}b", "member")).await.problem(), "bad-name");
    let eve = world.sign_in("eve", PASSWORD).await;
    assert_eq!(post(eve.clone(), add("mallory", "admin")).await.problem(), "not-admin");
    assert_eq!(world.call("DELETE", "/api/v1/accounts/ann", Some(&eve), None).await.problem(), "not-admin");
    assert_eq!(world.call("DELETE", "/api/v1/accounts/ann", Some(&ann), None).await.problem(), "yourself");
    assert_eq!(world.call("DELETE", "/api/v1/accounts/eve", Some(&ann), None).await.status, 204);
    assert_eq!(world.call("GET", "/api/v1/me", Some(&eve), None).await.problem(), "signed-out");
    assert_eq!(world.call("DELETE", "/api/v1/accounts/eve", Some(&ann), None).await.problem(), "unknown");
    world.stop().await;
}

#[tokio::test]
async fn a_new_password_ends_every_other_login() {
    let (world, here) = World::with_ann().await;
    let there = world.sign_in("ann", PASSWORD).await;
    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let wrong = world.call("PUT", "/api/v1/me/password", Some(&here), Some(change("wrong", "another long one"))).await;
    assert_eq!(wrong.problem(), "wrong-login");
    let done = world.call("PUT", "/api/v1/me/password", Some(&here), Some(change(PASSWORD, "another long one"))).await;
    assert_eq!(done.status, 204, "{done:?}");
    assert_eq!(world.call("GET", "/api/v1/me", Some(&there), None).await.problem(), "signed-out");
    world.get("/api/v1/me", &here).await;
    assert_eq!(world.login("ann", PASSWORD).await.problem(), "wrong-login");
    world.sign_in("ann", "another long one").await;
    let audit = world.get("/api/v1/audit", &here).await;
    let actions: Vec<&str> = audit["events"].as_array().unwrap().iter().filter_map(|e| e["action"].as_str()).collect();
    assert_eq!(actions, ["set-up", "signed-in", "signed-in", "password-changed", "signed-in"]);
    world.stop().await;
}

#[tokio::test]
async fn the_audit_is_read_from_either_end() {
    let (world, ann) = World::with_ann().await;
    for name in ["bob", "carl", "dora"] {
        world.member(&ann, name).await;
    }
    let page = async |query: &str| world.get(&format!("/api/v1/audit{query}"), &ann).await["events"].clone();
    let all = page("").await;
    let all = all.as_array().unwrap();
    assert!(all.len() > 5 && all[0]["seq"] == 1, "{all:?}");
    assert_eq!(page("?before=9007199254740991").await.as_array().unwrap(), all);
    assert_eq!(page("?before=4").await.as_array().unwrap(), &all[..3]);
    assert_eq!(page("?before=1").await, json!([]));
    assert_eq!(page("?after=3").await.as_array().unwrap(), &all[3..]);
    let odd = world.call("GET", "/api/v1/audit?before=-1", Some(&ann), None).await;
    assert_eq!(odd.problem(), "bad-request");
    world.stop().await;
}
