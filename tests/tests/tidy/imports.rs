//! Who may know whom: the one-way rules. Each row says below which folder a name must not stand, and why.

use super::code::{blanked, lines_with, root_names};
use super::tree::{File, Tree, can_complain, holds};

/// Features of the agent; they never know each other, nor the tunnel or guard that dispatch to them.
const FEATURES: &[&str] = &["session", "metrics", "checks", "remedy", "files"];
/// Modules of the relay that know nothing of the rest of it.
const LEAVES: &[&str] = &["store", "record", "notify"];

/// One row of the table.
struct Never {
    below: &'static str,
    except: &'static [&'static str],
    names: &'static [&'static str],
    because: &'static str,
}

impl Never {
    fn holds_for(&self, path: &str) -> bool {
        path.starts_with(self.below) && !self.except.iter().any(|except| path.starts_with(except))
    }
}

const TABLE: &[Never] = &[
    Never {
        below: "agent/src/",
        except: &[],
        names: &["cloud_doctor_relay", "cloud_doctor"],
        because: "the agent knows neither relay nor client, only proto",
    },
    Never {
        below: "relay/",
        except: &[],
        names: &["cloud_doctor_agent"],
        because: "relay and client never know the agent",
    },
    Never {
        below: "relay/src/",
        except: &[],
        names: &["cloud_doctor_checks"],
        because: "the relay keeps what servers found and runs no check",
    },
    Never {
        below: "relay/cli/src/",
        except: &[],
        names: &["cloud_doctor_relay"],
        because: "a client knows its relay by the API alone",
    },
    Never {
        below: "proto/src/",
        except: &[],
        names: &[
            "tokio",
            "quinn",
            "rustls",
            "std::net",
            "std::fs",
            "std::process",
            "std::thread",
            "std::env",
            "std::time::Instant",
            "std::time::SystemTime",
            "Instant::now",
            "SystemTime::now",
            "UNIX_EPOCH",
        ],
        because: "proto has no socket, no clock, no runtime: it takes bytes, now and randomness",
    },
    Never {
        below: "agent/src/tunnel",
        except: &[],
        names: &[
            "Command",
            "cloud_doctor_proto::ceiling",
            "cloud_doctor_proto::channel",
            "cloud_doctor_proto::decide",
            "cloud_doctor_proto::grant",
            "cloud_doctor_proto::session",
        ],
        because: "the tunnel starts no process and parses no sealed byte",
    },
    Never {
        below: "agent/src/guard",
        except: &[],
        names: &["quinn", "rustls", "TcpStream", "TcpListener", "UdpSocket", "portable_pty"],
        because: "guard does not speak to the network and runs no shell",
    },
    Never {
        below: "agent/src/session",
        except: &[],
        names: &["quinn", "rustls", "TcpStream", "TcpListener", "UdpSocket"],
        because: "a holder has no network",
    },
    Never {
        below: "",
        except: &["agent/src/session/pty.rs", "tests/tests/tidy/"],
        names: &["portable_pty"],
        because: "one file imports portable-pty, with its hazards at the top",
    },
    Never {
        below: "",
        except: &[
            "agent/src/tunnel/quic.rs",
            "agent/src/tunnel/tests/",
            "relay/src/tunnels/quic.rs",
            "relay/tests/",
            "tests/",
        ],
        names: &[
            "TransportConfig",
            "EndpointConfig",
            "QuicClientConfig",
            "QuicServerConfig",
            "quinn::ClientConfig",
            "quinn::ServerConfig",
        ],
        because: "one pair of files sets up quinn, so that its limits stand in one place each",
    },
    Never {
        below: "agent/src",
        except: &[],
        names: &["flate2", "GzEncoder", "GzDecoder"],
        because: "nothing that a peer sends or gets is compressed: a report's file alone is",
    },
    Never {
        below: "relay/src/broker",
        except: &[],
        names: &[
            "cloud_doctor_proto::ceiling",
            "cloud_doctor_proto::channel",
            "cloud_doctor_proto::decide",
            "cloud_doctor_proto::grant",
            "cloud_doctor_proto::session",
        ],
        because: "the broker moves and counts sealed bytes and parses none",
    },
];

