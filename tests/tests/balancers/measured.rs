//! How often a real HAProxy probes real ports, as this host feels it: by HTTP, and by connections that say nothing.

use crate::place::{LONG, Place, is_installed};
use cloud_doctor_tests::backend::Backend;
use cloud_doctor_tests::balancer::Findings;
use cloud_doctor_tests::binaries::Program;
use std::time::Duration;

const PROGRAM: &str = "/usr/sbin/haproxy";
/// The watch, in seconds: nine probes and more of each.
const WATCH: u64 = 18;

#[test]
#[expect(clippy::print_stderr, reason = "the figures, for whoever asks for them")]
fn lb_20_probes_of_haproxy_are_measured_at_the_port_they_come_to() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let [web, mute] = ["web", "mute"].map(Backend::start);
    let text = format!(
        "defaults\n timeout connect 200ms\n timeout client 5s\n timeout server 5s\nbackend web\n mode http\n option httpchk \
         GET /health\n server one 127.0.0.1:{} check inter 1s\nbackend mute\n mode tcp\n server one 127.0.0.1:{} check inter \
         1500ms\n",
        web.port(),
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
    for (backend, interval) in [(&web, 1.0), (&mute, 1.5)] {
        let one = found.about("lb.measured-interval", &format!("127.0.0.1 port {}", backend.port()));
        let measured = one.value.unwrap();
        eprintln!("MEASURED haproxy inter {interval} s: {measured:.3} s at the port, {}", one.summary);
        assert!((measured / interval - 1.0).abs() < 0.15, "{one:?}");
    }
}
