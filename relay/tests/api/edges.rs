//! Limits, headers, languages, the operator's listener, and starting and stopping.

use crate::client::{self, request};
use crate::world::{PLAIN, World, data};
use cloud_doctor_relay::config::RelayConfig;
use cloud_doctor_relay::{ServeError, serve};

#[tokio::test]
async fn h_11_web_17_headers_and_bodies_have_limits() {
    let world = World::fresh(PLAIN).await;
    let headers = |bytes: usize| {
        let value = "x".repeat(bytes);
        request("GET", "/api/v1/me", &[("x-filler", value.as_str())], "")
    };
    assert_eq!(world.raw(headers(6 << 10).as_bytes()).await.status, 401);
    assert_eq!(world.raw(headers(9 << 10).as_bytes()).await.status, 431);
    let many = |count: usize| request("GET", "/api/v1/me", &vec![("x", "y"); count], "");
    assert_eq!(world.raw(many(97).as_bytes()).await.status, 401);
    assert_eq!(world.raw(many(101).as_bytes()).await.status, 431);
    for huge in [headers(1 << 20), many(1_000)] {
        // The answer is lost where the kernel still had bytes that nobody read.
        assert!([0, 431].contains(&world.raw(huge.as_bytes()).await.status));
    }
    let body =
        |bytes: usize| request("POST", "/api/v1/login", &[], &format!("{{\"account\":\"{}\"}}", "x".repeat(bytes)));
    assert_eq!(world.raw(body(200 << 10).as_bytes()).await.problem(), "bad-request");
    assert_eq!(world.raw(body(257 << 10).as_bytes()).await.problem(), "too-large");
    world.stop().await;
}

/// Sends a request and no body; returns the head of the answer.
async fn announce(relay: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(relay).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 4096];
    let reading = tokio::time::timeout(std::time::Duration::from_secs(8), stream.read(&mut head));
    let len = reading.await.expect("an answer before any byte of the body").unwrap();
    String::from_utf8_lossy(&head[..len]).into_owned()
}

/// Whatever is announced or said: refused at once, by its length or while it is decoded.
#[tokio::test]
async fn dos_10_huge_reasons_labels_and_maps_are_refused_unread() {
    let (world, ann) = World::with_ann().await;
    let bearer = format!("Bearer {ann}");
    let paths =
        ["/api/v1/approvals", "/api/v1/enrolment-tokens", "/api/v1/accounts", "/api/v1/login", "/api/v1/trust-log"];
    for path in paths {
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("content-length", "104857600")];
        let began = std::time::Instant::now();
        let head = announce(world.running.bound().clients, &request("POST", path, &headers, "")).await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{path}: {head}");
        assert!(began.elapsed() < std::time::Duration::from_secs(3), "{path}: it waited for the body");
        let (long, many) =
            ("x".repeat(200 << 10), (0..20_000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
        for body in [
            format!("{{\"label\":\"{long}\",\"valid_secs\":60,\"uses\":1}}"),
            format!("{{{many}}}"),
            "[".repeat(200 << 10),
        ] {
            let headers = [("authorization", bearer.as_str())];
            let answer = world.raw(request("POST", path, &headers, &body).as_bytes()).await;
            assert!(matches!(answer.status, 400 | 422), "{path}: {answer:?}");
        }
    }
    assert_eq!(world.get("/api/v1/enrolment-tokens", &ann).await, serde_json::json!({"tokens": []}));
    world.stop().await;
}

#[tokio::test]
async fn h_02_every_answer_has_its_headers_and_none_may_be_kept() {
    let world = World::fresh(PLAIN).await;
    for path in ["/api/v1/me", "/api/v1/openapi.json", "/api/nothing", "/nothing.html"] {
        let answer = world.call("GET", path, None, None).await;
        for header in [
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'",
            "strict-transport-security: max-age=63072000",
        ] {
            assert!(answer.has(header), "{path}: {header} in {answer:?}");
        }
    }
    let metrics = world.call("GET", "/metrics", None, None).await;
    assert!(!metrics.body.contains("cloud_doctor_relay"), "the operator's listener only: {metrics:?}");
    assert_eq!(world.call("PATCH", "/api/v1/me", None, None).await.problem(), "no-method");
    world.stop().await;
}

#[tokio::test]
async fn problems_speak_the_readers_language() {
    let world = World::fresh(PLAIN).await;
    let text = request("GET", "/api/v1/me", &[("accept-language", "zh-CN,zh;q=0.9")], "");
    let answer = world.raw(text.as_bytes()).await;
    assert_eq!(answer.problem(), "signed-out");
    assert_eq!(answer.json()["title"], "尚未登录。");
    assert!(answer.has("content-language: zh"));
    world.stop().await;
}

#[tokio::test]
async fn aut_04_only_the_configured_name_is_answered() {
    let world = World::fresh(&format!("public_name = 'relay.example'\n{PLAIN}")).await;
    let ask = |host: &'static str| {
        let text = request("GET", "/api/v1/me", &[], "").replace("relay.test", host);
        let world = &world;
        async move { world.raw(text.as_bytes()).await.problem() }
    };
    assert_eq!(ask("relay.example").await, "signed-out");
    assert_eq!(ask("RELAY.example:8443").await, "signed-out");
    for other in ["relay.test", "evil.example", "relay.example.evil", "127.0.0.1"] {
        assert_eq!(ask(other).await, "other-host", "{other}");
    }
    world.stop().await;
}

