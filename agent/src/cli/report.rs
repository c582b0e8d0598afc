//! `report`: everything about this host that a ticket needs, as one file or on standard output. No relay, no
//! configuration.
//!
//! Looking is the checker's, inside its fence; here it is put together, redacted, rendered and written. It must never
//! leave half a report where a whole one belongs, nor let others read it.

use super::check::{Lang, span};
use super::{Exit, memory, say};
use crate::checker;
use crate::guard::random;
use crate::messages::{Message, language};
use crate::own::{self, Own};
use crate::state::Places;
use clap::{Args, ValueEnum};
use cloud_doctor_checks::host::{boot_time, unix_time};
use cloud_doctor_checks::pack;
use cloud_doctor_checks::redact::Redactor;
use cloud_doctor_checks::report::{self, BUNDLE_BYTES_MAX, Bundle, Priority, Report, Step, TicketWords};
use cloud_doctor_checks::{Check, Host, Ran, Wanted, apart, show};
use cloud_doctor_proto::refusal::Language;
use cloud_doctor_proto::time::BootTime;
use rustix::fs::Access;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A whole report; what is not redacted by then is left out.
const SECS_MAX: u64 = 55;
/// Free space that a report wants, in bundles of the largest size: the host must not be filled up by its doctor.
const ROOM: u64 = 2;

/// What `report` is asked.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where to: a file, or a folder to make one in. A bundle goes into the current folder when not given, everything else to standard output.
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// How it is written; bundle is a tar.gz with everything.
    #[arg(long, value_enum, default_value = "bundle")]
    format: Format,
    /// In English or in Chinese; as the locale says when not given. A bundle has its pages in both.
    #[arg(long, value_enum)]
    lang: Option<Lang>,
    /// Look at another root: a copied /etc, a mounted image.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// How soon what this host serves must be back after a failure, like 15m.
    #[arg(long, value_name = "TIME", value_parser = span)]
    rto: Option<f64>,
    /// How much of the newest data may be lost, like 1h.
    #[arg(long, value_name = "TIME", value_parser = span)]
    rpo: Option<f64>,
    /// Ticket: what kind of trouble it is. This and the next four are suggested from the findings when not given.
    #[arg(long, value_name = "TEXT")]
    r#type: Option<String>,
    /// Ticket: what it costs.
    #[arg(long, value_name = "TEXT")]
    impact: Option<String>,
    /// Ticket: what is seen.
    #[arg(long, value_name = "TEXT")]
    symptom: Option<String>,
    /// Ticket: how soon somebody must look.
    #[arg(long, value_enum)]
    priority: Option<Urgency>,
    /// Ticket: what it is found by later, like load-balancer-anomaly.
    #[arg(long, value_name = "TEXT")]
    tag: Option<String>,
    /// Another number for a check, like cpu.usage.warning=80.
    #[arg(long, value_name = "CHECK.PARAM=NUMBER")]
    set: Vec<String>,
    /// Print the JSON Schema of --format json.
    #[arg(long)]
    schema: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Html,
    Markdown,
    Json,
    Bundle,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Markdown => "md",
            Format::Json => "json",
            Format::Bundle => "tar.gz",
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    Urgent,
    Important,
    Normal,
}

impl From<Urgency> for Priority {
    fn from(urgency: Urgency) -> Self {
        match urgency {
            Urgency::Urgent => Priority::Urgent,
            Urgency::Important => Priority::Important,
            Urgency::Normal => Priority::Normal,
        }
    }
}

/// Why there is no report, and how the command ends.
struct Problem(Exit, String);

/// Runs the command.
pub(super) fn run(places: &Places, options: &Options) -> Exit {
    let language = match options.lang {
        Some(Lang::En) => Language::En,
        Some(Lang::Zh) => Language::Zh,
        None => language(),
    };
    match make(places, options, language) {
        Ok(()) => Exit::Done,
        Err(Problem(exit, why)) => {
            writeln!(io::stderr(), "cloud-doctor-agent: {}", Message::Failed.text(language, &[&why])).ok();
            exit
        }
    }
}

