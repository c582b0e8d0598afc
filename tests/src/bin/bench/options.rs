//! What the bench is asked for.

use anyhow::{Result, bail};
use std::time::Duration;

const USAGE: &str = "usage: bench [--only PREFIX] [--quick]

Takes the figures whose name starts with PREFIX (all without it), prints a table and writes
target/bench/results.jsonl. --quick takes fewer and shorter runs, to see that the bench works.";

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Sessions of each side for the echo.
    pub(crate) echo_runs: usize,
    /// Keys of one session, one each 20 ms.
    pub(crate) keys_paced: usize,
    /// Keys of one session, each as soon as the last one is back.
    pub(crate) keys_closed: usize,
    /// Starts of each side for the first prompt.
    pub(crate) prompt_runs: usize,
    /// Times that the text is shown by each side.
    pub(crate) cat_runs: usize,
    /// Browser sessions of each side for the echo, and keys of one.
    pub(crate) browser_echo: [usize; 2],
    /// Texts and first prompts of each side in a browser.
    pub(crate) browser_runs: usize,
    /// How long idle processes are watched.
    pub(crate) idle: Duration,
    /// Whole runs of all checks.
    pub(crate) check_runs: usize,
    /// Deaths of a backend for each prediction.
    pub(crate) formula_runs: usize,
    /// Fleet sizes.
    pub(crate) fleets: [usize; 2],
    /// Reconnecting agents.
    pub(crate) reconnects: usize,
    /// Servers of scans.
    pub(crate) scans: [usize; 2],
}

impl Plan {
    const FULL: Self = Self {
        echo_runs: 5,
        keys_paced: 300,
        keys_closed: 3_000,
        prompt_runs: 15,
        cat_runs: 5,
        browser_echo: [4, 250],
        browser_runs: 5,
        idle: Duration::from_secs(60),
        check_runs: 5,
        formula_runs: 3,
        fleets: [1_000, 5_000],
        reconnects: 10_000,
        scans: [1_000, 10_000],
    };
    const QUICK: Self = Self {
        echo_runs: 2,
        keys_paced: 50,
        keys_closed: 300,
        prompt_runs: 3,
        cat_runs: 2,
        browser_echo: [1, 50],
        browser_runs: 2,
        idle: Duration::from_secs(10),
        check_runs: 2,
        formula_runs: 1,
        fleets: [1_000, 5_000],
        reconnects: 1_000,
        scans: [1_000, 10_000],
    };
}

/// The command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// Names of figures begin so.
    pub(crate) only: String,
    /// How much is measured.
    pub(crate) plan: Plan,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { only: String::new(), plan: Plan::FULL };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match (argument.as_str(), rest.as_slice().first()) {
                ("--quick", _) => options.plan = Plan::QUICK,
                ("--only", Some(prefix)) => {
                    options.only.clone_from(prefix);
                    rest.next();
                }
                (prefix, _) if !prefix.starts_with('-') => prefix.clone_into(&mut options.only),
                _ => bail!("{USAGE}"),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_in_any_order() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("").unwrap(), Options { only: String::new(), plan: Plan::FULL });
        assert_eq!(parse("--quick --only echo").unwrap(), Options { only: "echo".to_owned(), plan: Plan::QUICK });
        assert_eq!(parse("echo.paced").unwrap().only, "echo.paced");
        assert!(parse("--only").is_err());
        assert!(parse("--help").unwrap_err().to_string().starts_with("usage"));
    }
}
