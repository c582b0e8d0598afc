//! The console as a browser gets it: files, headers, and what is not there.
//!
//! A relay that was built without the console has one plain page; what holds for both is tested with whichever is
//! built.

use crate::client::{Answer, request};
use crate::world::{PLAIN, World};
use cloud_doctor_relay::http::Console;

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next_back().unwrap_or_default()
}

async fn page(world: &World) -> Answer {
    let host = world.running.bound().clients.to_string();
    world.raw(request("GET", "/", &[], "").replace("relay.test", &host).as_bytes()).await
}

#[tokio::test]
async fn h_01_the_page_loads_its_own_files_only_and_runs_no_script_that_stands_in_it() {
    let world = World::fresh(PLAIN).await;
    let host = world.running.bound().clients.to_string();
    let answer = page(&world).await;
    assert_eq!((answer.status, header(&answer, "content-type")), (200, "text/html"));
    let policy: Vec<&str> = header(&answer, "content-security-policy").split("; ").collect();
    let streams = format!("connect-src 'self' ws://{host}");
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        &streams,
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types svelte-trusted-html",
    ] {
        assert!(policy.contains(&directive), "{directive} in {policy:?}");
    }
    assert!(policy.iter().all(|directive| !directive.contains("unsafe") && !directive.contains('*')), "{policy:?}");
    // A name that may be anybody's does not get into the policy.
    for evil in ["evil.example; script-src *", "evil.example", "a b", "x@127.0.0.1"] {
        let asked = world.raw(request("GET", "/", &[], "").replace("relay.test", evil).as_bytes()).await;
        assert!(!asked.head.contains("evil") && !header(&asked, "content-security-policy").contains('*'), "{asked:?}");
    }
    for inline in ["<script>", "<style", " style=", " onload=", " onclick=", "javascript:"] {
        assert!(!answer.body.contains(inline), "{inline} in {}", answer.body);
    }
    world.stop().await;
}

