//! Apache httpd with mod_proxy_hcheck, whose balancer-manager tells who is in.

use crate::place::{LONG, Place, Probed, is_installed, is_predicted, serves};
use cloud_doctor_tests::backend::{Backend, Behaviour};
use cloud_doctor_tests::balancer::{Predicted, ask, free_port};
use cloud_doctor_tests::eventually::{eventually, never};
use cloud_doctor_tests::process::Process;
use std::time::Duration;

const PROGRAM: &str = "/usr/sbin/apache2";
const FILE: &str = "/etc/apache2/apache2.conf";
const MODULES: &str = "/usr/lib/apache2/modules";

/// Its file, with a member that has these parameters.
fn configuration(place: &Place, port: u16, backend: &Backend, parameters: &str) -> String {
    let modules = [
        ("mpm_event", "mod_mpm_event"),
        ("authz_core", "mod_authz_core"),
        ("slotmem_shm", "mod_slotmem_shm"),
        ("proxy", "mod_proxy"),
        ("proxy_http", "mod_proxy_http"),
        ("lbmethod_byrequests", "mod_lbmethod_byrequests"),
        ("proxy_balancer", "mod_proxy_balancer"),
        ("proxy_hcheck", "mod_proxy_hcheck"),
    ]
    .map(|(name, file)| format!("LoadModule {name}_module {MODULES}/{file}.so\n"))
    .concat();
    let folder = place.world.folder("run");
    format!(
        "{modules}User www-data\nGroup www-data\nServerName 127.0.0.1\nListen 127.0.0.1:{port}\nDefaultRuntimeDir {run}\n\
         PidFile {run}/pid\nErrorLog {run}/errors\nLogLevel info\n<Proxy balancer://app>\n BalancerMember http://127.0.0.1:{} \
         {parameters} hcmethod=GET hcuri=/health\n</Proxy>\n\
         ProxyPass /members !\nProxyPass / balancer://app/\n<Location /members>\n SetHandler balancer-manager\n</Location>\n",
        backend.port(),
        run = folder.display()
    )
}

/// The balancer's only member is not marked as failed by its health check.
fn is_in(port: u16) -> bool {
    let page = eventually(LONG, "balancer-manager answers", || ask(port, "/members", LONG).ok());
    !page.body.contains("HcFl")
}

/// Apache before one backend, and what is predicted.
#[track_caller]
fn start(place: &Place, port: u16, backend: &Backend, parameters: &str) -> (Process, Predicted) {
    let file = place.write(FILE, &configuration(place, port, backend, parameters));
    let subject = format!("apache balancer app/http://127.0.0.1:{}", backend.port());
    let predicted = place.check(&["lb"]).predicted(&subject);
    let mut command = place.world.command(PROGRAM);
    command.args(["-D", "FOREGROUND", "-f"]).arg(&file);
    let running = place.world.start("apache", command);
    serves(port);
    (running, predicted)
}

#[test]
fn lb_01_apache_takes_members_out_and_back_as_predicted() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let (port, backend) = (free_port(), Backend::start("one"));
    let (_running, predicted) = start(&place, port, &backend, "timeout=1 hcinterval=600ms hcfails=2 hcpasses=2");
    is_predicted(predicted, 1.2, 3.2, 1.2);
    let probed = Probed { name: "apache", fall: 2, rise: 2, interval: 0.6, phase: [0.6, 0.6], predicted };
    probed.holds(&backend, || is_in(port));
}

#[test]
fn lb_05_the_timeout_of_a_member_of_apache_takes_no_unit() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let (port, backend) = (free_port(), Backend::start("one"));
    let (_running, predicted) = start(&place, port, &backend, "timeout=300ms hcinterval=200ms");
    is_predicted(predicted, 0.2, 300.2, 0.2);
    backend.behave(Behaviour::Hangs);
    eventually(LONG, "a probe hangs", || (backend.probes(Behaviour::Hangs) > 0).then_some(()));
    never(Duration::from_secs(2), "the member is out", || !is_in(port));
    assert_eq!(backend.probes(Behaviour::Hangs), 1);
}
