//! Has facts, timeline and files gathered for a report, by a checker inside the same fence, and with the same rule: a step
//! that hangs or breaks is given up with its process, and another one does the rest. What was said before stays.

use super::super::{Line, Order};
use super::{CHECK_MS, Checker};
use cloud_doctor_checks::host::boot_time;
use cloud_doctor_checks::report::{Gathered, Step};
use cloud_doctor_checks::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::BootTime;
use std::io;
use std::path::Path;

/// For all steps, and all processes that take another's place. With the checks' 30 s that leaves 10 s of the 55 for the rest.
const ALL_MS: u64 = 15_000;

/// Gathers `steps`, on this host or on another root. Returns what could not be closed around the checker too.
pub(crate) fn gather(root: Option<&Path>, steps: &[Step]) -> (Gathered, Vec<String>) {
    let own = std::env::current_exe().unwrap_or_default();
    gather_with(&own, root, steps)
}

fn gather_with(program: &Path, root: Option<&Path>, steps: &[Step]) -> (Gathered, Vec<String>) {
    let mut run = Run { gathered: Gathered::default(), open: Vec::new(), left: steps.to_vec() };
    let deadline = BootTime(boot_time().0 + ALL_MS);
    while !run.left.is_empty() {
        let order = Order::gathering(root.map(Path::to_owned), run.left.clone());
        let why = match Checker::start(program, &order) {
            Ok(mut checker) => {
                let why = run.listen(&mut checker, deadline);
                checker.end();
                why
            }
            Err(error) => (None, words!("no checker could be started: {error}", "无法启动检查进程：{error}")),
        };
        if run.left.is_empty() {
            break;
        }
        run.give_up(&why);
    }
    (run.gathered, run.open)
}

struct Run {
    gathered: Gathered,
    open: Vec<String>,
    /// What is still to be done.
    left: Vec<Step>,
}

impl Run {
    /// Takes pieces until it ends or is given up. Returns the step that it was at, and why it went no further.
    fn listen(&mut self, checker: &mut Checker, all: BootTime) -> (Option<Step>, Words) {
        let asked = self.left.clone();
        let mut at: Option<Step> = None;
        let mut deadline = BootTime(boot_time().0 + CHECK_MS);
        loop {
            let line = match checker.line(deadline.min(all)) {
                Ok(line) => line,
                Err(error) => return (at, ended(&error)),
            };
            match (serde_json::from_slice::<Line>(&line), &at) {
                (Ok(Line::Fence(open)), _) => self.open.extend(open),
                (Ok(Line::Step(place)), _) => {
                    at = asked.get(place).cloned();
                    deadline = BootTime(boot_time().0 + CHECK_MS);
                }
                (Ok(Line::Piece(piece)), Some(_)) => self.gathered.take(piece),
                (Ok(Line::Done), Some(step)) => {
                    self.left.retain(|left| left != step);
                    at = None;
                }
                // Without a step that has begun; or nobody asked for it.
                (
                    Ok(
                        Line::Piece(_)
                        | Line::Done
                        | Line::Begins(_)
                        | Line::Found(_)
                        | Line::NotHere(_)
                        | Line::Tried(_),
                    ),
                    _,
                ) => {}
                (Err(error), _) => {
                    let why = error.to_string();
                    return (at, words!("it says what is not understood: {why}", "其输出无法识别：{why}"));
                }
            }
        }
    }

    /// Gives up the step to blame; all that are left when there is none, because another process would fare no better.
    fn give_up(&mut self, (at, why): &(Option<Step>, Words)) {
        let blamed: Vec<Step> =
            self.left.iter().filter(|left| at.as_ref().is_none_or(|at| at == *left)).cloned().collect();
        self.left.retain(|left| !blamed.contains(left));
        for step in blamed {
            let name = step.name();
            let (what_en, what_zh, en, zh) = (&name.en, &name.zh, &why.en, &why.zh);
            self.gathered.gap(words!("{what_en}: given up, {en}", "{what_zh}：已放弃，{zh}"));
        }
    }
}

fn ended(error: &io::Error) -> Words {
    if error.kind() == io::ErrorKind::TimedOut {
        return words!("it took too long", "耗时过长");
    }
    words!("{error}", "{error}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Instant;

    /// What is gathered when the checker is a script.
    #[expect(clippy::disallowed_methods, reason = "a test measures that it does not wait")]
    fn gathered(script: &str) -> Gathered {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("checker");
        std::fs::write(&program, format!("#!/bin/sh\nread -r order || :\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let since = Instant::now();
        let (gathered, _) = gather_with(&program, None, &[Step::FileSystems, Step::System]);
        assert!(since.elapsed().as_secs() < 8, "{:?}", since.elapsed());
        gathered
    }

    #[test]
    fn chk_08_a_step_that_hangs_breaks_or_floods_is_given_up_and_the_others_are_done() {
        let system = r#"{"piece":{"system":{"os":"x"}}}"#;
        for (first, why) in [
            ("exec sleep 60", "it took too long"),
            ("exit 3", "its process ended"),
            ("kill -9 $$", "its process ended"),
            ("echo junk; exec sleep 60", "not understood"),
            ("head -c 3000000 /dev/zero | tr '\\0' x; exec sleep 60", "more than 1 MiB"),
        ] {
            let script = format!(
                r#"case "$order" in *file-systems*) echo '{{"step":0}}'; {first};; esac
echo '{{"step":0}}'; echo '{system}'; echo '"done"'"#
            );
            let found = gathered(&script);
            assert_eq!(found.system.os.as_deref(), Some("x"), "{first}");
            assert_eq!(found.gaps.len(), 1, "{first}: {:?}", found.gaps);
            assert!(
                found.gaps[0].en.starts_with("file systems: given up, ") && found.gaps[0].en.contains(why),
                "{:?}",
                found.gaps
            );
        }
    }

    #[test]
    fn a_checker_that_never_begins_leaves_no_step_out() {
        for script in ["exit 1", "exec sleep 60", r#"echo '{"piece":{"rows":[]}}'"#, r#"echo '"done"'"#] {
            assert_eq!(gathered(script).gaps.len(), 2, "{script}");
        }
    }
}
