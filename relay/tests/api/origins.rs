//! A console on another origin that the operator has named, and every other page.

use crate::browser::OURS;
use crate::client::{Answer, request};
use crate::customer::Customer;
use crate::streams::{UPGRADE, opened};
use crate::world::{PASSWORD, PLAIN, World};
use serde_json::json;

const CONSOLE: &str = "https://console.example.com";

async fn world() -> (World, String) {
    let named = format!("certificate = 'none'\nconsole_origins = ['https://other.example', '{CONSOLE}']\n");
    let world = World::fresh(&PLAIN.replace("certificate = 'none'\n", &named)).await;
    world.set_up().await.ok();
    let token = world.sign_in("ann", PASSWORD).await;
    (world, token)
}

impl World {
    async fn say(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.raw(request(method, path, headers, "").as_bytes()).await
    }
}

/// H-05: a browser tells a page of another origin nothing, and sends nothing special for it, unless we let it.
#[tokio::test]
async fn h_05_a_named_console_may_ask_and_read_and_nobody_else() {
    let (world, _) = world().await;
    let (page, asks) = (world.page("ann").await, ("access-control-request-method", "POST"));
    let first = world.say("OPTIONS", "/api/v1/stream-tickets", &[("origin", CONSOLE), asks]).await;
    assert_eq!((first.status, first.body.as_str()), (204, ""), "{first:?}");
    for header in [
        "access-control-allow-origin: https://console.example.com\r\n",
        "access-control-allow-credentials: true",
        "access-control-allow-headers: content-type, x-cloud-doctor",
        "vary: origin",
    ] {
        assert!(first.has(header), "{header} in {first:?}");
    }
    let read = world.say("GET", "/api/v1/me", &[("origin", CONSOLE), ("cookie", &page)]).await;
    assert_eq!(read.ok()["account"], "ann");
    assert!(read.has("access-control-allow-origin: https://console.example.com\r\n") && read.has("vary: origin"));
    let signed_out = world.say("GET", "/api/v1/me", &[("origin", CONSOLE)]).await;
    assert!(signed_out.problem() == "signed-out" && signed_out.has("access-control-allow-origin"), "problems too");
    for other in ["https://evil.example", "https://console.example.com.evil", "http://console.example.com", "null", "*"]
    {
        for method in ["OPTIONS", "GET"] {
            let answer = world.say(method, "/api/v1/me", &[("origin", other), asks, ("cookie", &page)]).await;
            assert!(!answer.has("access-control-"), "{other} {answer:?}");
            assert!(answer.has("vary: origin"), "what is kept for one is not for another");
        }
    }
    let twice = world.say("GET", "/api/v1/me", &[("origin", CONSOLE), ("origin", CONSOLE)]).await;
    assert!(!twice.has("access-control-"), "{twice:?}");
    world.stop().await;
    let (plain, _) = World::with_ann().await;
    for method in ["OPTIONS", "GET"] {
        let answer = plain.say(method, "/api/v1/me", &[("origin", CONSOLE), asks]).await;
        assert!(!answer.has("access-control-") && !answer.has("vary: origin"), "off by default: {answer:?}");
    }
    plain.stop().await;
}

#[tokio::test]
async fn web_03_a_named_console_changes_things_on_our_site_and_from_no_other() {
    let (world, _) = world().await;
    let page = world.page("ann").await;
    let ticket = async |headers: &[(&str, &str)]| {
        let headers = [&[("cookie", page.as_str())], headers].concat();
        world.say("POST", "/api/v1/stream-tickets", &headers).await
    };
    let ours = OURS[0];
    let (site, origin) = (("sec-fetch-site", "same-site"), ("origin", CONSOLE));
    assert_eq!(ticket(&[ours, site, origin]).await.status, 201);
    assert_eq!(ticket(&[ours, origin]).await.status, 201, "a browser that names no site");
    for forged in [
        &[site, origin][..],
        &[ours, site],
        &[ours, site, ("origin", "https://evil.example")],
        &[ours, ("sec-fetch-site", "cross-site"), origin],
        &[ours, ("sec-fetch-site", "none"), origin],
        &[ours, site, site, origin],
        &[ours, site, origin, origin],
    ] {
        assert_eq!(ticket(forged).await.problem(), "foreign-page", "{forged:?}");
    }
    let body = json!({"account": "ann", "password": PASSWORD, "browser": true}).to_string();
    let login = world.raw(request("POST", "/api/v1/login", &[ours, site, origin], &body).as_bytes()).await;
    assert!(login.status == 200 && login.has("SameSite=Strict") && login.has("set-cookie: __Host-"), "{login:?}");
    world.stop().await;
}

#[tokio::test]
async fn web_01_a_named_console_opens_streams_with_a_ticket() {
    let (world, ann) = world().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let page = world.page("ann").await;
    let path = format!("/api/v1/servers/{server}/stream?purpose=shell");
    let open = async |origin: &str, with_ticket: bool| {
        let headers = [("cookie", page.as_str()), OURS[0], ("sec-fetch-site", "same-site"), ("origin", CONSOLE)];
        let ticket = world.say("POST", "/api/v1/stream-tickets", &headers).await.ok();
        let ticket = format!(", ticket.{}", ticket["ticket"].as_str().unwrap());
        let protocol = format!("cloud-doctor.v1{}", if with_ticket { ticket.as_str() } else { "" });
        let mut headers =
            vec![("cookie", page.as_str()), ("origin", origin), ("sec-websocket-protocol", protocol.as_str())];
        headers.extend(&UPGRADE[..3]);
        opened(&world, &request("GET", &path, &headers, "")).await
    };
    assert_eq!(open(CONSOLE, true).await.status, 101);
    assert_eq!(open(CONSOLE, false).await.problem(), "ticket");
    for origin in ["https://evil.example", "https://console.example.com:8443", "https://sub.console.example.com"] {
        assert_eq!(open(origin, true).await.problem(), "foreign-page", "{origin}");
    }
    world.stop().await;
}
