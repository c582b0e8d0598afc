//! The console in a real Chromium, against a real relay and agent: what a person does there, from sign-in to the end of a
//! shell. What the page shows is looked at by `relay/web/e2e-browser/road.mjs`; this file runs the world around it.
#![allow(clippy::unwrap_used)]

use cloud_doctor_tests::agent::Agent;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Plan, Site};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// A browser starts, renders and reconnects in this time, also on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(90);

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../relay/web")
}

/// A ceiling that lets a browser's key in, as a customer would write it.
fn allow_device(agent: &Agent) {
    let ceiling = agent.ceiling();
    let text = fs::read_to_string(&ceiling).unwrap();
    fs::write(
        &ceiling,
        text.replace("signers = [\"sshsig\", \"webauthn\"]", "signers = [\"sshsig\", \"webauthn\", \"device\"]"),
    )
    .unwrap();
}

#[test]
fn flt_01_flt_18_web_an_engineer_walks_the_whole_road_in_chromium() {
    if !web().join("dist/index.html").exists() || !web().join("node_modules/playwright-core").exists() {
        cloud_doctor_tests::not_tested::not_tested("the console in Chromium: this build has none (make web)");
        return;
    }
    let plan = Plan { web: Web::Plain, patience: PATIENCE + Duration::from_secs(20), ..Plan::default() };
    let mut site = Site::planned(plan, allow_device);
    let url = format!("http://localhost:{}", site.relay.listening().clients.port());
    let mut command = site.world.command("/usr/bin/env");
    command.args(["node", "e2e-browser/road.mjs", &url, "owner", Site::password(), &site.words()]);
    command.current_dir(web()).stdin(Stdio::piped());
    // A picture of what the page looks like, for whoever works on it.
    command.envs(std::env::var_os("SHOT").map(|path| ("SHOT", path)));
    let mut browser = site.world.start_piped("browser", command);
    let asked = BufReader::new(browser.take_stdout().unwrap()).lines();
    let mut walked = false;
    for line in asked.map_while(Result::ok) {
        let (what, value) = line.split_once(' ').unwrap_or((&line, ""));
        match what {
            "key" => let_in(&site, value),
            "kill-relay" => {
                site.relay.kill();
                site.relay.run();
            }
            "walked" => walked = true,
            other => panic!("{other}?"),
        }
        writeln!(browser.stdin().unwrap(), "done").ok();
    }
    let status = browser.wait(PATIENCE);
    assert!(walked && status.success(), "{}", browser.stderr());
    eventually(PATIENCE, "nothing is left", || site.agent.role("holder").is_empty().then_some(()));
}

/// The customer's root adds the key that the page showed.
fn let_in(site: &Site, key: &str) {
    let file = site.world.path("device.pub");
    fs::write(&file, format!("{key}\n")).unwrap();
    site.client.must(&["tenant", "engineer", "add", file.to_str().unwrap(), "--name", "owner", "--device"]);
}
