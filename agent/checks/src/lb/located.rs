//! Settings of a map in a file, with the place of each: what Envoy's, Traefik's and Kubernetes' readers have in common.

use super::{Place, Setting};
use crate::document::{Entry, Node};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// A map of a file. Keys are the same when the system whose file it is takes them for the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Located<'a> {
    pub(crate) file: &'a str,
    pub(crate) node: &'a Node,
    pub(crate) same: fn(&str, &str) -> bool,
}

/// What stands there when nobody has set it, and where that is documented.
pub(crate) type Default<T> = (T, &'static str);

impl<'a> Located<'a> {
    pub(crate) fn entry(self, key: &str) -> Option<&'a Entry> {
        self.node.find(|one| (self.same)(one, key))
    }

    pub(crate) fn get(self, key: &str) -> Option<Self> {
        Some(self.of(&self.entry(key)?.node))
    }

    /// What stands below several keys.
    pub(crate) fn at(self, keys: &[&str]) -> Option<Self> {
        keys.iter().try_fold(self, |here, key| here.get(key))
    }

    /// The items of a list.
    pub(crate) fn list(self, key: &str) -> impl Iterator<Item = Self> {
        self.entry(key).map(|entry| entry.node.items()).unwrap_or_default().iter().map(move |node| self.of(node))
    }

    pub(crate) fn text(self, key: &str) -> Option<&'a str> {
        self.entry(key)?.node.text()
    }

    pub(crate) fn flag(self, key: &str) -> Option<bool> {
        self.entry(key)?.node.flag()
    }

    /// Another node of this file.
    pub(crate) fn of(self, node: &'a Node) -> Self {
        Self { node, ..self }
    }

    /// A line of this file, with a text that is safe to show.
    pub(crate) fn place(self, line: u32, text: String) -> Place {
        Place { file: self.file.to_owned(), line, text }
    }

    /// A setting as it is in effect.
    ///
    /// # Errors
    /// A sentence, when what is set cannot be understood, or when it is missing and has no default.
    pub(crate) fn setting<T>(
        self,
        key: &str,
        parse: impl Fn(&Node) -> Option<T>,
        default: Option<Default<T>>,
    ) -> Result<Setting<T>, Words> {
        let (file, here) = (self.file, self.node.line);
        match (self.entry(key), default) {
            (Some(entry), _) => {
                let (line, shown) = (entry.line, entry.place(file).text);
                let value = parse(&entry.node).ok_or_else(|| {
                    words!("{file}:{line}: \"{shown}\" has no valid value", "{file}:{line}：\"{shown}\" 的值无效")
                })?;
                Ok(Setting::at(value, entry.place(file)))
            }
            (None, Some((value, source))) => Ok(Setting::default(value, source)),
            (None, None) => {
                Err(words!("{file}:{here}: {key} is required and missing", "{file}:{here}：缺少必需的 {key}"))
            }
        }
    }
}

/// A whole number above zero.
pub(crate) fn positive(node: &Node) -> Option<u32> {
    node.text()?.parse().ok().filter(|number| *number > 0)
}

/// `host:port` of a URL or an address, without a user's name and password.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The port at the end of `host:port`.
pub(crate) fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_no_password() {
        for (url, host, port) in [
            ("http://10.0.0.1:8080/a?b=c:d", "10.0.0.1:8080", Some(8080)),
            ("https://user:p@ss@web.example", "web.example", None),
            ("[::1]:80", "[::1]:80", Some(80)),
            ("10.0.0.1:99999", "10.0.0.1:99999", None),
            ("", "", None),
        ] {
            assert_eq!((host_of(url), port_of(host_of(url))), (host, port), "{url}");
        }
    }
}
