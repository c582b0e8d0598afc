//! Passkeys for signing in, made and shown by a software authenticator.

use crate::authenticator::{Authenticator, Manner};
use crate::browser::{OURS, cookie};
use crate::client::{Answer, request};
use crate::world::{PASSWORD, PLAIN, World, base64};
use serde_json::{Value, json};

impl World {
    /// The origin by which a browser on this machine reaches the console.
    pub(crate) fn origin(&self) -> String {
        format!("http://localhost:{}", self.running.bound().clients.port())
    }

    /// A request to that origin.
    pub(crate) async fn at_home(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.at(self.origin().strip_prefix("http://").unwrap(), request(method, path, &headers, &body.to_string()))
            .await
    }

    pub(crate) async fn at(&self, host: &str, text: String) -> Answer {
        self.raw(text.replace("relay.test", host).as_bytes()).await
    }

    /// Makes a passkey for whoever the token belongs to.
    pub(crate) async fn add_passkey(&self, token: &str, authenticator: &mut Authenticator) -> Answer {
        let begun = self.at_home("POST", "/api/v1/me/passkeys/start", Some(token), &json!({})).await.ok();
        let credential = authenticator.make(&begun["options"], &Manner::honest(&self.origin()));
        let body = json!({"id": begun["id"], "name": "key", "credential": credential});
        self.at_home("POST", "/api/v1/me/passkeys", Some(token), &body).await
    }

    async fn asked(&self) -> Value {
        self.at_home("POST", "/api/v1/login/passkey/start", None, &json!({})).await.ok()
    }

    async fn shown(&self, asked: &Value, credential: &Value) -> Answer {
        self.at_home("POST", "/api/v1/login/passkey", None, &json!({"id": asked["id"], "credential": credential})).await
    }

    pub(crate) async fn sign_in_by(&self, authenticator: &Authenticator) -> Answer {
        let asked = self.asked().await;
        self.shown(&asked, &authenticator.sign(&asked["options"], &Manner::honest(&self.origin()))).await
    }

