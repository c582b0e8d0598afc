//! What the program is asked for.

use anyhow::{Context as _, Result, bail};
use cloud_doctor_proto::pin::Pin;
use cloud_doctor_tests::fleet::{Mix, Share};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "usage: cloud-doctor-fleet --own [--programs FOLDER] [OPTIONS]
       cloud-doctor-fleet --relay quic://NAME:PORT --pin sha256:... (--token-file FILE | --keep FILE) [OPTIONS]

Connects agents that do not exist to a relay: one that it starts for itself, or one that somebody runs, where it enrols them
with an install token (cloud-doctor tenant token --max NUMBER). Their reports and values are made up.

  --agents N        how many (default 1000, at most 20000; 9000 at a given relay: its customer's log has 10000 entries)
  --absent SHARE    are on the list and never connect, for example 10%
  --hanging SHARE   are connected and never answer
  --garbage SHARE   answer what nobody may believe: noise, wrong signatures, others' reports, too much, old and future ones
  --flooding SHARE  send samples as fast as they can to whoever looks
  --churn TIME      the others hang up and come back after about so long each, for example 30s
  --checks TIME     how long checks take at most (default 3s)
  --series N        series of one host (default 250, at most 2000)
  --no-metrics      their ceilings let nobody see metrics
  --rate N          handshakes per second (default: what a relay takes from here)
  --duration TIME   ends after so long (default: with Ctrl-C)
  --keep FILE       keeps an enrolled fleet's keys, or brings back one that was kept
  --json            one line of JSON each second
  --programs FOLDER where cloud-doctor-relay and cloud-doctor are (default: beside this program)";

/// Most agents of one process: loopback has networks for more, machines seldom memory.
const AGENTS_MAX: usize = 20_000;
/// Most that a given relay's customer can have: a trust log has 10,000 entries.
const ENROLLED_MAX: usize = 9_000;

/// Which relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Relay {
    /// One that is started.
    Own { programs: PathBuf },
    /// One that is there.
    Given { address: String, pin: Pin, token: Option<PathBuf> },
}

/// The command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) relay: Relay,
    pub(crate) agents: usize,
    pub(crate) mix: Mix,
    pub(crate) checks: Duration,
    pub(crate) series: usize,
    pub(crate) per_second: Option<u32>,
    pub(crate) duration: Option<Duration>,
    pub(crate) keep: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Arguments as they come.
#[derive(Debug, Default)]
struct Given {
    values: Vec<(String, String)>,
    flags: Vec<String>,
}

const FLAGS: [&str; 3] = ["--own", "--json", "--no-metrics"];
const VALUES: [&str; 15] = [
    "--relay",
    "--pin",
    "--token-file",
    "--keep",
    "--programs",
    "--agents",
    "--absent",
    "--hanging",
    "--garbage",
    "--flooding",
    "--churn",
    "--checks",
    "--series",
    "--rate",
    "--duration",
];

impl Given {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut given = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            if inline.is_none() && FLAGS.contains(&name) {
                given.flags.push(name.to_owned());
            } else if VALUES.contains(&name) {
                let value = inline.or_else(|| rest.next().cloned()).with_context(|| format!("{name} needs a value"))?;
                given.values.push((name.to_owned(), value));
            } else {
                bail!("{argument:?} is no option; --help lists them");
            }
        }
        Ok(given)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> bool {
        self.flags.iter().any(|known| known == name)
    }

    fn number(&self, name: &str, range: std::ops::RangeInclusive<usize>, otherwise: usize) -> Result<usize> {
        let Some(text) = self.value(name) else { return Ok(otherwise) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.with_context(|| format!("{name} {text}: a number from {} to {}", range.start(), range.end()))
    }

    fn share(&self, name: &str) -> Result<Share> {
        self.value(name).map_or(Ok(Share::default()), |text| text.parse().with_context(|| name.to_owned()))
    }

    fn time(&self, name: &str) -> Result<Option<Duration>> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        let read = units.iter().find_map(|(unit, millis)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*millis).filter(|millis| (1..=30 * 86_400_000).contains(millis))
        });
        let read = read.with_context(|| format!("{name} {text}: a time such as 500ms, 30s, 5m or 2h"))?;
        Ok(Some(Duration::from_millis(read)))
    }
}

