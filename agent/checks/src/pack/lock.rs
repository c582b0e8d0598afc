//! The packs that a host's owner has locked (CHK-09): name, version and hash of each. With a lock, nothing else is taken.

use super::read::Version;
use crate::words;
use cloud_doctor_proto::finding::Words;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// `sha256:` and 64 digits, of a pack's bytes.
#[must_use]
pub fn hash(text: &str) -> String {
    let mut out = String::from("sha256:");
    for byte in Sha256::digest(text) {
        write!(out, "{byte:02x}").ok();
    }
    out
}

/// A `packs.lock`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    #[serde(default)]
    pack: Vec<Locked>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Locked {
    name: String,
    version: String,
    sha256: String,
}

/// A pack that the lock does not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockError(pub Words);

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let lock: Self = toml::from_str(text).map_err(|error| {
            let why = cloud_doctor_proto::refusal::one_line(error.message(), 200);
            LockError(words!(
                "the lock cannot be read: {why}; write it anew: cloud-doctor-agent pack lock",
                "锁文件无法读取：{why}；请重新生成：cloud-doctor-agent pack lock"
            ))
        })?;
        Ok(lock)
    }

    /// As a file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::from(
            "# What cloud-doctor-agent takes of /etc/cloud-doctor/packs. Written by: cloud-doctor-agent pack lock\n",
        );
        for Locked { name, version, sha256 } in &self.pack {
            write!(out, "\n[[pack]]\nname = \"{name}\"\nversion = \"{version}\"\nsha256 = \"{sha256}\"\n").ok();
        }
        out
    }

    /// Whether a pack is the one that is locked.
    ///
    /// # Errors
    /// It is older, another one, or none that is locked.
    pub fn admits(&self, name: &str, version: &str, text: &str) -> Result<(), LockError> {
        let Some(locked) = self.pack.iter().find(|locked| locked.name == name) else {
            return Err(LockError(words!(
                "pack {name} is not in packs.lock (CHK-09); if you want it: cloud-doctor-agent pack lock",
                "packs.lock 中没有检查包 {name}（CHK-09）；如确认需要：cloud-doctor-agent pack lock"
            )));
        };
        self.not_older(name, version)?;
        let (found, wanted) = (hash(text), &locked.sha256);
        if found != *wanted {
            return Err(LockError(words!(
                "pack {name} {version} has the hash {found}, packs.lock names {wanted} (CHK-09); if the change is yours: cloud-doctor-agent pack lock",
                "检查包 {name} {version} 的哈希为 {found}，packs.lock 为 {wanted}（CHK-09）；如确为您的改动：cloud-doctor-agent pack lock"
            )));
        }
        Ok(())
    }

    /// Whether a pack is not older than the one that is locked.
    ///
    /// # Errors
    /// It is.
    pub fn not_older(&self, name: &str, version: &str) -> Result<(), LockError> {
        let locked = self.pack.iter().find(|locked| locked.name == name);
        match locked {
            Some(locked) if Version::parse(version) < Version::parse(&locked.version) => {
                let newer = &locked.version;
                Err(LockError(words!(
                    "pack {name} has version {version}, which is older than {newer} in packs.lock (CHK-09); to go back, take it out of packs.lock first",
                    "检查包 {name} 的版本 {version} 低于 packs.lock 中的 {newer}（CHK-09）；如需回退，请先从 packs.lock 中删除该项"
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Locks a pack as it is.
    pub fn set(&mut self, name: &str, version: &str, text: &str) {
        self.pack.retain(|locked| locked.name != name);
        self.pack.push(Locked { name: name.to_owned(), version: version.to_owned(), sha256: hash(text) });
        self.pack.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chk_09_only_the_pack_that_is_locked_is_taken_and_never_an_older_one() {
        let mut lock = Lock::default();
        lock.set("a", "1.4.0", "text");
        lock = Lock::parse(&lock.text()).unwrap();
        assert_eq!(lock.admits("a", "1.4.0", "text"), Ok(()));
        for (name, version, text, part) in [
            ("a", "1.4.0", "other", "packs.lock names sha256:"),
            ("a", "1.5.0", "other", "packs.lock names sha256:"),
            ("a", "1.3.9", "text", "older than 1.4.0"),
            ("b", "1.4.0", "text", "not in packs.lock"),
        ] {
            let LockError(why) = lock.admits(name, version, text).unwrap_err();
            assert!(why.en.contains(part) && why.en.contains("CHK-09"), "{name} {version}: {}", why.en);
        }
        assert!(lock.not_older("a", "1.10.0").is_ok() && lock.not_older("a", "1.4").is_ok());
        assert!(Lock::parse("pack = 1").is_err() && Lock::parse("[[pack]]\nname='a'\nextra=1").is_err());
        assert_eq!(hash("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
