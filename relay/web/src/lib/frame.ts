// Frames: `u32 length of body | u16 kind | u8 flags | body`, big endian, as proto/src/frame.rs.
//
// A reader checks the length against the kind's limit before it waits for the body. Unknown kinds are skipped unless
// they must be understood. Never: a number used twice.

import { type Bytes, concat } from "./bytes";
import { CONTROL_BYTES_MAX, FRAME_HEADER_BYTES, GREETING_BYTES_MAX, RECORD_BYTES_MAX } from "./limits";
import { type Codec, pack } from "./pack";

/** Kinds that this client says or hears. A relay pipes no others. */
export const Kind = {
  ChallengeRequest: 0x0101,
  Challenge: 0x0102,
  OpenVisit: 0x0103,
  VisitOpened: 0x0104,
  NeedSecond: 0x0105,
  Second: 0x0106,
  Refused: 0x0107,
  OpenChannel: 0x0108,
  ChannelReply: 0x0109,
  Record: 0x010a,
  MetricsSeries: 0x0303,
  MetricsSample: 0x0304,
  MetricsRange: 0x0305,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

const BYTES_MAX: Readonly<Record<Kind, number>> = {
  [Kind.ChallengeRequest]: GREETING_BYTES_MAX,
  [Kind.Challenge]: CONTROL_BYTES_MAX,
  [Kind.OpenVisit]: CONTROL_BYTES_MAX,
  [Kind.VisitOpened]: GREETING_BYTES_MAX,
  [Kind.NeedSecond]: GREETING_BYTES_MAX,
  [Kind.Second]: GREETING_BYTES_MAX,
  [Kind.Refused]: GREETING_BYTES_MAX,
  [Kind.OpenChannel]: GREETING_BYTES_MAX,
  [Kind.ChannelReply]: GREETING_BYTES_MAX,
  [Kind.Record]: RECORD_BYTES_MAX,
  [Kind.MetricsSeries]: CONTROL_BYTES_MAX,
  [Kind.MetricsSample]: GREETING_BYTES_MAX,
  [Kind.MetricsRange]: GREETING_BYTES_MAX,
};

const MUST_UNDERSTAND = 1;

export interface Frame {
  readonly kind: Kind;
  readonly body: Bytes;
}

/** The peer broke the framing; the stream is of no further use. */
export class FrameError extends Error {}

/** The kind with this number, if this build knows it. */
export function kindOf(number: number): Kind | undefined {
  return Object.values(Kind).find((kind) => kind === number);
}

/** A kind's name, for people. */
export function kindName(kind: Kind): string {
  return Object.entries(Kind).find(([, number]) => number === kind)?.[0] ?? String(kind);
}

/** Largest body of a kind. */
export function bytesMax(kind: Kind): number {
  return BYTES_MAX[kind];
}

/** A frame as bytes. */
export function encode(kind: Kind, body: Uint8Array): Bytes {
  if (body.length > BYTES_MAX[kind]) throw new FrameError(`${kindName(kind)} of ${body.length} bytes`);
  const head = new Uint8Array(FRAME_HEADER_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(0, body.length);
  view.setUint16(4, kind);
  return concat(head, body);
}

/** A control message as a frame. */
export function message<T>(kind: Kind, codec: Codec<T>, value: T): Bytes {
  return encode(kind, pack(codec, value));
}

/**
 * Cuts a byte stream into frames, whatever the pieces it arrives in. Holds at most one incomplete frame and a piece. Frames are
 * views of the pieces, which must not change any more.
 */
export class Decoder {
  private buffer: Bytes = new Uint8Array(0);
  private start = 0;
  /** What came behind an incomplete frame: joined once, when that is whole. */
  private behind: Bytes[] = [];
  private behindBytes = 0;

  push(bytes: Bytes): void {
    if (this.start === this.buffer.length && this.behindBytes === 0) {
      [this.buffer, this.start] = [bytes, 0];
      return;
    }
    this.behind.push(bytes);
    this.behindBytes += bytes.length;
  }

  /** Whether so many bytes are here, then as one. */
  private holds(length: number): boolean {
    const here = this.buffer.length - this.start;
    if (here >= length) return true;
    if (here + this.behindBytes < length) return false;
    this.buffer = concat(this.buffer.subarray(this.start), ...this.behind);
    [this.start, this.behind, this.behindBytes] = [0, [], 0];
    return true;
  }

  /** The next whole frame of a known kind, if there is one. */
  next(): Frame | undefined {
    for (;;) {
      const head = this.header();
      if (head === undefined) return undefined;
      const length = FRAME_HEADER_BYTES + head.length;
      if (!this.holds(length)) return undefined;
      const body = this.buffer.subarray(this.start + FRAME_HEADER_BYTES, this.start + length);
      this.start += length;
      if (head.kind !== undefined) return { kind: head.kind, body };
    }
  }

  /** The next frame's header, checked: nothing is waited for that may not be read. */
  private header(): { length: number; kind: Kind | undefined } | undefined {
    if (!this.holds(FRAME_HEADER_BYTES)) return undefined;
    const view = new DataView(this.buffer.buffer, this.buffer.byteOffset + this.start, FRAME_HEADER_BYTES);
    const [length, number, flags] = [view.getUint32(0), view.getUint16(4), view.getUint8(6)];
    const kind = kindOf(number);
    const max = kind === undefined ? CONTROL_BYTES_MAX : BYTES_MAX[kind];
    if (length > max) throw new FrameError(`frame ${number} announces ${length} bytes`);
    if (kind === undefined && (flags & MUST_UNDERSTAND) !== 0)
      throw new FrameError(`frame ${number} is unknown`);
    return { length, kind };
  }
}
