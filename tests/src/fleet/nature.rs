//! How simulated agents behave, as data. Pure: shares come in, each agent's nature comes out, the same every time.

use std::str::FromStr;
use std::time::Duration;

/// What a lying agent sends instead of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// Bytes that are no frame.
    Noise,
    /// A report whose signature is damaged.
    Signature,
    /// A report that another server signed.
    Stranger,
    /// More than a report may have.
    Oversized,
    /// A report of next week.
    Future,
    /// The answer to another request.
    Replay,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 6] = [Lie::Noise, Lie::Signature, Lie::Stranger, Lie::Oversized, Lie::Future, Lie::Replay];
}

/// How one agent behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Answers everything, as an agent should.
    Well,
    /// Is on the list and never connects.
    Absent,
    /// Is connected, and says nothing to whatever it is asked.
    Hanging,
    /// Lies.
    Garbage(Lie),
    /// Answers, and hangs up and comes back each time after so long.
    Churning(Duration),
    /// Answers checks, and sends samples as fast as it can to whoever looks.
    Flooding,
}

impl Nature {
    /// For names of servers.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Nature::Well => "well",
            Nature::Absent => "absent",
            Nature::Hanging => "hanging",
            Nature::Garbage(_) => "garbage",
            Nature::Churning(_) => "churning",
            Nature::Flooding => "flooding",
        }
    }
}

/// A part of a fleet, in hundredths of a percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// So many in a hundred.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self(percent * 100)
    }

    fn of(self, total: usize) -> usize {
        let hundredths = usize::try_from(self.0).unwrap_or(usize::MAX);
        total.saturating_mul(hundredths).saturating_add(5_000) / 10_000
    }
}

/// The text is no share, or shares are more than a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAMix {
    /// One share.
    #[error("{0:?} is no share: write a percentage from 0% to 100%, for example 10% or 2.5%")]
    Share(String),
    /// All together.
    #[error("absent, hanging, garbage and flooding agents are more than 100% together: make one of the shares smaller")]
    Whole,
}

impl FromStr for Share {
    type Err = NotAMix;

    fn from_str(text: &str) -> Result<Self, NotAMix> {
        let wrong = || NotAMix::Share(text.to_owned());
        let number = text.strip_suffix('%').unwrap_or(text);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 2 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let part: u32 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
        let all = whole.checked_mul(100).and_then(|all| all.checked_add(part)).ok_or_else(wrong)?;
        if all <= 10_000 { Ok(Self(all)) } else { Err(wrong()) }
    }
}

/// How many of a fleet are how; the rest is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mix {
    absent: Share,
    hanging: Share,
    garbage: Share,
    flooding: Share,
    churn: Option<Duration>,
}

impl Mix {
    /// What the figures of scans are about.
    pub const SCAN: Self = Self {
        absent: Share::percent(10),
        hanging: Share::percent(5),
        garbage: Share::percent(5),
        flooding: Share::percent(0),
        churn: None,
    };

    /// These shares; with `churn` all that are well reconnect each time after about so long.
    ///
    /// # Errors
    /// [`NotAMix::Whole`].
    pub fn new([absent, hanging, garbage, flooding]: [Share; 4], churn: Option<Duration>) -> Result<Self, NotAMix> {
        let all = absent.0 + hanging.0 + garbage.0 + flooding.0;
        if all > 10_000 {
            return Err(NotAMix::Whole);
        }
        Ok(Self { absent, hanging, garbage, flooding, churn })
    }

    /// How agent `number` of `total` is: absent ones first, then those that hang, lie and flood.
    #[must_use]
    pub fn nature(&self, number: usize, total: usize) -> Nature {
        let mut until = 0;
        for (share, which) in [(self.absent, 0), (self.hanging, 1), (self.garbage, 2), (self.flooding, 3)] {
            let from = until;
            until += share.of(total);
            if number >= until {
                continue;
            }
            return match which {
                0 => Nature::Absent,
                1 => Nature::Hanging,
                2 => Nature::Garbage(Lie::ALL[(number - from) % Lie::ALL.len()]),
                _ => Nature::Flooding,
            };
        }
        self.churn.map_or(Nature::Well, Nature::Churning)
    }

    /// How many of `total` are like that.
    #[must_use]
    pub fn count(&self, total: usize, like: impl Fn(Nature) -> bool) -> usize {
        (0..total).filter(|number| like(self.nature(*number, total))).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_are_percentages() {
        for (text, all, of) in [("10%", 1_000, 100), ("2.5%", 1_000, 25), ("0", 1_000, 0), ("100%", 7, 7), ("5", 60, 3)]
        {
            assert_eq!(text.parse::<Share>().unwrap().of(all), of, "{text}");
        }
        for text in ["", "%", "-1%", "101%", "1.234%", "ten", "1e1", "99999999999%", "100.01%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_agent_has_one_nature_and_shares_are_kept() {
        let count = |like: fn(Nature) -> bool| Mix::SCAN.count(1_000, like);
        assert_eq!(count(|one| one == Nature::Absent), 100);
        assert_eq!(count(|one| one == Nature::Hanging), 50);
        assert_eq!(count(|one| matches!(one, Nature::Garbage(_))), 50);
        assert_eq!(count(|one| one == Nature::Well), 800);
        for lie in Lie::ALL {
            assert!(Mix::SCAN.count(60, |one| one == Nature::Garbage(lie)) <= 1);
            assert!(Mix::SCAN.count(1_000, |one| one == Nature::Garbage(lie)) >= 8);
        }
        let half = Share::percent(50);
        assert_eq!(Mix::new([half, half, Share::percent(1), Share::default()], None), Err(NotAMix::Whole));
        let minute = Some(Duration::from_secs(60));
        let churning = Mix::new([Share::default(); 4], minute).unwrap();
        assert_eq!(churning.nature(3, 10), Nature::Churning(Duration::from_secs(60)));
    }
}
