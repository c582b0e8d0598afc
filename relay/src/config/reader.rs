//! Takes keys out of a TOML document one by one; what is left at the end nobody knows.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use toml::{Table, Value};

/// Everything that is wrong with a configuration, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl std::fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

/// Lower case, no path, no port that the scheme means anyway; unencrypted on this computer only.
fn is_origin(text: &str) -> bool {
    let (default, rest) = match text.split_once("://") {
        Some(("https", rest)) => (443, rest),
        Some(("http", rest)) if rest.split(':').next() == Some("localhost") => (80, rest),
        Some(_) | None => return false,
    };
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    let number = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port && number != default);
    host.split('.').all(label) && port.is_none_or(number)
}

/// A document whose keys are taken.
#[derive(Debug)]
pub(super) struct Reader {
    left: Table,
    errors: Vec<String>,
}

impl Reader {
    pub(super) fn new(text: &str) -> Result<Self, ConfigErrors> {
        let left = text.parse::<Table>().map_err(|e| ConfigErrors(vec![e.to_string().trim_end().to_owned()]))?;
        Ok(Self { left, errors: Vec::new() })
    }

    pub(super) fn wrong(&mut self, key: &str, why: &str) {
        self.errors.push(format!("{key}: {why}"));
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        match key.split_once('.') {
            None => self.left.remove(key),
            Some((section, key)) => self.left.get_mut(section)?.as_table_mut()?.remove(key),
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => {
                self.wrong(key, "must be a text in quotes");
                None
            }
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = value
            .as_array()
            .and_then(|all| all.iter().map(|one| one.as_str().filter(|t| !t.is_empty()).map(str::to_owned)).collect());
        if texts.is_none() {
            self.wrong(key, "must be a list of texts in quotes, such as [\"one\", \"two\"]");
        }
        texts.unwrap_or_default()
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        let Some(value) = self.take(key) else { return false };
        if value.as_bool().is_none() {
            self.wrong(key, "must be true or false");
        }
        value.as_bool().unwrap_or_default()
    }

    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.take(key)?;
        let number = value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            self.wrong(key, &format!("must be a number from {} to {}", range.start(), range.end()));
        }
        number
    }

    pub(super) fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text(key)?;
        self.parse_address(key, &text)
    }

    pub(super) fn parse_address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.wrong(key, &format!("{text:?} is no address with a port, such as \"0.0.0.0:8443\" or \"[::]:8443\""));
        }
        address
    }

    pub(super) fn one_of(&mut self, key: &str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.text(key)?;
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            self.wrong(key, &format!("{text:?} is none of: {}", words.join(", ")));
        }
        word
    }

    /// Origins, each as a browser writes it. None when one of them is wrong.
    pub(super) fn origins(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let texts = value.as_array().map(|all| all.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(texts) = texts.flatten() else {
            self.wrong(key, "must be a list of texts in quotes");
            return Vec::new();
        };
        for text in texts.iter().filter(|text| !is_origin(text)) {
            let example = "such as \"https://console.example.com\"; http for localhost only";
            self.wrong(key, &format!("{text:?} is no origin as a browser writes it, {example}"));
        }
        texts.into_iter().map(str::to_owned).collect()
    }

    pub(super) fn check_name(&mut self, key: &str, name: &str) -> bool {
        let fits = !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if !fits {
            self.wrong(key, &format!("{name:?} is no host name"));
        }
        fits
    }

    /// The result, unless something was wrong or is left over.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, ConfigErrors> {
        const SECTIONS: [&str; 10] =
            ["agents", "clients", "oidc", "acme", "admin", "metrics", "remote_write", "otlp", "limits", "log"];
        for (name, left) in std::mem::take(&mut self.left) {
            match left {
                Value::Table(section) if SECTIONS.contains(&name.as_str()) => {
                    for key in section.keys() {
                        self.wrong(&format!("{name}.{key}"), "unknown key");
                    }
                }
                Value::Table(_)
                | Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_) => self.wrong(&name, "unknown key"),
            }
        }
        if self.errors.is_empty() { Ok(value) } else { Err(ConfigErrors(self.errors)) }
    }
}
