//! Enrolment that must not happen, and what the person at the keyboard reads.

use cloud_doctor_proto::token::Token;
use cloud_doctor_tests::agent::{Agent, Invitation};
use cloud_doctor_tests::eventually::SOON;
use cloud_doctor_tests::people::random;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::site::{Plan, Site};
use std::fs;
use std::time::Duration;

/// The sentence with which enrolment was refused. Nothing may be left of it.
#[track_caller]
fn refused(site: &Site, name: &str, invitation: &Invitation) -> String {
    let agent = Agent::new(&site.world, name);
    let mut enrolling = agent.start_enrol(invitation, "own");
    let status = enrolling.wait(Duration::from_secs(15));
    assert!(!status.success(), "{}", enrolling.stdout());
    let config = agent.state.join("etc/agent.toml");
    assert!(!config.exists() && !agent.ceiling().exists(), "something was left in {}", agent.state.display());
    assert!(!agent.state.join("guard/identity.key").exists());
    enrolling.stderr()
}

/// One clear sentence: one line, with this in it, and no debris of a program.
#[track_caller]
fn sentence(said: &str, part: &str) {
    assert!(said.contains(part), "{part:?} is not in: {said}");
    assert!(said.trim().lines().count() <= 2 && !said.contains("panicked") && !said.contains("Error {"), "{said}");
}

fn changed(invitation: &Invitation, change: impl FnOnce(&mut Token)) -> Invitation {
    let mut token = Token::parse(&invitation.token).unwrap();
    change(&mut token);
    Invitation { token: token.line().to_string(), ..invitation.clone() }
}

#[test]
fn enr_02_wrong_tokens_are_refused_alike() {
    let site = Site::founded(Plan::default());
    let good = site.invite("good", 1);
    let wrong = refused(&site, "wrong", &changed(&good, |token| token.secret = random()));
    sentence(&wrong, "does not accept the token");
    let unknown_batch = refused(&site, "batch", &changed(&good, |token| token.batch_seed = random()));
    assert!(!unknown_batch.trim().is_empty());
    let damaged = Invitation { token: good.token[..60].to_owned(), ..good.clone() };
    sentence(&refused(&site, "damaged", &damaged), "incomplete or was changed");
    let other = Invitation { token: "ssh-ed25519 AAAA".to_owned(), ..good.clone() };
    sentence(&refused(&site, "other", &other), "cdt1.");
    // The token itself was not spent by all that.
    drop(Agent::enrolled(&site.world, "web-1", &good, "own"));
    let used = refused(&site, "used", &good);
    sentence(&used, "does not accept the token");
    assert_eq!(used.trim(), wrong.trim());
}

