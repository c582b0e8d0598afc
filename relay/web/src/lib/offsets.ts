// Which bytes were typed and which arrived, by absolute offset, as relay/cli/src/channel/offsets.rs. Pure.
//
// Input stays here until the server says that it was applied, and is sent again after a reconnect. Output must continue
// where the last ended, or the gap must be named: anything else stops the session.

import { type Bytes, concat } from "./bytes";
import { INPUT_BUFFER_BYTES, OUTPUT_WINDOW_BYTES, RECORD_DATA_BYTES_MAX } from "./limits";
import type { Stream } from "./session";

/** What came does not continue what was there. */
export class Gap extends Error {}

/** Bytes typed that the server has not applied yet. */
export class Input {
  /** Offset of the first byte in `bytes`. */
  private base = 0;
  private bytes: Bytes = new Uint8Array(0);
  /** Offset after the last byte that was sent on this link. */
  private sent = 0;

  /** How many bytes may be added now. */
  room(): number {
    return INPUT_BUFFER_BYTES - this.bytes.length;
  }

  push(bytes: Uint8Array): void {
    this.bytes = concat(this.bytes, bytes);
  }

  /** Everything up to `offset` was applied. */
  applied(offset: number): void {
    const end = this.base + this.bytes.length;
    if (offset < this.base || offset > end) {
      throw new Gap(`input up to byte ${offset} was acknowledged, possible are ${this.base} to ${end}`);
    }
    this.bytes = this.bytes.slice(offset - this.base);
    this.base = offset;
    this.sent = Math.max(this.sent, offset);
  }

  /** A view of earlier typing begins: our first byte is number `offset`. */
  beginAt(offset: number): void {
    this.base = offset;
    this.sent = offset;
  }

  /** A new link: everything that was not applied is sent again. */
  rewind(): void {
    this.sent = this.base;
  }

  /** The next piece to send, with its offset. */
  next(): { offset: number; data: Bytes } | undefined {
    const from = this.sent - this.base;
    const data = this.bytes.slice(from, from + RECORD_DATA_BYTES_MAX);
    if (data.length === 0) return undefined;
    const offset = this.sent;
    this.sent += data.length;
    return { offset, data };
  }
}

/** A quarter of the server's window: acknowledged in time, with little chatter. */
const TELL_BYTES = OUTPUT_WINDOW_BYTES / 4;

type PerStream = Record<Stream, number>;

/** Bytes shown: how far each stream came, what was really drawn, and what the server was told. */
export class Output {
  private readonly received: PerStream;
  private readonly taken: PerStream;
  private told: PerStream = { out: 0, err: 0 };

  /** `from`: where this view begins. */
  constructor(from = 0) {
    this.received = { out: from, err: 0 };
    this.taken = { out: from, err: 0 };
  }

  /** Bytes `offset..offset + length` came. */
  arrived(stream: Stream, offset: number, length: number): void {
    const expected = this.received[stream];
    if (offset !== expected) throw new Gap(`output begins at byte ${offset}, expected ${expected}`);
    this.received[stream] = offset + length;
  }

  /** The server no longer has `from..to`. */
  skipped(stream: Stream, from: number, to: number): void {
    const expected = this.received[stream];
    if (from !== expected || to < from) throw new Gap(`output begins at byte ${from}, expected ${expected}`);
    this.received[stream] = to;
    this.taken[stream] += to - from;
  }

  /** `length` more bytes were really drawn. */
  took(stream: Stream, length: number): void {
    this.taken[stream] = Math.min(this.taken[stream] + length, this.received[stream]);
  }

  /** Output bytes that came and were not drawn. */
  undrawn(): number {
    return this.received.out - this.taken.out;
  }

  /** Next bytes wanted, per stream. */
  wanted(): Readonly<PerStream> {
    return { ...this.received };
  }

  /** What to tell the server, when it is worth a record, or when `now` anything is. */
  dueAck(now: boolean): Readonly<PerStream> | undefined {
    const behind = Math.max(this.taken.out - this.told.out, this.taken.err - this.told.err);
    if (behind < TELL_BYTES && !(now && behind > 0)) return undefined;
    this.told = { ...this.taken };
    return { ...this.told };
  }

  /** A new link: the server knows only what the first record says. */
  rewind(): void {
    this.told = { out: 0, err: 0 };
  }
}
