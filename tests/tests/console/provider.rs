//! Signing in through an identity provider, from the page and back to it.

use crate::{is_there, plan, play, url, web};
use cloud_doctor_tests::eventually::{SOON, eventually};
use cloud_doctor_tests::not_tested::not_tested;
use cloud_doctor_tests::site::Site;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

const SECRET: &str = "canary-client-secret-3f90b7";

#[test]
fn aut_10_a_person_goes_to_a_provider_and_comes_back_in_chromium() {
    if !is_there() {
        return;
    }
    if !web().join("node_modules/oidc-provider").exists() {
        not_tested("a real identity provider in Chromium: its package is not installed (npm ci in relay/web)");
        return;
    }
    let mut site = Site::founded(plan());
    let world = site.world.clone();
    world.canary("client secret", SECRET);
    let secret = world.path("client-secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = world.command("/usr/bin/env");
    command.args(["node", "e2e-oidc/provider.mjs", "relay", SECRET, "asks"]).current_dir(web()).stdin(Stdio::piped());
    let mut provider = world.start("provider", command);
    let issuer = eventually(SOON, "the provider says where it is", || {
        provider.stdout().split_once('\n').map(|(line, _)| line.to_owned())
    });
    site.relay.configure(&format!(
        "[oidc]\nissuer = \"{issuer}\"\nclient_id = \"relay\"\nclient_secret_file = {secret:?}\nname = \"Work\"\n\
         allowed_domains = [\"example.com\"]\ncreate_accounts = true\n"
    ));
    play(&world, "provider.mjs", &[&url(&site.relay), &issuer], |what, _| panic!("{what}?"));
    provider.close_stdin();
    provider.wait(SOON);
}