#[test]
fn enr_02_a_token_is_listed_and_taken_back_by_command() {
    let site = Site::founded(Plan::default());
    let tokens = || -> Vec<serde_json::Value> {
        let listed: serde_json::Value =
            serde_json::from_str(&site.client.must(&["tenant", "tokens", "--json"])).unwrap();
        listed["tokens"].as_array().unwrap().clone()
    };
    assert!(tokens().is_empty());
    let first = site.invite("first", 3);
    drop(Agent::enrolled(&site.world, "web-1", &first, "own"));
    let listed = tokens();
    let [token] = listed.as_slice() else { panic!("{listed:?}") };
    let shown = site.client.must(&["tenant", "tokens"]);
    for word in ["install", "owner", "1/3", "counts"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert!(!shown.contains(&first.token) && !listed[0].to_string().contains(&first.token[5..40]), "{shown}");
    assert_eq!((&token["uses"], &token["uses_max"], &token["revoked"]), (&1.into(), &3.into(), &false.into()));
    let id = token["id"].as_str().unwrap();
    let other = site.invite("other", 1);
    assert!(!site.ask(&["tenant", "token", "revoke", "nothing"]).status.success());
    assert!(!site.ask(&["tenant", "token", "revoke", ""]).status.success());
    site.client.must(&["tenant", "token", "revoke", &id[..10]]);
    site.client.must(&["tenant", "token", "revoke", id]);
    sentence(&refused(&site, "late", &first), "does not accept the token");
    let shown = site.client.must(&["tenant", "tokens"]);
    assert!(shown.contains("revoked"), "{shown}");
    // The server that it installed stays, and other tokens count.
    assert!(site.client.must(&["tenant", "show"]).contains("web-1"));
    drop(Agent::enrolled(&site.world, "web-2", &other, "own"));
}

#[test]
fn enr_01_a_token_for_one_server_used_by_two_at_once() {
    let site = Site::founded(Plan::default());
    let invitation = site.invite("one", 1);
    let agents: Vec<Agent> = (0..4).map(|n| Agent::new(&site.world, &format!("twin-{n}"))).collect();
    let mut enrolling: Vec<Process> = agents.iter().map(|agent| agent.start_enrol(&invitation, "own")).collect();
    let done: usize = enrolling.iter_mut().map(|process| usize::from(process.wait(SOON).success())).sum();
    assert_eq!(done, 1);
    let shown = site.client.must(&["tenant", "show"]);
    assert_eq!(shown.matches("twin-").count(), 1, "{shown}");
}

#[test]
fn enr_03_the_name_of_a_server_is_text() {
    let site = Site::founded(Plan::default());
    let invitation = site.invite("names", 10);
    for (number, name) in ["*", "a,b", "a\nb\u{1b}[31m", "\u{202e}evil", &"x".repeat(10_000)].iter().enumerate() {
        let agent = Agent::new(&site.world, &format!("name-{number}"));
        let token = site.world.path(format!("name-{number}.token"));
        fs::write(&token, &invitation.token).unwrap();
        let mut command = agent.command(["enrol", "--yes", "--name", name, "--preset", "own"]);
        command.args(["--relay", &invitation.relay, "--relay-pin", &invitation.relay_pin]);
        command.args(["--trust", &invitation.trust, "--token-file", token.to_str().unwrap()]);
        let output = site.world.output("enrol", command);
        assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let shown = site.client.must(&["tenant", "show"]);
    let listed = site.client.must(&["servers"]);
    for text in [shown, listed] {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && !text.contains("a\nb"), "{text:?}");
        assert!(text.lines().all(|line| line.chars().count() < 1_000), "{text}");
    }
}

#[test]
fn enr_06_wrong_words_and_wrong_pin_leave_no_trace() {
    let site = Site::founded(Plan::default());
    let good = site.invite("good", 1);
    let words = "abandon ability able about above absent";
    let wrong_words = Invitation { trust: words.to_owned(), ..good.clone() };
    let said = refused(&site, "words", &wrong_words);
    assert!(said.trim().lines().count() <= 2 && !said.trim().is_empty(), "{said}");
    let no_words = Invitation { trust: "these are not words of it".to_owned(), ..good.clone() };
    sentence(&refused(&site, "no-words", &no_words), "not one of the words");
    let wrong_pin = Invitation { relay_pin: format!("sha256:{}", "0".repeat(64)), ..good.clone() };
    let said = refused(&site, "pin", &wrong_pin);
    assert!(said.contains(&good.relay_pin) || said.contains("pin") || said.contains("key"), "{said}");
    let no_pin = Invitation { relay_pin: "sha256:123".to_owned(), ..good.clone() };
    sentence(&refused(&site, "no-pin", &no_pin), "64 hexadecimal digits");
    let nobody = Invitation { relay: "quic://127.0.0.1:9".to_owned(), ..good.clone() };
    assert!(!refused(&site, "nobody", &nobody).trim().is_empty());
    drop(Agent::enrolled(&site.world, "web-1", &good, "own"));
}

#[test]
fn enr_07_the_token_stands_nowhere() {
    let site = Site::founded(Plan::default());
    let invitation = site.invite("web-1", 1);
    let agent = Agent::enrolled(&site.world, "web-1", &invitation, "own");
    for part in [&invitation.token, &invitation.token[5..48]] {
        let found = cloud_doctor_tests::world::World::found_below(&agent.state, part.as_bytes());
        assert_eq!(found, Vec::<std::path::PathBuf>::new());
        let found = cloud_doctor_tests::world::World::found_below(&site.relay.data, part.as_bytes());
        assert_eq!(found, Vec::<std::path::PathBuf>::new());
    }
    let token = Token::parse(&invitation.token).unwrap();
    for secret in [&token.secret, &token.batch_seed] {
        for folder in [&agent.state, &site.relay.data] {
            let found = cloud_doctor_tests::world::World::found_below(folder, secret);
            assert_eq!(found, Vec::<std::path::PathBuf>::new());
        }
    }
}

#[test]
fn enr_08_enrolling_again_is_a_new_identity() {
    let site = Site::founded(Plan::default());
    let invitation = site.invite("twice", 2);
    let first = Agent::enrolled(&site.world, "first", &invitation, "own");
    let again = first.start_enrol(&invitation, "own").wait(SOON);
    assert!(!again.success(), "an enrolled server was enrolled over");
    let second = Agent::enrolled(&site.world, "second", &invitation, "own");
    let key = |agent: &Agent| fs::read(agent.state.join("guard/identity.key")).unwrap();
    assert_ne!(key(&first), key(&second));
}
