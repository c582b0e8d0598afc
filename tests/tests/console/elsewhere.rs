//! The console from another origin than the relay's, which serves its files and nothing else.

use crate::{is_there, patience, play};
use cloud_doctor_tests::relay::Web;
use cloud_doctor_tests::site::{Plan, Site};
use std::fs;
use std::time::Duration;

#[test]
fn h_01_web_01_a_console_on_another_host_signs_and_keeps_its_policy() {
    if !is_there() {
        return;
    }
    // Cookies and passkeys know hosts of one site by name and over TLS only.
    let plan = Plan { web: Web::SelfSigned, patience: patience() + Duration::from_secs(20), ..Plan::default() };
    let mut site = Site::planned(plan, |_| {});
    let relay = format!("https://relay.cd.localhost:{}", site.relay.listening().clients.port());
    let tls = ["self-signed.pem", "self-signed.key"].map(|name| site.relay.data.join("tls").join(name));
    let [cert, key] = tls.each_ref().map(|path| path.to_str().unwrap());
    let (world, words) = (site.world.clone(), site.words());
    let arguments = [&*relay, "owner", Site::password(), &words, cert, key];
    play(&world, "elsewhere.mjs", &arguments, |what, value| {
        match what {
            "serve" => site.relay.name_console(value),
            "key" => {
                let file = world.path("passkey.pub");
                fs::write(&file, format!("{value}\n")).unwrap();
                site.client.must(&["tenant", "engineer", "add", file.to_str().unwrap(), "--name", "owner"]);
            }
            other => panic!("{other}?"),
        }
        String::new()
    });
    site.nothing_left();
}
