//! `prompt.cold`: from the start of the client's process to the first prompt of the login shell.
//!
//! Both sides sign with a key in an ssh-agent; ours also has the grant checked and the visit in the host's audit log
//! before the shell begins.

use anyhow::{Context as _, Result};

use crate::console::{Console, Output};
use crate::options::Plan;
use crate::ours::Ours;
use crate::peers::OpenSsh;
use crate::report::{Aim, Beside, Figure, Report};
use crate::stats::median;

/// Takes the figure.
pub(crate) fn measure(report: &mut Report, plan: &Plan, ours: &Ours, ssh: Option<&OpenSsh>) -> Result<()> {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..plan.prompt_runs {
        us.push(prompt_ms(&ours.shell()).context("our side")?);
        if let Some(ssh) = ssh {
            them.push(prompt_ms(&ssh.direct()).context("ssh")?);
        }
    }
    report.add(&Figure {
        name: "prompt.cold".to_owned(),
        ours: median(&us),
        peer: Some(Beside { name: "openssh", value: median(&them) }),
        unit: "ms",
        aim: Aim::RatioAtMost(0.1),
        runs: us.len().to_string(),
    })
}

fn prompt_ms(command: &std::process::Command) -> Result<f64> {
    let mut console = Console::start(command, Output::Terminal)?;
    let shown = console.wait_for_prompt()?;
    console.finish(b"exit\r")?;
    Ok(shown.as_secs_f64() * 1e3)
}
