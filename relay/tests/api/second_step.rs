//! The code after the password: asked for, right, used up, on paper, turned off.

use crate::client::Answer;
use crate::world::{PASSWORD, World, data};
use cloud_doctor_relay::clock;
use serde_json::{Value, json};
use totp_rs::Totp;

impl World {
    async fn login_with(&self, password: &str, code: &str, more: Value) -> Answer {
        let mut body = json!({"account": "ann", "password": password, "code": code});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("POST", "/api/v1/login", None, Some(body)).await
    }

    /// Turns the second step on; the app and the codes on paper.
    async fn second_step(&self, token: &str) -> (Totp, Vec<String>) {
        let begun = self.call("POST", "/api/v1/me/totp/start", Some(token), None).await.ok();
        let app = Totp::from_url(begun["uri"].as_str().unwrap()).unwrap();
        assert_eq!(app.secret().to_base32(), begun["secret"]);
        let body = json!({"id": begun["id"], "code": app.generate(clock::now().0).to_string()});
        let on = self.call("POST", "/api/v1/me/totp", Some(token), Some(body)).await;
        assert_eq!(on.status, 201, "{on:?}");
        let paper = on.json()["recovery_codes"].as_array().unwrap().clone();
        (app, paper.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
    }
}

/// The code of the next step, which counts already and was not used yet.
fn next(app: &Totp) -> String {
    app.generate(clock::now().0 + 30).to_string()
}

#[tokio::test]
async fn aut_05_aut_07_a_password_alone_does_not_sign_in_where_a_code_is_asked_for() {
    let (world, ann) = World::with_ann().await;
    let old = world.old_login(&ann).await;
    let refused = world.call("POST", "/api/v1/me/totp/start", Some(&old), None).await;
    assert_eq!(refused.problem(), "sign-in-again");
    let (app, paper) = world.second_step(&ann).await;
    assert_eq!(
        world.get("/api/v1/me/totp", &ann).await,
        json!({"password": true, "on": true, "recovery_codes_left": 10})
    );
    assert_eq!(world.call("POST", "/api/v1/me/totp/start", Some(&ann), None).await.problem(), "second-step-on");
    for more in [json!({}), json!({"lasting": true})] {
        let answer = world.login_with(PASSWORD, "", more).await;
        assert_eq!((answer.problem(), answer.json().get("token")), ("code-needed".into(), None));
    }
    let code = next(&app);
    let (wrong, unknown) =
        (world.login_with("not her password", &code, json!({})).await, world.login("nobody", "x").await);
    assert_eq!((wrong.problem(), &wrong.body), ("wrong-login".into(), &unknown.body), "a code says nothing");
    let signed_in = world.login_with(PASSWORD, &code, json!({})).await;
    let token = signed_in.ok()["token"].as_str().unwrap().to_owned();
    world.get("/api/v1/me", &token).await;
    assert_eq!(world.login_with(PASSWORD, &code, json!({})).await.problem(), "wrong-code", "used");
    let world = world.restart().await;
    assert_eq!(world.login_with(PASSWORD, &code, json!({})).await.problem(), "wrong-code", "and stays used");
    world.login_with(PASSWORD, &paper[3], json!({})).await.ok();
    assert_eq!(world.login_with(PASSWORD, &paper[3], json!({})).await.problem(), "wrong-code");
    assert_eq!(world.get("/api/v1/me/totp", &token).await["recovery_codes_left"], 9);
    for file in ["relay.db", "relay.db-wal"] {
        let bytes = std::fs::read(data(&world.dir).join(file)).unwrap_or_default();
        let holds = |planted: &[u8]| bytes.windows(planted.len()).any(|window| window == planted);
        assert!(!holds(app.secret().as_bytes()) && !holds(app.secret().to_base32().as_bytes()), "{file}");
        assert!(!holds(paper[0].as_bytes()) && !holds(paper[0].replace('-', "").as_bytes()), "{file}");
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_07_the_second_step_goes_by_a_proof_and_not_by_a_login_alone() {
    let (world, ann) = World::with_ann().await;
    let (app, paper) = world.second_step(&ann).await;
    let say = async |path: &str, body: Value| world.call("POST", path, Some(&ann), Some(body)).await;
    for path in ["/api/v1/me/totp/remove", "/api/v1/me/totp/recovery-codes"] {
        assert_eq!(say(path, json!({})).await.problem(), "code-needed");
        assert_eq!(say(path, json!({"password": "not her password"})).await.problem(), "wrong-login");
        assert_eq!(say(path, json!({"code": "000000"})).await.problem(), "wrong-code");
    }
    let renewed = say("/api/v1/me/totp/recovery-codes", json!({"code": next(&app)})).await.ok();
    let renewed: Vec<&str> = renewed["recovery_codes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(renewed.len(), 10);
    assert_eq!(say("/api/v1/me/totp/remove", json!({"code": paper[0]})).await.problem(), "wrong-code", "replaced");
    assert_eq!(say("/api/v1/me/totp/remove", json!({"code": renewed[0]})).await.status, 204);
    assert_eq!(say("/api/v1/me/totp/remove", json!({"code": renewed[1]})).await.problem(), "second-step-off");
    world.sign_in("ann", PASSWORD).await;
    let (_, _) = world.second_step(&ann).await;
    assert_eq!(say("/api/v1/me/totp/remove", json!({"password": PASSWORD})).await.status, 204);
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    let about = |action: &str| audit.iter().filter(|event| event["action"] == action).count();
    assert_eq!(
        [about("second-step-on"), about("second-step-off"), about("recovery-code-used"), about("recovery-codes-made")],
        [2, 2, 1, 1]
    );
    world.stop().await;
}

#[tokio::test]
async fn flt_26_a_restored_backup_revives_no_code() {
    let (world, ann) = World::with_ann().await;
    let (app, paper) = world.second_step(&ann).await;
    let saved = world.dir.path().join("saved");
    cloud_doctor_relay::backup::backup(&data(&world.dir), &saved).await.unwrap();
    let code = next(&app);
    world.login_with(PASSWORD, &code, json!({})).await.ok();
    world.login_with(PASSWORD, &paper[0], json!({})).await.ok();
    let (dir, running) = (world.dir, world.running);
    running.stop().await;
    let again = dir.path().join("again");
    cloud_doctor_relay::backup::restore(&saved, &again, false, clock::now()).await.unwrap();
    let config = cloud_doctor_relay::config::RelayConfig::parse(crate::world::PLAIN, again).unwrap();
    let running = cloud_doctor_relay::serve(config).await.unwrap();
    let login = async |code: &str| {
        let body = json!({"account": "ann", "password": PASSWORD, "code": code}).to_string();
        let text = crate::client::request("POST", "/api/v1/login", &[], &body);
        crate::client::raw(running.bound().clients, text.as_bytes()).await.problem()
    };
    assert_eq!(login("").await, "code-needed", "the secret came along");
    assert_eq!(login(&code).await, "wrong-code");
    assert_eq!(login(&paper[0]).await, "wrong-code");
    assert_eq!(login(&paper[1]).await, "wrong-code", "which were used since, nobody knows");
    running.stop().await;
}
