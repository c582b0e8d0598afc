//! How often a real HAProxy probes real ports, as this host feels it: by HTTP, and by any other word.

use crate::place::{LONG, Place, is_installed};
use cloud_doctor_tests::backend::Backend;
use cloud_doctor_tests::balancer::{Findings, free_port};
use cloud_doctor_tests::binaries::Program;
use std::time::Duration;

const PROGRAM: &str = "/usr/sbin/haproxy";
/// The watch, in seconds: nine probes and more of each.
const WATCH: u64 = 18;

#[test]
fn lb_20_probes_of_haproxy_are_measured_at_the_port_they_come_to() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let [web, talk, mute] = ["web", "talk", "mute"].map(Backend::start);
    let text = format!(
        "defaults\n timeout connect 200ms\n timeout client 5s\n timeout server 5s\nfrontend users\n bind 127.0.0.1:{}\n \
         mode http\n default_backend web\nbackend web\n mode http\n option httpchk \
         GET /health\n server one 127.0.0.1:{} check inter 1s\nbackend talk\n mode tcp\n option tcp-check\n tcp-check send \
         PING\n server one 127.0.0.1:{} check inter 1500ms\nbackend mute\n mode tcp\n server one 127.0.0.1:{} check inter 1s\n",
        free_port(),
        web.port(),
        talk.port(),
        mute.port()
    );
    let file = place.write("/etc/haproxy/haproxy.cfg", &text);
    let mut command = place.world.command(PROGRAM);
    command.arg("-db").arg("-f").arg(&file);
    let _haproxy = place.world.start("haproxy", command);
    let mut command = place.world.command(Program::Agent.path());
    command.args(["check", "--json", "--all", "--lang", "en", "lb.measured-interval", "--set"]);
    command.arg(format!("lb.measured-interval.observe={WATCH}"));
    let mut check = place.world.start("check", command);
    check.wait(Duration::from_secs(WATCH) + LONG);
    let found = Findings::read(check.stdout().as_bytes());
    for (backend, interval) in [(&web, 1.0), (&talk, 1.5)] {
        let one = found.about("lb.measured-interval", &format!("127.0.0.1 port {}", backend.port()));
        let measured = one.value.unwrap();
        eprintln!("MEASURED haproxy inter {interval} s: {measured:.3} s at the port, {}", one.summary);
        assert!((measured / interval - 1.0).abs() < 0.15, "{one:?}");
    }
    // A plain check of a port is reset before the connection stands: no socket ever was there.
    assert!(!found.has("lb.measured-interval", &format!("127.0.0.1 port {}", mute.port())), "{found:#?}");
}
