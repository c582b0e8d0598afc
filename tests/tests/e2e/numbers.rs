//! Numbered lines, both ways: the only output of which "none lost, none twice" can be said.

use cloud_doctor_tests::eventually::eventually;
use cloud_doctor_tests::process::Process;
use cloud_doctor_tests::site::Site;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

/// Time for a run with a fault in it.
const RUN: Duration = Duration::from_secs(20);

/// `cloud-doctor exec` whose command counts.
pub(crate) struct Counting {
    client: Process,
    lines: usize,
}

impl Counting {
    /// Prints a numbered line about every ten milliseconds; exits with 7.
    #[track_caller]
    pub(crate) fn start(site: &Site, lines: usize) -> Self {
        let script = format!("i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); sleep 0.008; done; exit 7");
        let client =
            site.start("counting", &["exec", "web-1", "--user", "root", "--", "/bin/sh", "-c", &script], Stdio::null());
        Self { client, lines }
    }

    /// Waits until so many lines arrived.
    #[track_caller]
    pub(crate) fn wait_for(&self, lines: usize) {
        eventually(RUN, &format!("{lines} lines"), || (self.seen() >= lines).then_some(()));
    }

    pub(crate) fn seen(&self) -> usize {
        self.client.stdout().lines().count()
    }

    /// Every line came once, in order, and the exit status too.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        let status = self.client.wait(RUN);
        assert_whole(&self.client.stdout(), "line", self.lines);
        assert_eq!(status.code(), Some(7), "{}", self.client.stderr());
    }
}

/// `cloud-doctor exec` whose command echoes what is typed into it, line by line.
pub(crate) struct Typing {
    client: Process,
    typed: usize,
}

impl Typing {
    #[track_caller]
    pub(crate) fn start(site: &Site) -> Self {
        let script = "while read -r line; do echo \"got $line\"; done; exit 9";
        let argv = ["exec", "web-1", "-i", "--user", "root", "--", "/bin/sh", "-c", script];
        Self { client: site.start("typing", &argv, Stdio::piped()), typed: 0 }
    }

    /// Types numbered lines.
    #[track_caller]
    pub(crate) fn type_lines(&mut self, lines: usize) {
        let input = self.client.stdin().expect("it is being typed into");
        for number in self.typed..self.typed + lines {
            writeln!(input, "{number}").expect("the client takes what is typed");
        }
        self.typed += lines;
    }

    /// Waits until everything that was typed was echoed.
    #[track_caller]
    pub(crate) fn wait(&self) {
        let all = || (self.client.stdout().lines().count() >= self.typed).then_some(());
        eventually(RUN, &format!("{} echoed lines", self.typed), all);
    }

    /// Every typed line was applied once, in order.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        self.client.close_stdin();
        let status = self.client.wait(RUN);
        assert_whole(&self.client.stdout(), "got", self.typed);
        assert_eq!(status.code(), Some(9), "{}", self.client.stderr());
    }
}

/// The lines `word 0` to `word count-1`, each once and in order.
#[track_caller]
pub(crate) fn assert_whole(text: &str, word: &str, count: usize) {
    for (number, line) in text.lines().enumerate() {
        assert_eq!(line, format!("{word} {number}"), "line {number} of {count}");
    }
    assert_eq!(text.lines().count(), count);
}
