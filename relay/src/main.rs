//! `cloud-doctor-relay`: the command line around the library. It prints, waits for signals and tells systemd.

mod command;
mod service;

use clap::Parser as _;
use cloud_doctor_proto::refusal::Language;
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
            let text = if config { error.to_string() } else { Message::Failed.with(language, &[&chain(&error)]) };
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

/// An error with its causes, none of them twice: ours name their cause already.
fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
