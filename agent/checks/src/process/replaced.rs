//! Processes that still run a program or a library that was replaced on the disk: patched, but not in effect.

use super::all;
use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Process};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CHECK: Check = Check {
    id: "process.replaced-files",
    title: Text {
        en: "Processes that run replaced programs or libraries", zh: "仍在使用已被替换的程序或库的进程"
    },
    reads: &["/proc/*/exe", "/proc/*/maps"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[Param::above("warning", 0.0, 0.0, "", "as needrestart: any old file in use is one too many")],
    impact: Text {
        en: "The update is installed but not in effect: the old code, with its known holes, goes on running.",
        zh: "更新已安装但未生效：带有已知漏洞的旧代码仍在运行。",
    },
    remedy: Text {
        en: "Restart the service in the next maintenance window (systemctl restart UNIT); for process 1 systemctl daemon-reexec, for dbus and for many services at once reboot.",
        zh: "请在下一个维护窗口重启服务（systemctl restart UNIT）；1 号进程使用 systemctl daemon-reexec，dbus 或涉及大量服务时请重启主机。",
    },
    run,
};

/// Programs that are told one by one.
const SHOWN_MAX: usize = 30;
/// Processes whose maps are read: each takes the kernel about a tenth of a millisecond.
const PROCESSES_MAX: usize = 3000;
/// What packages install into. Programs elsewhere unlink their own files on purpose (`/tmp`, `/memfd:`, `/dev/shm`).
const INSTALLED: [&str; 6] = ["/usr/", "/lib", "/bin/", "/sbin/", "/opt/", "/srv/"];
const DELETED: &str = " (deleted)";

/// What one program still uses.
#[derive(Default)]
struct Old {
    pids: Vec<u32>,
    files: BTreeSet<String>,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let processes = all(host)?;
    let users: Vec<&Process> =
        processes.iter().filter(|process| !process.argv.is_empty() && process.state != 'Z').collect();
    let mut unseen = users.len().saturating_sub(PROCESSES_MAX);
    let mut seen = 0;
    let mut by_program: BTreeMap<&str, Old> = BTreeMap::new();
    for process in users.iter().take(PROCESSES_MAX) {
        match old_files(host, process.pid) {
            Ok(files) => {
                seen += 1;
                if !files.is_empty() {
                    let old = by_program.entry(process.program()).or_default();
                    old.pids.push(process.pid);
                    old.files.extend(files);
                }
            }
            Err(Gap::NotHere(_)) => {}
            // One that ends while it is looked at is none.
            Err(Gap::Unknown(_)) => unseen += usize::from(host.exists(&format!("/proc/{}/stat", process.pid))),
        }
    }
    if seen == 0 {
        return Err(Gap::Unknown(words!(
            "the files of none of {unseen} processes may be seen; run it as root",
            "无权查看全部 {unseen} 个进程使用的文件；请以 root 运行"
        )));
    }
    let mut found: Vec<Found> =
        by_program.iter().take(SHOWN_MAX).map(|(program, old)| tell(settings, program, old)).collect();
    if found.is_empty() {
        let summary = words!("none of {seen} processes runs a replaced file", "{seen} 个进程均未使用已被替换的文件");
        found.push(Found::new("", Status::Ok, summary));
    }
    if unseen > 0 {
        let summary = words!("{unseen} processes could not be looked at", "有 {unseen} 个进程无法查看");
        found.push(Found::new("unseen processes", Status::Unknown, summary));
    }
    Ok(found)
}

fn tell(settings: &Settings<'_>, program: &str, old: &Old) -> Found {
    let (processes, count) = (old.pids.len(), old.files.len());
    let first = old.files.first().map_or("", String::as_str);
    let summary = words!(
        "{program} still runs {count} replaced files in {processes} processes: {first}",
        "{program} 的 {processes} 个进程仍在使用 {count} 个已被替换的文件：{first}"
    );
    #[expect(clippy::cast_precision_loss, reason = "files of one program")]
    let number = count as f64;
    let found = Found::new(program, settings.level(program, number), summary).value(number, "");
    let pid = old.pids.first().copied().unwrap_or_default();
    old.files.iter().take(5).fold(found, |found, file| found.evidence(format!("/proc/{pid}/maps"), file))
}

/// The installed files that process `pid` uses and that are gone from the disk.
fn old_files(host: &Host, pid: u32) -> Result<BTreeSet<String>, Gap> {
    let program = host.link(&format!("/proc/{pid}/exe"))?;
    let maps = host.read(&format!("/proc/{pid}/maps"))?;
    // Code only: data files that are mapped are replaced all the time (locales, caches).
    let code = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.contains('x')));
    let code = code.filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let old = code.chain([program.as_str()]).filter_map(|path| path.strip_suffix(DELETED));
    Ok(old.filter(|path| INSTALLED.iter().any(|folder| path.starts_with(folder))).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    const MAPS: &str = "5581e000-5582f000 r-xp 00001000 fe:01 131 /usr/sbin/nginx\n\
        7f00a000-7f00b000 r-xp 00001000 fe:01 999 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
        7f00c000-7f00d000 r-xp 00000000 00:01 7 /memfd:jit (deleted)\n\
        7f00e000-7f00f000 r-xp 00000000 00:01 7 [vdso]\n\
        7f01e000-7f01f000 r--p 00000000 fe:01 8 /usr/lib/locale/locale-archive (deleted)\n";

    fn host(exe: &str, maps: &str) -> Fixture {
        let host = Fixture::live().process(1, 'S', &["/sbin/init"]).process(9, 'S', &["nginx: worker process"]);
        let host = host.file("/proc/1/maps", "").file("/proc/9/maps", maps);
        std::os::unix::fs::symlink("/usr/lib/systemd/systemd", host.path("/proc/1/exe")).unwrap();
        std::os::unix::fs::symlink(exe, host.path("/proc/9/exe")).unwrap();
        host
    }

    #[test]
    fn prc_08_replaced_programs_and_libraries_are_told() {
        let library = MAPS.replace("libc.so.6", "libssl.so.3 (deleted)");
        for (exe, maps, expected) in [
            ("/usr/sbin/nginx", MAPS, Status::Ok),
            ("/usr/sbin/nginx (deleted)", MAPS, Status::Warning),
            ("/usr/sbin/nginx", &library, Status::Warning),
            ("/tmp/installer (deleted)", MAPS, Status::Ok),
        ] {
            assert_eq!(host(exe, maps).status(&CHECK), expected, "{exe}");
        }
        let found = host("/usr/sbin/nginx", &library).run(&CHECK);
        assert_eq!(found[0].evidence[0].text, "/usr/lib/x86_64-linux-gnu/libssl.so.3");
        let hidden = Fixture::live().process(1, 'S', &["/sbin/init"]).file("/proc/1/exe", "no link");
        assert_eq!(hidden.status(&CHECK), Status::Unknown);
        assert_eq!(Fixture::image().status(&CHECK), Status::Unknown);
    }

    #[test]
    fn prc_08_the_kernels_own_link_is_read_and_not_followed() {
        let host = Host::live().unwrap();
        let pid = std::process::id();
        let own = std::env::current_exe().unwrap();
        assert_eq!(host.link(&format!("/proc/{pid}/exe")).unwrap(), own.to_str().unwrap());
        assert!(old_files(&host, pid).unwrap().is_empty());
    }
}
