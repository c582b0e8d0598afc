//! The `cloud-doctor` command: reads its arguments, does one thing, says in words what went wrong.
//!
//! Data goes to standard output, words for people to standard error. Never: a password or token in argv or the
//! environment, or a signature that nobody asked for.

mod args;
mod commands;
mod fail;
mod output;
mod terminal;
mod words;

use args::Cli;
use clap::FromArgMatches as _;
use fail::Fail;
use std::process::ExitCode;

fn main() -> ExitCode {
    let language = words::language();
    let matches = match args::command(language).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are no errors; clap knows where each goes.
            return if error.print().is_ok() && !error.use_stderr() { ExitCode::SUCCESS } else { usage() };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return usage();
        }
    };
    let language = cli.command.language().unwrap_or(language);
    // The road's own failures have their own status where a program's status is passed through.
    let failure = cli.command.failure();
    match run(cli, language) {
        Ok(code) => ExitCode::from(code),
        Err(fail) => {
            output::complain(&fail.text(language));
            ExitCode::from(failure.unwrap_or_else(|| fail.code()))
        }
    }
}

/// Wrong arguments. Whoever asked for `check` or `scan` gets a plugin's "unknown" and not its "critical".
fn usage() -> ExitCode {
    let check = std::env::args_os().nth(1).is_some_and(|first| first == "check" || first == "scan");
    ExitCode::from(if check { fail::UNTOLD } else { 2 })
}

fn run(cli: Cli, language: cloud_doctor_proto::refusal::Language) -> Result<u8, Fail> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fail::system("runtime", &error))?;
    let done = runtime.block_on(commands::run(cli, language));
    // A read of a terminal that never ends must not keep the program.
    runtime.shutdown_background();
    done
}
