//! Why something was refused: one code, one sentence in each language, for the person who can act.
//!
//! The code travels; the sentence is made where it is read. Details that would help an attacker are not in it: they
//! stand in the host's audit.

use crate::told::Told;
use serde::{Deserialize, Serialize};

/// Languages of the texts for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl Language {
    /// From `LC_ALL`, `LC_MESSAGES` or `LANG`, in that order as POSIX has it; English unless it begins with `zh`.
    #[must_use]
    pub fn from_locale(lc_all: Option<&str>, lc_messages: Option<&str>, lang: Option<&str>) -> Self {
        let set = [lc_all, lc_messages, lang].into_iter().flatten().find(|value| !value.is_empty());
        if set.is_some_and(|value| value.starts_with("zh")) { Language::Zh } else { Language::En }
    }
}

/// Sent instead of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why.
    pub code: Refusal,
    /// A value that the sentence names (a user, a number, a file), or empty.
    #[serde(default)]
    pub detail: String,
    /// The same where it has words of its own: these are in the reader's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident, $id:literal, $en:literal, $zh:literal;)*) => {
        /// Reasons for a refusal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Refusal {
            $($(#[$doc])* #[serde(rename = $id)] $name,)*
            /// A reason of a newer peer.
            #[serde(other)]
            Unknown,
        }

        impl Refusal {
            /// All reasons that this build gives.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            /// The id that stands in audits and JSON.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Refusal::$name => $id,)* Refusal::Unknown => "unknown" }
            }

            fn template(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Refusal::$name, Language::En) => $en, (Refusal::$name, Language::Zh) => $zh,)*
                    (Refusal::Unknown, Language::En) => "The server refused for a reason that this client does not know. Update the client.",
                    (Refusal::Unknown, Language::Zh) => "服务器因本客户端未知的原因拒绝。请更新客户端。",
                }
            }
        }
    };
}

