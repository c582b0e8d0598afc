//! Help in two languages, completions and man pages.

use super::help_chinese::CHINESE;
use crate::args::Cli;
use crate::fail::Fail;
use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use std::path::Path;

/// After the list of commands.
pub(crate) const AFTER: &str = "\
Files: $CLOUD_DOCTOR_HOME, else $XDG_CONFIG_HOME/cloud-doctor, else ~/.config/cloud-doctor.
NO_COLOR turns colours off. Texts follow LC_ALL, LC_MESSAGES, LANG (English, Chinese).

Exit status:
  0    it worked
  1    it did not; the sentence on standard error says why
  2    wrong arguments
  3    not signed in at the relay
  4    the relay or the server cannot be reached
  5    the server, the customer or the relay said no
  6    something does not verify: another server, key or history
  255  shell, exec, sessions attach: the road failed, not the program";

/// After the options of `shell`.
pub(crate) const SHELL: &str = "\
Keys, after a newline:
  ~.   leave; the shell lives on for a while: cloud-doctor sessions attach ID
  ~x   end the shell
  ~~   type one tilde
  ~?   show these keys

The exit status is the shell's; 128+N when signal N ended it; 255 when the road failed.";

/// After the options of `exec`.
pub(crate) const EXEC: &str = "\
The exit status is the command's; 128+N when signal N ended it; 127 when there is no such
command, 126 when it may not be run; 255 when the road failed. Ctrl-C and other signals go
to the command.

Example: cloud-doctor exec web-1 --user deploy -- systemctl status nginx";

/// After the options of `check`.
pub(crate) const CHECK: &str = "\
No signature is needed: the server's ceiling says which checks may run, and its agent runs them
once in 20 seconds at most. The report is signed by the server; one that does not verify against
your own copy of the trust log is not shown. Waivers of the relay hide nothing here: who answers
for which finding is said below the report, as the relay's word.

Exit status, as monitoring plugins have it: 0 ok, 1 warning, 2 critical, 3 unknown, which is
everything that kept the report from being shown, wrong arguments too.

Example: cloud-doctor check web-1 cpu disk.space";

/// After the options of `waiver add`.
pub(crate) const WAIVER: &str = "\
The finding stays in every report, with its status and its evidence. Below `check` it is said who
answers for it, why and until when; the console shows it apart and does not count it. It is looked
up in the newest report, as the server signed it.

Example: cloud-doctor waiver add web-1 disk.space /var --reason \"a cache, ticket 4711\" --until +14d";

/// After the options of `scan`.
pub(crate) const SCAN: &str = "\
Servers are asked in waves by the relay; one that is absent is a result, one that is silent holds up
nobody. Every report is verified against your own copy of the trust log: what does not verify is
shown as such and never as healthy. Ctrl-C leaves the scan running. Waivers are the relay's word:
what is waived is shown, and does not count.

Exit status: 0 nothing to fail on, 1 warnings, 2 critical findings, 3 a report does not verify, the
relay left servers out, or the scan could not be told, 4 with --fail-on-absent: no report from some.

Examples:
  cloud-doctor scan --label env=prod --check disk,memory --fail-on critical
  cloud-doctor scan --format junit --output scan.xml
  cloud-doctor scan plan add nightly \"30 2 * * *\"";

/// After the options of `top`.
pub(crate) const TOP: &str = "\
Marks: !! hurts, ! is worth a look, ? is not known. q quits. When the output is no terminal, one
screen is printed as lines. A server that is not connected is shown as it was in its last minutes,
and the exit status is 4. What a server shows is decided by its ceiling.

Example: cloud-doctor top web-1 --csv --since 6h > web-1.csv";

/// After the options of `watch`.
pub(crate) const WATCH: &str = "\
You see what the engineer sees, at the size of their terminal. Nothing that you type reaches the
shell, and the engineer is told that you watch.

Keys:
  Ctrl-C, or ~. after a newline   leave
  ~x after a newline              end the shell, where you may
  ~? after a newline              show these keys";

