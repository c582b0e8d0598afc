//! The ceilings that enrolment writes, as text with every line explained, so that a customer reads what they sign up
//! to and edits it later in the same words.

use std::fmt;
use std::str::FromStr;

/// Who the customer lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// One's own servers: a fresh signature opens what the ceiling allows, root included.
    Own,
    /// Another company's engineers: root, writing and remedies need the customer's signature too.
    Vendor,
    /// Nobody gets a shell.
    ChecksOnly,
}

impl Preset {
    /// The commented ceiling file.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Preset::Own => OWN,
            Preset::Vendor => VENDOR,
            Preset::ChecksOnly => CHECKS_ONLY,
        }
    }
}

/// Not the name of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("presets are own, vendor and checks-only")]
pub struct NoPreset;

impl FromStr for Preset {
    type Err = NoPreset;
    fn from_str(text: &str) -> Result<Self, NoPreset> {
        match text {
            "own" => Ok(Preset::Own),
            "vendor" => Ok(Preset::Vendor),
            "checks-only" => Ok(Preset::ChecksOnly),
            _ => Err(NoPreset),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Preset::Own => "own",
            Preset::Vendor => "vendor",
            Preset::ChecksOnly => "checks-only",
        })
    }
}

const OWN: &str = r#"# What anybody may ever do on this server through Cloud Doctor. Only root changes this file; no relay can.
# Rules are read from top to bottom and the first that fits decides. What no rule names is never allowed.
version = 1
preset = "own"

[limits]
visit = "8h"        # longest visit
detached = "15m"    # a shell that nobody looks at ends after this
idle = "0s"         # a shell without input ends after this; 0s = never
channels = 16       # shells and commands at once

# Your own engineers open shells as any user, root included, with a fresh signature each visit: "sshsig" by an SSH key,
# "webauthn" by a passkey in the console. A page could show one thing and have another signed; where that matters, take
# "webauthn" out.
[[rule]]
scope = "shell"
mode = "allow"
users = ["root", "*"]
signers = ["sshsig", "webauthn"]

# The same for single commands.
[[rule]]
scope = "exec"
mode = "allow"
users = ["root", "*"]
signers = ["sshsig", "webauthn"]

# Who may watch your engineers' shells live, and end them: your engineers with a fresh signature, and the approvers of
# your trust log by their own. Nothing that a watcher types reaches the shell.
[[rule]]
scope = "watch"
mode = "allow"
users = ["root", "*"]
signers = ["sshsig", "webauthn"]

# Who may read this server's own audit log from afar: the same people.
[[rule]]
scope = "audit"
mode = "allow"
signers = ["sshsig", "webauthn"]

# The relay may have these read-only checks run at any time, without anybody's signature: what they find is sent to it, secrets
# taken out. `cloud-doctor-agent check --list` shows them; ids and groups can be named here, none named means all but this
# server's own: packs and plugins run from afar only where a rule names them, by id or as "x".
[[rule]]
scope = "checks"
mode = "allow"

# The relay may show this server's metrics: how busy processors, memory, disks and network are, and the names of the busiest
# processes, never their command lines; and what happened to it: packages changed, services failed, restarts.
[[rule]]
scope = "metrics"
mode = "allow"

# Keep this line the last one: a file that was cut off lacks it, and then allows nothing.
[end]
"#;

const VENDOR: &str = r#"# What anybody may ever do on this server through Cloud Doctor. Only root changes this file; no relay can.
# Rules are read from top to bottom and the first that fits decides. What no rule names is never allowed.
version = 1
preset = "vendor"

[limits]
visit = "4h"        # longest visit
detached = "15m"    # a shell that nobody looks at ends after this
idle = "1h"         # a shell without input ends after this
channels = 8        # shells and commands at once

# Root only when you sign too: an approver of your trust log, or root here by `cloud-doctor-agent approve`. "sshsig" is
# an SSH key, "webauthn" a passkey in the console: a page could show one thing and have another signed; where that
# matters, take "webauthn" out.
[[rule]]
scope = "shell"
mode = "ask"
users = ["root"]
signers = ["sshsig", "webauthn"]
second = ["local", "sshsig", "webauthn"]
ahead = true        # it may be given ahead, for at most a day, in your trust log

[[rule]]
scope = "exec"
mode = "ask"
users = ["root"]
signers = ["sshsig", "webauthn"]
second = ["local", "sshsig", "webauthn"]
ahead = true        # it may be given ahead, for at most a day, in your trust log

# Every other user with the engineer's signature.
[[rule]]
scope = "shell"
mode = "allow"
users = ["*"]
signers = ["sshsig", "webauthn"]

[[rule]]
scope = "exec"
mode = "allow"
users = ["*"]
signers = ["sshsig", "webauthn"]

# Watching a shell live, and ending it: your approvers by their own signature. Another engineer of the vendor only when
# you sign too. Nothing that a watcher types reaches the shell.
[[rule]]
scope = "watch"
mode = "ask"
users = ["root", "*"]
signers = ["sshsig", "webauthn"]
second = ["local", "sshsig", "webauthn"]