refusals! {
    /// No rule allows any of the checks that were asked for.
    ChecksNotAllowed, "checks-not-allowed",
        "This server's ceiling allows none of these checks from afar. The customer can add a rule with scope = \"checks\", or run `cloud-doctor-agent check` there.",
        "此服务器的权限上限不允许远程运行这些检查。客户可添加 scope = \"checks\" 的规则，或在该服务器上运行 `cloud-doctor-agent check`。";
    /// The last run is too recent, or still goes on.
    ChecksTooOften, "checks-too-often",
        "This server ran checks a moment ago. Ask again in {} s.",
        "此服务器刚刚运行过检查。请在 {} 秒后重试。";
    /// The run could not be started, or did not end.
    ChecksFailed, "checks-failed",
        "The checks could not be run on this server: {}",
        "无法在此服务器上运行检查：{}";
    /// No rule allows metrics, or not at this hour.
    MetricsNotAllowed, "metrics-not-allowed",
        "This server's ceiling allows no metrics to be shown now. The customer can add a rule with scope = \"metrics\".",
        "此服务器的权限上限目前不允许显示指标。客户可添加 scope = \"metrics\" 的规则。";
    /// The last look at processes is too recent.
    ProcessesTooOften, "processes-too-often",
        "This server's processes were looked at a moment ago. Ask again in {} s.",
        "刚刚查看过此服务器的进程。请在 {} 秒后重试。";
    /// The look could not be started, or did not end.
    ProcessesFailed, "processes-failed",
        "The processes of this server could not be looked at: {}",
        "无法查看此服务器的进程：{}";
    /// The last look at what happened is too recent.
    EventsTooOften, "events-too-often",
        "What happened on this server was looked up a moment ago. Ask again in {} s.",
        "刚刚查询过此服务器上发生的事件。请在 {} 秒后重试。";
    /// The look could not be started, or did not end.
    EventsFailed, "events-failed",
        "What happened on this server could not be looked up: {}",
        "无法查询此服务器上发生的事件：{}";
    /// The pinned log, ceiling or identity cannot be read.
    TrustBroken, "trust-broken",
        "The server's own trust files are damaged, so it trusts nobody. Ask the customer to run `cloud-doctor-agent status` there. {}",
        "服务器上的信任文件已损坏，因此不信任任何人。请客户在该服务器上运行 `cloud-doctor-agent status`。{}";
    /// Locked down by root.
    Lockdown, "lockdown",
        "The customer has locked this server down. Only root on the server can undo it: `cloud-doctor-agent lockdown --undo`.",
        "客户已锁定此服务器。只有服务器上的 root 可以解除：`cloud-doctor-agent lockdown --undo`。";
    /// Bytes that are no message.
    Malformed, "malformed",
        "The server could not read the request. Update the client. {}",
        "服务器无法解析请求。请更新客户端。{}";
    /// Version ranges that do not meet.
    Version, "version",
        "Client and server have no protocol version in common. Update the older one. {}",
        "客户端与服务器没有共同的协议版本。请更新较旧的一方。{}";
    /// Too many challenges.
    Busy, "busy",
        "The server gets too many requests right now. Try again in a few seconds.",
        "服务器当前请求过多。请几秒后重试。";
    /// Challenge unknown, used or too old.
    Challenge, "challenge",
        "The server's challenge was already used or is too old. Try again.",
        "服务器的质询已被使用或已过期。请重试。";
    /// Grant for another server or customer.
    OtherServer, "other-server",
        "The grant was made for another server or customer.",
        "该授权是为另一台服务器或另一个客户签发的。";
    /// Engineer not in the log.
    UnknownEngineer, "unknown-engineer",
        "Your key is not in this customer's trust log. Ask the customer to run: cloud-doctor tenant engineer add. {}",
        "您的密钥不在该客户的信任日志中。请客户运行：cloud-doctor tenant engineer add。{}";
    /// Engineer's key past its date.
    ExpiredEngineer, "expired-engineer",
        "By this server's clock your key is past its last day. Ask the customer to renew it, or to set the server's clock. {}",
        "按此服务器的时钟，您的密钥已过期。请客户续期，或校准服务器时钟。{}";
    /// Signature does not verify.
    Signature, "signature",
        "The signature under the grant does not verify. Nothing was started.",
        "授权上的签名验证失败。未启动任何内容。";
    /// Scope or user beyond the ceiling.
    Ceiling, "ceiling",
        "The customer's ceiling on this server does not allow that: {}. Only root there can change /etc/cloud-doctor/ceiling.toml.",
        "该服务器上客户设置的权限上限不允许此操作：{}。只有该服务器的 root 可以修改 /etc/cloud-doctor/ceiling.toml。";
    /// Beyond the tenant's policy.
    Policy, "policy",
        "The customer's policy does not allow that: {}.",
        "客户的策略不允许此操作：{}。";
    /// Outside the allowed hours.
    Hours, "hours",
        "The customer allows that only at certain hours: {}.",
        "客户只允许在特定时段进行此操作：{}。";
    /// Asked for more time than allowed.
    TooLong, "too-long",
        "The customer allows visits of at most {} here. Ask for less time.",
        "客户在此只允许最长 {} 的远程协助。请缩短时长。";
    /// Kind of signer not accepted.
    SignerKind, "signer-kind",
        "The customer does not accept this kind of signature here: {}.",
        "客户在此不接受这种签名方式：{}。";
    /// Second signature by the same key or person.
    SamePerson, "same-person",
        "The second signature must come from another key and another person.",
        "第二个签名必须来自另一把密钥和另一个人。";
    /// Second signature not valid.
    SecondSignature, "second-signature",
        "The second signature does not verify or its key may not approve. {}",
        "第二个签名验证失败，或其密钥无批准权限。{}";
    /// Denied by the customer.
    Denied, "denied",
        "The customer said no.",
        "客户已拒绝。";
    /// Nobody approved in time.
    NoAnswer, "no-answer",
        "Nobody gave the second signature in time. Ask the customer and try again.",
        "未在限定时间内获得第二个签名。请联系客户后重试。";
    /// The client knows a newer log than guard and did not send it.
    StaleLog, "stale-log",
        "The server's copy of the trust log is older than yours and could not be brought up to date. Try again. {}",
        "服务器上的信任日志比您的旧，且无法更新。请重试。{}";
    /// Log entries that do not continue the pinned log.
    LogFork, "log-fork",
        "The trust log that was sent does not continue the one that this server has pinned. Somebody may be forging it; tell the customer.",
        "收到的信任日志与此服务器固定的日志不连续，可能有人伪造。请告知客户。";
    /// No such visit, or over.
    NoVisit, "no-visit",
        "This visit is over or unknown to the server. Open a new one.",
        "该远程协助已结束或服务器不认识。请重新发起。";
    /// No such channel, or not this engineer's.
    NoChannel, "no-channel",
        "This shell is over or is not yours.",
        "该会话已结束或不属于您。";
    /// The sealed handshake fails.
    Handshake, "handshake",
        "The sealed channel's handshake failed: it was changed on the way, replayed, or made with other keys. Nothing was started.",
        "加密通道握手失败：数据在途中被更改、被重放，或使用了其他密钥。未启动任何内容。";
    /// A dead resume secret.
    Compromised, "compromised",
        "A secret of this visit that was already replaced came back: somebody may have a copy. The visit was ended and the customer's audit says so.",
        "此次远程协助中已失效的密钥再次出现，可能有人持有副本。远程协助已结束，并已记入客户的审计日志。";
    /// Too many shells.
    TooMany, "too-many",
        "This server already runs as many shells as it may ({}). End one: cloud-doctor sessions.",
        "此服务器运行的会话已达上限（{}）。请先结束一个：cloud-doctor sessions。";
    /// An approver's key under a grant that does more than look.
    ApproverScope, "approver-scope",
        "An approver's key may watch and read the audit; shells and commands take an engineer's key. Nothing was started.",
        "审批人的密钥只可用于旁观和读取审计日志；打开会话或运行命令需要工程师的密钥。未启动任何内容。";
    /// A shell that has as many watchers as it may.
    Watched, "watched",
        "This shell already has as many watchers as it may ({}). One of them must leave first.",
        "此会话的旁观者已达上限（{}）。请先让其中一人离开。";
    /// User unknown on the host.
    NoUser, "no-user",
        "The server has no user {}.",
        "服务器上没有用户 {}。";
    /// Audit cannot be written.
    AuditFull, "audit-full",
        "The server cannot write its audit log, so it opens nothing. Free some space there: {}.",
        "服务器无法写入审计日志，因此不开放任何会话。请在该服务器上释放空间：{}。";
    /// Audit cannot be read.
    AuditUnread, "audit-unread",
        "The server cannot read its audit log: {}.",
        "服务器无法读取审计日志：{}。";
    /// Holder could not be started.
    NotStarted, "not-started",
        "The server could not start the shell: {}.",
        "服务器无法启动会话：{}。";
    /// Guard cannot be reached by the tunnel.
    GuardAway, "guard-away",
        "The agent's guard is not running on the server. It usually returns within seconds; otherwise ask the customer to run: systemctl status cloud-doctor-guard.",
        "服务器上的 guard 未运行。通常几秒内恢复；否则请客户运行：systemctl status cloud-doctor-guard。";
}

