//! Containers that are unhealthy, or have ended with an error.

use super::docker::{Container, containers};
use crate::check::{Check, Needs, Text};
use crate::found::{Found, Outcome};
use crate::host::Host;
use crate::run::Settings;
use crate::words;
use cloud_doctor_proto::finding::Status;

pub(crate) const CHECK: Check = Check {
    id: "container.state",
    title: Text { en: "State of containers", zh: "容器状态" },
    reads: &["/run/docker.sock"],
    needs: Needs { root: true, ..Needs::LIVE },
    params: &[],
    impact: Text {
        en: "What the container serves is not served, or not well.", zh: "该容器提供的服务不可用或异常。"
    },
    remedy: Text {
        en: "Read docker logs --tail 100 NAME and docker inspect NAME (State). If it is not needed any more, remove it.",
        zh: "查看 docker logs --tail 100 容器名 以及 docker inspect 容器名（State 部分）。若已不再需要，请删除。",
    },
    run,
};

/// Containers that are told one by one.
const NAMED_MAX: usize = 50;
/// Ended by a signal of whoever stopped it: SIGINT, SIGKILL (docker stop after its patience), SIGTERM.
const STOPPED: [i64; 4] = [0, 130, 137, 143];

fn run(host: &Host, _: &Settings<'_>) -> Outcome {
    let all = containers(host)?;
    let mut found: Vec<Found> = all.iter().filter_map(judge).take(NAMED_MAX).collect();
    if found.is_empty() {
        let (count, running) = (all.len(), all.iter().filter(|one| one.state == "running").count());
        let summary = words!(
            "{running} of {count} containers run, none is unhealthy or failed",
            "{count} 个容器中 {running} 个在运行，无异常或失败"
        );
        found.push(Found::new("", Status::Ok, summary));
    }
    Ok(found)
}

fn judge(container: &Container) -> Option<Found> {
    let Container { name, state, status, socket, more } = container;
    let is_out_of_memory = more.is_some_and(|more| more.is_out_of_memory);
    let summary = match (state.as_str(), container.exit_code()) {
        ("running", _) if status.contains("(unhealthy)") => {
            words!("container {name} is unhealthy", "容器 {name} 健康检查失败")
        }
        ("dead", _) => {
            words!("container {name} is dead: it could not be removed", "容器 {name} 处于 dead 状态：未能删除")
        }
        ("exited", _) if is_out_of_memory => {
            words!("container {name} was ended for lack of memory", "容器 {name} 因内存不足被杀死")
        }
        ("exited", Some(code)) if !STOPPED.contains(&code) => {
            words!("container {name} has ended with error {code}", "容器 {name} 已异常退出，退出码 {code}")
        }
        _ => return None,
    };
    let found = Found::new(format!("container {name}"), Status::Warning, summary);
    Some(found.evidence(*socket, format!("{state}, {status}")).detail("out_of_memory", is_out_of_memory))
}

#[cfg(test)]
mod tests {
    use super::super::docker::tests::{host, listed};
    use super::*;
    use crate::host::fixture::Fixture;

    #[test]
    fn con_01_unhealthy_and_failed_containers_are_warnings() {
        let inspected = |oom: bool| format!(r#"{{"RestartCount":0,"State":{{"OOMKilled":{oom}}}}}"#);
        for (state, status, oom, expected) in [
            ("running", "Up 3 hours (healthy)", false, Status::Ok),
            ("running", "Up 3 hours (unhealthy)", false, Status::Warning),
            ("exited", "Exited (0) 2 days ago", false, Status::Ok),
            ("exited", "Exited (137) 2 days ago", false, Status::Ok),
            ("exited", "Exited (137) 2 days ago", true, Status::Warning),
            ("exited", "Exited (1) 2 days ago", false, Status::Warning),
            ("exited", "Exited (", false, Status::Ok),
            ("dead", "Dead", false, Status::Warning),
        ] {
            let list = format!("[{}]", listed("web", state, status));
            let fixture = host(vec![("/containers/json", list), ("/containers/abcdef", inspected(oom))]);
            let found = fixture.run(&CHECK);
            assert_eq!(found[0].status, expected, "{status}");
            assert!(!format!("{found:?}").contains("hunter2"));
        }
        assert_eq!(host(vec![("/containers/json", "x".to_owned())]).status(&CHECK), Status::Unknown);
        assert!(Fixture::live().has_none_of(&CHECK));
    }
}