/// After the options of `approve ahead`.
pub(crate) const AHEAD: &str = "\
Signed by an approver's or a root's key of another person than the engineer. It counts only
where the server's ceiling says `ahead = true`. A visit that would outlast it asks for a second
signature as ever.

Example: cloud-doctor approve ahead web-1 --for erin --user root --from 22:00 --until +4h";

/// After the options of `invite`.
pub(crate) const INVITE: &str = "\
You and the customer are on the phone. The customer needs the agent's program on the server, and
nothing else: no account, no installation, no open port. Nothing starts before you both have
compared six words. When the visit ends, its record on their server is all that stays.

The exit status is the last shell's; 255 when there was none.";

/// Heading of the options.
const OPTIONS: &str = "选项";

/// The same command line with Chinese texts.
pub(crate) fn in_chinese(command: Command) -> Command {
    let mut command = command;
    if let Some(about) = command.get_about().and_then(chinese) {
        command = command.about(about);
    }
    if let Some(after) = command.get_after_help().and_then(chinese) {
        command = command.after_help(after);
    }
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help("显示帮助");
    if command.get_version().is_some() {
        let version = Arg::new("version").short('V').long("version").action(ArgAction::Version).help("显示版本");
        command = command.disable_version_flag(true).arg(version.help_heading(OPTIONS).display_order(991));
    }
    let mut place = 0;
    command
        .mut_args(|arg| {
            place += 1;
            arg_in_chinese(arg, place)
        })
        .mut_subcommands(in_chinese)
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(help.help_heading(OPTIONS).display_order(990))
        .subcommand_help_heading("命令")
        .help_template("{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}\n")
}

/// What is typed without a name is listed in the order in which it is typed.
fn arg_in_chinese(arg: Arg, place: usize) -> Arg {
    let heading = if arg.is_positional() { "参数" } else { OPTIONS };
    let arg = if arg.is_positional() { arg.display_order(place) } else { arg };
    let arg = arg.help_heading(heading);
    match arg.get_help().and_then(chinese) {
        Some(help) => arg.help(help),
        None => arg,
    }
}

fn chinese(english: &StyledStr) -> Option<&'static str> {
    let english = english.to_string();
    CHINESE.iter().find(|(en, _)| *en == english).map(|(_, zh)| *zh)
}

/// Prints completions.
pub(super) fn completion(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "cloud-doctor", &mut std::io::stdout());
}

/// Writes the man pages of all commands.
pub(super) fn man(folder: &Path) -> Result<(), Fail> {
    let failed = |error: std::io::Error| Fail::system(&folder.display().to_string(), &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        in_chinese(Cli::command()).debug_assert();
    }

    #[test]
    fn arguments_are_listed_as_they_are_typed_in_both_languages() {
        fn typed(command: &Command) -> Vec<(usize, String)> {
            let named = |arg: &Arg| (arg.get_display_order(), arg.get_id().to_string());
            let mut all: Vec<_> = command.get_positionals().map(named).collect();
            all.sort();
            all
        }
        let names = |path: &[&str]| {
            let mut chinese = in_chinese(Cli::command());
            chinese.build();
            let found = path.iter().fold(&chinese, |command, name| command.find_subcommand(name).unwrap());
            typed(found).into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["waiver", "add"]), ["server", "check", "subject"]);
        assert_eq!(names(&["exec"]), ["server", "argv"]);
        assert_eq!(names(&["servers", "label"]), ["server", "labels"]);
    }

    #[test]
    fn every_help_text_is_in_chinese_too() {
        fn check(command: &Command, missing: &mut Vec<String>) {
            let texts = [command.get_about(), command.get_after_help()].into_iter().flatten();
            let args =
                command.get_arguments().filter(|arg| !arg.is_global_set() || command.get_name() == "cloud-doctor");
            let helps = args.filter_map(Arg::get_help);
            for text in texts.chain(helps) {
                if chinese(text).is_none() {
                    missing.push(text.to_string());
                }
            }
            command.get_subcommands().for_each(|command| check(command, missing));
        }
        let mut missing = Vec::new();
        check(&Cli::command(), &mut missing);
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
