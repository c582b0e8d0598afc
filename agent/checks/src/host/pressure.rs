//! Pressure stall information: how much of the time tasks waited for a processor, memory or a disk, as the kernel averages
//! it (kernel Documentation/accounting/psi.rst).

use super::Host;
use crate::found::Gap;
use crate::words;

/// Shares of the time in percent, over the last 10, 60 and 300 seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Averages {
    pub(crate) avg10: f64,
    pub(crate) avg60: f64,
    pub(crate) avg300: f64,
}

/// One resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pressure {
    /// Where it stands.
    pub(crate) path: String,
    /// Some task waited.
    pub(crate) some: Averages,
    /// Every task waited. Missing for processors before Linux 5.13.
    pub(crate) full: Option<Averages>,
    /// As the kernel wrote it.
    pub(crate) text: String,
}

impl Host {
    /// The pressure on `cpu`, `memory` or `io`.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when the kernel does not measure it; [`Gap::Unknown`] when it cannot be read.
    pub(crate) fn pressure(&self, resource: &str) -> Result<Pressure, Gap> {
        self.must_live()?;
        let path = format!("/proc/pressure/{resource}");
        let text = match self.read(&path) {
            Err(Gap::NotHere(_)) => {
                return Err(Gap::NotHere(words!(
                    "this kernel does not measure pressure (it needs Linux 4.20, and psi=1 on its command line on some)",
                    "此内核不统计压力指标（需要 Linux 4.20 以上，部分发行版还需在内核启动参数中加入 psi=1）"
                )));
            }
            other => other?,
        };
        let Some(some) = averages(&text, "some ") else {
            return Err(Gap::Unknown(words!("{path} has no line \"some\"", "{path} 中没有 \"some\" 行")));
        };
        Ok(Pressure { some, full: averages(&text, "full "), path, text })
    }
}

fn averages(text: &str, kind: &str) -> Option<Averages> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
    let average = |name: &str| {
        let value = line.split_ascii_whitespace().find_map(|field| field.strip_prefix(name))?;
        value.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share))
    };
    Some(Averages { avg10: average("avg10=")?, avg60: average("avg60=")?, avg300: average("avg300=")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_read_as_the_kernel_writes_them() {
        let text =
            "some avg10=2.80 avg60=3.88 avg300=18.36 total=8940172927\nfull avg10=nan avg60=0 avg300=0 total=0\n";
        assert_eq!(averages(text, "some "), Some(Averages { avg10: 2.8, avg60: 3.88, avg300: 18.36 }));
        assert_eq!(averages(text, "full "), None);
    }
}