fn make(places: &Places, options: &Options, language: Language) -> Result<(), Problem> {
    if options.schema {
        say::line(report::schema().trim_end());
        return Ok(());
    }
    let own = own::load_here(places);
    pack::install(&own.sources);
    let mut wanted = Wanted { rto_secs: options.rto, ..Wanted::default() };
    for text in &options.set {
        wanted.set(text).map_err(|bad| Problem(Exit::Usage, bad.0.get(language).to_owned()))?;
    }
    let root = options.root.as_deref();
    let host = root.map_or_else(Host::live, Host::image);
    let host = host.map_err(|error| Problem(Exit::Usage, in_place(root.unwrap_or(Path::new("/")), &error)))?;
    // Whoever has no room for it must not wait for it first.
    let place = Place::new(options, language)?;
    if io::stderr().is_terminal() {
        writeln!(io::stderr(), "{}", Message::ReportLooking.text(language, &[])).ok();
    }
    let deadline = boot_time().plus_secs(SECS_MAX);
    let usual = root.is_none() && options.rto.is_none() && options.set.is_empty();
    wanted.history_from = root.is_none().then(|| places.history());
    let mut memory = memory::open(places, usual, language);
    memory.tell(&mut wanted, unix_time());
    let mut report = look(options, &host, &wanted, &own, |ran| memory::learn(&mut memory, ran, unix_time(), language));
    // Nobody keeps the key: tokens can be compared within this report, and nowhere else.
    let mut redactor = Redactor::new(random());
    report.redact(&mut redactor);
    let failed = |error: &dyn std::fmt::Display| Problem(Exit::Failed, error.to_string());
    let page = || report::page(&report, language);
    let text = match options.format {
        Format::Html => show::html(&page()),
        Format::Markdown => show::markdown(&page()),
        Format::Json => report::json(&report, language).map_err(|error| failed(&error))? + "\n",
        Format::Bundle => return bundle(&mut report, &mut redactor, &place, deadline, language),
    };
    match place.file(&report.file_name(), options.format) {
        None => io::stdout().write_all(text.as_bytes()).or_else(closed_is_fine).map_err(|error| failed(&error)),
        Some(path) => write(&path, language, |file| file.write_all(text.as_bytes())),
    }
}

