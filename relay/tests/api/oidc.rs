//! Signing in at an identity provider: an honest one, and one that tries everything.

use crate::browser::{OURS, cookie};
use crate::client::{Answer, request};
use crate::provider::{Provider, Signed};
use crate::world::{PASSWORD, PLAIN, World};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt as _;

impl World {
    /// A relay that sends people to this provider, with an account `ann`.
    async fn with_provider(issuer: &str, rules: &str) -> (Self, String) {
        let oidc = format!("{PLAIN}[oidc]\nissuer = '{issuer}'\nclient_id = 'relay'\nname = 'Work'\n{rules}\n");
        let world = Self::fresh(&oidc).await;
        world.set_up().await.ok();
        let ann = world.page("ann").await;
        (world, ann)
    }

    async fn page_says(&self, method: &str, path: &str, cookies: &str, body: &Value) -> Answer {
        let headers = [("cookie", cookies), OURS[0], OURS[1]];
        let host = self.origin().replace("http://", "");
        self.at(&host, request(method, path, &headers, &body.to_string())).await
    }

    /// Goes to the provider and comes back: the browser's cookie, and what the page sends.
    async fn there_and_back(&self, provider: &Provider, start: &str, cookies: &str) -> (String, Value) {
        let away = self.page_says("POST", start, cookies, &json!({})).await;
        assert!(away.has("; HttpOnly; SameSite=Strict; Max-Age=300"), "{away:?}");
        let (code, state) = provider.visit(away.ok()["url"].as_str().unwrap());
        (cookie(&away), json!({"state": state, "code": code}))
    }

    async fn by_provider(&self, provider: &Provider) -> Answer {
        let (browser, back) = self.there_and_back(provider, "/api/v1/login/oidc/start", "").await;
        self.page_says("POST", "/api/v1/login/oidc", &browser, &back).await
    }

    async fn link(&self, provider: &Provider, page: &str) -> Answer {
        let (browser, back) = self.there_and_back(provider, "/api/v1/me/oidc/start", page).await;
        self.page_says("POST", "/api/v1/me/oidc", &format!("{page}; {browser}"), &back).await
    }
}

#[tokio::test]
async fn aut_10_an_account_is_found_by_issuer_and_subject_and_by_nothing_else() {
    let provider = Provider::start().await;
    let (world, ann) = World::with_provider(&provider.issuer, "").await;
    let ways = world.call("GET", "/api/v1/sign-in", None, None).await.ok();
    assert_eq!(ways["oidc"], json!({"name": "Work"}));
    provider.will(Signed::Well, json!({"preferred_username": "ann"}));
    assert_eq!(world.by_provider(&provider).await.problem(), "no-account", "a name is no account");
    assert_eq!(world.link(&provider, &ann).await.status, 204);
    let linked = world.page_says("GET", "/api/v1/me/oidc", &ann, &json!({})).await.ok();
    assert_eq!((&linked["name"], &linked["label"]), (&json!("Work"), &json!("ann@example.com")));
    assert_eq!(world.link(&provider, &ann).await.problem(), "linked-already");
    provider.will(Signed::Well, json!({"email": "another@elsewhere", "preferred_username": "eve"}));
    let in_by_it = world.by_provider(&provider).await;
    assert_eq!(in_by_it.ok()["account"], "ann", "whatever the person is called now");
    let logins = world.page_says("GET", "/api/v1/me/logins", &cookie(&in_by_it), &json!({})).await.ok();
    assert!(logins["logins"].as_array().unwrap().iter().any(|login| login["way"] == "oidc" && login["this"] == true));
    provider.will(Signed::Well, json!({"sub": "s-2"}));
    assert_eq!(world.by_provider(&provider).await.problem(), "no-account", "another person, the same address");
    assert_eq!(world.page_says("DELETE", "/api/v1/me/oidc", &ann, &json!({})).await.status, 204);
    provider.will(Signed::Well, json!({}));
    assert_eq!(world.by_provider(&provider).await.problem(), "no-account");
    world.stop().await;
}

#[tokio::test]
async fn aut_10_a_token_that_is_not_what_was_asked_for_signs_nobody_in() {
    let provider = Provider::start().await;
    let (world, ann) = World::with_provider(&provider.issuer, "").await;
    assert_eq!(world.link(&provider, &ann).await.status, 204);
    assert_eq!(world.by_provider(&provider).await.status, 200);
    for (signed, claims) in [
        (Signed::None, json!({})),
        (Signed::Symmetric, json!({})),
        (Signed::ByAnother, json!({})),
        (Signed::Well, json!({"nonce": null})),
        (Signed::Well, json!({"nonce": "of another time"})),
        (Signed::Well, json!({"aud": "another"})),
        (Signed::Well, json!({"aud": ["relay", "another"]})),
        (Signed::Well, json!({"azp": "another"})),
        (Signed::Well, json!({"iss": format!("{}/", provider.issuer)})),
        (Signed::Well, json!({"iss": "https://evil.example"})),
        (Signed::Well, json!({"exp": 1_000_000})),
    ] {
        provider.will(signed, claims.clone());
        let refused = world.by_provider(&provider).await;
        assert_eq!(refused.status, 401, "{signed:?} {claims}");
        assert_eq!(refused.problem(), "identity-refused", "{signed:?} {claims}");
        assert!(!refused.has("set-cookie"), "{refused:?}");
    }
    provider.will(Signed::ByTheNext, json!({}));
    assert_eq!(world.by_provider(&provider).await.status, 200, "new keys in the middle of it");
    world.stop().await;
}

