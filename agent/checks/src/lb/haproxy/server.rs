//! The options of `server`, `server-template` and `default-server` lines, each inherited by those below it, and what they
//! come to.

use super::line::Line;
use super::notes::Notes;
use super::times::{count, millis};
use super::words::Word;
use crate::lb::{Place, Setting};
use crate::words;
use cloud_doctor_proto::finding::Words;

/// A value with its place, or the reason that it cannot be told.
pub(super) type Value<T> = Result<Setting<T>, Words>;

/// What the options of a line come to, with everything that was inherited.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) check: bool,
    pub(super) inter: Option<Value<f64>>,
    pub(super) fastinter: Option<Value<f64>>,
    pub(super) downinter: Option<Value<f64>>,
    pub(super) fall: Option<Value<u32>>,
    pub(super) rise: Option<Value<u32>>,
    pub(super) slowstart: Option<Value<f64>>,
    pub(super) port: Option<(String, Place)>,
    pub(super) addr: Option<(String, Place)>,
    pub(super) track: Option<String>,
    pub(super) ssl: bool,
    pub(super) check_ssl: bool,
    pub(super) disabled: bool,
    pub(super) backup: bool,
    /// Whether it begins as down, and gets traffic only once a probe has succeeded.
    pub(super) begins_down: bool,
    /// A variable stands where an option may stand, or an option that is not known here.
    pub(super) unclear: Option<Words>,
}

/// Options that take nothing, besides those that are read.
const ALONE: &[&str] = &[
    "agent-check",
    "allow-0rtt",
    "check-reuse-pool",
    "check-send-proxy",
    "check-sni-auto",
    "check-via-socks4",
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "no-agent-check",
    "no-check-reuse-pool",
    "no-check-send-proxy",
    "no-check-sni-auto",
    "no-force-sslv3",
    "no-force-tlsv10",
    "no-force-tlsv11",
    "no-force-tlsv12",
    "no-renegotiate",
    "no-send-proxy",
    "no-send-proxy-v2",
    "no-send-proxy-v2-ssl",
    "no-send-proxy-v2-ssl-cn",
    "no-sni-auto",
    "no-ssl-reuse",
    "no-sslv3",
    "no-tfo",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "no-verifyhost",
    "non-stick",
    "renegotiate",
    "send-proxy",
    "send-proxy-v2",
    "send-proxy-v2-ssl",
    "send-proxy-v2-ssl-cn",
    "sni-auto",
    "ssl-reuse",
    "sslv3",
    "stick",
    "strict-maxconn",
    "tfo",
    "tls-tickets",
    "tlsv10",
    "tlsv11",
    "tlsv12",
    "tlsv13",
];

/// Options that take one word, besides those that are read.
const WITH_ONE: &[&str] = &[
    "agent-addr",
    "agent-port",
    "agent-send",
    "alpn",
    "ca-file",
    "cc",
    "check-alpn",
    "check-pool-conn-name",
    "check-proto",
    "check-sni",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "cookie",
    "crl-file",
    "crt",
    "curves",
    "ecdhe",
    "error-limit",
    "guid",
    "hash-key",
    "healthcheck",
    "id",
    "idle-ping",
    "init-addr",
    "interface",
    "ktls",
    "log-bufsize",
    "log-proto",
    "max-reuse",
    "maxconn",
    "maxqueue",
    "minconn",
    "namespace",
    "npn",
    "observe",
    "on-error",
    "on-marked-down",
    "on-marked-up",
    "pool-conn-name",
    "pool-low-conn",
    "pool-max-conn",
    "pool-purge-delay",
    "proto",
    "proxy-v2-options",
    "quic-cc-algo",
    "redir",
    "resolve-net",
    "resolve-opts",
    "resolve-prefer",
    "resolvers",
    "set-proxy-v2-tlv-fmt",
    "shard",
    "sigalgs",
    "sni",
    "socks4",
    "source",
    "ssl-max-ver",
    "ssl-min-ver",
    "tcp-md5sig",
    "tcp-ut",
    "usesrc",
    "verify",
    "verifyhost",
    "weight",
    "ws",
];

