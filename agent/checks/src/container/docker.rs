//! Containers as Docker (or Podman in its place) tells them over its socket. Only names, states and limits are kept: never
//! an environment, a label or a command line.

use crate::found::Gap;
use crate::host::{Host, date};
use crate::words;
use cloud_doctor_proto::refusal::one_line;
use serde::Deserialize;

const SOCKETS: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];
/// Containers that are looked at.
const CONTAINERS_MAX: usize = 500;
/// Those that are asked for more. Each may take its whole deadline, so that the first failure ends it.
const INSPECTED_MAX: usize = 50;
const NAME_CHARS_MAX: usize = 100;

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Container {
    /// Its name, or the beginning of its id.
    pub(crate) name: String,
    /// `running`, `exited`, `restarting`, `paused`, `dead`, `created`, `removing`.
    pub(crate) state: String,
    /// As `docker ps` shows it: `Up 3 hours (unhealthy)`, `Exited (1) 2 days ago`.
    pub(crate) status: String,
    /// The socket that told it.
    pub(crate) socket: &'static str,
    /// What it says when it is asked by itself; nothing when it was not.
    pub(crate) more: Option<More>,
}

/// What only an inspection tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct More {
    /// How often the runtime started it again.
    pub(crate) restarts: u64,
    /// Seconds since 1970.
    pub(crate) started: Option<u64>,
    /// Whether it was ended for lack of memory.
    pub(crate) is_out_of_memory: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Option<Vec<String>>,
    state: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inspected {
    restart_count: u64,
    state: InspectedState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct InspectedState {
    started_at: String,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
}

impl Container {
    /// The code that it ended with: `Exited (137) 2 days ago`.
    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.status.strip_prefix("Exited (")?.split(')').next()?.parse().ok()
    }
}

/// The containers of this host, asked once.
///
/// # Errors
/// [`Gap::NotHere`] without a runtime that has such a socket; [`Gap::Unknown`] when it does not answer.
pub(crate) fn containers(host: &Host) -> Result<&[Container], Gap> {
    host.memo.containers.get_or_init(|| ask(host)).as_deref().map_err(Clone::clone)
}

fn ask(host: &Host) -> Result<Vec<Container>, Gap> {
    let Some(socket) = SOCKETS.into_iter().find(|path| host.exists(path)) else {
        return Err(Gap::NotHere(words!(
            "neither Docker nor Podman listens here",
            "此主机没有监听中的 Docker 或 Podman"
        )));
    };
    let listed: Vec<Listed> = get(host, socket, "/containers/json?all=1")?;
    let mut left = INSPECTED_MAX;
    let all = listed.into_iter().take(CONTAINERS_MAX).map(|one| {
        let mut container = container(socket, &one);
        // An id is what is put into a path: nothing but the digits that it consists of.
        let is_id = !one.id.is_empty() && one.id.len() <= 64 && one.id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_id && left > 0 && matches!(container.state.as_str(), "running" | "restarting" | "exited") {
            match get::<Inspected>(host, socket, &format!("/containers/{}/json", one.id)) {
                Ok(inspected) => {
                    left -= 1;
                    container.more = Some(more(&inspected));
                }
                // One that went meanwhile costs nothing; one that hangs must not hang for each.
                Err(Gap::NotHere(_)) => {}
                Err(Gap::Unknown(_)) => left = 0,
            }
        }
        container
    });
    Ok(all.collect())
}

fn get<T: for<'a> Deserialize<'a>>(host: &Host, socket: &str, path: &str) -> Result<T, Gap> {
    let answer = host.http_get_unix(socket, path)?;
    let status = answer.status;
    if status == 404 {
        return Err(Gap::NotHere(words!("{socket} does not know {path}", "{socket} 没有 {path}")));
    }
    if status != 200 {
        return Err(Gap::Unknown(words!("{socket} answers {status} to {path}", "{socket} 对 {path} 返回 {status}")));
    }
    serde_json::from_str(&answer.body).map_err(|error| {
        Gap::Unknown(words!(
            "{socket} answers no JSON that is known: {error}",
            "{socket} 返回的 JSON 无法识别：{error}"
        ))
    })
}

fn container(socket: &'static str, listed: &Listed) -> Container {
    let name = listed.names.iter().flatten().next().map(|name| name.trim_start_matches('/'));
    let name = name.filter(|name| !name.is_empty()).unwrap_or(&listed.id);
    Container {
        name: one_line(name, NAME_CHARS_MAX),
        state: one_line(&listed.state, NAME_CHARS_MAX),
        status: one_line(&listed.status, NAME_CHARS_MAX),
        socket,
        more: None,
    }
}

fn more(inspected: &Inspected) -> More {
    More {
        restarts: inspected.restart_count,
        started: date::rfc_3339(&inspected.state.started_at),
        is_out_of_memory: inspected.state.oom_killed,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::fixture::Fixture;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixListener;

    /// A host with a Docker that gives these answers, one for each path that begins so.
    pub(crate) fn host(answers: Vec<(&'static str, String)>) -> Fixture {
        let fixture = Fixture::live().file("/run/x", "");
        let listener = UnixListener::bind(fixture.path("/run/docker.sock")).unwrap();
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).unwrap();
                let request = String::from_utf8_lossy(&buffer[..count]).into_owned();
                assert!(request.starts_with("GET /containers/"), "{request}");
                let known = answers.iter().find(|(path, _)| request[4..].starts_with(path));
                let (status, body) = known.map_or(("404 Not Found", "{}"), |(_, body)| ("200 OK", body));
                // Whoever asked may have gone.
                drop(write!(stream, "HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n{body}"));
            }
        });
        fixture
    }

    /// One container of a list.
    pub(crate) fn listed(name: &str, state: &str, status: &str) -> String {
        format!(
            r#"{{"Id":"abcdef0123456789","Names":["/{name}"],"Image":"nginx","Command":"run --token hunter2",
            "Labels":{{"secret":"hunter2"}},"State":"{state}","Status":"{status}","Ports":[]}}"#
        )
    }

    #[test]
    fn con_01_docker_is_asked_and_nothing_secret_is_kept() {
        let inspected = r#"{"Id":"abcdef0123456789","RestartCount":4,"Config":{"Env":["PASSWORD=hunter2"]},
            "State":{"StartedAt":"2025-12-31T23:55:00.123456789Z","OOMKilled":true}}"#;
        let list = format!("[{}]", listed("web", "running", "Up 5 minutes (unhealthy)"));
        let fixture = host(vec![("/containers/json?all=1 ", list), ("/containers/abcdef", inspected.to_owned())]);
        let host = fixture.host();
        let all = containers(&host).unwrap();
        let more = More { restarts: 4, started: Some(1_767_225_300), is_out_of_memory: true };
        assert_eq!((all.len(), all[0].name.as_str(), all[0].more), (1, "web", Some(more)));
        assert!(!format!("{all:?}").contains("hunter2"));
    }

    #[test]
    fn con_01_odd_answers_are_unknown_and_no_runtime_is_none() {
        for body in ["", "{}", "[3]", "<html>"] {
            let fixture = host(vec![("/containers/json", body.to_owned())]);
            assert!(matches!(containers(&fixture.host()), Err(Gap::Unknown(_))), "{body}");
        }
        let odd = host(vec![(
            "/containers/json",
            r#"[{"Id":"../../x","Names":null,"State":"running","Status":"\n"}]"#.to_owned(),
        )]);
        let host = odd.host();
        assert_eq!(containers(&host).unwrap()[0].more, None);
        assert!(matches!(containers(&Fixture::live().host()), Err(Gap::NotHere(_))));
    }
}
