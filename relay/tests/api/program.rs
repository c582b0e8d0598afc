//! The program itself: its command line, its signals, what it tells systemd, and what a kill leaves.

use crate::client::{self, PATIENCE, request};
use crate::world::{PASSWORD, PLAIN};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// So that a thousand rounds stay within a few ten thousand tokens.
const TOKENS_A_ROUND: usize = 10;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-doctor-relay"));
    command.env_clear().env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A relay as a process of its own; killed when dropped.
pub(crate) struct Relay {
    pub(crate) child: Child,
    pub(crate) clients: SocketAddr,
    said: Vec<String>,
}

impl Relay {
    pub(crate) fn start(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = program();
        command.args(["serve", "--data-dir"]).arg(dir).envs(environment.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            said.push(line.unwrap());
            if said.last().unwrap().starts_with("ready") || said.last().unwrap().starts_with("已就绪") {
                break;
            }
        }
        let clients = said
            .iter()
            .find_map(|line| line.split_once("http://").or(line.split_once("https://")))
            .expect("it listens for clients")
            .1;
        let end = clients.find(' ').unwrap_or(clients.len());
        Self { clients: clients[..end].parse().unwrap(), child, said }
    }

    fn code(&self) -> &str {
        self.said.iter().find_map(|line| line.strip_prefix("set-up code ")).expect("a set-up code")
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn wait(&mut self) -> (Option<i32>, String) {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut log = String::new();
                std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut log).unwrap();
                return (status.code(), log);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the relay does not end");
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> client::Answer {
        let bearer = format!("Bearer {token}");
        let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("authorization", &bearer)] };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        client::raw(self.clients, request(method, path, headers, &body).as_bytes()).await
    }

    async fn sign_in(&self) -> String {
        let login = json!({"account": "ann", "password": PASSWORD});
        self.call("POST", "/api/v1/login", "", &login).await.ok()["token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn data_dir(config: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    std::fs::write(data.join("relay.toml"), config).unwrap();
    (dir, data)
}

#[test]
fn init_writes_a_file_that_check_accepts_and_errors_come_together() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new");
    let at = ["--data-dir", data.to_str().unwrap()];
    assert!(run(&["init", at[0], at[1]]).status.success());
    assert!(text(&run(&["init", at[0], at[1]]).stdout).contains("exists already"));
    assert!(run(&["config", "check", at[0], at[1]]).status.success());
    std::fs::write(data.join("relay.toml"), "surprise = 1\n[clients]\nlisten = 'x'\ncertificate = 'acme'\n").unwrap();
    for command in [vec!["config", "check", at[0], at[1]], vec!["serve", at[0], at[1]]] {
        let refused = run(&command);
        assert_eq!(refused.status.code(), Some(78));
        let said = text(&refused.stderr);
        for key in ["surprise", "clients.listen", "clients.certificate"] {
            assert!(said.contains(key), "{key} in {said}");
        }
    }
    assert!(!data.join("relay.db").exists(), "nothing was begun");
}