fn one_way(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.rust() {
        let code = blanked(&file.text);
        for row in TABLE.iter().filter(|row| row.holds_for(&file.path)) {
            for name in row.names {
                let lines = lines_with(&code, name).into_iter();
                complaints.extend(lines.map(|line| format!("{}:{line}: {name}: {}", file.path, row.because)));
            }
        }
    }
    complaints
}

#[test]
fn one_way_rules_hold() {
    let tree = Tree::of_repository();
    holds(&one_way(&tree));
}

#[test]
fn one_way_rules_can_complain() {
    let bad = [
        ("agent/src/tunnel/mod.rs", "use cloud_doctor_relay::store;"),
        ("relay/src/lib.rs", "use cloud_doctor_agent::guard;"),
        ("relay/src/checks/mod.rs", "cloud_doctor_checks::all()"),
        ("relay/cli/src/lib.rs", "cloud_doctor_relay::serve();"),
        ("proto/src/frame.rs", "use tokio::io::AsyncRead;"),
        ("proto/src/time.rs", "let now = SystemTime::now();"),
        ("agent/src/tunnel/mod.rs", "tokio::process::Command::new(\"id\")"),
        ("agent/src/guard/mod.rs", "tokio::net::TcpStream::connect(a)"),
        ("agent/src/session/holder.rs", "use quinn::Connection;"),
        ("agent/src/session/holder.rs", "use portable_pty::CommandBuilder;"),
        ("relay/src/http/mod.rs", "let limits = quinn::TransportConfig::default();"),
        ("relay/src/broker/pipe.rs", "use cloud_doctor_proto::grant::Grant;"),
    ];
    can_complain(one_way, &bad, ("agent/src/session/pty.rs", "//! cloud_doctor_relay\nuse portable_pty::PtySize;"));
}

/// The module path of a source file below `root`: `agent/src/session/pty.rs` is `session`, `pty`.
fn module_of<'a>(file: &'a File, root: &str) -> Vec<&'a str> {
    let inner = file.path.strip_prefix(root).unwrap_or_default().trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    if ["lib", "main"].contains(&inner) { Vec::new() } else { inner.split('/').collect() }
}

/// Names at the crate's root that a module uses although `forbidden` says no.
fn root_uses(tree: &Tree, root: &str, forbidden: fn(module: &str, name: &str) -> Option<&'static str>) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in tree.below(root).filter(|file| file.is_rust()) {
        let path = module_of(file, root);
        let Some(module) = path.first() else { continue };
        for (line, name) in root_names(&blanked(&file.text), &path) {
            if let Some(because) = forbidden(module, &name) {
                complaints.push(format!("{}:{line}: {module} uses {name}: {because}", file.path));
            }
        }
    }
    complaints
}

fn agent_modules(tree: &Tree) -> Vec<String> {
    let mut complaints = root_uses(tree, "agent/src/", |module, name| {
        let other_feature = FEATURES.contains(&name) && name != module;
        match module {
            "tunnel" if other_feature || name == "guard" => Some("the tunnel knows no feature and not guard's inside"),
            "guard" if name == "tunnel" => Some("guard does not know the tunnel"),
            feature if FEATURES.contains(&feature) && (other_feature || ["tunnel", "guard"].contains(&name)) => {
                Some("features know neither each other nor who dispatches to them")
            }
            _ => None,
        }
    });
    // The one file of the tunnel that dispatches to a feature: the tunnel's process samples.
    let (bridge, named) = ("agent/src/tunnel/metrics.rs:", " uses metrics:");
    complaints.retain(|complaint| !complaint.starts_with(bridge) || !complaint.contains(named));
    complaints
}

