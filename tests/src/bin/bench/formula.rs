//! `checks.formula_error`: how far the time that `check` predicts is from the time that a real balancer takes.
//!
//! A worst case is measured in the worst case: the backend dies just after a probe. nginx without NGINX Plus does not probe;
//! its figure is how long one user waits.

use anyhow::{Context as _, Result, anyhow, bail};
use cloud_doctor_tests::backend::{Backend, Behaviour};
use cloud_doctor_tests::balancer::{Findings, ask, free_port, haproxy_row, turn};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::options::Plan;
use crate::ours::Ours;
use crate::report::{Aim, Figure, Report};
use cloud_doctor_tests::children::Started;

/// Figures of this group.
pub(crate) const NAMES: &[&str] = &["checks.formula_error"];

const HAPROXY: &str = "/usr/sbin/haproxy";
const NGINX: &str = "/usr/sbin/nginx";
/// For whatever has to happen once.
const PATIENCE: Duration = Duration::from_secs(60);
/// `proxy_read_timeout`.
const NGINX_SECS: u32 = 2;

/// A prediction and what happened, in seconds.
struct Pair {
    what: &'static str,
    predicted: f64,
    measured: f64,
}

impl Pair {
    fn error(&self) -> f64 {
        (self.predicted - self.measured).abs() / self.measured
    }
}

/// Takes the figure: the largest of all errors.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("cd-formula-").tempdir_in("/tmp")?;
    let mut pairs = Vec::new();
    for _ in 0..plan.formula_runs {
        pairs.extend(haproxy(&folder.path().join("haproxy"), &ours.agent_program())?);
        pairs.extend(nginx(&folder.path().join("nginx"))?);
    }
    for Pair { what, predicted, measured } in &pairs {
        report.say(&format!("{what}: predicted {predicted:.3} s, measured {measured:.3} s"))?;
    }
    report.add(&Figure {
        name: NAMES[0].to_owned(),
        ours: pairs.iter().map(Pair::error).max_by(f64::total_cmp),
        peer: None,
        unit: "",
        aim: Aim::AtMost(0.1),
        runs: format!("{}; the largest of {}", plan.formula_runs, pairs.len()),
    })
}

/// HAProxy with a backend that refuses, hangs and comes back.
fn haproxy(folder: &Path, agent: &Path) -> Result<Vec<Pair>> {
    let backend = Backend::start("one");
    let stats = folder.join("stats");
    let text = format!(
        "global\n stats socket {} level admin\ndefaults\n mode http\n timeout connect 500ms\n timeout client 5s\n timeout server 5s\n \
         timeout check 1s\nbackend web\n option httpchk GET /health\n server one 127.0.0.1:{} check inter 2s fastinter 500ms \
         downinter 1s fall 3 rise 2\nfrontend users\n bind 127.0.0.1:{}\n default_backend web\n",
        stats.display(),
        backend.port(),
        free_port()
    );
    let file = write(&folder.join("root/etc/haproxy/haproxy.cfg"), &text)?;
    let mut check = Command::new(agent);
    check.args(["check", "lb", "--json", "--all", "--lang", "en", "--root"]).arg(folder.join("root"));
    let found = Findings::read(&check.output()?.stdout);
    let predicted = found.predicted("haproxy backend web/one");
    let mut running = Started::new(Command::new(HAPROXY).arg("-db").arg("-f").arg(&file)).context(HAPROXY)?;
    let is_in = || haproxy_row(&stats, "web", "one").is_some_and(|row| row.is_in());
    running.wait_until("HAProxy finds its backend alive", || is_in() && backend.probes(Behaviour::Answers) > 1)?;
    let mut pairs = Vec::new();
    for (dead, what, predicted_secs) in [
        (Behaviour::Refuses, "haproxy, refuses", predicted.refused),
        (Behaviour::Hangs, "haproxy, hangs", predicted.hanging),
    ] {
        just_probed(&backend)?;
        let out = turn(&backend, dead, false, PATIENCE, is_in).map_err(|why| anyhow!(why))?;
        pairs.push(Pair { what, predicted: predicted_secs, measured: out.took.as_secs_f64() });
        turn(&backend, Behaviour::Answers, true, PATIENCE, is_in).map_err(|why| anyhow!(why))?;
    }
    Ok(pairs)
}

/// Waits for the end of a probe that was answered.
fn just_probed(backend: &Backend) -> Result<()> {
    let (begun, before) = (Instant::now(), backend.probes(Behaviour::Answers));
    while backend.probes(Behaviour::Answers) == before {
        if begun.elapsed() > PATIENCE {
            bail!("no probe within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// nginx whose only server hangs: how long a user waits.
fn nginx(folder: &Path) -> Result<Option<Pair>> {
    let (backend, port) = (Backend::start("one"), free_port());
    let folder_name = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder_name}/{name};\n"))
        .concat();
    let text = format!(
        "worker_processes 1;\npid {folder_name}/pid;\nerror_log /dev/null;\nevents {{ }}\nhttp {{\naccess_log off;\n{temporary}\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{}; proxy_read_timeout {NGINX_SECS}s; }} }}\n}}\n",
        backend.port()
    );
    let file = write(&folder.join("nginx.conf"), &text)?;
    let mut command = Command::new(NGINX);
    // A master that is killed would leave its worker behind.
    command.args(["-e", "/dev/null", "-g", "daemon off; master_process off;", "-c"]).arg(&file);
    let mut running = Started::new(&mut command).context(NGINX)?;
    running.wait_until("nginx serves", || ask(port, "/", PATIENCE).is_ok_and(|answer| answer.status == 200))?;
    backend.behave(Behaviour::Hangs);
    let begun = Instant::now();
    let answer = ask(port, "/", PATIENCE).map_err(|kind| anyhow!("{kind}"))?;
    let measured = begun.elapsed().as_secs_f64();
    Ok((answer.status == 504).then_some(Pair { what: "nginx, one user", predicted: f64::from(NGINX_SECS), measured }))
}

fn write(path: &Path, text: &str) -> Result<PathBuf> {
    fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
    fs::write(path, text)?;
    Ok(path.to_owned())
}