#[test]
fn openapi_prints_the_document() {
    let document: Value = serde_json::from_slice(&run(&["openapi"]).stdout).unwrap();
    assert!(document["paths"]["/api/v1/servers/{id}/stream"]["get"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_hears_ready_status_and_watchdog_and_term_ends_in_order() {
    let (dir, data) = data_dir(PLAIN);
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")];
    let mut relay = Relay::start(&data, &environment);
    let mut heard = String::new();
    let mut hear = |until: &str| {
        let mut buffer = [0; 4096];
        while !heard.contains(until) {
            let len = socket.recv(&mut buffer).unwrap();
            heard += &String::from_utf8_lossy(&buffer[..len]);
            heard += "\n";
        }
    };
    hear("READY=1");
    hear("STATUS=0 agents connected");
    hear("WATCHDOG=1");
    relay.signal("-HUP");
    relay.signal("-TERM");
    hear("STOPPING=1");
    let (code, log) = relay.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR") && !log.contains('\x1b'), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_speaks_chinese_where_people_do() {
    let (_dir, data) = data_dir(PLAIN);
    let relay = Relay::start(&data, &[("LANG", "zh_CN.UTF-8")]);
    assert!(relay.said.iter().any(|line| line.contains("客户端")), "{:?}", relay.said);
    assert_eq!(relay.code().len(), 27);
    let link = format!("/#/setup/{}", relay.code());
    let linked = relay.said.iter().any(|line| line.contains("浏览器") && line.ends_with(&link));
    assert_eq!(linked, cloud_doctor_relay::http::Console::embedded().is_there(), "{:?}", relay.said);
}

/// Asks for tokens until the relay is gone; those that it has acknowledged.
async fn tokens_until_gone(clients: SocketAddr, token: String, label: String) -> Vec<String> {
    let wish = json!({"label": label, "valid_secs": 60, "uses": 1}).to_string();
    let bearer = format!("Bearer {token}");
    let ask = request("POST", "/api/v1/enrolment-tokens", &[("authorization", &bearer)], &wish);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < TOKENS_A_ROUND {
        let Some(answer) = client::try_raw(clients, ask.as_bytes()).await else { break };
        // An answer that was cut off says nothing.
        let Ok(made) = serde_json::from_str::<Value>(&answer.body) else { break };
        acknowledged.push(made["id"].as_str().expect("a token").to_owned());
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aud_03_what_was_acknowledged_is_there_after_every_kill() {
    let (_dir, data) = data_dir(PLAIN);
    let mut relay = Relay::start(&data, &[]);
    let set_up = json!({"code": relay.code(), "account": "ann", "password": PASSWORD});
    relay.call("POST", "/api/v1/setup", "", &set_up).await.ok();
    let token = relay.sign_in().await;
    let mut acknowledged = Vec::new();
    // Full load under `make stress`.
    let full = std::env::var_os("CLOUD_DOCTOR_STRESS").is_some_and(|value| value == "1");
    for round in 0..if full { 1000 } else { 8u64 } {
        let asking =
            |caller| tokio::spawn(tokens_until_gone(relay.clients, token.clone(), format!("{round}-{caller}")));
        let callers = [asking("a"), asking("b")];
        // Killed somewhere in the middle of what they ask, each time a little later.
        tokio::time::sleep(Duration::from_millis(round % 16 * 5)).await;
        relay.signal("-KILL");
        relay.wait();
        for caller in callers {
            acknowledged.extend(caller.await.unwrap());
        }
        relay = Relay::start(&data, &[]);
        assert!(relay.said.iter().all(|line| !line.contains("set-up code")));
    }
    assert!(!acknowledged.is_empty(), "every kill came before the first answer");
    let events = audit(&relay, &token).await;
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no gap, no double");
    let created = events.iter().filter(|event| event["action"] == "token-created");
    let mut subjects: Vec<&str> = created.filter_map(|event| event["subject"].as_str()).collect();
    subjects.sort_unstable();
    for id in &acknowledged {
        let from = subjects.partition_point(|subject| *subject < id.as_str());
        let about = subjects[from..].iter().take_while(|subject| subject.starts_with(id.as_str()));
        assert_eq!(about.count(), 1, "{id}");
    }
}

/// The whole audit log, page by page.
async fn audit(relay: &Relay, token: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let after = events.last().and_then(|event| event["seq"].as_u64()).unwrap_or(0);
        let page = relay.call("GET", &format!("/api/v1/audit?after={after}"), token, &Value::Null).await.ok();
        match page["events"].as_array() {
            Some(page) if !page.is_empty() => events.extend(page.iter().cloned()),
            _ => return events,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_restore_and_a_second_customer_beside_a_running_relay() {
    let (dir, data) = data_dir(PLAIN);
    let mut relay = Relay::start(&data, &[]);
    let set_up = json!({"code": relay.code(), "account": "ann", "password": PASSWORD});
    relay.call("POST", "/api/v1/setup", "", &set_up).await.ok();
    let token = relay.sign_in().await;
    let (at, saved) = (data.to_str().unwrap(), dir.path().join("saved"));
    let password = dir.path().join("password");
    std::fs::write(&password, "another long password\n").unwrap();
    let add = ["tenant", "add", "--data-dir", at, "--name", "Other", "--account", "bob", "--password-file"];
    let added = program().args(add).arg(&password).output().unwrap();
    assert!(added.status.success(), "{added:?}");
    let bob = json!({"account": "bob", "password": "another long password"});
    relay.call("POST", "/api/v1/login", "", &bob).await.ok();
    let saved = saved.to_str().unwrap();
    assert!(run(&["backup", "--data-dir", at, saved]).status.success());
    let in_use = run(&["restore", "--data-dir", at, saved, "--force"]);
    assert!(!in_use.status.success() && text(&in_use.stderr).contains("in use"), "{in_use:?}");
    relay.signal("-INT");
    assert_eq!(relay.wait().0, Some(0));
    let refused = run(&["restore", "--data-dir", at, saved]);
    assert!(text(&refused.stderr).contains("--force"), "{refused:?}");
    assert!(run(&["restore", "--data-dir", at, saved, "--force"]).status.success());
    let relay = Relay::start(&data, &[]);
    let old = relay.call("GET", "/api/v1/me", &token, &Value::Null).await;
    assert_eq!(old.problem(), "signed-out", "flt_26: a restored login counts no more");
    relay.sign_in().await;
}
