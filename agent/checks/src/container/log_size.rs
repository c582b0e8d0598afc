//! Logs of containers that grow without a limit.

use crate::check::{Check, Needs, Param, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(crate) const CHECK: Check = Check {
    id: "container.log-size",
    title: Text { en: "Logs of containers", zh: "容器日志大小" },
    reads: &["/etc/docker/daemon.json", "/var/lib/docker/containers/"],
    needs: Needs { root: true, ..Needs::FILES },
    params: &[Param::above("warning", 1.0, 0.8, "GiB", "catalogue CON-03, our own: a log that nobody reads any more")],
    impact: Text {
        en: "The log grows until the disk is full, and then every container of this host stands still.",
        zh: "日志会一直增长直至磁盘写满，届时本机所有容器都会停摆。",
    },
    remedy: Text {
        en: "Set \"log-opts\": {\"max-size\": \"100m\", \"max-file\": \"3\"} in /etc/docker/daemon.json, restart Docker in a \
             window and create the container anew: the setting holds for new ones. To make room now: truncate -s 0 FILE.",
        zh: "在 /etc/docker/daemon.json 中设置 \"log-opts\": {\"max-size\": \"100m\", \"max-file\": \"3\"}，在维护窗口内重启 Docker \
             并重建容器（仅对新容器生效）。如需立即释放空间：truncate -s 0 文件。",
    },
    run,
};

const CONFIG: &str = "/etc/docker/daemon.json";
const ROOT: &str = "/var/lib/docker";
/// Containers that are looked at, and told one by one.
const CONTAINERS_MAX: usize = 500;
const NAMED_MAX: usize = 50;
const GIB: f64 = 1_073_741_824.0;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Daemon {
    data_root: Option<String>,
}

/// How one container logs, from its hostconfig.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    log_config: LogConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct LogConfig {
    r#type: String,
    config: Option<BTreeMap<String, String>>,
}

fn run(host: &Host, settings: &Settings<'_>) -> Outcome {
    let root = match host.read(CONFIG) {
        Ok(text) => {
            serde_json::from_str::<Daemon>(&text)
                .map_err(|error| {
                    Gap::Unknown(words!(
                        "{CONFIG} is no JSON that can be read: {error}",
                        "{CONFIG} 不是可读的 JSON：{error}"
                    ))
                })?
                .data_root
        }
        Err(Gap::NotHere(_)) => None,
        Err(gap) => return Err(gap),
    };
    let folder = format!("{}/containers", root.unwrap_or_else(|| ROOT.to_owned()));
    let (mut found, mut unlimited, mut count) = (Vec::new(), 0_u32, 0_u32);
    for entry in host.list(&folder)?.into_iter().filter(|entry| entry.is_folder).take(CONTAINERS_MAX) {
        let Some(log) = log(host, &folder, &entry.name)? else { continue };
        count += 1;
        unlimited += u32::from(!log.is_limited);
        #[expect(clippy::cast_precision_loss, reason = "a size in GiB, for people")]
        let gib = log.bytes as f64 / GIB;
        let id: String = entry.name.chars().take(12).collect();
        let subject = format!("container {id}");
        let status = settings.level(&subject, gib);
        if status > Status::Unknown && !log.is_limited && found.len() < NAMED_MAX {
            let summary = words!(
                "the log of container {id} has {gib:.1} GiB and no limit",
                "容器 {id} 的日志已达 {gib:.1} GiB 且无上限"
            );
            let one = Found::new(subject, status, summary).value(gib, "GiB");
            found.push(one.evidence(log.path, format!("{} bytes, json-file without max-size", log.bytes)));
        }
    }
    if found.is_empty() {
        let summary = words!(
            "no log of {count} containers is too large; {unlimited} have no limit",
            "{count} 个容器的日志均不过大；其中 {unlimited} 个未设上限"
        );
        let one = if unlimited > 0 { Found::advice("", summary) } else { Found::new("", Status::Ok, summary) };
        found.push(one.evidence(folder, format!("{unlimited} of {count} json-file logs have no max-size")));
    }
    Ok(found)
}

/// The log of a container that writes one into a file.
struct Log {
    path: String,
    bytes: u64,
    is_limited: bool,
}

fn log(host: &Host, folder: &str, id: &str) -> Result<Option<Log>, Gap> {
    let path = format!("{folder}/{id}/{id}-json.log");
    let stat = match host.stat(&path) {
        Ok(stat) => stat,
        Err(Gap::NotHere(_)) => return Ok(None),
        Err(gap) => return Err(gap),
    };
    let text = match host.read(&format!("{folder}/{id}/hostconfig.json")) {
        Ok(text) => text,
        // One that is being made or removed.
        Err(Gap::NotHere(_)) => return Ok(None),
        Err(gap) => return Err(gap),
    };
    let Ok(config) = serde_json::from_str::<HostConfig>(&text) else { return Ok(None) };
    let LogConfig { r#type, config } = config.log_config;
    // Another driver has left its file behind.
    if r#type != "json-file" {
        return Ok(None);
    }
    let is_limited = config.unwrap_or_default().get("max-size").is_some_and(|size| !size.is_empty() && size != "-1");
    Ok(Some(Log { path, bytes: stat.size, is_limited }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;

    fn host(root: &str, bytes: u64, config: &str) -> Fixture {
        let id = "0123456789abcdef0123";
        let path = format!("{root}/containers/{id}/{id}-json.log");
        let fixture = Fixture::image().file(&path, "").file(
            &format!("{root}/containers/{id}/hostconfig.json"),
            format!("{{\"LogConfig\":{config},\"Binds\":[]}}"),
        );
        // Sparse: nothing is written.
        std::fs::File::options().write(true).open(fixture.path(&path)).unwrap().set_len(bytes).unwrap();
        fixture
    }

    #[test]
    fn con_03_a_large_log_without_a_limit_is_a_warning() {
        let gib = 1 << 30;
        for (bytes, config, expected, note) in [
            (2 * gib, r#"{"Type":"json-file","Config":{}}"#, Status::Warning, false),
            (2 * gib, r#"{"Type":"json-file","Config":null}"#, Status::Warning, false),
            (2 * gib, r#"{"Type":"json-file","Config":{"max-size":"3g"}}"#, Status::Ok, false),
            (2 * gib, r#"{"Type":"local","Config":{}}"#, Status::Ok, false),
            (gib / 2, r#"{"Type":"json-file","Config":{}}"#, Status::Ok, true),
            (2 * gib, "3", Status::Ok, false),
        ] {
            let found = host(ROOT, bytes, config).run(&CHECK);
            assert_eq!((found[0].status, found[0].note), (expected, note), "{bytes} {config}");
        }
        let elsewhere =
            host("/data/docker", 2 * gib, r#"{"Type":"json-file"}"#).file(CONFIG, r#"{"data-root":"/data/docker"}"#);
        assert_eq!(elsewhere.status(&CHECK), Status::Warning);
        assert_eq!(Fixture::image().file(CONFIG, "{").status(&CHECK), Status::Unknown);
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
