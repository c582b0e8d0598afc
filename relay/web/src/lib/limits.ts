// Numbers of the wire, as in proto/src/limits.rs; a test compares them. Never: a number that Rust has otherwise.

export const PROTO_VERSION = 1;
export const PROTO_VERSION_MIN = 1;
export const WS_PROTOCOL = "cloud-doctor.v1";

export const FRAME_HEADER_BYTES = 7;
export const CONTROL_BYTES_MAX = 1 << 20;
export const GREETING_BYTES_MAX = 64 << 10;
export const RECORD_BYTES_MAX = 65_535;
export const RECORD_DATA_BYTES_MAX = 16 << 10;

/** MessagePack nesting; the deepest structure has five levels. */
export const PACK_DEPTH_MAX = 16;

export const GRANT_BYTES_MAX = 16 << 10;
export const CHALLENGE_BYTES_MAX = 4 << 10;
export const SIGNATURE_BYTES_MAX = 2 << 10;
export const ENTRY_BYTES_MAX = 4 << 10;
export const ENTRIES_MAX = 10_000;
export const ENTRIES_PAGE = 100;

export const NAME_CHARS_MAX = 128;
export const REASON_CHARS_MAX = 500;

export const VISIT_SECS_MAX = 8 * 3600;
export const ENGINEER_DAYS_MAX = 90;
export const AHEAD_SECS_MAX = 86_400;
export const AHEAD_START_SECS_MAX = 7 * 86_400;
export const AHEAD_SCOPES_MAX = 8;
export const AHEAD_MAX = 64;
export const BATCH_SECS_MAX = 7 * 86_400;
export const BATCH_USES_MAX = 10_000;

export const WATCH_TAIL_BYTES = 256 << 10;
export const AUDIT_PAGE_BYTES = 48 << 10;

export const OUTPUT_WINDOW_BYTES = 1 << 20;
export const INPUT_BUFFER_BYTES = 256 << 10;
export const ABANDONED_MAX = 256;

export const SERIES_MAX = 2_000;
export const SERIES_PAGE = 500;
export const ATTRIBUTES_MAX = 4;
export const POINTS_MAX = 4_096;
export const PROCESSES_MAX = 200;

export const EVENTS_MAX = 500;
export const EVENT_NAMES_MAX = 8;
export const EVENTS_SECS_MAX = 7 * 86_400;
