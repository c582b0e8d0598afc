//! `cloud-doctor-relay`: the command line around the library. It prints, waits for signals and tells systemd.

mod command;
mod service;

use clap::Parser as _;
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_relay::causes::with_causes;
use cloud_doctor_relay::messages::Message;
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code of a configuration that is wrong (sysexits).
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    let language = language();
    match command::run(arguments, language) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let config = error.downcast_ref::<command::ConfigRefused>().is_some();
            let text = if config {
                error.to_string()
            } else {
                Message::Failed.with(language, &[&with_causes(error.as_ref())])
            };
            // Without a terminal there is nobody to tell.
            drop(writeln!(std::io::stderr().lock(), "{text}"));
            if config { ExitCode::from(EX_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

fn language() -> Language {
    let [all, messages, lang] = ["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| std::env::var(name).ok());
    Language::from_locale(all.as_deref(), messages.as_deref(), lang.as_deref())
}
