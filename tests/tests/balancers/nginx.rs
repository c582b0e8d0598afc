//! nginx as Debian has it: only users' requests tell it that a server is dead.

use crate::place::{LONG, Place, is_installed, serves};
use cloud_doctor_tests::backend::{Backend, Behaviour};
use cloud_doctor_tests::balancer::{ask, free_port};
use cloud_doctor_tests::eventually::never;
use cloud_doctor_tests::process::Process;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/nginx";
const FILE: &str = "/etc/nginx/nginx.conf";
const SUBJECT: &str = "nginx upstream app";
/// Of users who meet a server that hangs.
const READ_TIMEOUT: Duration = Duration::from_millis(400);

/// nginx before two backends.
struct Nginx<'a> {
    place: &'a Place,
    file: PathBuf,
    port: u16,
}

impl<'a> Nginx<'a> {
    /// Its file, with these options of servers, and these lines where requests are passed on.
    fn new(place: &'a Place, backends: &[Backend], options: &str, location: &str) -> Self {
        let (port, folder) = (free_port(), place.world.path(""));
        let folder = folder.display();
        let servers: String =
            backends.iter().map(|one| format!("  server 127.0.0.1:{}{options};\n", one.port())).collect();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!(" {name}_temp_path {folder}{name};\n"))
            .concat();
        let text = format!(
            "worker_processes 1;\npid {folder}nginx.pid;\nerror_log {folder}logs/nginx-errors.err;\nevents {{ }}\nhttp {{\n \
             access_log off;\n{temporary} upstream app {{\n{servers} }}\n server {{\n  listen 127.0.0.1:{port};\n  \
             location / {{\n   proxy_pass http://app;\n   proxy_read_timeout {}ms;\n{location}  }}\n }}\n}}\n",
            READ_TIMEOUT.as_millis(),
        );
        Self { file: place.write(FILE, &text), place, port }
    }

    fn start(&self) -> Process {
        let mut command = self.place.world.command(PROGRAM);
        command.args(["-g", "daemon off;", "-c"]).arg(&self.file).arg("-e").arg(self.place.world.path("nginx-start"));
        let nginx = self.place.world.start("nginx", command);
        serves(self.port);
        nginx
    }

    /// One user: what came, and how long it took.
    fn ask(&self) -> (u16, Duration) {
        let begun = Instant::now();
        (ask(self.port, "/", LONG).unwrap().status, begun.elapsed())
    }
}

fn backends() -> [Backend; 2] {
    ["one", "two"].map(Backend::start)
}

#[test]
fn lb_14_nginx_sends_users_to_a_server_that_says_503_unless_it_is_told_not_to() {
    if !is_installed(PROGRAM) {
        return;
    }
    for (location, expected, failing) in
        [("", "warning", 20), ("   proxy_next_upstream error timeout http_502 http_503 http_504;\n", "ok", 0)]
    {
        let place = Place::new();
        let backends = backends();
        let nginx = Nginx::new(&place, &backends, "", location);
        assert_eq!(place.status("lb.retry-statuses", SUBJECT), expected, "{location}");
        let _running = nginx.start();
        backends[1].behave(Behaviour::Unavailable);
        let before = backends[1].users();
        let failed = (0..40).filter(|_| nginx.ask().0 == 503).count();
        let tried = backends[1].users() - before;
        eprintln!("MEASURED nginx {expected}: {failed} of 40 users got 503, {tried} were sent to the dead server");
        assert_eq!(failed, failing, "{location}");
        // Told to turn to the next, it counts the 503 as a failure, and leaves the server out for fail_timeout.
        assert!(if failing == 0 { (1..20).contains(&tried) } else { tried == 20 }, "{tried}");
    }
}

#[test]
fn lb_04_nginx_asks_nobody_while_there_are_no_users() {
    if !is_installed(PROGRAM) {
        return;
    }
    let place = Place::new();
    let backends = backends();
    let nginx = Nginx::new(&place, &backends, "", "");
    let found = place.check(&["lb.no-active-check"]);
    let finding = found.about("lb.no-active-check", SUBJECT);
    assert!(finding.status == "ok" && finding.note, "{finding:?}");
    let _running = nginx.start();
    let seen = || backends.iter().map(|one| one.seen().len()).sum::<usize>();
    let before = seen();
    never(Duration::from_secs(1), "a probe", || seen() > before);
}

#[test]
fn lb_04_a_server_that_hangs_behind_nginx_costs_users_the_read_timeout() {
    if !is_installed(PROGRAM) {
        return;
    }
    // One failure, and it is out; and never out, where failures do not count.
    for (options, expected) in [(" max_fails=1 fail_timeout=60s", 1), (" max_fails=0", 5)] {
        let place = Place::new();
        let backends = backends();
        let nginx = Nginx::new(&place, &backends, options, "");
        let _running = nginx.start();
        backends[1].behave(Behaviour::Hangs);
        let before = backends[1].users();
        let asked: Vec<_> = (0..10).map(|_| nginx.ask()).collect();
        let tried = backends[1].users() - before;
        let slow = asked.iter().filter(|(_, took)| *took >= READ_TIMEOUT).count();
        let longest = asked.iter().map(|(_, took)| took.as_secs_f64()).fold(0.0, f64::max);
        eprintln!(
            "MEASURED nginx{options}: {slow} of 10 users waited, {longest:.3} s; predicted {} s",
            READ_TIMEOUT.as_secs_f64()
        );
        assert!(asked.iter().all(|(status, _)| *status == 200), "the other server answers: {asked:?}");
        assert_eq!(tried, expected, "{options}: sent to the server that hangs");
        assert!(slow >= expected, "{options}: each of them waits: {asked:?}");
    }
}