#[test]
fn agent_modules_know_only_what_they_may() {
    holds(&agent_modules(&Tree::of_repository()));
}

#[test]
fn agent_modules_can_complain() {
    let bad = [
        ("agent/src/session/holder.rs", "use crate::tunnel::Dial;"),
        ("agent/src/session/holder.rs", "use crate::{host, files::Door};"),
        ("agent/src/metrics.rs", "use super::session::Holder;"),
        ("agent/src/session/view.rs", "super::super::guard::visits()"),
        ("agent/src/tunnel/mod.rs", "crate::guard::identity()"),
        ("agent/src/tunnel/metrics.rs", "crate::session::holder()"),
        ("agent/src/tunnel/link.rs", "crate::metrics::Metrics"),
        ("agent/src/guard/mod.rs", "use crate::tunnel;"),
    ];
    can_complain(agent_modules, &bad, ("agent/src/session/view.rs", "use crate::{host, session::bytelog};"));
}

fn relay_modules(tree: &Tree) -> Vec<String> {
    root_uses(tree, "relay/src/", |module, name| match module {
        leaf if LEAVES.contains(&leaf) && name != leaf => Some("a leaf knows nothing of the rest of the relay"),
        // What puts the relay together names all of its parts, their settings included.
        "http" | "serve" | "config" => None,
        _ if name == "http" => Some("http is a skin: the relay works without it"),
        _ => None,
    })
}

#[test]
fn relay_modules_know_only_what_they_may() {
    holds(&relay_modules(&Tree::of_repository()));
}

#[test]
fn relay_modules_can_complain() {
    let bad = [
        ("relay/src/store/agents.rs", "use crate::tunnels::Registry;"),
        ("relay/src/store/mod.rs", "use crate::config::Config;"),
        ("relay/src/broker/mod.rs", "use crate::http::Reply;"),
    ];
    can_complain(relay_modules, &bad, ("relay/src/http/servers.rs", "use crate::{store::Store, http::Reply};"));
}

/// Our own crates in the `[dependencies]` of a manifest, development dependencies aside.
fn manifests(tree: &Tree) -> Vec<String> {
    // Checks and how findings are shown exist once, for the host's command and the client's.
    let rules: [(&str, &[&str]); 5] = [
        ("proto/Cargo.toml", &[]),
        ("agent/checks/Cargo.toml", &["cloud-doctor-proto"]),
        ("agent/Cargo.toml", &["cloud-doctor-checks", "cloud-doctor-proto"]),
        ("relay/Cargo.toml", &["cloud-doctor-proto"]),
        ("relay/cli/Cargo.toml", &["cloud-doctor-checks", "cloud-doctor-proto"]),
    ];
    let mut complaints = Vec::new();
    for (path, allowed) in rules {
        let Some(file) = tree.file(path) else { continue };
        let ours = dependencies(&file.text).filter(|name| name.starts_with("cloud-doctor") && !allowed.contains(name));
        complaints.extend(ours.map(|name| format!("{path}: depends on {name}: it may know {allowed:?}")));
    }
    complaints
}

fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    let section = lines.take_while(|line| !line.starts_with('['));
    section.map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default())
}

#[test]
fn manifests_name_only_proto() {
    holds(&manifests(&Tree::of_repository()));
}

#[test]
fn manifests_can_complain() {
    let bad = [
        ("agent/Cargo.toml", "[dependencies]\ncloud-doctor-relay.workspace = true\n"),
        ("relay/Cargo.toml", "[dependencies]\ncloud-doctor-checks.workspace = true\n"),
        ("relay/Cargo.toml", "[dependencies]\nanyhow = \"1\"\ncloud-doctor-agent = { path = \"../agent\" }\n"),
    ];
    let good = ("agent/Cargo.toml", "[dependencies]\ncloud-doctor-proto.workspace = true\n[dev-dependencies]\n");
    can_complain(manifests, &bad, good);
}
