//! Agents of the cloud that are installed and do not run. The cloud is told by the machine's own tables; its metadata
//! service is never asked.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "cloud.vendor-agents",
    title: Text { en: "Agents of the cloud", zh: "云厂商 Agent" },
    reads: &["/sys/class/dmi/id/", "/usr/local/", "/usr/sbin/", "/proc"],
    needs: Needs::LIVE,
    params: &[],
    impact: Text {
        en: "The cloud's console shows no figures of this host, or cannot run commands on it or reset its password.",
        zh: "云控制台将看不到本机监控数据，或无法下发命令、重置密码。",
    },
    remedy: Text {
        en: "Start the agent again with systemctl, or remove it if nobody uses it.",
        zh: "用 systemctl 重新启动该 Agent；若无人使用则卸载。",
    },
    run,
};

/// A cloud, what its machines say of themselves in DMI, and its agents.
struct Cloud {
    name: &'static str,
    /// The beginning of `sys_vendor`, `product_name` or `chassis_asset_tag`.
    dmi: &'static [&'static str],
    agents: &'static [Agent],
}

/// An agent: its name, one of the files that it installs, and names of its process (15 bytes of each are shown).
struct Agent {
    name: &'static str,
    files: &'static [&'static str],
    processes: &'static [&'static str],
}

const fn agent(name: &'static str, files: &'static [&'static str], processes: &'static [&'static str]) -> Agent {
    Agent { name, files, processes }
}

/// As the vendors' install scripts and packages put them.
const CLOUDS: &[Cloud] = &[
    Cloud {
        name: "Alibaba Cloud",
        dmi: &["Alibaba Cloud"],
        agents: &[
            agent(
                "Cloud Assistant",
                &["/usr/local/share/aliyun-assist", "/usr/sbin/aliyun-service"],
                &["aliyun-service"],
            ),
            agent(
                "CloudMonitor",
                &["/usr/local/cloudmonitor"],
                &["argusagent", "CmsGoAgent.linux-amd64", "CmsGoAgent.linux-arm64"],
            ),
            agent("Security Center", &["/usr/local/aegis/aegis_client"], &["AliYunDun"]),
        ],
    },
    Cloud {
        name: "Tencent Cloud",
        dmi: &["Tencent Cloud"],
        agents: &[
            agent("TencentCloud Automation Tools", &["/usr/local/qcloud/tat_agent"], &["tat_agent"]),
            agent("monitor", &["/usr/local/qcloud/monitor/barad"], &["barad_agent"]),
            agent("Workload Protection", &["/usr/local/qcloud/YunJing/YDEyes"], &["YDService"]),
        ],
    },
    Cloud {
        name: "Huawei Cloud",
        dmi: &["HUAWEICLOUD", "Huawei Cloud"],
        agents: &[agent(
            "Cloud Eye",
            &["/usr/local/telescope", "/usr/local/uniagent"],
            &["telescope", "telescoped", "uniagent"],
        )],
    },
    Cloud {
        name: "AWS",
        dmi: &["Amazon EC2"],
        agents: &[
            agent("SSM Agent", &["/usr/bin/amazon-ssm-agent"], &["amazon-ssm-agent"]),
            agent(
                "CloudWatch Agent",
                &["/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.toml"],
                &["amazon-cloudwatch-agent"],
            ),
        ],
    },
    Cloud {
        name: "Google Cloud",
        dmi: &["Google Compute Engine"],
        agents: &[agent(
            "guest agent",
            &["/usr/bin/google_guest_agent"],
            &["google_guest_agent", "google_guest_agent_manager"],
        )],
    },
    Cloud {
        name: "Azure",
        // The asset tag of every machine of Azure; other Hyper-V machines have the same vendor.
        dmi: &["7783-7084-3265-9085-8269-3286-77"],
        agents: &[agent("Linux Agent", &["/usr/sbin/waagent"], &["waagent"])],
    },
];

/// Bytes of a process's name that the kernel keeps.
const NAME_BYTES: usize = 15;

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let Some((cloud, source, text)) = cloud(host)? else {
        return Err(Gap::NotHere(words!("this host is in no cloud that is known", "此主机不在已知的云上")));
    };
    if host.processes().is_empty() {
        return Err(Gap::Unknown(words!("/proc shows no process", "/proc 中没有进程")));
    }
    let (vendor, mut found) = (cloud.name, Vec::new());
    for Agent { name, files, processes } in cloud.agents {
        let Some(file) = files.iter().find(|file| host.exists(file)) else { continue };
        let running = host.processes().iter().find(|process| {
            processes.iter().any(|name| {
                process.name == name.get(..NAME_BYTES.min(name.len())).unwrap_or(name)
                    || process.program() == *name
                    // Programs in Python bear the interpreter's name.
                    || process.argv.get(1).is_some_and(|script| script.rsplit('/').next() == Some(name))
            })
        });
        let subject = format!("{vendor} {name}");
        found.push(match running {
            Some(process) => {
                Found::new(subject, Status::Ok, words!("{name} of {vendor} runs", "{vendor} {name} 运行中"))
                    .evidence(format!("/proc/{}/stat", process.pid), process.name.clone())
            }
            None => Found::advice(
                subject,
                words!("{name} of {vendor} is installed and does not run", "{vendor} {name} 已安装但未运行"),
            )
            .evidence(*file, "installed, no process of its name"),
        });
    }
    if found.is_empty() {
        let summary = words!("no agent of {vendor} is installed", "未安装 {vendor} 的 Agent");
        found.push(Found::new("", Status::Ok, summary).evidence(source, text));
    }
    Ok(found)
}

/// The cloud of this host, and what says so.
fn cloud(host: &Host) -> Result<Option<(&'static Cloud, String, String)>, Gap> {
    for file in ["sys_vendor", "product_name", "chassis_asset_tag"] {
        let path = format!("/sys/class/dmi/id/{file}");
        let text = match host.read(&path) {
            Err(Gap::NotHere(_)) => continue,
            other => other?.trim().to_owned(),
        };
        if let Some(cloud) = CLOUDS.iter().find(|cloud| cloud.dmi.iter().any(|begin| text.starts_with(begin))) {
            return Ok(Some((cloud, path, text)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn cld_05_an_agent_that_is_installed_and_does_not_run_is_advice() {
        let host = |vendor: &str| {
            Fixture::live().file("/sys/class/dmi/id/sys_vendor", format!("{vendor}\n")).process(1, 'S', &["/sbin/init"])
        };
        let ali = || host("Alibaba Cloud").file("/usr/local/share/aliyun-assist/x", "");
        let azure = Fixture::live()
            .file("/sys/class/dmi/id/sys_vendor", "Microsoft Corporation\n")
            .file("/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n")
            .file("/usr/sbin/waagent", "")
            .process(9, 'S', &["/usr/bin/python3", "/usr/sbin/waagent", "-daemon"]);
        for (name, fixture, note) in [
            ("dead", ali(), true),
            ("alive", ali().process(7, 'S', &["/usr/local/share/aliyun-assist/2.2/aliyun-service"]), false),
            ("none", host("Tencent Cloud"), false),
            ("in Python", azure, false),
        ] {
            let found = fixture.run(&CHECK);
            assert_eq!((found.len(), found[0].status, found[0].note), (1, Status::Ok, note), "{name}");
        }
        assert!(host("Dell Inc.").has_none_of(&CHECK));
        assert!(Fixture::live().has_none_of(&CHECK));
        assert_eq!(Fixture::live().file("/sys/class/dmi/id/sys_vendor", "Amazon EC2").status(&CHECK), Status::Unknown);
    }
}
