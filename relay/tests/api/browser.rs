//! A page of ours in a browser, and pages of others: cookie, forged changes, tickets.

use crate::client::{Answer, request};
use crate::customer::Customer;
use crate::routes::{body, routes, state};
use crate::streams::{UPGRADE, opened};
use crate::world::{PASSWORD, PLAIN, World, data};
use cloud_doctor_relay::access::BearerToken;
use serde_json::{Value, json};

/// What our own page and a browser send with a change.
pub(crate) const OURS: [(&str, &str); 2] = [("x-cloud-doctor", "console"), ("sec-fetch-site", "same-origin")];

/// Headers that other pages can bring a browser to send, or that miss something.
const FORGED: [&[(&str, &str)]; 9] = [
    &[],
    &[("x-cloud-doctor", "console"), ("sec-fetch-site", "cross-site")],
    &[("x-cloud-doctor", "console"), ("sec-fetch-site", "same-site")],
    &[("x-cloud-doctor", "console"), ("sec-fetch-site", "none")],
    &[("x-cloud-doctor", "console"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
    &[("x-cloud-doctor", "page"), ("sec-fetch-site", "same-origin")],
    &[("sec-fetch-site", "same-origin")],
    &[("x-cloud-doctor", "console"), ("origin", "https://evil.example")],
    &[("x-cloud-doctor", "console"), ("origin", "null")],
];

impl World {
    async fn page_login(&self, account: &str, headers: &[(&str, &str)]) -> Answer {
        let body = json!({"account": account, "password": PASSWORD, "browser": true, "lasting": true}).to_string();
        self.raw(request("POST", "/api/v1/login", headers, &body).as_bytes()).await
    }

    /// Signs in as our page does; the cookie as a browser sends it back.
    pub(crate) async fn page(&self, account: &str) -> String {
        let answer = self.page_login(account, &OURS).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        cookie(&answer)
    }

    /// A request with a cookie and further headers.
    async fn by_cookie(
        &self,
        (method, path): (&str, &str),
        cookie: &str,
        extra: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let headers = [&[("cookie", cookie)], extra].concat();
        self.raw(request(method, path, &headers, body).as_bytes()).await
    }

    async fn me(&self, cookie: &str) -> Answer {
        self.by_cookie(("GET", "/api/v1/me"), cookie, &[], "").await
    }

    /// Asks for a ticket as our page does.
    async fn ticket(&self, cookie: &str) -> String {
        let answer = self.by_cookie(("POST", "/api/v1/stream-tickets"), cookie, &OURS, "").await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["ticket"].as_str().unwrap().to_owned()
    }
}

fn set_cookie(answer: &Answer) -> String {
    let line = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    line.unwrap_or_else(|| panic!("no cookie: {answer:?}")).to_owned()
}

pub(crate) fn cookie(answer: &Answer) -> String {
    set_cookie(answer).split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn h_03_a_pages_login_is_a_cookie_that_no_script_reads() {
    let (world, _) = World::with_ann().await;
    let answer = world.page_login("ann", &OURS).await;
    let pin = world.running.bound().agent_pins[0].to_string();
    let (name, rest) = set_cookie(&answer).split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(name, format!("__Host-cd-{}", &pin["sha256:".len()..][..12]));
    let (value, attributes) = rest.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Strict");
    assert!(BearerToken::parse(value).is_some(), "256 bits: {value}");
    let told = answer.ok();
    assert_eq!((&told["account"], &told["role"], &told["token"]), (&json!("ann"), &json!("admin"), &Value::Null));
    assert!(!answer.body.contains(value), "{answer:?}");
    let hours = (told["ends_at"].as_u64().unwrap() - cloud_doctor_relay::clock::now().0 + 1800) / 3600;
    assert_eq!(hours, 12, "whatever the page asks for");
    assert_eq!(world.me(&cookie(&answer)).await.ok()["account"], "ann");
    for forged in FORGED {
        let refused = world.page_login("ann", forged).await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "foreign-page"), "{forged:?}");
        assert!(!refused.has("set-cookie"), "{forged:?}");
    }
    let secret = data_encoding::BASE64URL_NOPAD.decode(&value.as_bytes()["cd_ses_".len()..]).unwrap();
    for file in ["relay.db", "relay.db-wal"] {
        let bytes = std::fs::read(data(&world.dir).join(file)).unwrap_or_default();
        for planted in [value.as_bytes(), &secret] {
            assert!(!bytes.windows(planted.len()).any(|window| window == planted), "{file}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn aut_08_a_page_gets_a_new_cookie_each_time_and_the_old_ones_end() {
    let (world, _) = World::with_ann().await;
    let name = cookie(&world.page_login("ann", &OURS).await).split('=').next().unwrap().to_owned();
    // Planted before the sign-in, it is not what the login gets.
    let planted = format!("{name}={}", BearerToken::random().unwrap().reveal());
    let answer = world.page_login("ann", &[OURS[0], OURS[1], ("cookie", planted.as_str())]).await;
    let first = cookie(&answer);
    assert_ne!(first, planted);
    assert_eq!(world.me(&planted).await.problem(), "signed-out");
    assert_eq!(world.me(&first).await.status, 200);
    let second = cookie(&world.page_login("ann", &[OURS[0], OURS[1], ("cookie", first.as_str())]).await);
    assert_eq!(world.me(&first).await.problem(), "signed-out", "replaced");
    assert_eq!(world.me(&format!("{planted}; {second}")).await.problem(), "signed-out", "one of them is not ours");
    assert_eq!(world.me(&format!("theme=dark; {second}")).await.status, 200);
    let world = world.restart().await;
    assert_eq!(world.me(&second).await.status, 200, "the relay's process is not the login");
    let out = world.by_cookie(("POST", "/api/v1/logout"), &second, &OURS, "").await;
    assert_eq!(out.status, 204);
    assert_eq!(set_cookie(&out), format!("{name}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"));
    assert_eq!(world.me(&second).await.problem(), "signed-out");
    // A token that is shown wrongly is not made good by a cookie.
    let third = world.page("ann").await;
    let both = world.by_cookie(("GET", "/api/v1/me"), &third, &[("authorization", "Bearer cd_ses_x")], "").await;
    assert_eq!(both.problem(), "signed-out");
    world.stop().await;
}

#[tokio::test]
async fn web_03_no_other_page_changes_anything_through_any_route() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let page = world.page("ann").await;
    let document: Value = serde_json::from_str(&cloud_doctor_relay::http::openapi().to_json().unwrap()).unwrap();
    let before = state(&world, &ann).await;
    let changes: Vec<_> = routes(&document).into_iter().filter(|(method, _, open)| method != "GET" && !open).collect();
    assert!(changes.len() >= 12, "{changes:?}");
    for (method, path, _) in &changes {
        let url = path.replace("{id}", &server).replace("{name}", "nobody");
        let body = body(&url, &server).to_string();
        for forged in FORGED {
            let refused = world.by_cookie((method, &url), &page, forged, &body).await;
            assert_eq!(
                (refused.status, refused.problem().as_str()),
                (403, "foreign-page"),
                "{method} {url} {forged:?}"
            );
        }
        // As a form or as text, which needs no permission from us to be sent.
        for kind in ["application/x-www-form-urlencoded", "text/plain"] {
            let text = request(method, &url, &[("cookie", &page), ("sec-fetch-site", "cross-site")], &body);
            let refused = world.raw(text.replace("application/json", kind).as_bytes()).await;
            assert_eq!(refused.problem(), "foreign-page", "{method} {url} {kind}");
        }
    }
    assert_eq!(state(&world, &ann).await, before);
    // The same from our own page is heard, whatever else is said to it then.
    let port = world.running.bound().clients.port();
    for (method, path, _) in changes.iter().filter(|(_, path, _)| !path.ends_with("/logout")) {
        let url = path.replace("{id}", &"0".repeat(64)).replace("{name}", "nobody");
        let body = body(&url, &server).to_string();
        let heard = world.by_cookie((method, &url), &page, &OURS, &body).await;
        assert!(is_heard(&heard), "{method} {url} {heard:?}");
        // From a browser that says no site, the exact origin will do.
        let host = format!("127.0.0.1:{port}");
        let origin = format!("http://{host}");
        let text = request(method, &url, &[("cookie", &page), OURS[0], ("origin", &origin)], &body);
        let heard = world.raw(text.replace("relay.test", &host).as_bytes()).await;
        assert!(is_heard(&heard), "{method} {url} {heard:?}");
        let named = world.raw(text.as_bytes()).await;
        assert_eq!(named.problem(), "foreign-page", "{method} {url}: any name may point here for a moment");
    }
    world.stop().await;
}

/// Neither taken for a stranger nor for another page.
fn is_heard(answer: &Answer) -> bool {
    answer.status < 400 || !["foreign-page", "signed-out"].contains(&answer.problem().as_str())
}

#[tokio::test]
async fn web_03_no_get_changes_anything() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await.to_string();
    let page = world.page("ann").await;
    let document: Value = serde_json::from_str(&cloud_doctor_relay::http::openapi().to_json().unwrap()).unwrap();
    let before = state(&world, &ann).await;
    let routes = routes(&document);
    for (method, path, open) in &routes {
        let url = path.replace("{id}", &server).replace("{name}", "ann");
        // Streams are refused before anything else, see below, and that is written down.
        if path.ends_with("/stream") || path.ends_with("/metrics/live") {
            continue;
        }
        for asked in ["GET", "HEAD"] {
            let answer = world.by_cookie((asked, &url), &page, &[], "").await;
            let has_get = routes.iter().any(|(method, other, _)| method == "GET" && other == path);
            // What is asked of a server that is away, or without saying what, has no answer.
            let of_server: &[u16] = &[200, 400, 502];
            let expected: &[u16] = match has_get {
                true if path.contains("/metrics/") => of_server,
                true => &[200, 404],
                false => &[405],
            };
            assert!(expected.contains(&answer.status), "{asked} {url} ({method} {open}): {answer:?}");
        }
    }
    assert_eq!(state(&world, &ann).await, before);
    world.stop().await;
}

#[tokio::test]
async fn web_01_a_page_opens_streams_from_the_exact_origin_with_a_ticket_of_its_own() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let (page, elsewhere) = (world.page("ann").await, world.page("ann").await);
    let path = format!("/api/v1/servers/{server}/stream?purpose=shell");
    let host = world.running.bound().clients.to_string();
    let ours = format!("http://{host}");
    let open = async |cookie: &str, origin: &[&str], ticket: Option<&str>| {
        let protocol =
            ticket.map_or("cloud-doctor.v1".to_owned(), |ticket| format!("cloud-doctor.v1, ticket.{ticket}"));
        let mut headers = vec![("cookie", cookie), ("sec-websocket-protocol", protocol.as_str())];
        headers.extend(origin.iter().map(|origin| ("origin", *origin)));
        headers.extend(&UPGRADE[..3]);
        opened(&world, &request("GET", &path, &headers, "").replace("relay.test", &host)).await
    };
    let evil = format!("{ours}.evil.example");
    let (other_port, https) = ("http://127.0.0.1:1".to_owned(), ours.replace("http", "https"));
    let local = ours.replace("127.0.0.1", "localhost");
    for origin in ["https://evil.example", "null", "", &evil, &other_port, &https, &local, &ours.to_uppercase()] {
        let ticket = world.ticket(&page).await;
        let refused = open(&page, &[origin], Some(&ticket)).await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "foreign-page"), "{origin}");
    }
    for origins in [&[][..], &[&ours, "https://evil.example"], &[&ours, &ours]] {
        let ticket = world.ticket(&page).await;
        assert_eq!(open(&page, origins, Some(&ticket)).await.problem(), "foreign-page", "{origins:?}");
    }
    let of_another = world.ticket(&elsewhere).await;
    for ticket in [None, Some(""), Some("x"), Some(&*of_another)] {
        let refused = open(&page, &[&ours], ticket).await;
        assert_eq!((refused.status, refused.problem().as_str()), (403, "ticket"), "{ticket:?}");
    }
    let ticket = world.ticket(&page).await;
    let answer = open(&page, &[&ours], Some(&ticket)).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert!(answer.has("sec-websocket-protocol: cloud-doctor.v1\r\n") || answer.head.ends_with("cloud-doctor.v1"));
    assert!(!answer.head.contains(&ticket) && !answer.has("sec-websocket-extensions"), "{answer:?}");
    assert_eq!(open(&page, &[&ours], Some(&ticket)).await.problem(), "ticket", "once");
    assert_eq!(open("nobody=1", &[&ours], Some(&ticket)).await.problem(), "signed-out");
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    let refused = audit.iter().filter(|event| event["action"] == "stream-refused" && event["account"] == "ann");
    assert_eq!(refused.count(), 8 + 3 + 4 + 1);
    world.stop().await;
}

