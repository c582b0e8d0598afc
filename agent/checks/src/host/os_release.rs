//! What system this is, from os-release(5).

use super::Host;
use crate::found::Gap;
use crate::words;

/// What the file says; empty where it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OsRelease {
    /// Where it was read.
    pub(crate) path: &'static str,
    /// `debian`, `centos`, …; in lower case mostly.
    pub(crate) id: String,
    /// `12`, `8.10`, `22.03`.
    pub(crate) version_id: String,
    /// `12 (bookworm)`, `22.03 (LTS-SP4)`.
    pub(crate) version: String,
    /// `CentOS Stream`.
    pub(crate) name: String,
    /// For people.
    pub(crate) pretty_name: String,
}

impl Host {
    /// The system's name and version.
    ///
    /// # Errors
    /// [`Gap::Unknown`] when it does not say.
    pub(crate) fn os_release(&self) -> Result<OsRelease, Gap> {
        let mut last = Gap::Unknown(words!("there is no os-release", "没有 os-release 文件"));
        for path in ["/etc/os-release", "/usr/lib/os-release"] {
            match self.must_read(path) {
                Ok(text) => return Ok(parse(path, &text)),
                Err(gap) => last = gap,
            }
        }
        Err(last)
    }
}

fn parse(path: &'static str, text: &str) -> OsRelease {
    let mut release = OsRelease { path, ..OsRelease::default() };
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let place = match key {
            "ID" => &mut release.id,
            "VERSION_ID" => &mut release.version_id,
            "VERSION" => &mut release.version,
            "NAME" => &mut release.name,
            "PRETTY_NAME" => &mut release.pretty_name,
            _ => continue,
        };
        *place = cloud_doctor_proto::refusal::one_line(value.trim_matches(['"', '\'']), 100);
    }
    release
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_left_out() {
        let text = "NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID='12'\nBROKEN\nVERSION=\n";
        let release = parse("/etc/os-release", text);
        assert_eq!((release.id.as_str(), release.version_id.as_str()), ("debian", "12"));
        assert_eq!((release.name.as_str(), release.version.as_str()), ("Debian GNU/Linux", ""));
    }
}
