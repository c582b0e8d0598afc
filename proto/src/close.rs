//! Why a tunnel's connection or a client's WebSocket was closed: numbers for programs, one sentence for people.
//!
//! Numbers are for ever; a peer that does not know one treats it like a lost connection.

use crate::refusal::Language;

macro_rules! codes {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal, $zh:literal;)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The one with this number, if this build knows it.
            #[must_use]
            pub fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some($name::$variant),)* _ => None }
            }

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                self as u16
            }

            /// What happened, in a sentence for a log or a terminal; fits a WebSocket close frame (123 bytes).
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The same in a language, as part of a sentence for a person.
            #[must_use]
            pub fn text_in(self, language: Language) -> &'static str {
                match (self, language) {
                    $(($name::$variant, Language::En) => $text, ($name::$variant, Language::Zh) => $zh,)*
                }
            }
        }
    };
}

codes! {
    /// Application codes of a QUIC connection between tunnel and relay.
    TunnelClose {
        /// The other side is done.
        Done = 0, "closed",
            "已关闭";
        /// The relay does not know the tunnel's key.
        NotEnrolled = 1, "this relay does not know this server's key: it was never enrolled here, or was removed",
            "此中继不认识该服务器的密钥：从未在此接入，或已被移除";
        /// The peer broke the protocol, or said nothing in time.
        Protocol = 2, "the greeting was malformed, out of order or too late",
            "握手消息格式不对、顺序不对或太迟";
        /// No common wire version.
        Version = 3, "no wire version that both sides speak",
            "双方没有共同的协议版本";
        /// The same agent connected again; the newer connection counts.
        Replaced = 4, "the same server connected again",
            "同一台服务器重新连接";
        /// The agent was taken off the relay's list.
        Removed = 5, "this server was removed from the relay",
            "该服务器已从中继移除";
        /// The relay is going down; another one, or this one soon, will do.
        Restarting = 6, "the relay is restarting",
            "中继正在重启";
        /// This key connects more often than an agent ever needs to.
        TooOften = 7, "too many connections from this key; wait before the next one",
            "此密钥的连接过多；请稍后再连";
        /// The relay cannot read or write its database.
        Unavailable = 8, "the relay cannot reach its database; try again later",
            "中继无法访问其数据库；请稍后重试";
        /// The peer was silent although it had to answer.
        Silent = 9, "no answer in time",
            "未及时应答";
    }
}

codes! {
    /// Close codes of a client's sealed stream (WebSocket's private range).
    StreamClose {
        /// Both directions ended.
        Done = 1000, "done",
            "已完成";
        /// The relay is going down.
        Restarting = 1012, "the relay is restarting; connect again",
            "中继正在重启；请重新连接";
        /// Text where only binary messages are spoken.
        Protocol = 4400, "only binary messages are spoken here",
            "此处只接受二进制消息";
        /// No tunnel of that agent at this relay.
        Unreachable = 4404, "the server's agent is not connected to this relay",
            "该服务器的 Agent 未连接到此中继";
        /// The client was silent for too long.
        Silent = 4408, "nothing was heard from the client for 30 seconds",
            "30 秒内未收到客户端消息";
        /// Somebody who may has ended this stream at the relay. Coming back by itself would only undo it.
        Cut = 4409, "this account or an admin of the relay has ended the stream",
            "此账号或中继管理员结束了此数据流";
        /// The tunnel went away while the stream was open.
        AgentGone = 4410, "the connection to the server's agent was lost; connect again to resume",
            "与服务器 Agent 的连接中断；重新连接即可继续";
        /// The agent refused or reset the stream.
        AgentReset = 4411, "the server's agent ended the stream",
            "服务器的 Agent 结束了数据流";
        /// The tunnel stands, but guard does not answer behind it.
        GuardAway = 4412, "the agent's guard is not running on the server: see its service there",
            "服务器上的 guard 未运行：请查看其服务状态";
        /// Too many opens by this account.
        TooMany = 4429, "too many streams opened in the last minute; wait a moment",
            "过去一分钟打开的数据流过多；请稍候";
        /// The tunnel has no room for one more stream.
        Busy = 4503, "the server's agent has no room for another stream",
            "服务器的 Agent 已无余量打开新的数据流";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_ever_and_texts_fit() {
        let tunnel: Vec<u16> = TunnelClose::ALL.iter().map(|c| c.number()).collect();
        assert_eq!(tunnel, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let stream: Vec<u16> = StreamClose::ALL.iter().map(|c| c.number()).collect();
        assert_eq!(stream, [1000, 1012, 4400, 4404, 4408, 4409, 4410, 4411, 4412, 4429, 4503]);
        for code in TunnelClose::ALL {
            assert_eq!(TunnelClose::from_number(u64::from(code.number())), Some(*code));
            assert!(code.text().len() <= 123 && !code.text_in(Language::Zh).is_ascii());
        }
        for code in StreamClose::ALL {
            assert_eq!(StreamClose::from_number(u64::from(code.number())), Some(*code));
            assert!(code.text().len() <= 123 && !code.text_in(Language::Zh).is_ascii());
        }
        assert_eq!(TunnelClose::from_number(77), None);
    }
}
