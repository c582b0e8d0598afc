//! The sections `[metrics]`, `[remote_write]` and `[otlp]`: what becomes of servers' metrics, and where they go.

use super::is_this_machine;
use super::reader::Reader;
use crate::store::Label;
use std::path::PathBuf;
use std::time::Duration;

/// What becomes of servers' metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Memory for the flight recorder.
    pub recorder_bytes: usize,
    /// Servers with this label are exported; none: no server is.
    pub export_label: Option<Label>,
    /// Between two points of an exported series.
    pub export_every: Duration,
    /// Where they are written by Prometheus' remote-write.
    pub remote_write: Option<TargetConfig>,
    /// Where they are sent by OTLP.
    pub otlp: Option<TargetConfig>,
}

/// A system that takes metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// Its address.
    pub url: String,
    /// What it asks for.
    pub login: TargetLogin,
    /// What may wait while it is down.
    pub queue_bytes: usize,
}

/// How the relay shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetLogin {
    /// Not at all.
    Nothing,
    /// By the token in a file.
    Bearer(PathBuf),
    /// By a name and the password in a file.
    Basic(String, PathBuf),
}

impl Default for MetricsConfig {
    fn default() -> Self {
        let every = Duration::from_secs(15);
        Self { recorder_bytes: 128 << 20, export_label: None, export_every: every, remote_write: None, otlp: None }
    }
}

/// The sections, or their defaults.
pub(super) fn metrics(reader: &mut Reader) -> MetricsConfig {
    let default = MetricsConfig::default();
    let export_label = reader.text("metrics.export_label").filter(|text| !text.is_empty()).and_then(|text| {
        let label = text.parse::<Label>().ok();
        if label.is_none() {
            reader.wrong("metrics.export_label", &format!("{text:?} is no label, such as \"prometheus=yes\""));
        }
        label
    });
    let every = reader.number("metrics.export_interval_secs", 5..=300).map(|secs| Duration::from_secs(u64::from(secs)));
    let recorder_bytes = mebibytes(reader, "metrics.recorder_mib", 65_536).unwrap_or(default.recorder_bytes);
    let (remote_write, otlp) = (target(reader, "remote_write"), target(reader, "otlp"));
    if export_label.is_none() && (remote_write.is_some() || otlp.is_some()) {
        reader.wrong("metrics.export_label", "is missing: it says which servers' metrics are sent");
    }
    let export_every = every.unwrap_or(default.export_every);
    MetricsConfig { recorder_bytes, export_label, export_every, remote_write, otlp }
}

fn mebibytes(reader: &mut Reader, key: &str, most: u32) -> Option<usize> {
    usize::try_from(reader.number(key, 1..=most)?).ok()?.checked_mul(1 << 20)
}

fn target(reader: &mut Reader, section: &str) -> Option<TargetConfig> {
    let key = |name: &str| format!("{section}.{name}");
    let url = reader.text(&key("url"));
    let bearer = reader.text(&key("bearer_file")).map(PathBuf::from);
    let (username, password) = (reader.text(&key("username")), reader.text(&key("password_file")).map(PathBuf::from));
    let queue = mebibytes(reader, &key("queue_mib"), 4_096);
    let login = match (bearer, username, password) {
        (None, None, None) => TargetLogin::Nothing,
        (Some(bearer), None, None) => TargetLogin::Bearer(bearer),
        (None, Some(username), Some(password)) if !username.contains(':') => TargetLogin::Basic(username, password),
        (_, _, _) => {
            reader.wrong(&key("username"), "set either bearer_file, or username (without a colon) and password_file");
            TargetLogin::Nothing
        }
    };
    let Some(url) = url else {
        if login != TargetLogin::Nothing || queue.is_some() {
            reader.wrong(&key("url"), "is missing: without it the other keys of this section mean nothing");
        }
        return None;
    };
    let uri = url.parse::<hyper::Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    let scheme = uri.as_ref().and_then(hyper::Uri::scheme_str);
    let here = uri.as_ref().and_then(hyper::Uri::host).is_some_and(is_this_machine);
    if !matches!(scheme, Some("https" | "http")) || url.contains('@') {
        reader.wrong(&key("url"), "must be an https:// or http:// address, without a name or password in it");
    } else if scheme == Some("http") && !here && login != TargetLogin::Nothing {
        reader.wrong(&key("url"), "must be an https:// address: a password would be sent to another machine in clear");
    }
    Some(TargetConfig { url, login, queue_bytes: queue.unwrap_or(16 << 20) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::RelayConfig;

    fn errors(text: &str) -> Vec<String> {
        RelayConfig::parse(text, "/d".into()).err().map(|e| e.0).unwrap_or_default()
    }

    #[test]
    fn metrics_leave_only_by_a_label_and_passwords_only_by_tls() {
        let with = |rest: &str| errors(&format!("[metrics]\nexport_label = 'prometheus=yes'\n[remote_write]\n{rest}"));
        for good in [
            "",
            "url = 'https://prom.example/api/v1/write'",
            "url = 'http://prom.example/api/v1/write'",
            "url = 'http://127.0.0.1:9090/api/v1/write'\nbearer_file = '/t'",
            "url = 'https://prom.example/x'\nusername = 'u'\npassword_file = '/p'\nqueue_mib = 64",
        ] {
            assert!(with(good).is_empty(), "{good}: {:?}", with(good));
        }
        for bad in [
            "url = 'prom.example'",
            "url = 'ftp://prom.example/x'",
            "url = 'https://u:p@prom.example/x'",
            "url = 'http://prom.example/x'\nbearer_file = '/t'",
            "url = 'https://prom.example/x'\nusername = 'u'",
            "url = 'https://prom.example/x'\nusername = 'u'\npassword_file = '/p'\nbearer_file = '/t'",
            "bearer_file = '/t'",
            "url = 'https://prom.example/x'\nqueue_mib = 0",
            "surprise = 1",
        ] {
            assert_eq!(with(bad).len(), 1, "{bad}: {:?}", with(bad));
        }
        assert_eq!(errors("[otlp]\nurl = 'https://c.example/v1/metrics'").len(), 1, "no label");
        assert_eq!(errors("[metrics]\nexport_label = 'a b'\nexport_interval_secs = 1\nrecorder_mib = 0").len(), 3);
    }
}
