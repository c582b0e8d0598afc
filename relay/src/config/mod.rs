//! `relay.toml`: read as a whole, all errors reported together, nothing bound before it is right.

mod metrics;
mod oidc;
mod reader;

pub use metrics::{MetricsConfig, TargetConfig, TargetLogin};
pub use reader::ConfigErrors;

use crate::access::OidcSettings;
use crate::http::ServerLimits;
use crate::tls::{AcmeSettings, CertificateFiles, CertificateSource};
use crate::tunnels::gate::Rate;
use reader::Reader;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The file with every key, commented: shipped, and written by `init`.
pub const DEFAULT_FILE: &str = include_str!("../../relay.toml");

/// How the relay runs.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// Database, keys, certificates.
    pub data_dir: PathBuf,
    /// The name that clients must use.
    pub public_name: Option<String>,
    /// The port by which pages reach this relay, if it is not the one that it listens on.
    pub public_port: Option<u16>,
    /// UDP address for agents.
    pub agents_listen: SocketAddr,
    /// TCP address for clients.
    pub clients_listen: SocketAddr,
    /// Origins of consoles besides the relay's own.
    pub console_origins: Vec<String>,
    /// The identity provider that signs people in.
    pub oidc: Option<OidcSettings>,
    /// Their certificate; `None` is plain HTTP, on loopback.
    pub certificate: Option<CertificateSource>,
    /// TCP address of the operator's listener.
    pub admin_listen: Option<SocketAddr>,
    /// What becomes of servers' metrics.
    pub metrics: MetricsConfig,
    /// How much of everything.
    pub limits: Limits,
    /// How to log.
    pub log: LogConfig,
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// New connections of agents per network.
    pub agents: Rate,
    /// Streams that one account opens.
    pub opens: Rate,
    /// Client connections.
    pub server: ServerLimits,
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// One JSON object per line.
    pub json: bool,
    /// Least important level that is written.
    pub level: LogLevel,
}

/// Levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Broken.
    Error,
    /// Worth a look.
    Warn,
    /// Happened.
    Info,
    /// For whoever debugs.
    Debug,
    /// Everything.
    Trace,
}

impl RelayConfig {
    /// What an empty file means.
    #[must_use]
    pub fn default_in(data_dir: PathBuf) -> Self {
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Self {
            data_dir,
            public_name: None,
            public_port: None,
            oidc: None,
            agents_listen: any(8443),
            clients_listen: any(8443),
            console_origins: Vec::new(),
            certificate: Some(CertificateSource::SelfSigned),
            admin_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8444))),
            metrics: MetricsConfig::default(),
            limits: Limits {
                agents: Rate { per_minute: 20 * 60, burst: 100 },
                opens: Rate::per_minute(30),
                server: ServerLimits::default(),
            },
            log: LogConfig { json: false, level: LogLevel::Info },
        }
    }

    /// Reads the text of a `relay.toml`.
    ///
    /// # Errors
    /// [`ConfigErrors`], all that were found.
    pub fn parse(text: &str, data_dir: PathBuf) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new(text)?;
        let default = Self::default_in(data_dir);
        let public_name = reader.text("public_name").filter(|name| reader.check_name("public_name", name));
        let public_port = reader.number("clients.public_port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
        let clients_listen = reader.address("clients.listen").unwrap_or(default.clients_listen);
        let console_origins = reader.origins("clients.console_origins");
        let oidc = oidc::oidc(&mut reader);
        let certificate = certificate(&mut reader, public_name.as_deref(), clients_listen);
        let config = Self {
            agents_listen: reader.address("agents.listen").unwrap_or(default.agents_listen),
            admin_listen: admin(&mut reader, default.admin_listen),
            metrics: metrics::metrics(&mut reader),
            limits: limits(&mut reader, default.limits),
            log: log(&mut reader, default.log),
            data_dir: default.data_dir,
            public_name,
            public_port,
            oidc,
            clients_listen,
            console_origins,
            certificate,
        };
        reader.finish(config)
    }

    /// Names for the relay's own certificate.
    #[must_use]
    pub fn certificate_names(&self) -> Vec<String> {
        self.public_name.iter().cloned().collect()
    }

    /// Where certificates lie.
    #[must_use]
    pub fn tls_dir(&self) -> PathBuf {
        self.data_dir.join("tls")
    }
}

/// The database's file in a data directory.
#[must_use]
pub fn database(data_dir: &Path) -> PathBuf {
    data_dir.join("relay.db")
}

fn certificate(reader: &mut Reader, name: Option<&str>, listen: SocketAddr) -> Option<CertificateSource> {
    let kind = reader.one_of("clients.certificate", &["self-signed", "files", "acme", "none"]);
    let files = (reader.text("clients.certificate_file"), reader.text("clients.key_file"));
    let directory = reader.text("acme.directory");
    let contact = reader.text("acme.contact");
    match kind.unwrap_or("self-signed") {
        "none" => {
            if !listen.ip().is_loopback() {
                reader.wrong("clients.certificate", "\"none\" is plain HTTP: set clients.listen to a loopback address");
            }
            None
        }
        "files" => {
            let (Some(certificate), Some(key)) = files else {
                reader.wrong("clients.certificate", "\"files\" needs certificate_file and key_file");
                return None;
            };
            Some(CertificateSource::Files(CertificateFiles { certificate: certificate.into(), key: key.into() }))
        }
        "acme" => {
            let Some(name) = name else {
                reader.wrong("clients.certificate", "\"acme\" needs public_name");
                return None;
            };
            let directory = directory.unwrap_or_else(|| "https://acme-v02.api.letsencrypt.org/directory".to_owned());
            Some(CertificateSource::Acme(AcmeSettings { directory, contact, names: vec![name.to_owned()] }))
        }
        _ => Some(CertificateSource::SelfSigned),
    }
}

