//! What stands behind the question mark: a closed list of names, values that are what they should be, and how often.

use crate::client::{Answer, request};
use crate::customer::Customer;
use crate::routes::{state, things, url};
use crate::world::World;
use serde_json::Value;
use std::time::Duration;

/// What a value never is.
const JUNK: [&str; 12] = [
    "1e9",
    "-1",
    "99999999999999999999999999999999999999",
    "0x10",
    "' OR 1=1 --",
    "1; DROP TABLE accounts",
    "(a+)+$",
    "%",
    "a\0b",
    "__proto__",
    "{\"$ne\":null}",
    "../../etc/passwd",
];

/// Values that mean whatever they say, and where each is asked.
const TEXTS: [(&str, &str); 4] =
    [("account", "sessions"), ("check", "scans/{id}/findings"), ("label", "servers"), ("seen", "approvals")];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// By path: names of what may be asked, and whether it is a number.
fn questions() -> Vec<(String, Vec<(String, bool)>)> {
    let document: Value = serde_json::from_str(&cloud_doctor_relay::http::openapi().to_json().unwrap()).unwrap();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let parameters = methods["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let asked = parameters.iter().filter(|one| one["in"] == "query").map(|one| {
            let number = one["schema"].to_string().contains("\"integer\"");
            (one["name"].as_str().unwrap().to_owned(), number)
        });
        let asked: Vec<_> = asked.collect();
        if !asked.is_empty() {
            all.push((path.clone(), asked));
        }
    }
    all
}

#[tokio::test]
async fn web_11_only_known_questions_are_asked_and_their_values_are_what_they_should_be() {
    let (world, ann) = World::with_ann().await;
    let things = things(&world, &ann, &mut Customer::new(10)).await;
    // Asked by accounts in turn, because each may ask only so often, and never by the one that looks what became of it.
    let mut accounts = Vec::new();
    for name in ["eve", "joe", "kim", "lee", "max"] {
        accounts.push(world.member(&ann, name).await);
    }
    let before = state(&world, &ann).await;
    let (questions, mut turn, mut complaints) = (questions(), 0, Vec::new());
    assert!(questions.len() >= 15, "{questions:?}");
    for (path, asked) in questions {
        let url = url(&things, &path, false);
        let mut ask = async |query: String| {
            turn += 1;
            world.call("GET", &format!("{url}?{query}"), Some(&accounts[turn % accounts.len()]), None).await
        };
        for unknown in ["surprise=1", "__proto__=1", "order=name%3Bdrop", "constructor[prototype]=1", "Wait=1"] {
            assert_eq!(ask(unknown.to_owned()).await.problem(), "bad-request", "{path}?{unknown}");
        }
        for (name, number) in asked {
            for junk in JUNK.into_iter().filter(|_| !TEXTS.iter().any(|(text, _)| name == *text)) {
                let answer = ask(format!("{name}={}", encoded(junk))).await;
                complaints.extend((answer.status != 400).then(|| format!("{path}?{name}={junk}: {}", answer.status)));
            }
            let huge = ask(format!("{name}={}", "9".repeat(4_000))).await;
            assert!([200, 400, 422].contains(&huge.status), "{path}?{name}: {huge:?}");
            // The longest wait is 25 seconds, whatever is asked for.
            if number && name != "wait" {
                let far = ask(format!("{name}=1000000000")).await;
                assert!([200, 400].contains(&far.status), "{path}?{name}: {far:?}");
            }
            if name != "name" {
                assert_eq!(ask(format!("{name}=1&{name}=1")).await.status, 400, "{path}?{name} twice");
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    for (name, place) in TEXTS {
        for (junk, account) in JUNK.into_iter().zip(accounts.iter().cycle()) {
            let path = url(&things, &format!("/api/v1/{place}"), false);
            let answer = world.call("GET", &format!("{path}?{name}={}", encoded(junk)), Some(account), None).await;
            assert!([200, 400, 422].contains(&answer.status), "{path} {junk}: {answer:?}");
            // What was seen before chooses nothing.
            let chosen = name != "seen" && answer.body.contains(&things["servers"]);
            assert!(!chosen, "{path} {junk}: nothing is called that");
        }
    }
    assert_eq!(state(&world, &ann).await, before);
    world.stop().await;
}

#[tokio::test]
async fn dos_07_who_searches_without_end_is_told_to_wait_and_nobody_else_is() {
    let (world, ann) = World::with_ann().await;
    let eve = world.member(&ann, "eve").await;
    let flood = async |path: &str| {
        for _ in 0..5_000 {
            let answer = world.call("GET", path, Some(&ann), None).await;
            if answer.status != 200 {
                return answer;
            }
        }
        panic!("{path}: five thousand in a row");
    };
    let quiet = async |path: &str| {
        let answer: Answer = world.call("GET", path, Some(&eve), None).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    };
    for (path, others) in [("/api/v1/audit?after=0", "/api/v1/sessions"), ("/api/v1/sessions", "/api/v1/audit")] {
        let refused = flood(path).await;
        assert_eq!((refused.status, refused.problem().as_str()), (429, "limited"), "{path}");
        quiet(others).await;
        quiet(path).await;
    }
    // It is over by itself: nobody is locked out.
    let again = async {
        let bearer = format!("Bearer {ann}");
        let me = request("GET", "/api/v1/me", &[("authorization", &bearer)], "");
        while world.raw(me.as_bytes()).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    tokio::time::timeout(crate::client::PATIENCE, again).await.expect("a limit that ends");
    world.stop().await;
}
