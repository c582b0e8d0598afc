//! Why a tunnel's connection or a client's WebSocket was closed: numbers for programs, one sentence for people.
//!
//! Numbers are for ever; a peer that does not know one treats it like a lost connection.

macro_rules! codes {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
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
        }
    };
}

codes! {
    /// Application codes of a QUIC connection between tunnel and relay.
    TunnelClose {
        /// The other side is done.
        Done = 0, "closed";
        /// The relay does not know the tunnel's key.
        NotEnrolled = 1, "this relay does not know this server's key: it was never enrolled here, or was removed";
        /// The peer broke the protocol, or said nothing in time.
        Protocol = 2, "the greeting was malformed, out of order or too late";
        /// No common wire version.
        Version = 3, "no wire version that both sides speak";
        /// The same agent connected again; the newer connection counts.
        Replaced = 4, "the same server connected again";
        /// The agent was taken off the relay's list.
        Removed = 5, "this server was removed from the relay";
        /// The relay is going down; another one, or this one soon, will do.
        Restarting = 6, "the relay is restarting";
        /// This key connects more often than an agent ever needs to.
        TooOften = 7, "too many connections from this key; wait before the next one";
        /// The relay cannot read or write its database.
        Unavailable = 8, "the relay cannot reach its database; try again later";
        /// The peer was silent although it had to answer.
        Silent = 9, "no answer in time";
    }
}

codes! {
    /// Close codes of a client's sealed stream (WebSocket's private range).
    StreamClose {
        /// Both directions ended.
        Done = 1000, "done";
        /// The relay is going down.
        Restarting = 1012, "the relay is restarting; connect again";
        /// Text where only binary messages are spoken.
        Protocol = 4400, "only binary messages are spoken here";
        /// No tunnel of that agent at this relay.
        Unreachable = 4404, "the server's agent is not connected to this relay";
        /// The client was silent for too long.
        Silent = 4408, "nothing was heard from the client for 30 seconds";
        /// The tunnel went away while the stream was open.
        AgentGone = 4410, "the connection to the server's agent was lost; connect again to resume";
        /// The agent refused or reset the stream.
        AgentReset = 4411, "the server's agent ended the stream";
        /// The tunnel stands, but guard does not answer behind it.
        GuardAway = 4412, "the agent's guard is not running on the server: see its service there";
        /// Too many opens by this account.
        TooMany = 4429, "too many streams opened in the last minute; wait a moment";
        /// The tunnel has no room for one more stream.
        Busy = 4503, "the server's agent has no room for another stream";
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
        assert_eq!(stream, [1000, 1012, 4400, 4404, 4408, 4410, 4411, 4412, 4429, 4503]);
        for code in TunnelClose::ALL {
            assert_eq!(TunnelClose::from_number(u64::from(code.number())), Some(*code));
            assert!(code.text().len() <= 123);
        }
        for code in StreamClose::ALL {
            assert_eq!(StreamClose::from_number(u64::from(code.number())), Some(*code));
            assert!(code.text().len() <= 123);
        }
        assert_eq!(TunnelClose::from_number(77), None);
    }
}
