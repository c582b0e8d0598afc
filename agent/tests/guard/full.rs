//! A full disk under the audit log. Needs root: the disk is a small file system of its own.

use crate::client::exec;
use crate::customer::EVE;
use crate::host::{Host, OWN};
use crate::not_tested::not_tested;
use cloud_doctor_proto::channel::ChannelKind;
use cloud_doctor_proto::refusal::Refusal;
use cloud_doctor_proto::session::{ExitStatus, FinReason, ToHolder};
use std::io::Write;
use std::path::PathBuf;

/// A file system of two megabytes, in a mount namespace of this test's process.
struct Disk(PathBuf);

impl Disk {
    fn under(host: &Host) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            not_tested("mounting a small file system takes root");
            return None;
        }
        let path = host.dir.join("guard/audit");
        std::fs::create_dir(&path).unwrap();
        let options = "size=2m,mode=0700";
        let mounted = std::process::Command::new("/bin/mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&path)
            .output()
            .unwrap();
        if !mounted.status.success() {
            not_tested("this machine does not let a file system be mounted");
            return None;
        }
        Some(Self(path))
    }

    /// Fills it to the last byte.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 16, 1 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        std::process::Command::new("/bin/umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn aud_04_aud_05_a_full_disk_opens_nothing_and_still_writes_ends() {
    let mut host = Host::enrolled(OWN);
    let Some(disk) = Disk::under(&host) else {
        eprintln!("NOT TESTED: a small file system cannot be mounted here");
        return;
    };
    host.run();
    let mut client = host.client();
    let plan = client.visit(&host.customer);
    let mut channel = client.channel(&plan, ChannelKind::Exec, 1, &exec(&["/bin/cat"])).unwrap();
    channel.begin();
    host.audited(&["channel-began"]);
    let filler = disk.fill();
    // Lines go into pages of 4 KiB: what is left of the last one takes a few visits.
    let refused = (0..20).find_map(|_| {
        let mut client = host.client();
        let plan = client.plan(&host.customer, EVE);
        client.open(&plan, EVE).err()
    });
    let refused = refused.expect("a full disk opens nothing");
    assert_eq!(refused.code, Refusal::AuditFull);
    assert!(refused.detail.contains("audit"), "{}", refused.detail);
    // What runs goes on, and its end is written with the reserve.
    channel.say(&ToHolder::Input { offset: 0, data: b"alive\n" });
    channel.see("alive");
    channel.say(&ToHolder::Eof { offset: 6 });
    assert_eq!(channel.end(), Some((Some(ExitStatus::Code(0)), FinReason::Exited)));
    host.audited(&["channel-ended"]);
    let mut client = host.client();
    let plan = client.plan(&host.customer, EVE);
    assert_eq!(client.open(&plan, EVE).unwrap_err().code, Refusal::AuditFull, "the reserve is for ends only");
    std::fs::remove_file(filler).unwrap();
    assert!(client.plan(&host.customer, EVE).grant.ttl_secs > 0);
    let plan = client.plan(&host.customer, EVE);
    assert!(client.open(&plan, EVE).is_ok(), "and with space it opens again");
    host.audit();
    drop(host);
    drop(disk);
}
