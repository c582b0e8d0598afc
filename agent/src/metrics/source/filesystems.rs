//! File systems: space, inodes, and whether they take writes. Asking one may hang for ever, so this runs in the thread of
//! `slow` alone.
//!
//! Local ones only, each once, wherever it is mounted. It must never follow an automount, nor ask a server's file system.

use crate::metrics::parse::{Words, lines, number};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// File systems shown.
const SHOWN_MAX: usize = 64;
/// Of `/proc/self/mountinfo`; hosts of containers have thousands of lines.
const BYTES_MAX: u64 = 1 << 20;

/// What is mounted and may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::metrics) struct Mount {
    pub(in crate::metrics) device: String,
    pub(in crate::metrics) mountpoint: String,
    pub(in crate::metrics) kind: String,
    /// As `stat` tells it.
    number: (u32, u32),
    /// The file system's own word, whatever this mount of it allows.
    pub(in crate::metrics) is_readonly: bool,
}

/// Its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::metrics) struct Space {
    pub(in crate::metrics) used: u64,
    /// For everybody.
    pub(in crate::metrics) free: u64,
    /// For root.
    pub(in crate::metrics) reserved: u64,
    pub(in crate::metrics) inodes_used: u64,
    pub(in crate::metrics) inodes_free: u64,
}

/// What is mounted, read anew.
pub(in crate::metrics) fn mounts(root: &Path) -> Vec<Mount> {
    let mut text = Vec::new();
    let file = std::fs::File::open(root.join("proc/self/mountinfo"));
    if file.and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text)).is_err() {
        return Vec::new();
    }
    select(&text)
}

/// Each local file system once, at its shortest path.
fn select(text: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in lines(text).filter_map(parse).filter(is_local) {
        match mounts.iter_mut().find(|known| known.number == mount.number) {
            Some(known) if mount.mountpoint.len() < known.mountpoint.len() => *known = mount,
            Some(_) => {}
            None => mounts.push(mount),
        }
    }
    mounts.sort_by(|a, b| a.mountpoint.cmp(&b.mountpoint));
    mounts.truncate(SHOWN_MAX);
    mounts
}

/// `36 35 98:0 /root /mountpoint options [tags] - type source super-options`.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = Words(line);
    let device_number = words.nth(2)?;
    let mountpoint = unescaped(words.nth(1)?);
    let kind = words.find(|word| *word == b"-").and_then(|_| words.next())?;
    let (device, options) = (unescaped(words.next()?), words.next().unwrap_or_default());
    let colon = device_number.iter().position(|byte| *byte == b':')?;
    let part = |digits: &[u8]| number(digits).and_then(|number| u32::try_from(number).ok());
    Some(Mount {
        device,
        mountpoint,
        kind: String::from_utf8_lossy(kind).into_owned(),
        number: (part(&device_number[..colon])?, part(&device_number[colon + 1..])?),
        is_readonly: options.split(|byte| *byte == b',').any(|option| option == b"ro"),
    })
}

/// Blanks and the like stand as `\040`.
fn unescaped(word: &[u8]) -> String {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            rest = &tail[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether asking it asks this host alone, and the answer says something.
fn is_local(mount: &Mount) -> bool {
    const FULL_BY_NATURE: &[&str] = &["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"];
    const SHARED_MEMORY: &[&str] = &["/dev/shm", "/run", "/tmp"];
    match mount.kind.as_str() {
        "tmpfs" => SHARED_MEMORY.contains(&mount.mountpoint.as_str()),
        "overlay" => mount.mountpoint == "/",
        "zfs" | "btrfs" | "bcachefs" => true,
        // Programs of users, which answer when they like.
        kind if kind.starts_with("fuse") => kind == "fuseblk",
        // Shared with other hosts, which may have to be asked.
        "ocfs2" | "gfs2" | "gfs" => false,
        kind => mount.device.starts_with("/dev/") && !FULL_BY_NATURE.contains(&kind),
    }
}

/// Asks a file system. Nothing when another one lies over it, so that nobody sees it, or it cannot be asked.
pub(in crate::metrics) fn ask(root: &Path, mount: &Mount) -> Option<Space> {
    let path: PathBuf = root.join(mount.mountpoint.trim_start_matches('/'));
    let seen = rustix::fs::stat(&path).ok()?.st_dev;
    // A subvolume has a number of its own.
    if mount.kind != "btrfs" && (rustix::fs::major(seen), rustix::fs::minor(seen)) != mount.number {
        return None;
    }
    let told = rustix::fs::statvfs(&path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
    Some(Space {
        used: bytes(told.f_blocks.saturating_sub(told.f_bfree)),
        free: bytes(told.f_bavail),
        reserved: bytes(told.f_bfree.saturating_sub(told.f_bavail)),
        inodes_used: told.f_files.saturating_sub(told.f_ffree),
        inodes_free: told.f_favail,
    })
    .filter(|_| told.f_blocks > 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MOUNTS: &[u8] = b"22 27 0:21 / /proc rw - proc proc rw\n\
        27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,discard\n\
        30 27 254:0 /var/lib /mnt/bind ro shared:1 - ext4 /dev/vda1 rw\n\
        31 27 254:1 / /home/my\\040files ro,nosuid master:1 - xfs /dev/mapper/home rw,attr2\n\
        32 27 254:2 / /broken rw - ext4 /dev/sdb1 ro,errors=remount-ro\n\
        33 27 0:50 / /net rw - nfs4 server:/export rw\n\
        34 27 0:51 / /auto rw - autofs systemd-1 rw\n\
        35 27 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro\n\
        36 27 0:52 / /run rw - tmpfs tmpfs rw\n\
        37 27 0:53 / /run/user/0 rw - tmpfs tmpfs rw\n\
        38 27 0:54 / /home/a/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw\n\
        39 27 0:55 / /var/lib/docker/overlay2/x rw - overlay overlay rw\n\
        40 27 0:56 /@ /data rw - btrfs /dev/sdc rw\n";

    #[test]
    fn local_file_systems_are_shown_once_and_by_their_own_word() {
        let mounts = select(MOUNTS);
        let shown: Vec<_> = mounts.iter().map(|mount| (mount.mountpoint.as_str(), mount.is_readonly)).collect();
        let expected = [("/", false), ("/broken", true), ("/data", false), ("/home/my files", false), ("/run", false)];
        assert_eq!(shown, expected);
        assert_eq!(mounts[3].device, "/dev/mapper/home");
    }

    #[test]
    fn odd_lines_are_no_mounts() {
        for odd in [&b""[..], b"1 2 3 4 5 6 7 8 9", b"1 2 x:y / / rw - ext4 /dev/a rw", b"- - - -", b"\xff\xff \\ \\9"]
        {
            assert!(select(odd).is_empty(), "{odd:?}");
        }
        let many: Vec<u8> =
            (0..10_000).flat_map(|n| format!("1 2 8:{n} / /m{n} rw - ext4 /dev/s{n} rw\n").into_bytes()).collect();
        assert_eq!(select(&many).len(), SHOWN_MAX);
    }

    #[test]
    fn this_hosts_root_answers() {
        let mounts = mounts(Path::new("/"));
        let told: Vec<_> = mounts.iter().filter_map(|mount| ask(Path::new("/"), mount)).collect();
        assert!(told.iter().any(|space| space.used > 0), "{mounts:?}");
    }
}
