//! Files below the host's root: bounded reading, and what is known of them without reading.

use super::{ENTRIES_MAX, FILE_BYTES_MAX, Host};
use crate::found::Gap;
use crate::words;
use cloud_doctor_proto::finding::Words;
use cloud_doctor_proto::time::UnixTime;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What kind of thing a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
    /// A FIFO or a device.
    Other,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            FileType::Socket => Kind::Socket,
            FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Kind::Other,
        }
    }
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 0o7777 at most.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// When its content changed last.
    pub modified: UnixTime,
    /// Its device, to tell file systems apart.
    pub device: u64,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name, as text.
    pub name: String,
    /// Whether it is a folder itself, not a link to one.
    pub is_folder: bool,
}

/// Opens a root that paths are resolved below.
pub(super) fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

impl Host {
    /// A text file, whole: UTF-8 or a superset of ASCII, without a byte order mark.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when there is no such file; [`Gap::Unknown`] when it cannot be read, is larger than
    /// [`FILE_BYTES_MAX`], is no regular file, or is no text.
    pub fn read(&self, path: &str) -> Result<String, Gap> {
        text(path, self.read_bytes(path)?)
    }

    /// The same for a file that must be there because it always is.
    ///
    /// # Errors
    /// [`Gap::Unknown`], also when it is missing.
    pub fn must_read(&self, path: &str) -> Result<String, Gap> {
        self.read(path).map_err(|gap| match gap {
            Gap::NotHere(why) | Gap::Unknown(why) => Gap::Unknown(why),
        })
    }

    /// A file's bytes, whole.
    ///
    /// # Errors
    /// As [`Host::read`].
    pub fn read_bytes(&self, path: &str) -> Result<Vec<u8>, Gap> {
        let (file, size) = self.open_file(path)?;
        if size > FILE_BYTES_MAX {
            return Err(too_large(path));
        }
        let bytes = self.take(path, file, FILE_BYTES_MAX + 1)?;
        if bytes.len() as u64 > FILE_BYTES_MAX { Err(too_large(path)) } else { Ok(bytes) }
    }