#[tokio::test]
async fn web_04_h_02_no_page_frames_this_one_or_keeps_a_hand_on_its_window() {
    let world = World::fresh(PLAIN).await;
    for path in ["/", "/api/v1/me", "/nothing.js"] {
        let answer = world.raw(request("GET", path, &[], "").as_bytes()).await;
        assert!(header(&answer, "content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        for (name, value) in [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-embedder-policy", "require-corp"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(header(&answer, name), value, "{path}");
        }
        let permissions: Vec<&str> = header(&answer, "permissions-policy").split(", ").collect();
        let given: Vec<_> = permissions.iter().filter(|permission| !permission.ends_with("=()")).collect();
        assert_eq!(given, [&"clipboard-write=(self)", &"publickey-credentials-get=(self)"], "{path}");
        assert!(!answer.has("access-control-allow"), "{path}: no other origin reads anything");
    }
    world.stop().await;
}

#[tokio::test]
async fn h_07_every_file_is_our_own_and_hashed_ones_are_kept() {
    let world = World::fresh(PLAIN).await;
    let console = Console::embedded();
    for path in console.paths() {
        let answer = world.raw(request("GET", path, &[], "").as_bytes()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        let kept = header(&answer, "cache-control");
        let expected = if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(kept, expected, "{path}");
        assert_ne!(header(&answer, "content-type"), "application/octet-stream", "{path}: a kind that we know");
        assert!(!answer.body.contains("sourceMappingURL"), "{path}");
    }
    let answer = page(&world).await;
    let elsewhere = answer.body.split(['"', '\'']).find(|text| text.contains("://") || text.starts_with("//"));
    assert_eq!(elsewhere, None, "the page names another place");
    for tag in answer.body.split('<').filter(|tag| tag.contains("/assets/")) {
        assert!(tag.contains(" integrity=\"sha384-"), "the page names what it does not know: {tag}");
    }
    assert_eq!(console.is_there(), console.paths().next().is_some());
    world.stop().await;
}

/// A page of an older release may ask for files that are gone, and nothing may stand between a page and the relay.
#[tokio::test]
async fn web_18_no_old_file_is_answered_and_nothing_works_in_the_background() {
    let world = World::fresh(PLAIN).await;
    let console = Console::embedded();
    for old in ["/assets/index-00000000.js", "/assets/index.js", "/sw.js", "/service-worker.js", "/manifest.json"] {
        let answer = world.raw(request("GET", old, &[], "").as_bytes()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown"), "{old}");
        assert_eq!(header(&answer, "cache-control"), "no-store", "{old}: that it is not there is not kept");
    }
    for path in console.paths() {
        let answer = world.raw(request("GET", path, &[], "").as_bytes()).await;
        assert!(!answer.body.contains("serviceWorker.register"), "{path}");
        assert_eq!(header(&answer, "service-worker-allowed"), "", "{path}");
    }
    let policy = header(&page(&world).await, "content-security-policy").to_owned();
    assert!(!policy.contains("worker-src") && policy.contains("default-src 'none'"), "{policy}");
    world.stop().await;
}

#[tokio::test]
async fn web_14_no_spelling_of_a_path_leads_to_the_disk() {
    let world = World::fresh(PLAIN).await;
    for path in [
        "/dashboard..",
        "/../../../../etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%5c..%5crelay.toml",
        "/assets/../relay.db",
        "/index.html%00.js",
        "/%00.",
        "/Index.HTML",
        "/.git/config",
        "/relay.db",
        "/api/..",
        "/api/v1/../../index.html",
        &format!("/{}", "a/".repeat(2000)),
    ] {
        let answer = world.raw(request("GET", path, &[], "").as_bytes()).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = world.raw(request(method, "/", &[], "{}").as_bytes()).await;
        assert_eq!(answer.problem(), "unknown", "{method}");
    }
    let too_long = request("GET", &format!("/{}", "a".repeat(20_000)), &[], "");
    assert!([414, 431].contains(&world.raw(too_long.as_bytes()).await.status));
    let head = world.raw(request("HEAD", "/", &[], "").as_bytes()).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    world.stop().await;
}

#[tokio::test]
async fn web_19_no_secret_stands_in_an_url_and_no_answer_tells_of_the_inside() {
    let world = World::fresh(PLAIN).await;
    let document: serde_json::Value =
        serde_json::from_str(&cloud_doctor_relay::http::openapi().to_json().unwrap()).unwrap();
    let operations = document["paths"].as_object().unwrap().values().flat_map(|methods| methods.as_object().unwrap());
    let parameters = operations.flat_map(|(_, operation)| operation["parameters"].as_array().into_iter().flatten());
    let mut names: Vec<&str> = parameters.map(|parameter| parameter["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "account", "after", "before", "change", "channel", "check", "count", "from", "id", "label", "name", "of",
            "points", "purpose", "run", "seen", "server", "since", "state", "status", "to", "visit", "wait", "waived",
            "waiver", "worst",
        ],
        "none is a secret"
    );
    for path in ["/", "/api/v1/me", "/api/v1/sessions?from=x", "/nothing.js", "/api/v1/login"] {
        let answer = world.raw(request("POST", path, &[], "{").as_bytes()).await;
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer", "{path}");
        for inside in [".rs:", "panicked", "src/", "axum", "hyper", "sqlx", env!("CARGO_MANIFEST_DIR")] {
            assert!(!answer.body.contains(inside) && !answer.head.contains(inside), "{path}: {inside} in {answer:?}");
        }
        assert_eq!(header(&answer, "server"), "", "no version before anybody signed in");
    }
    assert!(Console::embedded().paths().all(|path| !path.ends_with(".map")));
    world.stop().await;
}

#[tokio::test]
async fn web_05_a_request_is_for_one_host_and_no_header_of_a_proxy_changes_that() {
    let world = World::fresh(PLAIN).await;
    let get = request("GET", "/api/v1/me", &[], "");
    for twice in ["relay.test", "evil.example"] {
        let text = get.replace("host: relay.test", &format!("host: relay.test\r\nhost: {twice}"));
        assert_eq!(world.raw(text.as_bytes()).await.problem(), "other-host", "{twice}");
    }
    let absolute = |host: &str| get.replace("GET /", &format!("GET http://{host}/"));
    assert_eq!(world.raw(absolute("evil.example").as_bytes()).await.problem(), "other-host");
    assert_eq!(world.raw(absolute("relay.test").as_bytes()).await.problem(), "signed-out");
    let plain = page(&world).await;
    let host = world.running.bound().clients.to_string();
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.9"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "/api/v1/me"),
        ("x-http-method-override", "POST"),
    ] {
        let text = request("GET", "/", &[(name, value)], "").replace("relay.test", &host);
        let answer = world.raw(text.as_bytes()).await;
        let same = ["content-security-policy", "content-type"].map(|h| header(&answer, h) == header(&plain, h));
        assert_eq!((answer.status, &answer.body, same), (200, &plain.body, [true, true]), "{name}");
    }
    world.stop().await;
}
