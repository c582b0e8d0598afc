//! Who may command Docker: its socket's mode, and ports without TLS. Whoever may is root.

use crate::check::{Check, Needs, Text};
use crate::found::{Found, Gap, Outcome};
use crate::host::{Host, Kind};
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;
use serde::Deserialize;
use std::net::IpAddr;

pub(crate) const CHECK: Check = Check {
    id: "security.docker-socket",
    title: Text { en: "Access to Docker", zh: "Docker 访问权限" },
    reads: &["/run/docker.sock", "/etc/docker/daemon.json", "/proc/*/cmdline"],
    needs: Needs::FILES,
    params: &[],
    impact: Text {
        en: "Whoever speaks to Docker is root on this server: one command mounts its whole disk into a container.",
        zh: "能访问 Docker 即等于本机 root：一条命令即可将整块磁盘挂载进容器。",
    },
    remedy: Text {
        en: "Socket: chmod 660 and chown root:docker. Port: remove the tcp:// host and use ssh://, or set tlsverify with \
             certificates of its own.",
        zh: "套接字：执行 chmod 660 并 chown root:docker。端口：移除 tcp:// 监听并改用 ssh://，或配置专用证书并启用 tlsverify。",
    },
    run,
};

/// The sockets; on nearly every system the second is the first.
const SOCKETS: [&str; 3] = ["/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock"];
const CONFIG: &str = "/etc/docker/daemon.json";
const WRITTEN_BY_ALL: u32 = 0o002;
/// Ports that are told one by one.
const PORTS_MAX: usize = 10;

/// dockerd's configuration, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Daemon {
    hosts: Vec<String>,
    tlsverify: bool,
}

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let mut all = Vec::new();
    for path in SOCKETS {
        let stat = match host.stat(path) {
            Ok(stat) if stat.kind == Kind::Socket => stat,
            Ok(_) | Err(Gap::NotHere(_)) => continue,
            Err(Gap::Unknown(why)) => {
                all.push(Found::new(path, Status::Unknown, why));
                continue;
            }
        };
        let mode = format!("mode {:04o}, uid {}, gid {}", stat.mode, stat.uid, stat.gid);
        all.push(socket(path, stat.mode).evidence(path, mode));
    }
    match host.read(CONFIG) {
        Ok(text) => all.extend(ports(&text)),
        Err(Gap::NotHere(_)) => {}
        Err(Gap::Unknown(why)) => all.push(Found::new(CONFIG, Status::Unknown, why)),
    }
    all.extend(started_with(host));
    if all.is_empty() {
        return Err(Gap::NotHere(words!("no container runtime is here", "此主机没有容器运行时")));
    }
    Ok(all)
}

fn socket(path: &str, mode: u32) -> Found {
    if mode & WRITTEN_BY_ALL == 0 {
        return Found::new(path, Status::Ok, words!("{path} is closed to strangers", "{path} 未对所有用户开放"));
    }
    Found::new(path, Status::Critical, words!("every user may command {path}", "所有用户均可操作 {path}"))
}

/// One finding for each port without TLS, or one that all is well.
fn ports(text: &str) -> Vec<Found> {
    let daemon: Daemon = match serde_json::from_str(text) {
        Ok(daemon) => daemon,
        Err(error) => {
            let summary = words!("{CONFIG} is no JSON that can be read: {error}", "{CONFIG} 不是可读的 JSON：{error}");
            return vec![Found::new(CONFIG, Status::Unknown, summary)];
        }
    };
    let open = daemon.hosts.iter().filter(|_| !daemon.tlsverify).filter_map(|place| place.strip_prefix("tcp://"));
    let mut all: Vec<Found> = open.take(PORTS_MAX).map(|place| port(place, CONFIG)).collect();
    if all.is_empty() {
        all.push(Found::new(
            CONFIG,
            Status::Ok,
            words!("Docker opens no port without TLS", "Docker 未开放无 TLS 的端口"),
        ));
    }
    all
}

/// Ports that the daemon opens by its command line: `-H tcp://…`, `--host tcp://…`, `--host=tcp://…`.
fn started_with(host: &Host) -> Vec<Found> {
    let daemon = host.processes().iter().find(|process| process.program() == "dockerd");
    let Some(daemon) = daemon.filter(|daemon| !daemon.argv.iter().any(|word| word.starts_with("--tlsverify"))) else {
        return Vec::new();
    };
    let mut words = daemon.argv.iter().map(String::as_str);
    let mut places = Vec::new();
    while let Some(word) = words.next() {
        let value = match word {
            "-H" | "--host" => words.next(),
            word => {
                word.strip_prefix("--host=").or_else(|| word.strip_prefix("-H=")).or_else(|| word.strip_prefix("-H"))
            }
        };
        places.extend(value.and_then(|value| value.strip_prefix("tcp://")));
    }
    let source = format!("/proc/{}/cmdline", daemon.pid);
    places.into_iter().take(PORTS_MAX).map(|place| port(place, &source)).collect()
}

fn port(place: &str, source: &str) -> Found {
    let name = place.rsplit_once(':').map_or(place, |(name, _)| name).trim_matches(['[', ']']);
    // dockerd takes an empty name for 127.0.0.1 (docker/cli opts/hosts.go).
    let is_own =
        name.is_empty() || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let (status, summary) = if is_own {
        let summary =
            words!("every user of this host may command Docker at {place}", "本机所有用户均可通过 {place} 操作 Docker");
        (Status::Warning, summary)
    } else {
        let summary = words!("Docker takes orders from anybody at {place}", "任何人都可通过 {place} 操作 Docker");
        (Status::Critical, summary)
    };
    Found::new(format!("tcp://{place}"), status, summary).evidence(source, format!("tcp://{place} without tlsverify"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    #[test]
    fn sec_14_docker_is_for_root() {
        for (mode, expected) in [(0o660, Status::Ok), (0o666, Status::Critical)] {
            let fixture = Fixture::image().file("/run/x", "");
            let path = fixture.path("/run/docker.sock");
            let _socket = UnixListener::bind(&path).unwrap();
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(fixture.status(&CHECK), expected, "{mode:o}");
        }
        for (config, expected) in [
            ("{}", Status::Ok),
            (r#"{"hosts": ["unix:///var/run/docker.sock"]}"#, Status::Ok),
            (r#"{"hosts": ["fd://", "tcp://0.0.0.0:2375"]}"#, Status::Critical),
            (r#"{"hosts": ["tcp://127.0.0.1:2375"]}"#, Status::Warning),
            (r#"{"hosts": ["tcp://[::]:2375"]}"#, Status::Critical),
            (r#"{"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": true, "log-driver": "local"}"#, Status::Ok),
            ("{", Status::Unknown),
            (r#"{"hosts": 3}"#, Status::Unknown),
        ] {
            assert_eq!(Fixture::image().file(CONFIG, config).status(&CHECK), expected, "{config}");
        }
        let dockerd = "/usr/bin/dockerd";
        for (argv, expected) in [
            (&[dockerd, "-H", "fd://", "-H", "tcp://0.0.0.0:2375"][..], Status::Critical),
            (&[dockerd, "--host=tcp://127.0.0.1:2375"], Status::Warning),
            (&[dockerd, "-H", "tcp://0.0.0.0:2376", "--tlsverify", "--tlskey=/k"], Status::Ok),
        ] {
            let fixture = Fixture::live().file(CONFIG, "{}").process(5, 'S', argv);
            assert_eq!(fixture.status(&CHECK), expected, "{argv:?}");
        }
        assert!(Fixture::image().has_none_of(&CHECK));
    }
}