#[tokio::test]
async fn metrics_count_what_happens_and_health_asks_the_database() {
    let (world, ann) = World::with_ann().await;
    world.login("ann", "wrong").await;
    world.get("/api/v1/servers", &ann).await;
    let admin = world.running.bound().admin.unwrap();
    let metrics = client::raw(admin, request("GET", "/metrics", &[], "").as_bytes()).await;
    for line in [
        "cloud_doctor_relay_http_requests_total{class=\"2xx\"} 3",
        "cloud_doctor_relay_http_requests_total{class=\"4xx\"} 1",
        "cloud_doctor_relay_logins_total{outcome=\"ok\"} 1",
        "cloud_doctor_relay_logins_total{outcome=\"wrong\"} 1",
        "cloud_doctor_relay_tunnels 0",
        "cloud_doctor_relay_streams_opened_total 0",
    ] {
        assert!(metrics.body.contains(line), "{line} in {}", metrics.body);
    }
    assert!(!metrics.body.contains("ann"), "no names in metrics");
    let health = client::raw(admin, request("GET", "/healthz", &[], "").as_bytes()).await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    world.stop().await;
}

#[tokio::test]
async fn garbage_on_the_listener_disturbs_nobody() {
    let (world, ann) = World::with_ann().await;
    for garbage in [&b"\0\0\0\0"[..], b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n", b"GET\r\n\r\n", &[0xff; 5000]]
    {
        let answer = world.raw(garbage).await;
        assert!([0, 400, 431].contains(&answer.status), "{answer:?}");
    }
    world.get("/api/v1/me", &ann).await;
    world.stop().await;
}

#[tokio::test]
async fn a_second_relay_is_told_what_is_in_its_way() {
    let world = World::fresh(PLAIN).await;
    let same = RelayConfig::parse(PLAIN, data(&world.dir)).unwrap();
    let error = serve(same).await.unwrap_err();
    assert!(matches!(error, ServeError::DataDir(_)) && error.to_string().contains("in use"), "{error}");
    let other = tempfile::tempdir().unwrap();
    let port = world.running.bound().clients.port();
    let text = PLAIN.replace("[clients]\nlisten = '127.0.0.1:0'", &format!("[clients]\nlisten = '127.0.0.1:{port}'"));
    let error = serve(RelayConfig::parse(&text, data(&other)).unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("clients.listen"), "{error}");
    world.stop().await;
}

#[tokio::test]
async fn keys_and_pins_stay_the_same_over_a_restart() {
    let world =
        World::fresh("[agents]\nlisten = '127.0.0.1:0'\n[clients]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = ''\n")
            .await;
    let before = (world.running.bound().agent_pins, world.running.bound().client_pin);
    assert!(before.1.is_some() && world.running.bound().admin.is_none());
    let world = world.restart().await;
    assert_eq!((world.running.bound().agent_pins, world.running.bound().client_pin), before);
    world.stop().await;
}
