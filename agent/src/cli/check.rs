//! `check`: what is wrong with this host, without relay and configuration.
//!
//! Exit codes are those of monitoring plugins: 0 ok, 1 warning, 2 critical, 3 unknown, and 3 for wrong usage too.

use super::{memory, say};
use crate::checker;
use crate::checker::kept::Memory;
use crate::guard::random;
use crate::messages::{Message, language};
use crate::own::{self, Own};
use crate::state::Places;
use clap::{Args, ValueEnum};
use cloud_doctor_checks::host::unix_time;
use cloud_doctor_checks::pack;
use cloud_doctor_checks::redact::Redactor;
use cloud_doctor_checks::show::{self, Results, Style};
use cloud_doctor_checks::{Check, Host, Wanted, apart};
use cloud_doctor_proto::finding::Status;
use cloud_doctor_proto::refusal::Language;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Columns of a line when nobody says how many there are.
const WIDTH_DEFAULT: usize = 100;
/// What `check` is asked.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Which: ids, like lb.detection-time, or groups, like lb. All when not given.
    #[arg(value_name = "ID|GROUP")]
    which: Vec<String>,
    /// Look at another root: a copied /etc, a mounted image.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// One line of JSON (schema: --schema).
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How results are written.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// In English or in Chinese; as the locale says when not given.
    #[arg(long, value_enum)]
    lang: Option<Lang>,
    /// Also what is as it should be, and what there is nothing of.
    #[arg(long)]
    all: bool,
    /// How soon what this host serves must be back after a failure, like 15m.
    #[arg(long, value_name = "TIME", value_parser = span)]
    rto: Option<f64>,
    /// Another number for a check, like cpu.usage.warning=80.
    #[arg(long, value_name = "CHECK.PARAM=NUMBER")]
    set: Vec<String>,
    /// Also the checks of this pack, which need not be in /etc/cloud-doctor/packs.
    #[arg(long, value_name = "FILE")]
    pack: Vec<PathBuf>,
    /// Take no pack of --pack whose hash is another.
    #[arg(long, value_name = "sha256:HASH", requires = "pack")]
    pack_hash: Vec<String>,
    /// List all checks.
    #[arg(long)]
    list: bool,
    /// Tell all about one check.
    #[arg(long, value_name = "ID")]
    explain: Option<String>,
    /// Print the JSON Schema of the findings.
    #[arg(long)]
    schema: bool,
    /// Look again and again, every 10 s or as often as given, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = clap::value_parser!(u64).range(2..=3600))]
    watch: Option<u64>,
}

impl Options {
    /// Whether the next run may know what this one found, and this one what the last did.
    fn is_usual(&self) -> bool {
        self.root.is_none() && self.rto.is_none() && self.set.is_empty() && self.pack.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Prometheus,
    Markdown,
    Html,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Lang {
    En,
    Zh,
}

/// Reads `900`, `900s`, `15m`, `2h`.
pub(super) fn span(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60.0),
        Some(number) if text.ends_with('h') => (number, 3600.0),
        Some(number) => (number, 1.0),
        None => (text, 1.0),
    };
    let secs = number.parse::<f64>().ok().map(|number| number * factor);
    secs.filter(|secs| (1.0..=30.0 * 86400.0).contains(secs))
        .ok_or_else(|| "a time between 1s and 720h, like 90s, 15m or 2h".to_owned())
}

/// Runs the command.
pub(super) fn run(places: &Places, options: &Options) -> ExitCode {
    let language = match options.lang {
        Some(Lang::En) => Language::En,
        Some(Lang::Zh) => Language::Zh,
        None => language(),
    };
    let terminal = io::stdout().is_terminal();
    let columns = terminal
        .then(|| rustix::termios::tcgetwinsize(io::stdout()).ok())
        .flatten()
        .map(|size| usize::from(size.ws_col));
    let style = Style {
        language,
        all: options.all,
        colour: terminal && std::env::var_os("NO_COLOR").is_none(),
        width: columns.filter(|columns| *columns > 40).unwrap_or(WIDTH_DEFAULT).min(120),
    };
    match answer(places, options, style) {
        Ok(status) => status.exit_code().into(),
        Err(problem) => {
            say::problem(Message::Failed, &[&problem]);
            Status::Unknown.exit_code().into()
        }
    }
}

/// Shows what is wrong with the arguments. Whoever asked for `check` gets a plugin's "unknown" and not its "critical".
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe: nobody reads any more.
    error.print().ok();
    let asked_for_check = std::env::args_os().nth(1).is_some_and(|first| first == "check");
    match error.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if asked_for_check => Status::Unknown.exit_code().into(),
        code => ExitCode::from(u8::try_from(code).unwrap_or(2)),
    }
}