/// Runs every check, then gathers the rest: which logs are of interest is known by then.
fn look(
    options: &Options,
    host: &Host,
    wanted: &Wanted,
    own: &Own,
    learn: impl FnOnce(&mut [(&'static Check, Ran)]),
) -> Report {
    let root = options.root.as_deref();
    let checks: Vec<_> = cloud_doctor_checks::all().collect();
    let mut ended = checker::run(root, &checks, wanted, own);
    learn(&mut ended.ran);
    let (findings, absent) = apart(ended.ran);
    let mut steps = Step::FACTS.to_vec();
    if options.format == Format::Bundle {
        steps.extend([Step::ConfigFiles, Step::KernelLog]);
        steps.extend(report::logs_named(&findings).into_iter().map(Step::Log));
    }
    let (gathered, open) = checker::gather(root, &steps);
    let name = Some(host.name()).filter(|name| !name.is_empty());
    let mut all_open = ended.open;
    all_open.extend(open);
    all_open.sort();
    all_open.dedup();
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: name.or_else(|| root.map(|root| root.display().to_string())).unwrap_or_default(),
        at: unix_time(),
        findings,
        absent,
        open: all_open,
        is_root: rustix::process::geteuid().is_root(),
        is_live: root.is_none(),
        gathered,
        said: TicketWords {
            kind: options.r#type.clone(),
            impact: options.impact.clone(),
            symptom: options.symptom.clone(),
            priority: options.priority.map(Into::into),
            tag: options.tag.clone(),
        },
        rto_secs: options.rto,
        rpo_secs: options.rpo,
    }
}

fn bundle(
    report: &mut Report,
    redactor: &mut Redactor,
    place: &Place,
    deadline: BootTime,
    language: Language,
) -> Result<(), Problem> {
    let failed = |error: serde_json::Error| Problem(Exit::Failed, error.to_string());
    let bundle = Bundle::new(report, redactor, language, deadline).map_err(failed)?;
    let Some(path) = place.file(&report.file_name(), Format::Bundle) else { return Ok(()) };
    write(&path, language, |file| bundle.write(report, file).map(drop))
}

/// Where a report goes.
struct Place {
    /// Nothing: standard output.
    out: Option<PathBuf>,
    is_folder: bool,
}

impl Place {
    /// The place that the options name, when there is room in it.
    fn new(options: &Options, language: Language) -> Result<Self, Problem> {
        let usage = |message: Message, values: &[&str]| Problem(Exit::Usage, message.text(language, values));
        let out = match (&options.out, options.format) {
            (Some(out), _) => out.clone(),
            (None, Format::Bundle) => PathBuf::from("."),
            (None, Format::Html | Format::Markdown | Format::Json) => return Ok(Self { out: None, is_folder: false }),
        };
        let is_folder = out.is_dir();
        let folder = if is_folder { &out } else { folder_of(&out) };
        let shown = out.display().to_string();
        if !folder.is_dir() || shown.ends_with('/') && !is_folder {
            return Err(usage(Message::ReportNoFolder, &[&folder.display().to_string()]));
        }
        // A device, a FIFO, or a link to who knows what.
        if !is_folder && out.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return Err(usage(Message::ReportNoFile, &[&shown]));
        }
        rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| in_vain(folder, &errno.into()))?;
        if options.format == Format::Bundle {
            has_room(folder, language)?;
        }
        Ok(Self { out: Some(out), is_folder })
    }

    fn file(&self, name: &str, format: Format) -> Option<PathBuf> {
        let out = self.out.as_ref()?;
        Some(if self.is_folder { out.join(format!("{name}.{}", format.ending())) } else { out.clone() })
    }
}

fn has_room(folder: &Path, language: Language) -> Result<(), Problem> {
    let space = rustix::fs::statvfs(folder).map_err(|errno| Problem(Exit::Failed, in_place(folder, &errno.into())))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = BUNDLE_BYTES_MAX.saturating_mul(ROOM);
    if free >= needed {
        return Ok(());
    }
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let values = [&*whole.display().to_string(), &mib(free), &mib(needed)];
    Err(Problem(Exit::Failed, Message::ReportNoRoom.text(language, &values)))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes under a name that nobody knows, then gives it the right one: there is a whole report or none. Only its owner can
/// read it.
fn write(
    path: &Path,
    language: Language,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Problem> {
    let hidden: [u8; 8] = random();
    let hidden = folder_of(path).join(format!(".cloud-doctor-report-{:016x}", u64::from_le_bytes(hidden)));
    let written: io::Result<u64> = (|| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&hidden)?;
        let mut file = BufWriter::new(file);
        fill(&mut file)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        std::fs::rename(&hidden, path)?;
        Ok(bytes)
    })();
    match written {
        Ok(bytes) => {
            let values = [&*path.display().to_string(), &format!("{} KiB", bytes.div_ceil(1024))];
            say::line(&Message::ReportWritten.text(language, &values));
            Ok(())
        }
        Err(error) => {
            std::fs::remove_file(&hidden).ok();
            Err(in_vain(path, &error))
        }
    }
}

/// It cannot be written there.
fn in_vain(path: &Path, error: &io::Error) -> Problem {
    let denied = error.kind() == io::ErrorKind::PermissionDenied;
    Problem(if denied { Exit::NoPermission } else { Exit::Failed }, in_place(path, error))
}

fn in_place(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Nobody reads any more.
fn closed_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