impl Options {
    /// Reads the arguments that follow the program's name.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let given = Given::parse(arguments)?;
        let relay = relay(&given)?;
        let most = if matches!(relay, Relay::Own { .. }) { AGENTS_MAX } else { ENROLLED_MAX };
        let [absent, hanging, garbage, flooding] =
            ["--absent", "--hanging", "--garbage", "--flooding"].map(|name| given.share(name));
        let mix = Mix::new([absent?, hanging?, garbage?, flooding?], given.time("--churn")?)?;
        let rate = given.value("--rate").map(|_| given.number("--rate", 1..=10_000, 1)).transpose()?;
        Ok(Self {
            relay,
            agents: given.number("--agents", 1..=most, 1_000)?,
            mix,
            checks: given.time("--checks")?.unwrap_or(Duration::from_secs(3)),
            series: if given.flag("--no-metrics") { 0 } else { given.number("--series", 1..=2_000, 250)? },
            per_second: rate.map(u32::try_from).transpose()?,
            duration: given.time("--duration")?,
            keep: given.value("--keep").map(PathBuf::from),
            json: given.flag("--json"),
        })
    }
}

fn relay(given: &Given) -> Result<Relay> {
    match (given.flag("--own"), given.value("--relay")) {
        (true, None) => {
            for name in ["--pin", "--token-file", "--keep"] {
                if given.value(name).is_some() {
                    bail!("{name} is for a given relay; one that is started with --own needs none");
                }
            }
            let beside = || Some(std::env::current_exe().ok()?.parent()?.to_owned());
            let programs = given.value("--programs").map(PathBuf::from).or_else(beside);
            Ok(Relay::Own { programs: programs.context("--programs FOLDER is needed here")? })
        }
        (false, Some(address)) => {
            let pin = given.value("--pin").context("--relay needs --pin: the relay prints it when it starts")?;
            let pin = pin.parse().with_context(|| "--pin".to_owned())?;
            let token = given.value("--token-file").map(PathBuf::from);
            Ok(Relay::Given { address: address.to_owned(), pin, token })
        }
        (true, Some(_)) => bail!("--own starts a relay and --relay names one: take one of them"),
        (false, None) => bail!("which relay? --own starts one, --relay names one\n\n{USAGE}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_the_readme_says_is_understood() {
        let line = "--own --agents 1000 --absent 10% --hanging=5% --garbage 5% --duration 60s --json";
        let options = parse(line).unwrap();
        assert_eq!((options.agents, options.mix, options.json), (1_000, Mix::SCAN, true));
        assert_eq!((options.duration, options.series), (Some(Duration::from_secs(60)), 250));
        assert_eq!(parse("--own --no-metrics").unwrap().series, 0);
        let pin = format!("sha256:{}", "ab".repeat(32));
        let given = parse(&format!("--relay quic://relay.example.com:8443 --pin {pin} --token-file t --churn 30s"));
        let Relay::Given { token, .. } = given.unwrap().relay else { panic!("a given relay") };
        assert_eq!(token, Some(PathBuf::from("t")));
    }

    #[test]
    fn what_cannot_be_is_said_in_a_sentence() {
        for (line, says) in [
            ("", "which relay?"),
            ("--own --relay quic://x:1", "take one of them"),
            ("--own --pin sha256:00", "--pin is for a given relay"),
            ("--relay quic://x:1", "needs --pin"),
            ("--relay quic://x:1 --pin abc", "--pin"),
            ("--own --agents 0", "a number from 1 to 20000"),
            ("--own --agents 20001", "a number from 1 to 20000"),
            ("--own --absent ten", "no share"),
            ("--own --absent 60% --hanging 50%", "more than 100%"),
            ("--own --churn 30", "a time such as"),
            ("--own --duration 0s", "a time such as"),
            ("--own --surprise", "is no option"),
            ("--own --agents", "needs a value"),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
