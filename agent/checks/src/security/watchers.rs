//! What would notice or hold an intruder: auditing, mandatory access control, file integrity. Advice only.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::{Status, Words};

pub(crate) const CHECK: Check = Check {
    id: "security.watchers",
    title: Text {
        en: "Auditing, access control and file integrity", zh: "审计、强制访问控制与文件完整性"
    },
    reads: &["/sys/fs/selinux/enforce", "/sys/module/apparmor/parameters/enabled", "/proc", "/usr/bin", "/usr/sbin"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "An intrusion leaves fewer traces, or a broken program may touch more than its own files.",
        zh: "入侵留下的痕迹更少，或被攻破的程序可访问更多文件。",
    },
    remedy: Text {
        en: "Decide whether this server needs it; contracts and certifications often ask for it.",
        zh: "请判断此服务器是否需要；等保等合规要求通常包含此项。",
    },
    run,
};

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    if host.processes().is_empty() {
        return Err(Gap::Unknown(words!("/proc shows no process", "/proc 中没有进程")));
    }
    let runs = |names: &[&str]| {
        let found = host.processes().iter().find(|process| names.contains(&process.name.as_str()));
        found.map(|process| (format!("/proc/{}/stat", process.pid), format!("{} runs", process.name)))
    };
    let has = |paths: &[&str]| {
        let found = paths.iter().find(|path| host.exists(path));
        found.map(|path| ((*path).to_owned(), "installed".to_owned()))
    };
    let integrity =
        runs(&["osqueryd", "wazuh-syscheckd", "ossec-syscheckd", "samhain", "AliYunDun", "YDService", "falcon-sensor"]);
    let integrity =
        integrity.or_else(|| has(&["/usr/bin/aide", "/usr/sbin/aide", "/usr/sbin/tripwire", "/usr/sbin/samhain"]));
    Ok(vec![
        judge("audit", runs(&["auditd"]), words!("no audit daemon runs", "未运行审计守护进程")),
        judge(
            "mandatory access control",
            access_control(host),
            words!("neither SELinux nor AppArmor is enforced", "SELinux 与 AppArmor 均未强制启用"),
        ),
        judge(
            "file integrity",
            integrity,
            words!("nothing that is known watches files for changes", "没有已知的文件完整性监控"),
        ),
    ])
}

fn access_control(host: &Host) -> Option<(String, String)> {
    [("/sys/fs/selinux/enforce", "1"), ("/sys/module/apparmor/parameters/enabled", "Y")]
        .into_iter()
        .find(|(path, on)| host.read(path).is_ok_and(|value| value.trim() == *on))
        .map(|(path, on)| (path.to_owned(), on.to_owned()))
}

fn judge(subject: &'static str, proof: Option<(String, String)>, absent: Words) -> Found {
    match proof {
        Some((source, text)) => {
            Found::new(subject, Status::Ok, words!("{subject} is there", "{subject}：已启用")).evidence(source, text)
        }
        None => Found::advice(subject, absent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn sec_11_what_is_missing_is_advice() {
        let init = || Fixture::live().process(1, 'S', &["/sbin/init"]);
        let full = init()
            .process(2, 'S', &["/sbin/auditd"])
            .file("/sys/module/apparmor/parameters/enabled", "Y\n")
            .file("/usr/bin/aide", "");
        let permissive = init().file("/sys/fs/selinux/enforce", "0");
        for (name, fixture, advice) in [("bare", init(), 3), ("full", full, 0), ("permissive", permissive, 3)] {
            let found = fixture.run(&CHECK);
            assert!(found.iter().all(|one| one.status == Status::Ok), "{name}");
            assert_eq!(found.iter().filter(|one| one.note).count(), advice, "{name}");
        }
        assert_eq!(Fixture::live().file("/proc/x", "").status(&CHECK), Status::Unknown);
    }
}
