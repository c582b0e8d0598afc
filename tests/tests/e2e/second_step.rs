//! Signing in with the client where the account's password needs a code besides.

use super::people::login;
use cloud_doctor_tests::calls::call;
use cloud_doctor_tests::people::now;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Client, Plan, Site};
use cloud_doctor_tests::terminal::Terminal;
use serde_json::{Value, json};
use std::fs;

/// Turns the owner's second step on; returns the codes on paper.
fn turn_on(site: &Site) -> Vec<String> {
    let (relay, token) = (site.relay.listening().clients, login(site));
    let (status, begun) = call(relay, &token, ("POST", "/me/totp/start"), &Value::Null);
    assert_eq!(status, 200, "{begun}");
    let secret = data_encoding::BASE32_NOPAD.decode(begun["secret"].as_str().unwrap().as_bytes()).unwrap();
    let app = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    let confirm = json!({ "id": begun["id"], "code": app.generate(now().0).to_string() });
    let (status, paper) = call(relay, &token, ("POST", "/me/totp"), &confirm);
    assert_eq!(status, 201, "{paper}");
    paper["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

#[test]
fn login_asks_for_the_second_step_once() {
    let site = Site::planned(Plan { web: Web::Plain, ..Plan::default() }, |_| {});
    let paper = turn_on(&site);
    let (url, password, file) = (site.url(), site.world.path("password"), site.world.path("code"));
    let arguments = ["login", &url, "--account", "owner", "--password-file", password.to_str().unwrap()];
    let with_file = [&arguments[..], &["--code-file", file.to_str().unwrap()]].concat();
    let client = Client::new(&site.world, "another");
    let refused = |arguments: &[&str], code: i32, text: &str| {
        let output = client.ask(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && said.contains(text), "{:?}: {said}", output.status);
        assert!(!client.home.join("tokens").exists(), "a sign-in was kept");
    };
    refused(&arguments, 3, "--code-file FILE");
    fs::write(&file, "000000\n").unwrap();
    refused(&with_file, 5, "code");
    fs::write(&file, format!("{}\n", paper[0])).unwrap();
    client.must(&with_file);

    let at_terminal = |name: &str, code: &str| {
        let mut terminal = Terminal::start(&site.world, name, &client.command(&arguments), 200, 24);
        terminal.wait_for("Six digits of your authenticator app for owner");
        terminal.type_in(&format!("{code}\n"));
        let status = terminal.finish().code();
        (status, String::from_utf8_lossy(&terminal.shown()).into_owned())
    };
    // One that was used is wrong, and not asked for again.
    let (status, shown) = at_terminal("used-code", &paper[0]);
    assert!(status == Some(5) && shown.matches("Six digits").count() == 1, "{status:?}: {shown}");
    assert!(!shown.contains(&paper[0]), "the code was shown: {shown}");
}

#[test]
fn login_takes_a_code_at_the_terminal() {
    let site = Site::planned(Plan { web: Web::Plain, ..Plan::default() }, |_| {});
    let paper = turn_on(&site);
    let (url, password, client) = (site.url(), site.world.path("password"), Client::new(&site.world, "another"));
    let words = site.words();
    let arguments = ["login", &url, "--account", "owner", "--password-file", password.to_str().unwrap()];
    let arguments = [&arguments[..], &["--trust", &words]].concat();
    let mut terminal = Terminal::start(&site.world, "login", &client.command(&arguments), 200, 24);
    terminal.wait_for("Six digits of your authenticator app for owner");
    terminal.type_in(&format!("{}\n", paper[0]));
    terminal.wait_for("This computer now trusts");
    assert_eq!(terminal.finish().code(), Some(0));
    let shown = String::from_utf8_lossy(&terminal.shown()).into_owned();
    assert!(shown.contains("Signed in as owner") && !shown.contains(&paper[0]), "{shown}");
    client.must(&["tenant", "show"]);
}

#[test]
fn an_account_without_a_password_is_told_what_to_do() {
    let site = Site::planned(Plan { web: Web::Plain, ..Plan::default() }, |_| {});
    let wrong = site.world.path("wrong");
    fs::write(&wrong, "not the password at all\n").unwrap();
    let (url, client) = (site.url(), Client::new(&site.world, "another"));
    let output = client.ask(&["login", &url, "--account", "owner", "--password-file", wrong.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("passkey or identity provider") && said.contains("reset link"), "{said}");
}
