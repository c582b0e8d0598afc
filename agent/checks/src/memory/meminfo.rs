//! `/proc/meminfo`: what memory is used for.

use crate::found::Gap;
use crate::host::Host;
use crate::words;

pub(crate) const PATH: &str = "/proc/meminfo";

/// The file, read.
#[derive(Debug, Clone)]
pub(crate) struct Meminfo(String);

impl Meminfo {
    /// Reads it, on a running host.
    pub(crate) fn read(host: &Host) -> Result<Self, Gap> {
        host.must_live()?;
        Ok(Self(host.must_read(PATH)?))
    }

    /// A number as it stands there: a count, or KiB.
    pub(crate) fn count(&self, name: &str) -> Result<u64, Gap> {
        self.line(name)
            .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| Gap::Unknown(words!("{PATH} has no {name}", "{PATH} 中没有 {name}")))
    }

    /// A size in bytes.
    pub(crate) fn bytes(&self, name: &str) -> Result<u64, Gap> {
        Ok(self.count(name)?.saturating_mul(1024))
    }

    /// The lines of some names, for evidence.
    pub(crate) fn lines(&self, names: &[&str]) -> String {
        let lines = names.iter().filter_map(|name| self.line(name));
        lines.map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
    }

    fn line(&self, name: &str) -> Option<&str> {
        self.0.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
    }
}