fn answer(places: &Places, options: &Options, style: Style) -> Result<Status, String> {
    if options.schema {
        return Ok(print(show::schema()));
    }
    let mut own = own::load_here(places);
    for path in &options.pack {
        own.add(path, &options.pack_hash).map_err(|why| why.get(style.language).to_owned())?;
    }
    pack::install(&own.sources);
    if options.list {
        let json = options.json || options.format == Format::Json;
        return Ok(print(&if json {
            show::list_json().map_err(|error| error.to_string())?
        } else {
            show::list(style)
        }));
    }
    if let Some(id) = &options.explain {
        let check = cloud_doctor_checks::by_id(id).ok_or_else(|| no_such(id, style))?;
        return Ok(print(&show::explain(check, style)));
    }
    let checks = select(&options.which, style)?;
    let mut wanted = Wanted { rto_secs: options.rto, ..Wanted::default() };
    for text in &options.set {
        wanted.set(text).map_err(|bad| bad.0.get(style.language).to_owned())?;
    }
    wanted.history_from = options.root.is_none().then(|| places.history());
    let mut memory = memory::open(places, options.is_usual(), style.language);
    loop {
        let status = round(options, &checks, &mut wanted, &mut memory, &own, style)?;
        let Some(secs) = options.watch else { return Ok(status) };
        wait(secs);
    }
}

#[expect(clippy::disallowed_methods, reason = "the person asked for rounds some seconds apart")]
fn wait(secs: u64) {
    std::thread::sleep(Duration::from_secs(secs));
}

fn round(
    options: &Options,
    checks: &[&'static Check],
    wanted: &mut Wanted,
    memory: &mut Memory,
    own: &Own,
    style: Style,
) -> Result<Status, String> {
    let root = options.root.as_deref();
    let host = root.map_or_else(Host::live, Host::image).map_err(|error| match root {
        Some(root) => format!("{}: {error}", root.display()),
        None => error.to_string(),
    })?;
    let at = unix_time();
    memory.tell(wanted, at);
    let mut ended = checker::run(root, checks, wanted, own);
    memory::learn(memory, &mut ended.ran, at, style.language);
    let name = Some(host.name()).filter(|name| !name.is_empty());
    let name = name.or_else(|| root.map(|root| root.display().to_string())).unwrap_or_default();
    let (mut findings, absent) = apart(ended.ran);
    // What is shown here is pasted elsewhere.
    let mut redactor = Redactor::new(random());
    findings.iter_mut().for_each(|finding| redactor.finding(finding));
    let results = Results { host: &name, at, findings: &findings, absent: &absent, open: &ended.open };
    let text = match (options.json, options.format) {
        (true, _) | (false, Format::Json) => show::json(&results, style).map_err(|error| error.to_string())?,
        (false, Format::Human) => show::human(&results, style),
        (false, Format::Prometheus) => show::prometheus(&results),
        (false, Format::Markdown) => show::markdown(&show::findings_page(&results, style.language, style.all)),
        (false, Format::Html) => show::html(&show::findings_page(&results, style.language, style.all)),
    };
    if options.watch.is_some() && style.colour {
        print("\x1b[2J\x1b[H");
    }
    print(&text);
    Ok(results.status())
}

/// The checks that `which` names.
fn select(which: &[String], style: Style) -> Result<Vec<&'static Check>, String> {
    let mut chosen = Vec::new();
    for name in which {
        let before = chosen.len();
        chosen.extend(cloud_doctor_checks::all().filter(|check| check.id == name || check.group().name() == name));
        // One that was refused: why stands there.
        if chosen.len() == before && name.starts_with("x.") {
            chosen.extend(cloud_doctor_checks::by_id(pack::REFUSED));
        }
        if chosen.len() == before {
            return Err(no_such(name, style));
        }
    }
    if which.is_empty() {
        return Ok(cloud_doctor_checks::all().collect());
    }
    let mut seen = std::collections::BTreeSet::new();
    chosen.retain(|check| seen.insert(check.id));
    Ok(chosen)
}

fn no_such(name: &str, style: Style) -> String {
    let near = cloud_doctor_checks::all().map(|check| check.id).find(|id| id.contains(name) || name.contains(id));
    let near = near.map(|id| format!(" ({id}?)")).unwrap_or_default();
    Message::NoSuchCheck.text(style.language, &[name, &near])
}

fn print(text: &str) -> Status {
    let text = text.strip_suffix('\n').unwrap_or(text);
    // A closed pipe: nobody reads any more.
    writeln!(io::stdout(), "{text}").ok();
    Status::Ok
}
