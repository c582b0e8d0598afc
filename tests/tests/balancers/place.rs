//! A world with another root in it, where a balancer has its configuration, and what every balancer has to hold.

use cloud_doctor_tests::backend::{Backend, Behaviour};
use cloud_doctor_tests::balancer::{Findings, Predicted, Turn, ask, turn};
use cloud_doctor_tests::binaries::Program;
use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::world::World;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Before the test runner would end the test; far more than any of them takes.
const PATIENCE: Duration = Duration::from_secs(50);
/// For a balancer to start, to notice, or to serve: far more than each is configured to take.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// A probe that began just before the backend hangs costs no full timeout any more.
const BEFORE_SECS: f64 = 0.1;

/// Where one test takes place.
pub(crate) struct Place {
    pub(crate) world: World,
    root: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let world = World::lasting(PATIENCE);
        let root = world.folder("root");
        Self { world, root }
    }

    /// Writes a file of the other root; returns where it really is.
    pub(crate) fn write(&self, path: &str, text: &str) -> PathBuf {
        let real = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(real.parent().unwrap()).unwrap();
        fs::write(&real, text).unwrap();
        real
    }

    /// What `check` says about the other root's load balancers.
    pub(crate) fn check(&self, more: &[&str]) -> Findings {
        let mut command = self.world.command(Program::Agent.path());
        command.args(["check", "--json", "--all", "--lang", "en", "--root"]).arg(&self.root).args(more);
        Findings::read(&self.world.output("check", command).stdout)
    }

    /// The status of one finding.
    #[track_caller]
    pub(crate) fn status(&self, check: &str, subject: &str) -> String {
        self.check(&[check]).about(check, subject).status.clone()
    }
}

/// Whether a balancer is installed; the test says so when it is not.
pub(crate) fn is_installed(program: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        cloud_doctor_tests::not_tested::not_tested(&format!("{program} is not installed"));
    }
    there
}

/// Waits until users are served.
#[track_caller]
pub(crate) fn serves(port: u16) {
    eventually(LONG, "users are served", || ask(port, "/", LONG).ok().filter(|answer| answer.status == 200));
}

/// How one member is probed.
pub(crate) struct Probed<'a> {
    /// For whoever reads the figures.
    pub(crate) name: &'a str,
    pub(crate) fall: usize,
    pub(crate) rise: usize,
    /// Of probes that follow each other, the shortest way, in seconds.
    pub(crate) interval: f64,
    /// The phase in which the backend dies and the one in which it returns: what the best case lacks of the worst.
    pub(crate) phase: [f64; 2],
    pub(crate) predicted: Predicted,
}

impl Probed<'_> {
    /// The backend dies in each way, and comes back each time.
    #[track_caller]
    pub(crate) fn holds(&self, backend: &Backend, mut is_in: impl FnMut() -> bool) {
        let Predicted { refused, hanging, back } = self.predicted;
        for (dead, worst) in
            [(Behaviour::Unavailable, refused), (Behaviour::Refuses, refused), (Behaviour::Hangs, hanging)]
        {
            let out = turn(backend, dead, false, LONG, &mut is_in).unwrap();
            self.is_held(&format!("out: {dead:?}"), &out, (dead != Behaviour::Refuses).then_some(self.fall), worst, 0);
            let back_in = turn(backend, Behaviour::Answers, true, LONG, &mut is_in).unwrap();
            self.is_held(&format!("back from {dead:?}"), &back_in, Some(self.rise), back, 1);
        }
    }

    /// `count`: nothing where nobody can count.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "the figures, for whoever asks for them")]
    fn is_held(&self, what: &str, turn: &Turn, count: Option<usize>, worst: f64, phase: usize) {
        let best = worst - self.phase[phase];
        let name = self.name;
        eprintln!("MEASURED {name} {what}: {turn}; predicted {best:.3} to {worst:.3} s");
        let took = turn.took.as_secs_f64();
        assert!(took >= best - BEFORE_SECS, "{name} {what}: after {took} s, and never before {best} s");
        let Some(count) = count else { return };
        assert!(turn.probes_before <= count, "{name} {what}: still as before after {} probes", turn.probes_before);
        assert!(turn.probes_after >= count, "{name} {what}: after {} of {count} probes", turn.probes_after);
        // Whoever looked away for longer has missed it.
        if turn.gap.as_secs_f64() < self.interval / 2.0 {
            assert_eq!(turn.probes_after, count, "{name} {what}: probes");
        }
    }
}

/// Predictions are sums of decimal fractions.
#[track_caller]
pub(crate) fn is_predicted(predicted: Predicted, refused: f64, hanging: f64, back: f64) {
    let pairs = [(predicted.refused, refused), (predicted.hanging, hanging), (predicted.back, back)];
    assert!(pairs.iter().all(|(one, other)| (one - other).abs() < 1e-6), "{predicted:?}");
}
