//! A vendor's engineer and a customer's approver, each with a browser and a key of their own.

use crate::{allow_device, is_there, plan, play, url};
use cloud_doctor_tests::site::{Plan, Site};
use std::fs;

const PASSWORD: &str = "canary-both-people-5b1f3a";

/// The customer's owner, who lets people in on the command line.
fn walk(site: &Site, key: &str) {
    let url = url(&site.relay);
    site.world.canary("password", PASSWORD);
    play(&site.world, "vendor.mjs", &[&url, PASSWORD, key], |what, value| match what {
        "invite" => {
            let name = if value == "engineer" { "Erin" } else { "Paula" };
            let link = ["tenant", value, "invite", "--name", name, "--console", &url];
            let device: &[&str] = if key == "device" && value == "engineer" { &["--device"] } else { &[] };
            site.client.must(&[&link[..], device].concat()).trim().to_owned()
        }
        "accept" => site.client.must(&["tenant", value, "accept"]).replace('\n', " "),
        "no-local" => {
            let ceiling = site.agent.ceiling();
            let text = fs::read_to_string(&ceiling).unwrap();
            fs::write(&ceiling, text.replace("second = [\"local\", ", "second = [")).unwrap();
            String::new()
        }
        other => panic!("{other}?"),
    });
    site.nothing_left();
}

#[test]
fn web_a_customers_approver_lets_a_vendors_engineer_in_watches_and_ends() {
    if is_there() {
        walk(&Site::planned(Plan { preset: "vendor", ..plan() }, |_| {}), "passkey");
    }
}

#[test]
fn web_an_engineer_with_a_browsers_key_is_let_in_by_an_approvers_passkey() {
    if is_there() {
        walk(&Site::planned(Plan { preset: "vendor", ..plan() }, allow_device), "device");
    }
}
