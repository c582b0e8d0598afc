//! The Cloud Doctor agent: one binary, several roles. This file only finds out which role is meant.

mod audit;
mod checker;
mod cli;
#[cfg(test)]
#[path = "../tests/guard/customer.rs"]
#[allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used, reason = "a customer for tests, used in parts")]
mod customer;
mod fence;
mod flow;
mod guard;
mod guest;
mod image;
mod messages;
mod metrics;
mod own;
mod policy;
mod session;
mod standalone;
mod state;
mod stop;
mod tasks;
mod tunnel;
mod zone;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next().unwrap_or_default();
    match role.to_str() {
        // Started by our own processes only, many times a minute: before anything else is set up.
        Some("checker") => checker::role(),
        Some("check-report") => checker::report(),
        Some("processes") => checker::processes(),
        Some("events") => checker::events(),
        Some("plugin") => checker::plugin(arguments),
        Some("holder") => session::holder::run(arguments),
        Some("pty-child") => {
            session::pty::run(arguments);
            ExitCode::FAILURE
        }
        Some("shell-exec") => {
            if let Some(exec) = session::shell_exec::ShellExec::parse(arguments) {
                exec.run();
            }
            ExitCode::FAILURE
        }
        Some(_) | None => cli::run(),
    }
}
