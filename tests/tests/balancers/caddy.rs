//! Caddy, which tells nobody who is in: users in turn show it.

use crate::place::{Place, Probed, is_installed, is_predicted, serves};
use cloud_doctor_tests::backend::Backend;
use cloud_doctor_tests::balancer::{Answer, ask, free_port};
use std::time::Duration;

const PROGRAM: &str = "/usr/bin/caddy";
const FILE: &str = "/etc/caddy/Caddyfile";
/// A user who meets a member that hangs does not wait for it.
const IMPATIENT: Duration = Duration::from_millis(100);

#[test]
fn lb_01_caddy_takes_members_out_and_back_as_predicted() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let [one, two] = ["one", "two"].map(Backend::start);
    let port = free_port();
    let text = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n reverse_proxy 127.0.0.1:{} 127.0.0.1:{} {{\n  \
         lb_policy round_robin\n  health_uri /health\n  health_interval 600ms\n  health_timeout 300ms\n }}\n}}\n",
        one.port(),
        two.port()
    );
    let file = place.write(FILE, &text);
    let found = place.check(&["lb"]);
    let subject = format!("caddy reverse_proxy http://127.0.0.1:{port}/127.0.0.1:{}", two.port());
    let predicted = found.predicted(&subject);
    is_predicted(predicted, 0.6, 0.9, 0.6);
    let mut command = place.world.command(PROGRAM);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    let _running = place.world.start("caddy", command);
    serves(port);
    let probed = Probed { name: "caddy", fall: 1, rise: 1, interval: 0.6, phase: [0.6, 0.6], predicted };
    probed.holds(&two, || is_in(port, &two));
}

/// Of three users in turn one meets each member that is in. Where nobody has met it and somebody was not served, nothing
/// can be told, and three more come.
fn is_in(port: u16, member: &Backend) -> bool {
    loop {
        let before = member.users();
        let asked: Vec<_> = (0..3).map(|_| ask(port, "/", IMPATIENT)).collect();
        let met = |answer: &Answer| answer.status != 200 || answer.body == "two";
        if member.users() > before || asked.iter().flatten().any(met) {
            return true;
        }
        if asked.iter().all(Result::is_ok) {
            return false;
        }
    }
}