# Reading this server's own audit log from afar: the same.
[[rule]]
scope = "audit"
mode = "ask"
signers = ["sshsig", "webauthn"]
second = ["local", "sshsig", "webauthn"]

# The relay may have these read-only checks run at any time, without anybody's signature: what they find is sent to it, secrets
# taken out. `cloud-doctor-agent check --list` shows them. Named here are groups (ids count too); security, logs, backups and the
# cloud instance are left out.
[[rule]]
scope = "checks"
mode = "allow"
checks = [
    "lb", "haproxy", "nginx", "web", "cpu", "memory", "disk", "net", "kernel", "hardware", "process", "service", "time",
    "dns", "tls", "db", "container",
]

# The relay may show this server's metrics: how busy processors, memory, disks and network are, and the names of the busiest
# processes, never their command lines; and what happened to it: packages changed, services failed, restarts.
[[rule]]
scope = "metrics"
mode = "allow"

# Keep this line the last one: a file that was cut off lacks it, and then allows nothing.
[end]
"#;

const CHECKS_ONLY: &str = r#"# What anybody may ever do on this server through Cloud Doctor. Only root changes this file; no relay can.
# Rules are read from top to bottom and the first that fits decides. What no rule names is never allowed.
version = 1
preset = "checks-only"

[limits]
visit = "1h"        # longest visit
detached = "15m"    # nothing that could be detached is allowed here
idle = "0s"
channels = 0        # no shells, no commands

# Nobody gets a shell or runs a command, whatever is signed. Written down so that nobody wonders.
[[rule]]
scope = "shell"
mode = "never"
users = ["root", "*"]

[[rule]]
scope = "exec"
mode = "never"
users = ["root", "*"]

# So there is nothing to watch.
[[rule]]
scope = "watch"
mode = "never"
users = ["root", "*"]

# Your approvers read this server's own audit log from afar; anybody else only when you sign too.
[[rule]]
scope = "audit"
mode = "ask"
signers = ["sshsig", "webauthn"]
second = ["local", "sshsig", "webauthn"]

# The relay may have these read-only checks run at any time, without anybody's signature: what they find is sent to it, secrets
# taken out. `cloud-doctor-agent check --list` shows them; ids and groups can be named here, none named means all but this
# server's own: packs and plugins run from afar only where a rule names them, by id or as "x".
[[rule]]
scope = "checks"
mode = "allow"

# The relay may show this server's metrics: how busy processors, memory, disks and network are, and the names of the busiest
# processes, never their command lines; and what happened to it: packages changed, services failed, restarts.
[[rule]]
scope = "metrics"
mode = "allow"

# Keep this line the last one: a file that was cut off lacks it, and then allows nothing.
[end]
"#;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ceiling::{Ceiling, Mode, ScopeName};

    #[test]
    fn r_17_a_preset_that_is_cut_at_any_byte_is_refused_or_the_same() {
        for preset in [Preset::Own, Preset::Vendor, Preset::ChecksOnly] {
            let text = preset.text();
            let whole: Ceiling = text.parse().unwrap();
            let cut = |at: usize| text[..at].parse::<Ceiling>().ok();
            let read: Vec<usize> = (0..text.len()).filter(|at| cut(*at).is_some()).collect();
            assert_eq!(read, [text.len() - 1], "{preset}: only the last line break may be missing");
            assert_eq!(cut(text.len() - 1), Some(whole));
        }
    }

    #[test]
    fn presets_parse_and_mean_what_they_say() {
        let rule = |preset: Preset, scope, user| {
            let ceiling: Ceiling = preset.text().parse().unwrap();
            assert_eq!(ceiling.preset, preset.to_string());
            assert_eq!(preset.to_string().parse(), Ok(preset));
            ceiling.rule(scope, user).map(|rule| rule.mode)
        };
        let mode = |preset, user| rule(preset, ScopeName::Shell, user);
        assert_eq!(mode(Preset::Own, "root"), Some(Mode::Allow));
        assert_eq!(mode(Preset::Vendor, "root"), Some(Mode::Ask));
        assert_eq!(mode(Preset::Vendor, "anna"), Some(Mode::Allow));
        assert_eq!(mode(Preset::ChecksOnly, "anna"), Some(Mode::Never));
        assert_eq!(mode(Preset::ChecksOnly, "root"), Some(Mode::Never));
        for (preset, watch, audit) in [
            (Preset::Own, Mode::Allow, Mode::Allow),
            (Preset::Vendor, Mode::Ask, Mode::Ask),
            (Preset::ChecksOnly, Mode::Never, Mode::Ask),
        ] {
            for user in ["root", "anna"] {
                assert_eq!(rule(preset, ScopeName::Watch, user), Some(watch), "{preset}");
            }
            assert_eq!(rule(preset, ScopeName::Audit, ""), Some(audit), "{preset}");
        }
    }
}
