//! The list of servers, one server's page, and labels.

use crate::customer::Customer;
use crate::world::{PASSWORD, World, base64};
use cloud_doctor_proto::ids::StreamId;
use cloud_doctor_relay::access::BearerToken;
use cloud_doctor_relay::clock;
use cloud_doctor_relay::store::StreamOpened;
use serde_json::{Value, json};

impl World {
    /// A member's account, signed in.
    pub(crate) async fn member(&self, admin: &str, name: &str) -> String {
        let account = json!({"name": name, "password": PASSWORD, "role": "member"});
        self.call("POST", "/api/v1/accounts", Some(admin), Some(account)).await.ok();
        self.sign_in(name, PASSWORD).await
    }

    /// Notes a stream to a server as if its client were here.
    pub(crate) async fn stream(&self, token: &str, account: &str, stream: StreamOpened) {
        let store = self.store().await;
        let tenant = store.login(&BearerToken::parse(token).unwrap().hash()).await.unwrap().unwrap().account.tenant;
        let stream = StreamOpened { account: account.into(), ..stream };
        store.of(tenant).stream_opened(&stream, clock::now()).await.unwrap();
        store.close().await;
    }
}

async fn names(world: &World, token: &str, label: &str) -> Vec<String> {
    let list = world.get(&format!("/api/v1/servers?label={label}"), token).await;
    let name = |server: &Value| server["name"].as_str().unwrap().to_owned();
    list["servers"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test]
async fn people_label_servers_and_find_them_by_label() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(10);
    let server = world.add_server(&ann, &mut customer).await;
    let eve = world.member(&ann, "eve").await;
    let path = format!("/api/v1/servers/{server}/labels");
    let label = async |body: Value| world.call("POST", &path, Some(&eve), Some(body)).await;
    let added = label(json!({"add": ["env=test", "web", "团队=支付"]})).await.ok();
    assert_eq!(added, json!({"labels": ["env=test", "web", "团队=支付"]}));
    let changed = label(json!({"add": ["env=prod"], "remove": ["web", "团队=other"]})).await.ok();
    assert_eq!(changed, json!({"labels": ["env=prod", "团队=支付"]}), "a key has one value");
    let listed = world.get("/api/v1/servers", &ann).await;
    assert_eq!(listed["servers"][0]["labels"], json!(["env=prod", "团队=支付"]));
    for (wanted, found) in [("", 1), ("env", 1), ("env=prod", 1), ("env=prod,env", 1), ("env=test", 0), ("web", 0)] {
        assert_eq!(names(&world, &ann, wanted).await.len(), found, "{wanted}");
    }
    for bad in [json!(["a b"]), json!(["a,b"]), json!(["=x"]), json!(["x".repeat(49)]), json!(["\u{202e}x"])] {
        assert_eq!(label(json!({"add": bad})).await.problem(), "bad-label", "{bad}");
    }
    let many = |count: usize| (0..count).map(|n| format!("l{n}")).collect::<Vec<_>>();
    assert_eq!(label(json!({"add": many(15)})).await.problem(), "bad-label", "17 with those that are there");
    assert_eq!(label(json!({"add": many(14)})).await.status, 200);
    assert_eq!(label(json!({"add": many(17)})).await.problem(), "bad-label");
    let bad = world.call("GET", "/api/v1/servers?label=a%20b", Some(&ann), None).await;
    assert_eq!(bad.problem(), "bad-label");
    let audit = world.get("/api/v1/audit", &ann).await["events"].as_array().unwrap().clone();
    let noted = audit.iter().filter(|event| event["action"] == "server-labelled" && event["account"] == "eve");
    assert_eq!(noted.count(), 3, "refused changes leave no row");
    world.stop().await;
}

#[tokio::test]
async fn a_servers_page_says_who_is_here() {
    let (world, ann) = World::with_ann().await;
    let server = world.add_server(&ann, &mut Customer::new(10)).await;
    let stream = |number: u8, purpose: &str| StreamOpened {
        stream: StreamId([number; 16]),
        account: String::new(),
        agent: server,
        client: format!("192.0.2.{number}"),
        purpose: purpose.into(),
        visit: None,
        channel: None,
    };
    for (number, account, purpose) in [(1, "ann", "shell"), (2, "ann", "exec"), (3, "eve", "attach")] {
        world.stream(&ann, account, stream(number, purpose)).await;
    }
    let listed = world.get("/api/v1/servers", &ann).await;
    assert_eq!(listed["servers"][0]["here"], 2, "two people with three streams");
    let facts = world.get(&format!("/api/v1/servers/{server}"), &ann).await;
    assert_eq!(
        (&facts["name"], &facts["hostname"], &facts["here"]),
        (&json!("web-1"), &json!("web-1.example"), &json!(2))
    );
    assert_eq!(
        (&facts["cpus"], &facts["memory_bytes"], &facts["booted_at"]),
        (&json!(4), &json!(1 << 30), &json!(1_800_000_000))
    );
    let here = facts["streams"].as_array().unwrap();
    let who = |of: &Value| ["account", "client", "purpose"].map(|key| of[key].as_str().unwrap().to_owned()).join(" ");
    assert_eq!(
        here.iter().map(who).collect::<Vec<_>>(),
        ["ann 192.0.2.1 shell", "ann 192.0.2.2 exec", "eve 192.0.2.3 attach"]
    );
    assert!(here.iter().all(|stream| stream["opened_at"].as_u64().unwrap() > 0 && stream["closed_at"].is_null()));
    world.stop().await;
}

/// TLS-04: a root's entry alone takes a server off the relay; nothing has to be asked of the relay besides.
#[tokio::test]
async fn tls_04_a_removing_entry_takes_a_server_off_the_list_with_its_labels() {
    let (world, ann) = World::with_ann().await;
    let mut customer = Customer::new(10);
    let server = world.add_server(&ann, &mut customer).await;
    let labels = json!({"add": ["web"]});
    world.call("POST", &format!("/api/v1/servers/{server}/labels"), Some(&ann), Some(labels)).await.ok();
    let entry = json!({"entry": base64(&customer.remove_agent(server))});
    world.call("POST", "/api/v1/trust-log", Some(&ann), Some(entry)).await.ok();
    assert_eq!(world.get("/api/v1/servers", &ann).await, json!({"servers": []}));
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/labels")] {
        let url = format!("/api/v1/servers/{server}{path}");
        let gone = world.call(method, &url, Some(&ann), Some(json!({"add": ["web"]}))).await;
        assert_eq!(gone.problem(), "unknown", "{method} {url}");
    }
    let store = world.store().await;
    let row = store.agent_by_transport_key(&cloud_doctor_proto::ids::VerifyKey([7; 32])).await.unwrap().unwrap();
    assert!(row.removed, "its tunnel's key counts no more");
    let labels = store.of(row.tenant).labels().await.unwrap();
    assert!(labels.is_empty(), "{labels:?}");
    store.close().await;
    world.stop().await;
}
