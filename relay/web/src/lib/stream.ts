// A pipe to a server through the relay: binary WebSocket messages turned into frames, and back. The only file with a socket.
//
// Boundaries of messages mean nothing. A WebSocket has no half-close, so an empty binary message says "this direction is
// over". What a server sends is bounded by its window, what waits to be sent by `hasRoom`. Never: an unbounded queue.

import * as api from "./api";
import type { Bytes } from "./bytes";
import { ConsoleError, type MessageId } from "./errors";
import { Decoder, type Frame, FrameError } from "./frame";
import { WS_PROTOCOL } from "./limits";
import { outside } from "./outside";

/** One message towards the relay, which takes at most 64 KiB in a frame. */
const PIECE_BYTES = 32 << 10;
/** Bytes that may wait to be sent before bulk has to wait too. */
const WAITING_BYTES = 128 << 10;
/** Frames that nobody has taken: a server sends no more than its window of 1 MiB. */
const QUEUE_BYTES_MAX = 4 << 20;
const OPEN_MS = 10_000;

/** Close codes of a client's stream, as proto/src/close.rs; others are a lost connection. */
const CODES = [1000, 1012, 4400, 4404, 4408, 4409, 4410, 4411, 4412, 4429, 4503] as const;
/** What another try would not help, or would only undo. */
const FOR_GOOD: readonly number[] = [4400, 4409];

/** The stream is no more. `mayPass`: another one may work. */
export class StreamError extends ConsoleError {
  constructor(
    readonly mayPass: boolean,
    ...said: ConstructorParameters<typeof ConsoleError>
  ) {
    super(...said);
  }
}

/** What the relay notes for its list of sessions, and whether the page opens it by itself. */
export interface StreamNote extends Pick<api.Manner, "byItself"> {
  readonly purpose: "shell" | "attach" | "watch" | "ask";
  readonly channel?: string;
  readonly visit?: string;
}

function closed(code: number): StreamError {
  const known = CODES.find((one) => one === code);
  if (known === undefined) return lost("lost_closed", code);
  const why: MessageId = `close_${known}`;
  return new StreamError(!FOR_GOOD.includes(known), "stream_closed", { id: why, args: [] });
}

function lost(why: MessageId, ...args: readonly number[]): StreamError {
  return new StreamError(true, "stream_lost", { id: why, args: args.map(String) });
}

export class FrameStream {
  private readonly decoder = new Decoder();
  private readonly queue: Frame[] = [];
  private queued = 0;
  private error: ConsoleError | undefined;
  private wake: (() => void) | undefined;

  private constructor(
    private readonly socket: WebSocket,
    private readonly told?: (text: string) => void,
  ) {
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event: MessageEvent<unknown>) => this.arrived(event.data);
    socket.onclose = (event) => this.fail(closed(event.code));
    socket.onerror = () => undefined;
  }

  /** Opens a stream to a server. Throws `RelayError` or `StreamError`. */
  static async open(server: string, note: StreamNote): Promise<FrameStream> {
    const query = new URLSearchParams({ purpose: note.purpose });
    if (note.channel !== undefined) query.set("channel", note.channel);
    if (note.visit !== undefined) query.set("visit", note.visit);
    return FrameStream.at(server, `stream?${query}`, undefined, note);
  }

  /** Opens what else a server sends, at its own address; `told` hears what the relay says of it. Throws as `open`. */
  static async at(
    server: string,
    place: string,
    told?: (text: string) => void,
    { byItself = false }: api.Manner = {},
  ): Promise<FrameStream> {
    const ticket = await api.ticket({ byItself });
    const url = new URL(`/api/v1/servers/${encodeURIComponent(server)}/${place}`, outside.origin());
    url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
    // The ticket stands in a header, not in the address: addresses are logged.
    const stream = new FrameStream(outside.socket(url.href, [WS_PROTOCOL, `ticket.${ticket}`]), told);
    await stream.opened();
    return stream;
  }

  private async opened(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(lost("lost_silent")), OPEN_MS);
      this.wake = () => {
        clearTimeout(late);
        if (this.error === undefined) resolve();
        else reject(this.error);
      };
      this.socket.onopen = () => this.wake?.();
      if (this.error !== undefined) this.wake();
    }).catch((error: unknown) => {
      this.leave();
      throw error;
    });
    this.wake = undefined;
    if (this.socket.protocol !== WS_PROTOCOL) {
      this.leave();
      throw new StreamError(false, "stream_framing", "subprotocol");
    }
  }

  private arrived(data: unknown): void {
    // Text is nothing that a server says; the relay closes with a code of its own where it matters.
    if (this.error === undefined && typeof data === "string") this.told?.(data);
    if (this.error !== undefined || !(data instanceof ArrayBuffer)) return;
    if (data.byteLength === 0) return this.fail(closed(1000));
    try {
      this.decoder.push(new Uint8Array(data));
      for (let frame = this.decoder.next(); frame !== undefined; frame = this.decoder.next()) {
        this.queue.push(frame);
        this.queued += frame.body.length;
      }
    } catch (error) {
      const why = error instanceof FrameError ? error.message : "";
      return this.fail(new StreamError(false, "stream_framing", why));
    }
    if (this.queued > QUEUE_BYTES_MAX) return this.fail(new StreamError(false, "stream_framing", "window"));
    // Part of a frame, or one that is skipped, is nothing to take: whoever waits waits on.
    if (this.ready) this.wake?.();
  }

  private fail(error: StreamError): void {
    this.error ??= error;
    this.wake?.();
  }

  /** Whether there is something to take or to know at once. */
  private get ready(): boolean {
    return this.queue.length > 0 || this.error !== undefined;
  }

  /** The next frame that is here. `undefined`: nothing yet. Throws when the stream is over and all was taken. */
  take(): Frame | undefined {
    const frame = this.queue.shift();
    if (frame !== undefined) {
      this.queued -= frame.body.length;
      return frame;
    }
    if (this.error !== undefined) throw this.error;
    return undefined;
  }

  /** The next frame, within `waitMs`. One caller at a time. */
  async next(waitMs: number): Promise<Frame> {
    if (!this.ready) {
      await new Promise<void>((resolve) => {
        const late = setTimeout(() => {
          this.fail(lost("lost_silent"));
          resolve();
        }, waitMs);
        this.wake = () => {
          clearTimeout(late);
          resolve();
        };
      });
      this.wake = undefined;
    }
    const frame = this.take();
    if (frame === undefined) throw lost("lost_silent");
    return frame;
  }

  /** Calls `heard` whenever there is something to `take`. Replaces `next`. */
  listen(heard: () => void): void {
    this.wake = heard;
    if (this.ready) heard();
  }

  /** Whether bulk may be added. */
  hasRoom(): boolean {
    return this.socket.bufferedAmount < WAITING_BYTES;
  }

  /** Sends bytes; what a dead socket does not take is sent again by whoever holds it. */
  send(bytes: Bytes): void {
    if (this.error !== undefined || this.socket.readyState !== this.socket.OPEN) return;
    for (let at = 0; at < bytes.length; at += PIECE_BYTES)
      this.socket.send(bytes.slice(at, at + PIECE_BYTES));
  }

  /** Leaves, and whoever waits for a frame learns it. */
  abandon(): void {
    this.fail(closed(1000));
    this.socket.close(1000);
  }

  /** Leaves. Nothing is heard any more. */
  leave(): void {
    this.wake = undefined;
    this.error ??= closed(1000);
    this.socket.close(1000);
  }
}
