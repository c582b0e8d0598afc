//! What is mounted where, and what should be: `/proc/self/mountinfo` and `/etc/fstab`.
//!
//! Nothing here asks a file system anything, so that nothing here can hang.

use super::Host;
use crate::found::Gap;
use crate::words;
use std::collections::BTreeMap;

/// Mounts that are looked at; hosts of containers have thousands.
const MOUNTS_MAX: usize = 5000;

/// What kind of file system it is, for whom to ask and what to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// On a disk of this host.
    Disk,
    /// In memory.
    Memory,
    /// Behind a network or another process: may never answer.
    Remote,
    /// Full by nature: images and optical media.
    Image,
    /// The kernel's own, or another file system seen once more.
    Pseudo,
}

/// One mount, proc_pid_mountinfo(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is.
    pub point: String,
    /// `major:minor` of its device.
    pub device: String,
    /// Which part of the file system it shows: `/` is all of it.
    pub part: String,
    /// Its type: `ext4`, `nfs4`.
    pub kind: String,
    /// What is mounted: `/dev/vda1`, `server:/export`.
    pub source: String,
    /// Whether this mount may not be written to.
    pub read_only: bool,
    /// Whether the file system itself is read-only for everybody.
    pub all_read_only: bool,
    /// The line it stands in, from 1.
    pub line: usize,
}

/// One row of `/etc/fstab`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What to mount.
    pub source: String,
    /// Where.
    pub point: String,
    /// As what.
    pub kind: String,
    /// How.
    pub options: Vec<String>,
    /// The line it stands in, from 1.
    pub line: usize,
}

impl Mount {
    /// What is mounted, for people: without what may be a user and a password.
    #[must_use]
    pub fn shown_source(&self) -> &str {
        without_user(&self.source)
    }

    /// What kind of file system it is.
    #[must_use]
    pub fn family(&self) -> Family {
        match self.kind.as_str() {
            "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs" | "jfs" | "reiserfs" | "vfat" | "exfat"
            | "ntfs" | "ntfs3" | "fuseblk" | "bcachefs" | "nilfs2" => Family::Disk,
            "tmpfs" => Family::Memory,
            "nfs" | "nfs3" | "nfs4" | "cifs" | "smb3" | "smbfs" | "ceph" | "9p" | "afs" | "glusterfs" | "lustre"
            | "beegfs" | "gpfs" | "virtiofs" | "ocfs2" | "gfs2" | "fuse" => Family::Remote,
            "squashfs" | "iso9660" | "udf" | "erofs" | "cramfs" => Family::Image,
            // What a container sees as its root is the file system below it.
            "overlay" | "aufs" if self.point == "/" => Family::Disk,
            // These answer from memory, and are nobody's data.
            "fuse.lxcfs" | "fuse.gvfsd-fuse" | "fuse.portal" | "fuse.snapfuse" => Family::Pseudo,
            kind if kind.starts_with("fuse.") => Family::Remote,
            _ if self.source.starts_with("/dev/") => Family::Disk,
            _ => Family::Pseudo,
        }
    }

    /// Whether it belongs to the kernel, to one container or to one login, not to the host.
    fn is_private(&self) -> bool {
        const PLACES: [&str; 10] = [
            "/proc/",
            "/sys/",
            "/var/lib/docker/",
            "/var/lib/containers/",
            "/var/lib/kubelet/pods/",
            "/var/lib/containerd/",
            "/run/containerd/",
            "/run/docker/",
            "/run/user/",
            "/run/credentials/",
        ];
        PLACES.iter().any(|place| self.point.starts_with(place))
    }
}

impl Row {
    /// What to mount, for people: without what may be a user and a password.
    #[must_use]
    pub fn shown_source(&self) -> &str {
        without_user(&self.source)
    }

    /// Whether it is mounted at boot.
    #[must_use]
    pub fn at_boot(&self) -> bool {
        self.kind != "swap" && self.point.starts_with('/') && !self.has("noauto")
    }

    /// Whether it has this option.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|one| one == option)
    }
}

impl Host {
    /// Everything that is mounted and not hidden by a later mount at the same place, by place.
    ///
    /// # Errors
    /// [`Gap::Unknown`] on a root that is not running, and when the list cannot be read.
    pub fn mounts(&self) -> Result<Vec<Mount>, Gap> {
        self.must_live()?;
        let text = self.must_read("/proc/self/mountinfo")?;
        let mut by_point = BTreeMap::new();
        for (line, text) in (1..).zip(text.lines()).take(MOUNTS_MAX) {
            if let Some(mount) = parse_mount(text, line) {
                by_point.insert(mount.point.clone(), mount);
            }
        }
        if by_point.is_empty() {
            return Err(Gap::Unknown(words!(
                "/proc/self/mountinfo lists no mount that can be read",
                "/proc/self/mountinfo 中没有可识别的挂载"
            )));
        }
        Ok(by_point.into_values().collect())
    }

    /// The file systems of this host's own that can be written to and that answer from this host, each once: on disk, and
    /// in memory when `memory`.
    ///
    /// # Errors
    /// As [`Host::mounts`].
    pub fn local_mounts(&self, memory: bool) -> Result<Vec<Mount>, Gap> {
        let mut by_device: BTreeMap<String, Mount> = BTreeMap::new();
        for mount in self.mounts()? {
            let wanted = match mount.family() {
                Family::Disk => true,
                Family::Memory => memory,
                Family::Remote | Family::Image | Family::Pseudo => false,
            };
            if !wanted || mount.read_only || mount.all_read_only || mount.is_private() {
                continue;
            }
            // Of several views the whole one is named, then the shortest.
            let rank = |one: &Mount| (one.part != "/", one.point.len());
            let better = by_device.get(&mount.device).is_none_or(|known| rank(&mount) < rank(known));
            if better {
                by_device.insert(mount.device.clone(), mount);
            }
        }
        let mut mounts: Vec<Mount> = by_device.into_values().collect();
        mounts.sort_by(|one, other| one.point.cmp(&other.point));
        Ok(mounts)
    }

