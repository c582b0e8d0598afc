//! File name patterns as configuration files have them: `*`, `?` and `[…]`, in any part of a path.

use super::Host;
use crate::found::Gap;
use crate::words;

/// Files that one pattern may name (CHK-02).
const MATCHES_MAX: usize = 2000;

impl Host {
    /// The paths that `pattern` names, sorted. A pattern without a wildcard names itself when it is there.
    ///
    /// # Errors
    /// [`Gap::Unknown`] when a folder cannot be read, or too many match.
    pub fn glob(&self, pattern: &str) -> Result<Vec<String>, Gap> {
        let mut paths = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for path in &paths {
                if !part.contains(['*', '?', '[']) {
                    next.push(format!("{path}/{part}"));
                    continue;
                }
                let entries = match self.list(if path.is_empty() { "/" } else { path }) {
                    Ok(entries) => entries,
                    Err(Gap::NotHere(_)) => continue,
                    Err(gap) => return Err(gap),
                };
                // A name that begins with a dot is meant only when it is said.
                let named = entries.into_iter().filter(|entry| part.starts_with('.') || !entry.name.starts_with('.'));
                next.extend(
                    named.filter(|entry| matches(part, &entry.name)).map(|entry| format!("{path}/{}", entry.name)),
                );
            }
            if next.len() > MATCHES_MAX {
                return Err(Gap::Unknown(words!(
                    "{pattern} names more than {MATCHES_MAX} files; not read",
                    "{pattern} 匹配超过 {MATCHES_MAX} 个文件，未读取"
                )));
            }
            paths = next;
        }
        paths.retain(|path| self.exists(path));
        Ok(paths)
    }
}

/// Whether `name` fits `pattern`. Iterative: no pattern is slow.
#[must_use]
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some('[') => class(&pattern[p..], name[n]),
            Some('?') => Some(1),
            Some(one) if *one == name[n] => Some(1),
            Some(_) | None => None,
        };
        match (step, star) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((at, from))) => {
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// How wide the class at the beginning of `pattern` is, when `one` is in it.
fn class(pattern: &[char], one: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|part| *part == ']')? + 2;
    let (negated, inside) = match &pattern[1..end] {
        ['!' | '^', inside @ ..] => (true, inside),
        inside => (false, inside),
    };
    let mut within = false;
    let mut at = 0;
    while at < inside.len() {
        if let [low, '-', high, ..] = &inside[at..] {
            within |= (*low..=*high).contains(&one);
            at += 3;
        } else {
            within |= inside[at] == one;
            at += 1;
        }
    }
    (within != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name, fits) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.confx", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "ac", false),
            ("?at", "cat", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[abc", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