#[tokio::test]
async fn aut_10_what_was_begun_ends_in_the_same_browser_once_and_for_the_same_purpose() {
    let provider = Provider::start().await;
    let (world, ann) = World::with_provider(&provider.issuer, "").await;
    assert_eq!(world.link(&provider, &ann).await.status, 204);
    let (start, finish) = ("/api/v1/login/oidc/start", "/api/v1/login/oidc");
    let (mine, back) = world.there_and_back(&provider, start, "").await;
    let (other, others) = world.there_and_back(&provider, start, "").await;
    assert_eq!(world.page_says("POST", finish, &other, &back).await.problem(), "identity-refused", "another browser");
    assert_eq!(world.page_says("POST", finish, "", &back).await.problem(), "identity-refused", "none");
    let host = world.origin().replace("http://", "");
    let foreign = world.at(&host, request("POST", finish, &[("cookie", &mine)], &back.to_string())).await;
    assert_eq!(foreign.problem(), "foreign-page");
    let from_elsewhere = json!({"state": back["state"], "code": back["code"], "iss": "https://evil.example"});
    let (again, mixed) = world.there_and_back(&provider, start, "").await;
    let mixed = json!({"state": mixed["state"], "code": mixed["code"], "iss": from_elsewhere["iss"]});
    assert_eq!(world.page_says("POST", finish, &again, &mixed).await.problem(), "identity-refused", "another issuer");
    let stolen = json!({"state": back["state"], "code": others["code"]});
    assert_eq!(
        world.page_says("POST", finish, &mine, &stolen).await.problem(),
        "identity-refused",
        "PKCE: another's code"
    );
    assert_eq!(world.page_says("POST", finish, &mine, &back).await.problem(), "identity-refused", "used by that");
    assert_eq!(world.page_says("POST", finish, &other, &others).await.status, 200);
    assert_eq!(world.page_says("POST", finish, &other, &others).await.problem(), "identity-refused", "once");
    // AUT-07: what began as a sign-in links no account, and the other way round.
    let (browser, back) = world.there_and_back(&provider, start, "").await;
    let both = format!("{ann}; {browser}");
    assert_eq!(world.page_says("POST", "/api/v1/me/oidc", &both, &back).await.problem(), "identity-refused");
    let (browser, back) = world.there_and_back(&provider, "/api/v1/me/oidc/start", &ann).await;
    assert_eq!(world.page_says("POST", finish, &browser, &back).await.problem(), "identity-refused");
    let (browser, back) = world.there_and_back(&provider, "/api/v1/me/oidc/start", &ann).await;
    let another_login = world.page("ann").await;
    let both = format!("{another_login}; {browser}");
    assert_eq!(world.page_says("POST", "/api/v1/me/oidc", &both, &back).await.problem(), "identity-refused");
    world.stop().await;
}

#[tokio::test]
async fn aut_10_rules_let_in_whom_they_name_and_names_are_nobodys() {
    let provider = Provider::start().await;
    let rules = "allowed_domains = ['example.com']\nallowed_groups = ['sre']\ncreate_accounts = true";
    let (world, ann) = World::with_provider(&provider.issuer, rules).await;
    for claims in [
        json!({"email_verified": false}),
        json!({"email_verified": null}),
        json!({"email": "ann@example.com.evil.example"}),
        json!({"email": "example.com"}),
        json!({"email": null}),
        json!({"groups": ["dev"]}),
        json!({"groups": "sre"}),
        json!({"groups": null}),
    ] {
        provider.will(Signed::Well, claims.clone());
        assert_eq!(world.by_provider(&provider).await.problem(), "not-allowed", "{claims}");
    }
    provider.will(Signed::Well, json!({"preferred_username": "ann"}));
    assert_eq!(world.by_provider(&provider).await.problem(), "account-exists");
    provider.will(Signed::Well, json!({}));
    let made = world.by_provider(&provider).await;
    assert_eq!((&made.ok()["account"], &made.json()["role"]), (&json!("ann-at-work"), &json!("member")));
    assert_eq!(world.login("ann-at-work", "").await.problem(), "wrong-login", "it has no password");
    let page = cookie(&made);
    assert_eq!(world.page_says("DELETE", "/api/v1/me/oidc", &page, &json!({})).await.problem(), "last-way-in");
    let path = "/api/v1/accounts/ann-at-work";
    assert_eq!(world.page_says("PATCH", path, &ann, &json!({"disabled": true})).await.status, 204);
    assert_eq!(world.by_provider(&provider).await.problem(), "no-account", "aut_14: kept out, and not made anew");
    assert_eq!(world.page_says("DELETE", path, &ann, &json!({})).await.status, 204);
    world.add_bob().await;
    assert_eq!(world.by_provider(&provider).await.problem(), "no-account", "whose would it be, of two customers");
    world.sign_in("ann", PASSWORD).await;
    world.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_away_is_named_and_keeps_nobody_else_out() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (world, _) = World::with_provider(&format!("http://{gone}"), "").await;
    let away = world.page_says("POST", "/api/v1/login/oidc/start", "", &json!({})).await;
    assert_eq!((away.status, away.problem().as_str()), (502, "provider-away"));
    world.sign_in("ann", PASSWORD).await;
    world.stop().await;
    let (world, _) = World::with_ann().await;
    let none = world.page_says("POST", "/api/v1/login/oidc/start", "", &json!({})).await;
    assert_eq!(none.problem(), "unknown", "none is configured");
    world.stop().await;
}