impl Options {
    /// Takes the options that stand in `line` from the word `from` on. `subject` names whose they are.
    pub(super) fn take(&mut self, line: &Line<'_>, from: usize, subject: &str, notes: &mut Notes) {
        let mut words = line.words.iter().skip(from);
        while let Some(word) = words.next() {
            if let Some(name) = &word.unknown {
                // How many words the option takes is not known, so the line ends here.
                self.unclear = Some(depends_on(name));
                return;
            }
            // Some have an argument in brackets: set-proxy-v2-tlv-fmt(0x20).
            let option = word.text.split('(').next().unwrap_or_default();
            if self.take_alone(option) || ALONE.contains(&option) {
                continue;
            }
            let takes = is_read(option) || WITH_ONE.contains(&option);
            let Some(value) = words.next().filter(|_| takes) else {
                let why = if takes {
                    words!("{option} needs a value; HAProxy refuses this line", "{option} 缺少取值；HAProxy 会拒绝此行")
                } else {
                    words!(
                        "{option:?} is no option of a server that is known here; the rest of the line was not read",
                        "{option:?} 不是此处已知的 server 选项；该行其余部分未读取"
                    )
                };
                self.unclear = Some(why.clone());
                return notes.trouble(line, why);
            };
            self.take_value(option, value, line, subject, notes);
        }
    }

    fn take_alone(&mut self, option: &str) -> bool {
        match option {
            "check" => self.check = true,
            "no-check" => self.check = false,
            "ssl" => self.ssl = true,
            "no-ssl" => self.ssl = false,
            "check-ssl" => self.check_ssl = true,
            "no-check-ssl" => self.check_ssl = false,
            "disabled" => self.disabled = true,
            "enabled" => self.disabled = false,
            "backup" => self.backup = true,
            "no-backup" => self.backup = false,
            _ => return false,
        }
        true
    }

    fn take_value(&mut self, option: &str, value: &Word, line: &Line<'_>, subject: &str, notes: &mut Notes) {
        match option {
            "inter" => self.inter = Some(interval(option, value, line, subject, notes)),
            "fastinter" => self.fastinter = Some(interval(option, value, line, subject, notes)),
            "downinter" => self.downinter = Some(interval(option, value, line, subject, notes)),
            "slowstart" => self.slowstart = Some(time(option, value, line, subject, notes)),
            // It takes nobody out when it cannot be reached, so only its unit counts.
            "agent-inter" => drop(time(option, value, line, subject, notes)),
            "fall" => self.fall = Some(number(value, line, notes)),
            "rise" => self.rise = Some(number(value, line, notes)),
            "port" => self.port = Some((value.text.clone(), line.place())),
            "addr" => self.addr = Some((value.text.clone(), line.place())),
            "track" => self.track = Some(value.text.clone()),
            "init-state" => self.begins_down = value.text.ends_with("down"),
            _ => {}
        }
    }
}

fn is_read(option: &str) -> bool {
    matches!(
        option,
        "inter"
            | "fastinter"
            | "downinter"
            | "slowstart"
            | "agent-inter"
            | "fall"
            | "rise"
            | "port"
            | "addr"
            | "track"
            | "init-state"
    )
}

/// Why a value cannot be told.
pub(super) fn depends_on(name: &str) -> Words {
    words!(
        "it depends on the environment variable {name} of HAProxy, which cannot be told from files",
        "取决于 HAProxy 的环境变量 {name}，无法从文件得知"
    )
}

/// A time of a probe; one without a unit is noted.
pub(super) fn time(option: &str, value: &Word, line: &Line<'_>, subject: &str, notes: &mut Notes) -> Value<f64> {
    if let Some(name) = &value.unknown {
        return Err(depends_on(name));
    }
    let time = millis(&value.text).inspect_err(|why| notes.trouble(line, why.clone()))?;
    if time.bare {
        notes.bare_time(subject, option, time.millis, line);
    }
    Ok(Setting::at(time.secs(), line.place()))
}

/// A time that HAProxy wants above zero.
fn interval(option: &str, value: &Word, line: &Line<'_>, subject: &str, notes: &mut Notes) -> Value<f64> {
    let time = time(option, value, line, subject, notes)?;
    if time.value > 0.0 {
        return Ok(time);
    }
    let why =
        words!("{option} must be above zero; HAProxy refuses this line", "{option} 必须大于零；HAProxy 会拒绝此行");
    notes.trouble(line, why.clone());
    Err(why)
}

fn number(value: &Word, line: &Line<'_>, notes: &mut Notes) -> Value<u32> {
    if let Some(name) = &value.unknown {
        return Err(depends_on(name));
    }
    let number = count(&value.text).inspect_err(|why| notes.trouble(line, why.clone()))?;
    Ok(Setting::at(number, line.place()))
}
