//! The escape keys of a shell: after a newline, `~.` leaves the shell running and goes, `~?` tells the keys, `~~` types
//! one tilde. Pure.

/// What a person asked this client for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Leave; the shell lives on.
    Detach,
    /// End the shell.
    End,
    /// Tell the keys.
    Help,
}

/// Looks for escapes in what is typed.
#[derive(Debug)]
pub(crate) struct Escapes {
    at_line_start: bool,
    tilde: bool,
}

impl Default for Escapes {
    fn default() -> Self {
        Self { at_line_start: true, tilde: false }
    }
}

impl Escapes {
    /// Takes typed bytes; appends to `out` what goes to the server. Stops at the first request; the rest is dropped.
    pub(crate) fn feed(&mut self, typed: &[u8], out: &mut Vec<u8>) -> Option<Asked> {
        for &byte in typed {
            if std::mem::take(&mut self.tilde) {
                match byte {
                    b'.' => return Some(Asked::Detach),
                    b'x' => return Some(Asked::End),
                    b'?' => {
                        self.at_line_start = true;
                        return Some(Asked::Help);
                    }
                    b'~' => {}
                    _ => out.push(b'~'),
                }
            } else if byte == b'~' && self.at_line_start {
                self.tilde = true;
                self.at_line_start = false;
                continue;
            }
            self.at_line_start = matches!(byte, b'\r' | b'\n');
            out.push(byte);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(typed: &[&str], sent: &str, asked: Option<Asked>) {
        let mut escapes = Escapes::default();
        let mut out = Vec::new();
        let mut found = None;
        for part in typed {
            found = found.or(escapes.feed(part.as_bytes(), &mut out));
        }
        assert_eq!((String::from_utf8_lossy(&out).as_ref(), found), (sent, asked), "{typed:?}");
    }

    #[test]
    fn escapes_count_after_a_newline_only() {
        check(&["~."], "", Some(Asked::Detach));
        check(&["ls\r~."], "ls\r", Some(Asked::Detach));
        check(&["ls\r", "~", "."], "ls\r", Some(Asked::Detach));
        check(&["cd ~.\r"], "cd ~.\r", None);
        check(&["~~."], "~.", None);
        check(&["~/bin\r"], "~/bin\r", None);
        check(&["~x"], "", Some(Asked::End));
        check(&["a\r~?"], "a\r", Some(Asked::Help));
        check(&["~\r~."], "~\r", Some(Asked::Detach));
    }
}