fn admin(reader: &mut Reader, default: Option<SocketAddr>) -> Option<SocketAddr> {
    match reader.text("admin.listen") {
        None => default,
        Some(text) if text.is_empty() => None,
        Some(text) => reader.parse_address("admin.listen", &text).or(default),
    }
}

fn limits(reader: &mut Reader, default: Limits) -> Limits {
    let agents = reader
        .number("limits.agents_per_second", 1..=100_000)
        .map(|per_second| Rate { per_minute: per_second.saturating_mul(60), burst: per_second.saturating_mul(5) });
    let opens = reader.number("limits.opens_per_minute", 1..=100_000).map(Rate::per_minute);
    let count = |number: Option<u32>, default| number.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    let connections = reader.number("limits.connections", 1..=1_000_000);
    let per_network = reader.number("limits.connections_per_network", 1..=1_000_000);
    Limits {
        agents: agents.unwrap_or(default.agents),
        opens: opens.unwrap_or(default.opens),
        server: ServerLimits {
            connections: count(connections, default.server.connections),
            per_network: count(per_network, default.server.per_network),
        },
    }
}

fn log(reader: &mut Reader, default: LogConfig) -> LogConfig {
    let json = reader.one_of("log.format", &["text", "json"]).map(|format| format == "json");
    let level = reader.one_of("log.level", &["error", "warn", "info", "debug", "trace"]).map(|level| match level {
        "error" => LogLevel::Error,
        "warn" => LogLevel::Warn,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Info,
    });
    LogConfig { json: json.unwrap_or(default.json), level: level.unwrap_or(default.level) }
}

/// Whether a host is this machine, to which passwords may go in clear.
fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        RelayConfig::parse(text, "/d".into()).err().map(|e| e.0).unwrap_or_default()
    }

    #[test]
    fn the_shipped_file_is_the_default_with_and_without_its_comment_marks() {
        let shipped = RelayConfig::parse(DEFAULT_FILE, "/d".into()).unwrap();
        let default = RelayConfig::default_in("/d".into());
        assert_eq!(format!("{shipped:?}"), format!("{default:?}"));
        let keys: String = DEFAULT_FILE
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line)))
            .filter(|line| !line.starts_with(' '))
            .collect();
        let all = RelayConfig::parse(&keys, "/d".into()).unwrap();
        assert_eq!(all.agents_listen, default.agents_listen);
        assert_eq!(all.admin_listen, default.admin_listen);
        assert_eq!(format!("{:?}", all.limits), format!("{:?}", default.limits));
    }

    #[test]
    fn all_errors_are_reported_together() {
        let found = errors(
            "publik_name = 'x'\npublic_name = 'a b'\n[clients]\nlisten = 'x'\ncertificate = 'files'\n\
             [admin]\nlisten = 5\n[limits]\nopens_per_minute = 0\n[log]\nformat = 'xml'\n[surprise]\n",
        );
        for key in [
            "publik_name",
            "public_name",
            "clients.listen",
            "clients.certificate",
            "admin.listen",
            "limits.opens_per_minute",
            "log.format",
            "surprise",
        ] {
            assert!(found.iter().any(|line| line.starts_with(&format!("{key}:"))), "{key} in {found:?}");
        }
        assert_eq!(found.len(), 8, "{found:?}");
        assert_eq!(errors("a = = 1").len(), 1);
    }

    #[test]
    fn web_01_origins_are_written_exactly_as_browsers_do() {
        let config = |origins: &str| format!("[clients]\nconsole_origins = [{origins}]");
        let good = config("'https://console.example.com', 'https://c.example:8443', 'http://localhost:5173'");
        assert_eq!(RelayConfig::parse(&good, "/d".into()).unwrap().console_origins.len(), 3);
        for bad in [
            "https://console.example.com/",
            "https://Console.example.com",
            "https://console.example.com:443",
            "http://console.example.com",
            "http://localhost:80",
            "https://*.example.com",
            "https://a@b.example",
            "console.example.com",
            "null",
            "*",
            "",
        ] {
            assert_eq!(errors(&config(&format!("'{bad}'"))).len(), 1, "{bad}");
        }
        assert_eq!(errors("[clients]\nconsole_origins = 'https://c.example'").len(), 1);
        assert_eq!(errors(&config("5")).len(), 1);
    }

    #[test]
    fn a_public_port_is_one() {
        assert_eq!(errors("[clients]\npublic_port = 443").len(), 0);
        assert_eq!(errors("[clients]\npublic_port = 65536").len(), 1);
    }

    #[test]
    fn plain_http_only_on_loopback_and_acme_only_with_a_name() {
        let plain = |listen: &str| errors(&format!("[clients]\ncertificate = 'none'\nlisten = '{listen}'"));
        assert!(plain("127.0.0.1:0").is_empty() && plain("[::1]:80").is_empty());
        assert_eq!(plain("0.0.0.0:80").len(), 1);
        assert_eq!(plain("10.0.0.1:80").len(), 1);
        assert_eq!(errors("[clients]\ncertificate = 'acme'").len(), 1);
        let acme =
            RelayConfig::parse("public_name = 'r.example'\n[clients]\ncertificate = 'acme'", "/d".into()).unwrap();
        assert!(matches!(acme.certificate, Some(CertificateSource::Acme(a)) if a.names == ["r.example"]));
    }
}
