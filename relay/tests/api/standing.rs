//! What admins do about accounts: roles, keeping somebody out, and one-time codes to come back.

use crate::authenticator::{Authenticator, Manner};
use crate::client::Answer;
use crate::world::{PASSWORD, World};
use serde_json::{Value, json};

const NEW_PASSWORD: &str = "another long password";

impl World {
    async fn add(&self, by: &str, name: &str, role: &str) -> Answer {
        let body = json!({"name": name, "password": PASSWORD, "role": role});
        self.call("POST", "/api/v1/accounts", Some(by), Some(body)).await
    }

    async fn edit(&self, by: &str, name: &str, edit: Value) -> Answer {
        self.call("PATCH", &format!("/api/v1/accounts/{name}"), Some(by), Some(edit)).await
    }

    async fn reset(&self, by: &str, name: &str) -> Answer {
        self.call("POST", &format!("/api/v1/accounts/{name}/reset"), Some(by), None).await
    }

    async fn account(&self, by: &str, name: &str) -> Value {
        let list = self.get("/api/v1/accounts", by).await["accounts"].clone();
        list.as_array().unwrap().iter().find(|account| account["name"] == name).unwrap().clone()
    }

    async fn is_out(&self, token: &str) -> bool {
        self.call("GET", "/api/v1/me", Some(token), None).await.status == 401
    }
}

