// What client and holder say inside a sealed channel, as proto/src/session.rs: one message per record, `u8 type | body`.
//
// Offsets are absolute bytes since the shell began. Never: a message of another length than its type has.

import { type Bytes, concat, uint } from "./bytes";
import { id32 } from "./ids";
import { RECORD_DATA_BYTES_MAX } from "./limits";
import {
  bin,
  boolean,
  type Codec,
  list,
  oneOf,
  option,
  PackError,
  pack,
  struct,
  type TypeOf,
  text,
  u8,
  u16,
  u32,
  u64,
  unpack,
  variants,
} from "./pack";
import { told } from "./wire";

const SMALL_BYTES_MAX = 4 << 10;
/** Eight names of 128 characters, four bytes each, fit. */
const WATCHERS_BYTES_MAX = 8 << 10;
/** Types from this one on only inform: who does not know one reads on. All below must be understood. */
const INFORMATION = 0xc0;

/** Sealed inside the first handshake message: what the channel is to be. */
export const openRequest = struct({
  user: text,
  attach: boolean,
  abandoned: list(id32),
  term: text,
  lang: text,
  argv: list(bin),
});
export type OpenRequest = TypeOf<typeof openRequest>;

export const begin = struct({ out_from: u64, err_from: u64, cols: u16, rows: u16 });
export type Begin = TypeOf<typeof begin>;

export const welcome = struct({
  pid: u32,
  input_applied: u64,
  out_end: u64,
  err_end: u64,
  ends_in_secs: u64,
  notice: option(told),
});
export type Welcome = TypeOf<typeof welcome>;

export const exitStatus = variants({ code: u8, signal: u8, "not-started": told });
export type ExitStatus = TypeOf<typeof exitStatus>;

const FIN_REASONS = [
  "exited",
  "closed",
  "expired",
  "detached",
  "idle",
  "ended",
  "revoked",
  "taken-over",
  "compromised",
  "unknown",
] as const;
export type FinReason = (typeof FIN_REASONS)[number];
export const finReason: Codec<FinReason> = oneOf<FinReason>(FIN_REASONS, "unknown");

export const notice = struct({ ends_in_secs: u64 });
export const watchers = struct({ people: list(text) });

export type Stream = "out" | "err";

/** Client to holder. Commands' signals and end of input are not spoken by a terminal. */
export type ToHolder =
  | { readonly type: "begin"; readonly begin: Begin }
  | { readonly type: "input"; readonly offset: number; readonly data: Uint8Array }
  | { readonly type: "ack"; readonly out: number; readonly err: number }
  | { readonly type: "resize"; readonly cols: number; readonly rows: number }
  | { readonly type: "ping"; readonly number: number }
  | { readonly type: "close" }
  | { readonly type: "bye" }
  | { readonly type: "look"; readonly from: number; readonly last: number }
  | { readonly type: "end" };

/** Holder to client. */
export type ToClient =
  | { readonly type: "welcome"; readonly welcome: Welcome }
  | { readonly type: "output"; readonly stream: Stream; readonly offset: number; readonly data: Uint8Array }
  | { readonly type: "input-ack"; readonly offset: number }
  | { readonly type: "skipped"; readonly stream: Stream; readonly from: number; readonly to: number }
  | { readonly type: "exit"; readonly status: ExitStatus }
  | { readonly type: "notice"; readonly endsInSecs: number }
  | { readonly type: "pong"; readonly number: number }
  | { readonly type: "fin"; readonly reason: FinReason }
  | { readonly type: "size"; readonly cols: number; readonly rows: number }
  | { readonly type: "watchers"; readonly people: readonly string[] }
  /** Something that a newer holder tells and that may be left unread. */
  | { readonly type: "unknown"; readonly tag: number };

/** A record whose plain form is not a message of this version. */
export class SessionError extends Error {}

/** Writes a message. */
export function encode(message: ToHolder): Bytes {
  switch (message.type) {
    case "begin":
      return concat(Uint8Array.of(0x01), pack(begin, message.begin));
    case "input":
      return concat(Uint8Array.of(0x02), uint(message.offset, 8), message.data);
    case "ack":
      return concat(Uint8Array.of(0x03), uint(message.out, 8), uint(message.err, 8));
    case "resize":
      return concat(Uint8Array.of(0x04), uint(message.cols, 2), uint(message.rows, 2));
    case "ping":
      return concat(Uint8Array.of(0x07), uint(message.number, 8));
    case "close":
      return Uint8Array.of(0x08);
    case "bye":
      return Uint8Array.of(0x09);
    case "look":
      return concat(Uint8Array.of(0x0a), uint(message.from, 8), uint(message.last, 8));
    case "end":
      return Uint8Array.of(0x0b);
  }
}

/** Reads fixed fields behind the type. */
class Fields {
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  need(length: number): void {
    if (this.bytes.length < length) throw new SessionError("a session message ends too early");
  }

  exactly(length: number): void {
    this.need(length);
    if (this.bytes.length > length) throw new SessionError("trailing bytes");
  }

  u64(at: number): number {
    this.need(at + 8);
    const value = Number(this.view.getBigUint64(at));
    if (!Number.isSafeInteger(value)) throw new SessionError("an offset beyond all shells");
    return value;
  }

  stream(at: number): Stream {
    this.need(at + 1);
    const tag = this.view.getUint8(at);
    if (tag !== 1 && tag !== 2) throw new SessionError(`stream ${tag}`);
    return tag === 1 ? "out" : "err";
  }

  data(at: number): Uint8Array {
    this.need(at);
    const data = this.bytes.subarray(at);
    if (data.length > RECORD_DATA_BYTES_MAX) throw new SessionError("too much data in one record");
    return data;
  }

  u16(at: number): number {
    this.need(at + 2);
    return this.view.getUint16(at);
  }

  packed<T>(codec: Codec<T>, max = SMALL_BYTES_MAX): T {
    try {
      return unpack(codec, this.bytes.subarray(1), max);
    } catch (error) {
      throw error instanceof PackError ? new SessionError(error.why) : error;
    }
  }
}

/** Reads a message. Throws `SessionError`. */
export function decode(bytes: Uint8Array): ToClient {
  const fields = new Fields(bytes);
  fields.need(1);
  const [tag = 0] = bytes;
  switch (tag) {
    case 0x81:
      return { type: "welcome", welcome: fields.packed(welcome) };
    case 0x82:
      return { type: "output", stream: fields.stream(1), offset: fields.u64(2), data: fields.data(10) };
    case 0x83:
      fields.exactly(9);
      return { type: "input-ack", offset: fields.u64(1) };
    case 0x84:
      fields.exactly(18);
      return { type: "skipped", stream: fields.stream(1), from: fields.u64(2), to: fields.u64(10) };
    case 0x85:
      return { type: "exit", status: fields.packed(exitStatus) };
    case 0x86:
      return { type: "notice", endsInSecs: fields.packed(notice).ends_in_secs };
    case 0x87:
      fields.exactly(9);
      return { type: "pong", number: fields.u64(1) };
    case 0x88:
      return { type: "fin", reason: fields.packed(finReason) };
    case 0x89:
      fields.exactly(5);
      return { type: "size", cols: fields.u16(1), rows: fields.u16(3) };
    case INFORMATION:
      return { type: "watchers", people: fields.packed(watchers, WATCHERS_BYTES_MAX).people };
    default:
      if (tag > INFORMATION) return { type: "unknown", tag };
      throw new SessionError(`session message type ${tag} is unknown`);
  }
}