impl Refusal {
    /// With a value for the sentence.
    #[must_use]
    pub fn with(self, detail: impl Into<String>) -> Refused {
        Refused { code: self, detail: detail.into(), told: None }
    }

    /// With words for the sentence.
    #[must_use]
    pub fn telling(self, told: Told) -> Refused {
        Refused { code: self, detail: told.to_string(), told: Some(told) }
    }
}

impl From<Refusal> for Refused {
    fn from(code: Refusal) -> Self {
        code.with("")
    }
}

impl Refused {
    /// The sentence in a language. Control characters of the detail are shown as escapes.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        let detail = match &self.told {
            Some(told) => told.text(language),
            None => one_line(&self.detail, 300),
        };
        self.code.template(language).replace("{}", &detail).trim_end().to_owned()
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text(Language::En))
    }
}

impl std::error::Error for Refused {}

/// A character that moves the cursor, turns the direction of text, or takes no place: nobody sees it in a name.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    // Zero width, line and paragraph separators, directions, joiners and isolates, the byte order mark.
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A character as it may be shown to a person: controls and text-direction marks become visible escapes.
pub fn printable(c: char) -> impl Iterator<Item = char> {
    let hidden = is_hidden(c);
    let escaped = if hidden { Some(c.escape_unicode()) } else { None };
    escaped.into_iter().flatten().chain((!hidden).then_some(c))
}

/// A stranger's text made safe for one line of a screen or log (COD-08, AUD-10).
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).flat_map(printable).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_reason_has_two_languages_and_survives_the_wire() {
        for code in Refusal::ALL {
            let refused = code.with("x");
            let (en, zh) = (refused.text(Language::En), refused.text(Language::Zh));
            assert!(en.is_ascii() && !zh.is_ascii(), "{en} / {zh}");
            assert_eq!(code.template(Language::En).contains("{}"), code.template(Language::Zh).contains("{}"), "{en}");
            let bytes = crate::pack::to_bytes(&refused);
            assert_eq!(crate::pack::from_bytes::<Refused>(&bytes, 1000).unwrap(), refused);
        }
        let newer = crate::pack::to_bytes(&std::collections::BTreeMap::from([("code", "moonlight")]));
        assert_eq!(crate::pack::from_bytes::<Refused>(&newer, 100).unwrap().code, Refusal::Unknown);
    }

    #[test]
    fn cod_08_aud_10_details_cannot_draw_on_the_screen() {
        let text = Refusal::NoUser.with("a\x1b[31m\r\n\u{202e}b").text(Language::En);
        assert_eq!(text, "The server has no user a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}b.");
        assert_eq!(one_line("héllo 世界", 5), "héllo");
    }

    #[test]
    fn languages() {
        assert_eq!(Language::from_locale(Some(""), None, Some("zh_CN.UTF-8")), Language::Zh);
        assert_eq!(Language::from_locale(Some("C"), None, Some("zh_CN.UTF-8")), Language::En);
        assert_eq!(Language::from_locale(None, None, None), Language::En);
    }
}
