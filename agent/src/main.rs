//! The Cloud Doctor agent: one binary, several roles. This file only finds out which role is meant.

mod session;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next().unwrap_or_default();
    match role.to_str() {
        Some("holder") => return session::holder::run(arguments),
        Some("pty-child") => session::pty::run(arguments),
        Some("shell-exec") => {
            if let Some(exec) = session::shell_exec::ShellExec::parse(arguments) {
                exec.run();
            }
        }
        Some(_) | None => {}
    }
    ExitCode::FAILURE
}
