//! Every route, taken from the relay's own OpenAPI document: what a stranger and another customer get to see.

use crate::authenticator::Authenticator;
use crate::customer::Customer;
use crate::world::{World, base64};
use cloud_doctor_proto::ids::StreamId;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::StreamOpened;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Method and path of every route of the document.
pub(crate) fn routes(document: &Value) -> Vec<(String, String, bool)> {
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap().iter().filter(|(_, o)| o.get("responses").is_some()) {
            let open = operation["security"] == json!([{}]);
            routes.push((method.to_uppercase(), path.clone(), open));
        }
    }
    routes
}

/// A body that every route with one reads without complaint about its shape.
pub(crate) fn body(path: &str, server: &str) -> Value {
    let bytes = base64(b"x");
    json!({
        "server": server, "grant": bytes, "signature": bytes, "challenge": bytes, "valid_secs": 60, "entry": bytes,
        "label": "x", "uses": 1, "name": format!("x{}", path.len()), "password": "a long password", "role": "member",
        "old": "not the password", "new": "a long password", "as": "engineer", "accepted": true, "token": bytes,
        "account": "x", "every_secs": 3600, "check": "x", "cron": "0 3 * * *", "subject": "x", "reason": "x", "until": 1, "key": "x", "kind": "device", "mac": base64(&[1; 32]),
    })
}

#[tokio::test]
async fn every_route_needs_a_login_but_those_that_make_one() {
    let (world, _) = World::with_ann().await;
    let document = world.raw(crate::client::request("GET", "/api/v1/openapi.json", &[], "").as_bytes()).await.ok();
    let routes = routes(&document);
    assert!(routes.len() >= 20, "{routes:?}");
    let open: Vec<&str> = routes.iter().filter(|(_, _, open)| *open).map(|(_, path, _)| path.as_str()).collect();
    assert_eq!(
        open,
        [
            "/api/v1/join",
            "/api/v1/join/look",
            "/api/v1/join/passkey",
            "/api/v1/join/passkey/start",
            "/api/v1/login",
            "/api/v1/login/oidc",
            "/api/v1/login/oidc/start",
            "/api/v1/login/passkey",
            "/api/v1/login/passkey/start",
            "/api/v1/reset",
            "/api/v1/reset/passkey",
            "/api/v1/reset/start",
            "/api/v1/setup",
            "/api/v1/setup/passkey",
            "/api/v1/setup/passkey/start",
            "/api/v1/sign-in"
        ]
    );
    for (method, path, _) in routes.iter().filter(|(_, _, open)| !open) {
        let path = path.replace("{id}", &"0".repeat(64)).replace("{name}", "ann");
        let path = path.replace("{run}", &"0".repeat(32)).replace("{waiver}", &"0".repeat(32));
        for token in [None, Some("cd_ses_x"), Some(&*format!("cd_ses_{}", base64(&[0; 32])))] {
            let answer = world.call(method, &path, token, Some(body(&path, ""))).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "signed-out"), "{method} {path}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn web_12_ten_01_another_customer_sees_and_changes_nothing_through_any_route() {
    let (world, ann) = World::with_ann().await;
    let bob = world.add_bob().await;
    let mut customer = Customer::new(10);
    let things = things(&world, &ann, &mut customer).await;
    let checks = format!("/api/v1/servers/{}/checks", things["servers"]);
    let known = world.get(&checks, &ann).await;
    let before = state(&world, &ann).await;

    let document = cloud_doctor_relay::http::openapi().to_json().unwrap();
    let entry = base64(&customer.log.entries_from(0, 1)[0]);
    let mut refused = 0;
    for (method, path, open) in routes(&serde_json::from_str(&document).unwrap()) {
        if open || path.ends_with("/logout") {
            continue;
        }
        let [url, none] = [url(&things, &path, false), url(&things, &path, true)];
        let asked = body(&url, &things["servers"]);
        let answer = world.call(&method, &url, Some(&bob), Some(asked.clone())).await;
        for foreign in things.values().chain([&entry]) {
            assert!(!answer.body.contains(foreign.as_str()), "{method} {url} shows {foreign}: {answer:?}");
        }
        if path.contains('{') {
            assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown"), "{method} {url}");
            refused += 1;
            let unknown = world.call(&method, &none, Some(&bob), Some(asked)).await;
            assert_eq!(answer.body, unknown.body, "{method} {url}: not yours and not there are the same");
        }
    }
    assert_eq!(refused, 43, "routes that name something");
    assert_eq!(world.get(&checks, &ann).await, known);
    assert_eq!(state(&world, &ann).await, before);
    world.stop().await;
}

/// A route's address with the names of somebody's things in it, or with names of nothing. A route that names something
/// else has no rule here: whoever adds one says whose it is.
pub(crate) fn url(things: &Things, path: &str, of_nothing: bool) -> String {
    let of = path.split_once("/{id}").map(|(of, _)| of.strip_prefix("/api/v1/").unwrap());
    let id = of.map_or("", |of| things.get(of).unwrap_or_else(|| panic!("{path}: no rule says whose {of}/{{id}} is")));
    let (id, name) = if of_nothing { ("f".repeat(id.len()), "nobody") } else { (id.to_owned(), "ann") };
    let url = path.replace("{id}", &id).replace("{name}", name);
    let url = url.replace("{run}", &things["run"]).replace("{waiver}", &things["waiver"]);
    assert!(!url.contains('{'), "{url}: no rule says what that names");
    url
}

/// By what stands before the name in a route.
pub(crate) type Things = BTreeMap<&'static str, String>;

/// One of everything that has a name, of an admin `ann`.
pub(crate) async fn things(world: &World, token: &str, customer: &mut Customer) -> Things {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let make = async |path: &str, wish: Value| {
        world.call("POST", &format!("/api/v1/{path}"), Some(token), Some(wish)).await.ok()
    };
    let id = world.add_server(token, customer).await;
    let server = id.to_string();
    let wish = json!({"check": "x", "subject": "", "reason": "x", "until": clock::now().0 + 60});
    let waiver = make(&format!("servers/{server}/checks/waivers"), wish).await;
    let join = make("joins", json!({"name": "x", "as": "engineer", "valid_secs": 60})).await;
    let key = SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes();
    let key = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &key].concat();
    let invitation = make("invitations", json!({"engineer_key": base64(&key)})).await;
    let [scan, plan] = of_scans(world, token).await;
    let opened = StreamOpened {
        stream: StreamId([0x5e; 16]),
        account: "ann".into(),
        agent: id,
        client: "192.0.2.1".into(),
        purpose: "shell".into(),
        visit: None,
        channel: None,
    };
    let stream = opened.stream.to_string();
    world.stream(token, "ann", opened).await;
    world.add_passkey(token, &mut Authenticator::new("of ann")).await.ok();
    let first = async |path: &str, list: &str| text(&world.get(&format!("/api/v1/{path}"), token).await[list][0]["id"]);
    Things::from([
        ("run", world.check_run(&server, 1, &[]).await),
        ("waiver", text(&waiver["waiver"])),
        ("approvals", text(&make("approvals", body("", &server)).await["id"])),
        ("joins", text(&join["id"])),
        ("invitations", text(&invitation["id"])),
        ("scans", scan),
        ("scan-plans", plan),
        ("sessions", stream),
        ("enrolment-tokens", first("enrolment-tokens", "tokens").await),
        ("me/passkeys", first("me/passkeys", "passkeys").await),
        ("me/logins", first("me/logins", "logins").await),
        ("servers", server),
    ])
}