    async fn passkeys(&self, token: &str) -> Vec<Value> {
        self.get("/api/v1/me/passkeys", token).await["passkeys"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn aut_09_a_passkey_signs_in_whom_it_belongs_to_without_a_name() {
    let (world, ann) = World::with_ann().await;
    let mut key = Authenticator::new("key of ann");
    let begun =
        world.at_home("POST", "/api/v1/me/passkeys/start", Some(&ann), &json!({"exclude": ["AAAA"]})).await.ok();
    let options = &begun["options"];
    assert_eq!(options["rp"]["id"], "localhost");
    assert_eq!(options["pubKeyCredParams"], json!([{"type": "public-key", "alg": -7}]));
    let selection = &options["authenticatorSelection"];
    assert_eq!((&selection["residentKey"], &selection["userVerification"]), (&json!("required"), &json!("required")));
    assert_eq!(options["excludeCredentials"][0]["id"], "AAAA", "a key for grants is not made again");
    assert_eq!(world.add_passkey(&ann, &mut key).await.status, 201);
    assert_ne!(key.handle, b"ann", "it tells nothing");
    let listed = world.passkeys(&ann).await;
    assert_eq!((&listed[0]["id"], &listed[0]["used_at"]), (&json!(base64(&key.id)), &Value::Null));
    let asked = world.asked().await;
    assert!(asked["options"].get("allowCredentials").is_none_or(|all| all == &json!([])), "{asked}");
    let answer = world.sign_in_by(&key).await.ok();
    assert_eq!((&answer["account"], &answer["role"]), (&json!("ann"), &json!("admin")));
    let token = answer["token"].as_str().unwrap();
    assert_eq!(world.get("/api/v1/me", token).await["account"], "ann");
    let logins = world.get("/api/v1/me/logins", token).await;
    assert!(
        logins["logins"].as_array().unwrap().iter().any(|login| login["way"] == "passkey" && login["this"] == true)
    );
    assert!(world.passkeys(&ann).await[0]["used_at"].is_u64());
    // To a page as a cookie, and to no other page.
    let asked = world.asked().await;
    let credential = key.sign(&asked["options"], &Manner::honest(&world.origin()));
    let body = json!({"id": asked["id"], "credential": credential, "browser": true}).to_string();
    let host = world.origin().replace("http://", "");
    let foreign = world.at(&host, request("POST", "/api/v1/login/passkey", &[], &body)).await;
    assert_eq!(foreign.problem(), "foreign-page");
    let page = world.at(&host, request("POST", "/api/v1/login/passkey", &OURS, &body)).await;
    assert_eq!(page.ok()["token"], Value::Null);
    let me = world.at(&host, request("GET", "/api/v1/me", &[("cookie", &cookie(&page))], "")).await;
    assert_eq!(me.ok()["account"], "ann");
    world.stop().await;
}

#[tokio::test]
async fn aut_09_what_a_passkey_did_not_sign_here_and_now_signs_nobody_in() {
    let (world, ann) = World::with_ann().await;
    let bob = world.add_bob().await;
    let (mut key, mut other) = (Authenticator::new("key of ann"), Authenticator::new("key of bob"));
    world.add_passkey(&ann, &mut key).await;
    world.add_passkey(&bob, &mut other).await;
    let (home, mut refused) = (Manner::honest(&world.origin()), Vec::new());
    for manner in [
        Manner { origin: "https://localhost".into(), ..home.clone() },
        Manner { origin: "http://localhost:1".into(), ..home.clone() },
        Manner { origin: format!("{}.evil.example", world.origin()), ..home.clone() },
        Manner { rp_id: "evil.example".into(), ..home.clone() },
        Manner { kind: Some("webauthn.create"), ..home.clone() },
        Manner { cross_origin: true, ..home.clone() },
        home.clone().absent(),
        home.clone().unverified(),
    ] {
        let asked = world.asked().await;
        refused.push((format!("{manner:?}"), world.shown(&asked, &key.sign(&asked["options"], &manner)).await));
    }
    let (asked, another) = (world.asked().await, world.asked().await);
    let signed = key.sign(&asked["options"], &home);
    refused.push(("of another challenge".into(), world.shown(&another, &signed).await));
    assert_eq!(world.shown(&asked, &signed).await.status, 200);
    refused.push(("replayed".into(), world.shown(&asked, &signed).await));
    let fresh = world.asked().await;
    refused.push(("replayed under a new id".into(), world.shown(&fresh, &signed).await));
    // The same signature in its other form: what was used is used.
    let fresh = world.asked().await;
    let mut bent = key.sign(&fresh["options"], &home);
    bent["response"]["signature"] = json!(base64(b"\x30\x06\x02\x01\x01\x02\x01\x01"));
    refused.push(("bent".into(), world.shown(&fresh, &bent).await));
    let fresh = world.asked().await;
    let mut foreign = other.sign(&fresh["options"], &home);
    foreign["response"]["userHandle"] = json!(base64(&key.handle));
    refused.push(("of another user".into(), world.shown(&fresh, &foreign).await));
    let fresh = world.asked().await;
    let mut renamed = other.sign(&fresh["options"], &home);
    (renamed["id"], renamed["rawId"]) = (json!(base64(&key.id)), json!(base64(&key.id)));
    renamed["response"]["userHandle"] = json!(base64(&key.handle));
    refused.push(("under another's id".into(), world.shown(&fresh, &renamed).await));
    let (fresh, unknown) = (world.asked().await, Authenticator::new("of nobody"));
    let stranger = world.shown(&fresh, &unknown.sign(&fresh["options"], &home)).await;
    for (what, answer) in &refused {
        assert_eq!(answer.status, 401, "{what}");
        assert_eq!(answer.problem(), "wrong-passkey", "{what}");
        assert_eq!(answer.body, stranger.body, "aut_02: in the same words as an unknown one: {what}");
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_09_a_passkey_that_counts_backwards_is_a_copy() {
    let (world, ann) = World::with_ann().await;
    let mut key = Authenticator::new("counts");
    world.add_passkey(&ann, &mut key).await;
    for (counter, status) in [(7, 200), (8, 200), (8, 401), (3, 401), (9, 200)] {
        let asked = world.asked().await;
        let manner = Manner { counter, ..Manner::honest(&world.origin()) };
        assert_eq!(world.shown(&asked, &key.sign(&asked["options"], &manner)).await.status, status, "{counter}");
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_09_no_passkey_is_made_otherwise_than_asked() {
    let (world, ann) = World::with_ann().await;
    let bob = world.add_bob().await;
    let home = Manner::honest(&world.origin());
    let start =
        async |token: &str| world.at_home("POST", "/api/v1/me/passkeys/start", Some(token), &json!({})).await.ok();
    let finish = async |token: &str, begun: &Value, credential: Value| {
        let body = json!({"id": begun["id"], "name": "key", "credential": credential});
        world.at_home("POST", "/api/v1/me/passkeys", Some(token), &body).await
    };
    let mut key = Authenticator::new("key");
    for manner in [
        Manner { origin: "http://localhost:1".into(), ..home.clone() },
        Manner { rp_id: "evil.example".into(), ..home.clone() },
        Manner { kind: Some("webauthn.get"), ..home.clone() },
        Manner { cross_origin: true, ..home.clone() },
        home.clone().absent(),
        home.clone().unverified(),
    ] {
        let begun = start(&ann).await;
        let refused = finish(&ann, &begun, key.make(&begun["options"], &manner)).await;
        assert_eq!(refused.problem(), "passkey-refused", "{manner:?}");
    }
    let begun = start(&ann).await;
    let rsa = key.make_rsa(&begun["options"], &home);
    assert_eq!(finish(&ann, &begun, rsa).await.problem(), "passkey-refused");
    let begun = start(&ann).await;
    let made = key.make(&begun["options"], &home);
    assert_eq!(finish(&bob, &begun, made.clone()).await.problem(), "passkey-refused", "begun by somebody else");
    assert_eq!(finish(&ann, &begun, made).await.problem(), "passkey-refused", "and it counts no more");
    assert_eq!(world.add_passkey(&ann, &mut key).await.status, 201);
    assert_eq!(world.add_passkey(&bob, &mut key).await.problem(), "passkey-known", "of one account");
    assert_eq!((world.passkeys(&ann).await.len(), world.passkeys(&bob).await.len()), (1, 0));
    let numeric = request("POST", "/api/v1/me/passkeys/start", &[("authorization", &format!("Bearer {ann}"))], "{}");
    for host in ["127.0.0.1:80", "[::1]:80", "localhost:1", "localhost", "evil.example"] {
        assert_eq!(world.at(host, numeric.clone()).await.problem(), "no-passkeys-here", "{host}");
        assert_eq!(world.at(host, request("GET", "/api/v1/sign-in", &[], "")).await.ok()["passkey"], false, "{host}");
    }
    assert_eq!(world.at_home("GET", "/api/v1/sign-in", None, &json!({})).await.ok()["passkey"], true);
    world.stop().await;
}

#[tokio::test]
async fn aut_07_an_old_login_makes_no_new_way_in_and_the_last_one_stays() {
    let world = World::fresh(PLAIN).await;
    let code = world.running.setup_code().unwrap().reveal();
    let (home, mut key) = (Manner::honest(&world.origin()), Authenticator::new("first"));
    let names = json!({"code": code, "account": "ann", "tenant_name": "ACME"});
    let wrong = json!({"code": "AAAAAA", "account": "ann"});
    let start = "/api/v1/setup/passkey/start";
    assert_eq!(world.at_home("POST", start, None, &wrong).await.problem(), "set-up-code");
    let begun = world.at_home("POST", start, None, &names).await.ok();
    let credential = key.make(&begun["options"], &home);
    let finish = |code: &str| json!({"code": code, "id": begun["id"], "name": "first", "credential": credential});
    assert_eq!(world.at_home("POST", "/api/v1/setup/passkey", None, &finish("AAAAAA")).await.problem(), "set-up-code");
    let done = world.at_home("POST", "/api/v1/setup/passkey", None, &finish(&code)).await;
    assert_eq!(done.status, 201, "{done:?}");
    let ann = done.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(world.get("/api/v1/me", &ann).await["role"], "admin");
    assert_eq!(world.at_home("POST", start, None, &names).await.problem(), "set-up-closed");
    for password in ["", PASSWORD] {
        assert_eq!(world.login("ann", password).await.problem(), "wrong-login", "it has none");
    }
    assert_eq!(world.sign_in_by(&key).await.status, 200);
    let first = format!("/api/v1/me/passkeys/{}", base64(&key.id));
    assert_eq!(world.call("DELETE", &first, Some(&ann), None).await.problem(), "last-way-in");
    let mut second = Authenticator::new("second");
    world.add_passkey(&ann, &mut second).await.ok();
    assert_eq!(world.call("PUT", &first, Some(&ann), Some(json!({"name": "old"}))).await.status, 204);
    assert_eq!(world.passkeys(&ann).await[0]["name"], "old");
    assert_eq!(world.call("DELETE", &first, Some(&ann), None).await.status, 204);
    assert_eq!(world.call("DELETE", &first, Some(&ann), None).await.problem(), "unknown");
    assert_eq!(world.sign_in_by(&key).await.problem(), "wrong-passkey");
    assert_eq!(world.sign_in_by(&second).await.status, 200);
    let old = world.old_login(&ann).await;
    let refused = world.at_home("POST", "/api/v1/me/passkeys/start", Some(&old), &json!({})).await;
    assert_eq!(refused.problem(), "sign-in-again");
    world.stop().await;
}