#[tokio::test]
async fn aut_14_whoever_is_kept_out_is_out_at_once_by_every_way_and_learns_nothing() {
    let (world, ann) = World::with_ann().await;
    world.add(&ann, "eve", "member").await.ok();
    let eve = world.sign_in("eve", PASSWORD).await;
    let mut key = Authenticator::new("of eve");
    world.add_passkey(&eve, &mut key).await.ok();
    assert_eq!(world.account(&eve, "ann").await["standing"], Value::Null, "for admins");
    let standing = world.account(&ann, "eve").await["standing"].clone();
    assert_eq!(
        (&standing["password"], &standing["passkeys"], &standing["totp"]),
        (&json!(true), &json!(1), &json!(false))
    );
    assert!(standing["signed_in_at"].is_u64() && standing["disabled_at"].is_null(), "{standing}");
    assert_eq!(world.edit(&eve, "ann", json!({"disabled": true})).await.problem(), "not-admin");
    assert_eq!(world.edit(&ann, "ann", json!({"disabled": true})).await.problem(), "yourself");
    assert_eq!(world.edit(&ann, "nobody", json!({"disabled": true})).await.problem(), "unknown");
    assert_eq!(world.edit(&ann, "eve", json!({"role": "king"})).await.problem(), "bad-request");
    assert_eq!(world.edit(&ann, "eve", json!({"disabled": true})).await.status, 204);
    assert!(world.is_out(&eve).await);
    let (known, unknown) = (world.login("eve", PASSWORD).await, world.login("nobody", PASSWORD).await);
    assert_eq!((known.problem(), &known.body), ("wrong-login".into(), &unknown.body));
    assert_eq!(world.sign_in_by(&key).await.problem(), "wrong-passkey");
    assert!(world.account(&ann, "eve").await["standing"]["disabled_at"].is_u64());
    assert_eq!(world.edit(&ann, "eve", json!({"disabled": false})).await.status, 204);
    assert!(world.is_out(&eve).await, "what ended does not come back");
    world.sign_in("eve", PASSWORD).await;
    assert_eq!(world.sign_in_by(&key).await.status, 200);
    let eve = world.sign_in("eve", PASSWORD).await;
    assert_eq!(world.edit(&ann, "eve", json!({"role": "admin"})).await.status, 204);
    assert!(world.is_out(&eve).await, "aut_08: another role, another login");
    assert_eq!(world.account(&ann, "eve").await["role"], "admin");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aut_14_nothing_that_an_admin_may_do_succeeds_after_the_role_is_gone() {
    let (world, ann) = World::with_ann().await;
    world.add(&ann, "eve", "admin").await.ok();
    let mut slipped = 0;
    for round in 0..10 {
        assert_eq!(world.edit(&ann, "eve", json!({"role": "admin"})).await.status, 204);
        let eve = world.old_login_of("eve", &ann).await;
        let calls = (0..6).map(|call| {
            let (world, eve) = (&world, eve.clone());
            async move { world.add(&eve, &format!("x{round}-{call}"), "admin").await.status }
        });
        let (demoted, racing) =
            tokio::join!(world.edit(&ann, "eve", json!({"role": "member"})), futures_util::future::join_all(calls));
        assert_eq!(demoted.status, 204);
        slipped += racing.iter().filter(|status| **status == 201).count();
        let before = world.get("/api/v1/accounts", &ann).await["accounts"].as_array().unwrap().len();
        for call in 0..6 {
            let late = world.add(&eve, &format!("y{round}-{call}"), "admin").await;
            assert_eq!(late.problem(), "signed-out");
        }
        let after = world.get("/api/v1/accounts", &ann).await["accounts"].as_array().unwrap().len();
        assert_eq!(before, after, "nothing was still under way");
        assert_eq!(after, 2 + slipped, "what was answered is what was done");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aut_14_of_two_admins_who_take_each_others_role_away_one_stays() {
    let (world, ann) = World::with_ann().await;
    world.add(&ann, "eve", "admin").await.ok();
    world.add(&ann, "zoe", "member").await.ok();
    let zoe = world.sign_in("zoe", PASSWORD).await;
    for _ in 0..4 {
        let (ann, eve) = (world.old_login_of("ann", &zoe).await, world.old_login_of("eve", &zoe).await);
        let member = json!({"role": "member"});
        let (one, other) = tokio::join!(world.edit(&ann, "eve", member.clone()), world.edit(&eve, "ann", member));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses[0], 204, "{one:?} {other:?}");
        assert!([401, 403].contains(&statuses[1]), "{one:?} {other:?}");
        let (winner, loser) = if one.status == 204 { (ann, "eve") } else { (eve, "ann") };
        assert_eq!(world.edit(&winner, loser, json!({"role": "admin"})).await.status, 204);
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_04_a_reset_code_counts_once_for_its_account_and_takes_every_old_way_away() {
    let (world, ann) = World::with_ann().await;
    world.add(&ann, "eve", "member").await.ok();
    let eve = world.sign_in("eve", PASSWORD).await;
    let mut old = Authenticator::new("old");
    world.add_passkey(&eve, &mut old).await.ok();
    assert_eq!(world.reset(&eve, "ann").await.problem(), "not-admin");
    assert_eq!(world.reset(&ann, "ann").await.problem(), "yourself");
    let bob = world.add_bob().await;
    assert_eq!(world.reset(&bob, "eve").await.problem(), "unknown");
    let first = world.reset(&ann, "eve").await;
    assert_eq!(first.status, 201);
    let code = |made: &Answer| made.json()["code"].as_str().unwrap().to_owned();
    let minutes = (first.json()["ends_at"].as_u64().unwrap() - cloud_doctor_relay::clock::now().0).div_ceil(60);
    assert_eq!(minutes, 15);
    assert!(world.is_out(&eve).await);
    assert_eq!(world.login("eve", PASSWORD).await.problem(), "wrong-login");
    assert_eq!(world.sign_in_by(&old).await.problem(), "wrong-passkey");
    let second = world.reset(&ann, "eve").await;
    let use_it = |code: &str| json!({"code": code, "password": NEW_PASSWORD});
    let reset = async |code: &str| world.call("POST", "/api/v1/reset", None, Some(use_it(code))).await;
    assert_eq!(reset(&code(&first)).await.problem(), "reset-code", "the newer one counts");
    let weak = json!({"code": code(&second), "password": "short"});
    assert_eq!(world.call("POST", "/api/v1/reset", None, Some(weak)).await.problem(), "weak-password");
    let begun = world.call("POST", "/api/v1/reset/start", None, Some(json!({"code": code(&second)}))).await.ok();
    assert_eq!((&begun["account"], &begun["passkey"]), (&json!("eve"), &Value::Null), "no passkeys at an address");
    assert_eq!(reset(&code(&second).to_lowercase()).await.status, 204);
    assert_eq!(reset(&code(&second)).await.problem(), "reset-code", "once");
    world.sign_in("eve", NEW_PASSWORD).await;
    // By a passkey, which signs in at once.
    let third = code(&world.reset(&ann, "eve").await);
    let begun = world.at_home("POST", "/api/v1/reset/start", None, &json!({"code": third})).await.ok();
    let mut key = Authenticator::new("new");
    let credential = key.make(&begun["passkey"]["options"], &Manner::honest(&world.origin()));
    let body = |code: &str| json!({"code": code, "id": begun["passkey"]["id"], "name": "k", "credential": credential});
    let fourth = code(&world.reset(&ann, "eve").await);
    let mixed = world.at_home("POST", "/api/v1/reset/passkey", None, &body(&fourth)).await;
    assert_eq!(mixed.problem(), "passkey-refused", "begun with another code");
    let begun = world.at_home("POST", "/api/v1/reset/start", None, &json!({"code": fourth})).await.ok();
    let credential = key.make(&begun["passkey"]["options"], &Manner::honest(&world.origin()));
    let body = json!({"code": fourth, "id": begun["passkey"]["id"], "name": "k", "credential": credential});
    let done = world.at_home("POST", "/api/v1/reset/passkey", None, &body).await;
    assert_eq!((done.status, done.json()["account"].as_str()), (201, Some("eve")));
    assert_eq!(world.sign_in_by(&key).await.status, 200);
    for file in ["relay.db", "relay.db-wal"] {
        let bytes = std::fs::read(crate::world::data(&world.dir).join(file)).unwrap_or_default();
        let shown = [fourth.clone(), fourth.replace('-', "")];
        assert!(shown.iter().all(|code| !bytes.windows(code.len()).any(|w| w == code.as_bytes())), "{file}");
    }
    // Without a password, a fresh login sets one.
    let token = done.json()["token"].as_str().unwrap().to_owned();
    let set = |new: &str| json!({"new": new});
    let old = world.old_login(&token).await;
    let change = "/api/v1/me/password";
    assert_eq!(world.call("PUT", change, Some(&old), Some(set(PASSWORD))).await.problem(), "sign-in-again");
    assert_eq!(world.call("PUT", change, Some(&token), Some(set(PASSWORD))).await.status, 204);
    assert_eq!(world.call("PUT", change, Some(&token), Some(set(NEW_PASSWORD))).await.problem(), "wrong-login");
    world.sign_in("eve", PASSWORD).await;
    world.stop().await;
}
