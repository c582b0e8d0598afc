//! A way in again for somebody who has none.

use crate::{is_there, plan, play, url};
use cloud_doctor_tests::site::Site;

/// Of before, and the one that the link leads to. Canaries: they must never stand in a log.
const PASSWORDS: [&str; 2] = ["canary-before-reset-52d8a1", "canary-after-reset-c40e97"];

#[test]
fn aut_04_a_link_lets_somebody_in_again_once_in_chromium() {
    if !is_there() {
        return;
    }
    let site = Site::founded(plan());
    for password in PASSWORDS {
        site.world.canary("password", password);
    }
    let (url, words) = (url(&site.relay), site.words());
    let arguments = [&[&*url, "owner", Site::password(), &words], &PASSWORDS[..]].concat();
    play(&site.world, "reset.mjs", &arguments, |what, _| panic!("{what}?"));
}