#[tokio::test]
async fn web_15_a_provider_that_redirects_is_not_followed_and_its_words_are_shown_to_nobody() {
    for to in ["/inside", "http://169.254.169.254/latest", "file:///etc/passwd", "gopher://127.0.0.1:1/x"] {
        let provider = Provider::start().await;
        let (world, _) = World::with_provider(&provider.issuer, "").await;
        provider.redirects(&if to.starts_with('/') { format!("{}{to}", provider.issuer) } else { to.to_owned() });
        let refused = world.page_says("POST", "/api/v1/login/oidc/start", "", &json!({})).await;
        assert_eq!((refused.status, refused.problem().as_str()), (502, "provider-away"), "{to}");
        for inside in ["a word from inside", "169.254", "passwd", "gopher"] {
            assert!(!refused.body.contains(inside), "{to}: {refused:?}");
        }
        let asked = provider.asked();
        assert!(asked.iter().any(|path| path == "/keys") && !asked.iter().any(|path| path == "/inside"), "{asked:?}");
        world.stop().await;
    }
}

/// Walks from the provider's page to where it sends the browser, as a browser does; `home` is where it stops.
async fn walk(issuer: &str, url: &str, home: &str) -> String {
    let (mut url, mut cookies) = (url.to_owned(), Vec::<String>::new());
    for _ in 0..8 {
        let path = url.strip_prefix(issuer).unwrap_or(&url).to_owned();
        let (host, all) = (issuer.strip_prefix("http://").unwrap(), cookies.join("; "));
        let text = request("GET", &path, &[("cookie", &all)], "").replace("relay.test", host);
        let answer = crate::client::raw(host.parse().unwrap(), text.as_bytes()).await;
        for line in answer.head.lines() {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "set-cookie" => cookies.push(value.split(';').next().unwrap().to_owned()),
                "location" => url = value.to_owned(),
                _ => {}
            }
        }
        assert!((300..400).contains(&answer.status), "{answer:?}");
        if url.starts_with(home) {
            return url;
        }
    }
    panic!("never came home: {url}");
}

#[tokio::test]
async fn aut_10_a_real_provider_signs_somebody_in() {
    let web = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    if !web.join("node_modules/oidc-provider").exists() {
        crate::not_tested::not_tested("a real identity provider: its package is not installed (npm ci in relay/web)");
        return;
    }
    let mut node = tokio::process::Command::new("node")
        .args(["e2e-oidc/provider.mjs", "relay", "a long shared secret"])
        .current_dir(&web)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = tokio::io::BufReader::new(node.stdout.take().unwrap());
    let mut issuer = String::new();
    tokio::time::timeout(crate::client::PATIENCE, said.read_line(&mut issuer)).await.unwrap().unwrap();
    let issuer = issuer.trim();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a long shared secret\n").unwrap();
    let rules = format!(
        "client_secret_file = '{}'\nallowed_domains = ['example.com']\nallowed_groups = ['sre']\ncreate_accounts = true",
        secret.path().display()
    );
    let (world, _) = World::with_provider(issuer, &rules).await;
    for _ in 0..2 {
        let away = world.page_says("POST", "/api/v1/login/oidc/start", "", &json!({})).await;
        let home = walk(issuer, away.ok()["url"].as_str().unwrap(), &world.origin()).await;
        let query = home.split_once("/oidc/callback?").unwrap().1;
        let get = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap();
        let iss = get("iss").replace("%3A", ":").replace("%2F", "/");
        let back = json!({"state": get("state"), "code": get("code"), "iss": iss});
        let done = world.page_says("POST", "/api/v1/login/oidc", &cookie(&away), &back).await;
        assert_eq!(done.ok()["account"], "pat", "made the first time, found the second");
    }
    world.stop().await;
    node.kill().await.unwrap();
}
