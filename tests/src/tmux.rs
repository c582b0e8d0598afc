//! A terminal that answers: tmux, which obeys and replies as an engineer's terminal does, and shows its screen as text.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::eventually::SOON;
use crate::world::World;

/// A terminal of 80 columns and 24 rows. Ends with the world.
#[derive(Debug)]
pub struct Tmux {
    world: World,
    socket: PathBuf,
}

impl Tmux {
    /// Starts `command` in a terminal that takes what it is asked to: clipboard, titles, passing on.
    ///
    /// # Panics
    /// When there is no tmux.
    #[must_use]
    #[track_caller]
    pub fn start(world: &World, name: &str, command: &Command) -> Self {
        let settings = world.path(format!("{name}.tmux"));
        let obeys = "set -g default-terminal screen-256color\nset -s set-clipboard on\nset -g allow-rename on\n\
                     set -g allow-passthrough on\nset -g remain-on-exit on\nset -g history-limit 100\n";
        std::fs::write(&settings, obeys).expect("the world's folder can be written");
        let terminal = Self { world: world.clone(), socket: world.path(format!("{name}.sock")) };
        let mut start = terminal.command();
        start.arg("-f").arg(&settings).args(["new-session", "-d", "-x", "80", "-y", "24", "--", "/usr/bin/env"]);
        for (variable, value) in command.get_envs().filter(|(variable, _)| *variable != "TERM") {
            let value = value.unwrap_or_default();
            start.arg(format!("{}={}", variable.to_string_lossy(), value.to_string_lossy()));
        }
        start.arg(command.get_program()).args(command.get_args());
        let started = terminal.run(start);
        assert!(started.status.success(), "tmux: {}", String::from_utf8_lossy(&started.stderr));
        terminal
    }

    fn command(&self) -> Command {
        let mut command = self.world.command("/usr/bin/tmux");
        command.arg("-S").arg(&self.socket);
        command
    }

    #[track_caller]
    fn run(&self, mut command: Command) -> Output {
        // Not by the world's logs: the screen is asked for often.
        command.output().expect("tmux can be started")
    }

    /// Runs one of tmux's own commands; returns what it printed, or nothing if it failed.
    ///
    /// # Panics
    /// When there is no tmux.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> Option<String> {
        let mut command = self.command();
        command.args(arguments);
        let output = self.run(command);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Types text as it is.
    #[track_caller]
    pub fn type_in(&self, text: &str) {
        self.ask(&["send-keys", "-l", "--", text]).expect("keys can be typed");
    }

    /// Presses keys by their names: `Enter`, `Escape`, `C-c`.
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat()).expect("keys can be pressed");
    }

    /// Types a line and presses Enter.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.type_in(line);
        self.press(&["Enter"]);
    }

    /// Pastes as a terminal does: in brackets, if the program asked for them.
    #[track_caller]
    pub fn paste(&self, text: &str) {
        self.ask(&["set-buffer", "-b", "pasted", "--", text]).expect("a buffer can be set");
        self.ask(&["paste-buffer", "-d", "-p", "-b", "pasted"]).expect("a buffer can be pasted");
    }

    /// What stands on the screen.
    #[must_use]
    #[track_caller]
    pub fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"]).unwrap_or_default()
    }

    /// Waits until the screen shows this.
    ///
    /// # Panics
    /// When it does not in time.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_for_within(text, SOON);
    }

    /// As [`Self::wait_for`], with another deadline.
    ///
    /// # Panics
    /// When the screen does not show it in time.
    #[track_caller]
    pub fn wait_for_within(&self, text: &str, within: Duration) {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return;
            }
            assert!(begun.elapsed() < within, "{text:?} does not stand on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
