//! Takes secrets out of what leaves a host: findings, reports, log lines.
//!
//! Each is replaced by `‹kind:8 hex digits›`, an HMAC under a key that stays with the customer, so that equal secrets can be
//! told from different ones and nothing more. Rules are regular expressions of linear time, tried only where one of their
//! words stands. It must never let a text pass because it is odd: what a rule is not sure of goes.

mod rules;

use cloud_doctor_proto::finding::{Detail, Finding, Words};
use hmac::{Hmac, Mac as _};
use regex_lite::{Captures, Regex};
use rules::{RULES, Rule};
use sha2::Sha256;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A line that is longer is cut here before rules look at it.
const LINE_BYTES_MAX: usize = 64 << 10;

static COMPILED: LazyLock<Vec<(&'static Rule, Regex)>> = LazyLock::new(|| {
    let compile = |rule: &'static Rule| (rule, Regex::new(rule.pattern).expect("a test compiles every rule"));
    RULES.iter().map(compile).collect()
});

/// Takes secrets out, and counts what it took.
#[derive(Debug)]
pub struct Redactor {
    key: [u8; 32],
    taken: BTreeMap<&'static str, u64>,
}

impl Redactor {
    /// Tokens are made under `key`: the same key gives the same token for the same secret.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, taken: BTreeMap::new() }
    }

    /// How many were taken, by kind.
    #[must_use]
    pub fn taken(&self) -> &BTreeMap<&'static str, u64> {
        &self.taken
    }

    /// A text of any number of lines, without its secrets. Private keys are taken with all their lines.
    #[must_use]
    pub fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut in_key = false;
        for line in text.split_inclusive('\n') {
            let begins = line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
            if in_key || begins {
                if begins {
                    let at = line.find("-----BEGIN").unwrap_or(0);
                    let whole = &line[at..];
                    out.push_str(&line[..at]);
                    out.push_str(&self.token("private-key", whole));
                    out.push('\n');
                }
                let rest = if begins { line.split_once("-----BEGIN").map_or("", |(_, rest)| rest) } else { line };
                in_key = !rest.contains("-----END");
                continue;
            }
            out.push_str(&self.line(line));
        }
        out
    }

    /// A finding, without the secrets in its texts.
    pub fn finding(&mut self, finding: &mut Finding) {
        finding.subject = self.text(&finding.subject);
        for evidence in &mut finding.evidence {
            evidence.source = self.text(&evidence.source);
            evidence.text = self.text(&evidence.text);
        }
        for Words { en, zh } in [&mut finding.summary, &mut finding.impact, &mut finding.remedy] {
            *en = self.text(en);
            *zh = self.text(zh);
        }
        for detail in finding.details.values_mut() {
            if let Detail::Text(text) = detail {
                *text = self.text(text);
            }
        }
    }

    fn line(&mut self, line: &str) -> String {
        let end = (0..=LINE_BYTES_MAX.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let mut text = Cow::Borrowed(&line[..end]);
        let lower = text.to_ascii_lowercase();
        for (rule, pattern) in COMPILED.iter() {
            if !rule.words.iter().any(|word| lower.contains(word)) {
                continue;
            }
            let replace = |found: &Captures<'_>| self.replace(rule, found);
            if let Cow::Owned(changed) = pattern.replace_all(&text, replace) {
                text = Cow::Owned(changed);
            }
        }
        text.into_owned()
    }

    /// The match with the secret in its group `s` replaced; all of it where there is no such group.
    fn replace(&mut self, rule: &Rule, found: &Captures<'_>) -> String {
        let (Some(all), secret) = (found.get(0), found.name("s")) else { return String::new() };
        let secret = secret.unwrap_or(all);
        if rules::is_harmless(secret.as_str()) {
            return all.as_str().to_owned();
        }
        let (before, after) = (secret.start() - all.start(), secret.end() - all.start());
        let token = self.token(rule.kind, secret.as_str());
        format!("{}{token}{}", &all.as_str()[..before], &all.as_str()[after..])
    }

    fn token(&mut self, kind: &'static str, secret: &str) -> String {
        *self.taken.entry(kind).or_default() += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(secret.trim().as_bytes());
        let hash = mac.finalize().into_bytes();
        let hex: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("\u{2039}{kind}:{hex}\u{203a}")
    }
}

#[cfg(test)]
pub(crate) mod tests;