    /// The last `bytes_max` bytes of a log as text, from the beginning of a line.
    ///
    /// # Errors
    /// As [`Host::read`], but that it may be larger.
    pub fn tail(&self, path: &str, bytes_max: u64) -> Result<String, Gap> {
        let (mut file, size) = self.open_file(path)?;
        let skipped = size.saturating_sub(bytes_max);
        file.seek(SeekFrom::Start(skipped)).map_err(|error| failed(path, &error))?;
        let bytes = self.take(path, file, bytes_max)?;
        // Half a line, and perhaps half a character, stands at the beginning.
        let begin =
            if skipped > 0 { bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1) } else { 0 };
        Ok(String::from_utf8_lossy(&bytes[begin..]).into_owned())
    }

    pub(super) fn take(&self, path: &str, file: File, bytes_max: u64) -> Result<Vec<u8>, Gap> {
        let left = self.bytes_left.get();
        let mut bytes = Vec::new();
        file.take(bytes_max.min(left + 1)).read_to_end(&mut bytes).map_err(|error| failed(path, &error))?;
        if bytes.len() as u64 > left {
            return Err(Gap::Unknown(words!(
                "{path} was not read: this run has read 64 MiB, the most that it may",
                "未读取 {path}：本次运行已读满 64 MiB 上限"
            )));
        }
        // The kernel's own files are small, and read many times.
        if !path.starts_with("/proc/") && !path.starts_with("/sys/") {
            self.bytes_left.set(left - bytes.len() as u64);
        }
        Ok(bytes)
    }

    pub(super) fn open_file(&self, path: &str) -> Result<(File, u64), Gap> {
        // Without waiting: a FIFO has no writer.
        let fd = self
            .resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
            .map_err(|errno| refused(path, errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| refused(path, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Gap::Unknown(words!("{path} is no regular file", "{path} 不是普通文件")));
        }
        self.remember(path);
        Ok((File::from(fd), u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// What is known of a path, links followed.
    ///
    /// # Errors
    /// [`Gap::NotHere`] when there is nothing; [`Gap::Unknown`] when it cannot be told.
    pub fn stat(&self, path: &str) -> Result<Stat, Gap> {
        let fd = self.resolve(path, OFlags::PATH).map_err(|errno| refused(path, errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| refused(path, errno))?;
        Ok(Stat {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: UnixTime(u64::try_from(stat.st_mtime).unwrap_or(0)),
            device: stat.st_dev,
        })
    }

    /// Whether there is something at this path that can be seen.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.stat(path).is_ok()
    }

    /// What a symbolic link says, as it stands there.
    ///
    /// # Errors
    /// As [`Host::stat`]; also when it is no link.
    pub fn link(&self, path: &str) -> Result<String, Gap> {
        let fd = self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW).map_err(|errno| refused(path, errno))?;
        let target = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(|errno| refused(path, errno))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// A folder's entries, sorted by name.
    ///
    /// # Errors
    /// As [`Host::stat`]; also when there are more than [`ENTRIES_MAX`].
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, Gap> {
        let fd = self
            .resolve(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)
            .map_err(|errno| refused(path, errno))?;
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut folder = RawDir::new(fd, &mut buffer);
        let mut entries = Vec::new();
        while let Some(entry) = folder.next() {
            let entry = entry.map_err(|errno| refused(path, errno))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            if entries.len() == ENTRIES_MAX {
                return Err(Gap::Unknown(words!(
                    "{path} has more than {ENTRIES_MAX} entries; not read",
                    "{path} 的条目超过 {ENTRIES_MAX} 个，未读取"
                )));
            }
            entries.push(Entry { name, is_folder: entry.file_type() == FileType::Directory });
        }
        entries.sort();
        Ok(entries)
    }

    /// Space and inodes of the file system that holds `path`. A hung mount does not answer: ask in a check that may be
    /// given up.
    ///
    /// # Errors
    /// As [`Host::stat`].
    pub fn statvfs(&self, path: &str) -> Result<rustix::fs::StatVfs, Gap> {
        let fd = self.resolve(path, OFlags::PATH).map_err(|errno| refused(path, errno))?;
        rustix::fs::fstatvfs(&fd).map_err(|errno| refused(path, errno))
    }

    /// Opens a path below the root.
    pub(super) fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let below = path.trim_start_matches('/');
        let below = if below.is_empty() { "." } else { below };
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(
            &self.root,
            below,
            flags,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        ) {
            // Kernels before 5.6, and sandboxes that do not know the call. On the running host nothing is lost.
            Err(Errno::NOSYS | Errno::PERM) if self.live => rustix::fs::openat(&self.root, below, flags, Mode::empty()),
            other => other,
        }
    }

    /// The same, links of the kernel (`/proc/PID/exe`, `/proc/PID/fd`) included; `link` reads them.
    #[must_use]
    pub fn has_stat_access(&self, path: &str) -> bool {
        rustix::fs::statat(&self.root, path.trim_start_matches('/'), AtFlags::empty()).is_ok()
    }
}

/// Bytes as text.
pub(crate) fn text(path: &str, bytes: Vec<u8>) -> Result<String, Gap> {
    if let Some(at) = bytes.iter().position(|byte| *byte == 0).filter(|_| !path.starts_with("/proc/")) {
        return Err(Gap::Unknown(words!(
            "{path} is no text that can be read here: byte {at} is NUL (binary or UTF-16)",
            "{path} 不是可读的文本：第 {at} 字节为 NUL（二进制或 UTF-16）"
        )));
    }
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn too_large(path: &str) -> Gap {
    let mib = FILE_BYTES_MAX >> 20;
    Gap::Unknown(words!("{path} is larger than {mib} MiB; not read", "{path} 大于 {mib} MiB，未读取"))
}

fn failed(path: &str, error: &io::Error) -> Gap {
    Gap::Unknown(cannot_read(path, &error.to_string()))
}

fn refused(path: &str, errno: Errno) -> Gap {
    match errno {
        // A process that has ended meanwhile has no files.
        Errno::NOENT | Errno::NOTDIR | Errno::SRCH => Gap::NotHere(words!("{path} is not there", "没有 {path}")),
        Errno::ACCESS | Errno::PERM => Gap::Unknown(words!(
            "{path} may not be read by this user; run it as root",
            "当前用户无权读取 {path}；请以 root 运行"
        )),
        other => Gap::Unknown(cannot_read(path, &io::Error::from(other).to_string())),
    }
}

fn cannot_read(path: &str, why: &str) -> Words {
    words!("{path} cannot be read: {why}", "无法读取 {path}：{why}")
}