#[tokio::test]
async fn web_01_with_a_public_name_the_origin_is_that_name_under_https() {
    let world = World::fresh(&format!("public_name = 'relay.example'\n{PLAIN}")).await;
    let host = format!("relay.example:{}", world.running.bound().clients.port());
    let say = async |text: String| world.raw(text.replace("relay.test", &host).as_bytes()).await;
    let code = world.running.setup_code().unwrap().reveal();
    let set_up = json!({"code": code, "account": "ann", "password": PASSWORD}).to_string();
    say(request("POST", "/api/v1/setup", &[], &set_up)).await.ok();
    let login = json!({"account": "ann", "password": PASSWORD, "browser": true}).to_string();
    let page = cookie(&say(request("POST", "/api/v1/login", &OURS, &login)).await);
    let path = format!("/api/v1/servers/{}/stream", "0".repeat(64));
    for (origin, expected) in [
        (format!("https://{host}"), "unknown"),
        ("https://relay.example".to_owned(), "foreign-page"),
        (format!("http://{host}"), "foreign-page"),
        (format!("https://{host}.evil"), "foreign-page"),
    ] {
        let ticket = say(request("POST", "/api/v1/stream-tickets", &[("cookie", &page), OURS[0], OURS[1]], "")).await;
        let protocol = format!("cloud-doctor.v1, ticket.{}", ticket.ok()["ticket"].as_str().unwrap());
        let headers = [("cookie", &*page), ("origin", &*origin), ("sec-websocket-protocol", &*protocol)];
        let answer = say(request("GET", &path, &headers, "")).await;
        assert_eq!(answer.problem(), expected, "{origin}");
    }
    world.stop().await;
}
