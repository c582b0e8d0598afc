//! Every number of the wire, with its reason. A limit is checked before anything is allocated.

/// Wire version spoken by this build; the ALPN carries the major version.
pub const PROTO_VERSION: u16 = 1;
/// Oldest version that this build still speaks.
pub const PROTO_VERSION_MIN: u16 = 1;
/// ALPN of an enrolled tunnel.
pub const ALPN_TUNNEL: &[u8] = b"cloud-doctor/1";
/// ALPN of a first contact with a token: the peer's key is unknown yet.
pub const ALPN_ENROL: &[u8] = b"cloud-doctor-enrol/1";
/// WebSocket subprotocol of a client's sealed stream.
pub const WS_PROTOCOL: &str = "cloud-doctor.v1";

/// Bytes before a frame's body: `u32 length | u16 kind | u8 flags`.
pub const FRAME_HEADER_BYTES: usize = 7;
/// A control frame: a trust-log page is the largest thing in one.
pub const CONTROL_BYTES_MAX: usize = 1 << 20;
/// What a peer that has proved nothing may make us hold.
pub const GREETING_BYTES_MAX: usize = 64 << 10;
/// One sealed record: the largest Noise message.
pub const RECORD_BYTES_MAX: usize = 65_535;
/// Payload of one record: 16 KiB keeps a key stroke behind at most one record of bulk output.
pub const RECORD_DATA_BYTES_MAX: usize = 16 << 10;
/// MessagePack nesting: our deepest structure has five levels.
pub const PACK_DEPTH_MAX: usize = 16;

/// A signed grant: twenty scopes with paths fit.
pub const GRANT_BYTES_MAX: usize = 16 << 10;
/// A signed challenge.
pub const CHALLENGE_BYTES_MAX: usize = 4 << 10;
/// An SSHSIG: an Ed25519 one has about 200 bytes, a hardware key's about 300.
pub const SIGNATURE_BYTES_MAX: usize = 2 << 10;
/// One entry of the trust log.
pub const ENTRY_BYTES_MAX: usize = 4 << 10;
/// Entries of a trust log.
pub const ENTRIES_MAX: usize = 10_000;
/// Entries in one page on the wire: 100 of the largest stay below [`CONTROL_BYTES_MAX`].
pub const ENTRIES_PAGE: usize = 100;
/// The ceiling file.
pub const CEILING_BYTES_MAX: usize = 64 << 10;

/// Names of people, servers, reasons: what fits on a line.
pub const NAME_CHARS_MAX: usize = 128;
/// A reason for a visit.
pub const REASON_CHARS_MAX: usize = 500;
/// Arguments of `exec`, in bytes together: below `ARG_MAX` with room for the environment.
pub const ARGV_BYTES_MAX: usize = 48 << 10;

/// Each half of a code for help without an account: 40 bits are read over the phone in eight letters, and a relay that
/// takes 20 tries per second and address lets nobody find one within its half hour.
pub const GUEST_CODE_BYTES: usize = 5;
/// A code that nobody used counts no longer after this time: somebody is on the phone.
pub const GUEST_CODE_SECS: u64 = 30 * 60;
/// Scopes of a guest's grant: shells and commands as two users.
pub const GUEST_SCOPES_MAX: usize = 4;
/// Longest user name in one: what Linux takes for a name.
pub const GUEST_USER_CHARS_MAX: usize = 32;
/// A guest's shell without a view ends after this time: nobody else will look after it.
pub const GUEST_DETACHED_SECS: u64 = 5 * 60;

/// A challenge must be answered within this time.
pub const CHALLENGE_TTL_SECS: u64 = 600;
/// Challenges outstanding at once.
pub const CHALLENGES_MAX: usize = 64;
/// Challenges handed out per second.
pub const CHALLENGES_PER_SEC: u32 = 5;
/// Burst of challenges: one engineer opening a window with tabs.
pub const CHALLENGES_BURST: u32 = 20;
/// Longest visit that a grant may ask for: a working day.
pub const VISIT_SECS_MAX: u64 = 8 * 3600;
/// Length of a visit when nobody says otherwise.
pub const VISIT_SECS_DEFAULT: u64 = 3600;
/// Shells and commands alive on one server (PTY-13).
pub const CHANNELS_MAX: usize = 16;
/// Grants waiting for a second signature.
pub const PENDING_MAX: usize = 16;
/// An engineer's key must be renewed after this many days.
pub const ENGINEER_DAYS_MAX: u64 = 90;
/// A second signature ahead counts for at most a night: a touch by deceit must not be worth more.
pub const AHEAD_SECS_MAX: u64 = 86_400;
/// It begins within a week: nobody remembers what was signed before.
pub const AHEAD_START_SECS_MAX: u64 = 7 * 86_400;
/// Kinds of access in one.
pub const AHEAD_SCOPES_MAX: usize = 8;
/// Signed ahead at once: more is nobody's overview, and the log never shrinks.
pub const AHEAD_MAX: usize = 64;
/// An enrolment batch lives at most this long.
pub const BATCH_SECS_MAX: u64 = 7 * 86_400;
/// Servers that one batch may enrol.
pub const BATCH_USES_MAX: u32 = 10_000;

/// Watchers of one shell at once: a customer's team. Each costs the holder a view's buffers.
pub const WATCHERS_MAX: usize = 8;
/// A watcher is shown at most this much of what was said before it came: some screens, drawn at once.
pub const WATCH_TAIL_BYTES: u64 = 256 << 10;
/// One page of the host's audit: with its answer's other fields it fits the largest Noise message.
pub const AUDIT_PAGE_BYTES: usize = 48 << 10;
/// A sealed answer of guard: the largest Noise message less its keys, tags and the frame around it.
pub const ANSWER_BYTES_MAX: usize = 64_000;

/// Bytes of output that a shell keeps for views that come back.
pub const BYTE_LOG_BYTES: usize = 8 << 20;
/// Unacknowledged output before the holder stops reading the PTY.
pub const OUTPUT_WINDOW_BYTES: u64 = 1 << 20;
/// Input accepted but not yet taken by the program.
pub const INPUT_BUFFER_BYTES: usize = 256 << 10;
/// A shell without a view ends after this time.
pub const DETACHED_SECS_DEFAULT: u64 = 15 * 60;
/// Terminal sizes are clamped to these (PTY-03).
pub const COLS: (u16, u16) = (2, 500);
/// See [`COLS`].
pub const ROWS: (u16, u16) = (2, 200);
/// Unanswered handshakes that a client names when it comes back: fifteen minutes of tries, some seconds apart.
pub const ABANDONED_MAX: usize = 256;
/// Handshakes of one visit that a holder remembers, so that none is replayed: one every two seconds for eight hours, in
/// half a megabyte. Beyond it the visit is resumed no more; a new one is.
pub const HANDSHAKES_SEEN_MAX: usize = 16_384;
/// Dead resume secrets that a holder remembers, to tell a thief from noise.
pub const DEAD_SECRETS_MAX: usize = 64;

/// What happened on a host is told for a week: what a report looks back, and what logs are usually kept for.
pub const EVENTS_SECS_MAX: u64 = 7 * 86_400;

/// A tunnel's idle time-out.
pub const TUNNEL_IDLE_SECS: u64 = 30;
/// The agent's keep-alive: below usual NAT time-outs for UDP, thrice per idle time-out.
pub const TUNNEL_KEEP_ALIVE_SECS: u64 = 10;