/// Names of a scan and of a plan that an admin makes.
async fn of_scans(world: &World, token: &str) -> [String; 2] {
    let scan = world.call("POST", "/api/v1/scans", Some(token), Some(json!({}))).await.ok();
    let wish = json!({"name": "nightly", "cron": "0 3 * * *"});
    let plan = world.call("POST", "/api/v1/scan-plans", Some(token), Some(wish)).await.ok();
    [&scan["scan"], &plan["plan"]].map(|name| name.as_str().unwrap().to_owned())
}

/// Everything that a customer can see, without what its own requests add to the audit.
pub(crate) async fn state(world: &World, token: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [
        "servers",
        "trust-log",
        "enrolment-tokens",
        "sessions",
        "approvals",
        "joins",
        "accounts",
        "audit",
        "me",
        "scan-plans",
    ] {
        all.push(world.get(&format!("/api/v1/{path}"), token).await);
    }
    all
}

#[tokio::test]
async fn the_document_names_every_answer_and_tells_no_secret() {
    let text = cloud_doctor_relay::http::openapi().to_pretty_json().unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    for (method, path, _) in routes(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        assert!(operation["responses"]["default"].is_object(), "{method} {path}: problems");
        let summary = operation["summary"].as_str().or(operation["description"].as_str());
        assert!(summary.is_some_and(|summary| !summary.is_empty()), "{method} {path}: a sentence");
    }
    assert!(document["components"]["schemas"]["Problem"].is_object());
}