    /// The rows of `/etc/fstab`.
    ///
    /// # Errors
    /// As [`Host::read`].
    pub fn fstab(&self) -> Result<Vec<Row>, Gap> {
        let text = self.read("/etc/fstab")?;
        Ok((1..).zip(text.lines()).filter_map(|(line, text)| parse_row(text, line)).take(MOUNTS_MAX).collect())
    }
}

/// `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro`
fn parse_mount(text: &str, line: usize) -> Option<Mount> {
    let (head, tail) = text.split_once(" - ")?;
    let (mut head, mut tail) = (head.split(' ').skip(2), tail.split(' '));
    let (device, part, point, options) = (head.next()?, head.next()?, head.next()?, head.next()?);
    let (kind, source, all_options) = (tail.next()?, tail.next()?, tail.next().unwrap_or_default());
    let has_ro = |options: &str| options.split(',').any(|option| option == "ro" || option == "emergency_ro");
    Some(Mount {
        point: unescape(point),
        device: device.to_owned(),
        part: unescape(part),
        kind: kind.to_owned(),
        source: unescape(source),
        read_only: has_ro(options),
        all_read_only: has_ro(all_options),
        line,
    })
}

fn parse_row(text: &str, line: usize) -> Option<Row> {
    let text = text.trim();
    if text.starts_with('#') {
        return None;
    }
    let mut fields = text.split_ascii_whitespace();
    let (source, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
    let point = unescape(point);
    let point = if point.len() > 1 { point.trim_end_matches('/').to_owned() } else { point };
    let options = fields.next().unwrap_or("defaults").split(',').map(str::to_owned).collect();
    Some(Row { source: unescape(source.trim_matches('"')), point, kind: kind.to_owned(), options, line })
}

fn without_user(source: &str) -> &str {
    source.rsplit_once('@').map_or(source, |(_, server)| server)
}

/// Spaces, tabs, line ends and backslashes stand as `\ooo`, getmntent(3).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', left @ ..]) = (first, after) {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = left;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    const MOUNTINFO: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
30 27 254:16 / /srv/with\\040space rw,noatime shared:9 - xfs /dev/vdb rw,attr2
31 27 254:16 /www /var/www rw,noatime shared:9 - xfs /dev/vdb rw,attr2
32 27 0:40 / /mnt/share rw - nfs4 filer:/export rw,hard
33 27 0:41 / /run rw,nosuid - tmpfs tmpfs rw,size=100k
34 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
35 27 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/a
36 27 254:32 / /backup ro - ext4 /dev/vdc ro
37 27 254:1 /boot2 /bind rw - ext4 /dev/vda1 rw
38 27 0:60 / /mnt/sftp rw - fuse.sshfs me@far:/ rw
39 27 254:48 / /srv rw - ext4 /dev/vdd rw
40 27 254:64 / /srv rw - ext4 /dev/vde rw
nonsense
";

    #[test]
    fn every_local_file_system_is_there_once() {
        let fixture = Fixture::live().file("/proc/self/mountinfo", MOUNTINFO);
        let host = fixture.host();
        let points = |memory| host.local_mounts(memory).unwrap().into_iter().map(|one| one.point).collect::<Vec<_>>();
        assert_eq!(points(false), ["/", "/srv", "/srv/with space"]);
        assert_eq!(points(true), ["/", "/run", "/srv", "/srv/with space"]);
        let all = host.mounts().unwrap();
        let remote = all.iter().filter(|one| one.family() == Family::Remote).map(|one| one.point.as_str());
        assert_eq!(remote.collect::<Vec<_>>(), ["/mnt/sftp", "/mnt/share"]);
        assert_eq!(all.iter().find(|one| one.point == "/srv").unwrap().source, "/dev/vde", "the later mount is seen");
        for fixture in [
            Fixture::live().file("/proc/self/mountinfo", "x\n"),
            Fixture::image().file("/proc/self/mountinfo", MOUNTINFO),
        ] {
            assert!(fixture.host().mounts().is_err());
        }
    }

    #[test]
    fn fstab_is_read_as_mount_reads_it() {
        let fstab = "# /etc/fstab\nUUID=1-2 / ext4 errors=remount-ro 0 1\n\n/dev/vdb1\t/mnt/a\\040b/ xfs noauto,nofail\n/swap none swap sw 0 0\nbroken\n";
        let fixture = Fixture::image().file("/etc/fstab", fstab);
        let rows = fixture.host().fstab().unwrap();
        let seen: Vec<_> = rows.iter().map(|row| (row.point.as_str(), row.at_boot(), row.line)).collect();
        assert_eq!(seen, [("/", true, 2), ("/mnt/a b", false, 4), ("none", false, 5)]);
        assert!(rows[1].has("nofail"));
    }

    #[test]
    fn a_source_is_shown_without_who_mounts_it() {
        for (source, shown) in
            [("/dev/vda1", "/dev/vda1"), ("me:secret@far:/x", "far:/x"), ("https://a:b@far/", "far/")]
        {
            assert_eq!(without_user(source), shown);
        }
    }

    #[test]
    fn escapes_of_any_kind_do_no_harm() {
        for (text, plain) in [("a\\040b", "a b"), ("a\\", "a\\"), ("\\9", "\\9"), ("\\134", "\\"), ("\\400", "\\400")] {
            assert_eq!(unescape(text), plain);
        }
    }
}
