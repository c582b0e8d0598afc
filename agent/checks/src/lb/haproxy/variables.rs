//! What an HAProxy configuration may ask for by name: variables that the global section sets, and those of the service's
//! own environment files. The environment of the process itself is not read: it holds secrets.

use std::collections::BTreeMap;

/// Names that are remembered.
const NAMES_MAX: usize = 1000;

/// Variables whose value is certain.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    values: BTreeMap<String, String>,
}

impl Variables {
    /// The value, when it is certain.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// `setenv`.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if self.values.len() < NAMES_MAX {
            self.values.insert(name.to_owned(), value.to_owned());
        }
    }

    /// `presetenv`: what is set already stays.
    pub(super) fn preset(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// `unsetenv`: from here on nobody can tell whether something else has it.
    pub(super) fn forget(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// Reads a file of assignments as systemd and the init scripts read it: `NAME=value`, quotes around the value.
    pub(super) fn read_assignments(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else { continue };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                continue;
            }
            let value = value.trim();
            let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.split(*quote).next());
            self.set(name, quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or(value).trim()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_as_the_service_reads_them() {
        let mut variables = Variables::default();
        variables.read_assignments(
            "# CONFIG=/no\nCONFIG=\"/etc/a b.cfg\"\nEXTRAOPTS='-de -m 16'\nexport X=1 # y\nbad-name=1\n=2\nZ",
        );
        for (name, value) in
            [("CONFIG", Some("/etc/a b.cfg")), ("EXTRAOPTS", Some("-de -m 16")), ("X", Some("1")), ("Z", None)]
        {
            assert_eq!(variables.get(name), value, "{name}");
        }
        variables.preset("X", "2");
        assert_eq!(variables.get("X"), Some("1"));
        variables.forget("X");
        variables.preset("X", "2");
        assert_eq!(variables.get("X"), Some("2"));
    }
}
