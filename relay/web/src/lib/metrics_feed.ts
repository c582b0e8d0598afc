// A server's series each second: a stream that is opened again whenever it is lost, and the store that it fills.
// The relay keeps the stream open while the server is away or says no, and tells so in JSON texts.
//
//   connecting ──▶ live ──▶ lost ─┐         rest(true), from anywhere ──▶ resting ──rest(false)──▶ connecting
//        ▲                        │         refused for good           ──▶ over
//        └───── after a pause ────┘
//
// Never: a stream that nobody looks at, or two at once.

import { ConsoleError } from "./errors";
import type { Feed, FeedState, Past } from "./facade";
import { type Frame, Kind } from "./frame";
import { body, Cut, outOfTurn, refusal } from "./link";
import { MetricsStore } from "./metrics_store";
import { announced, sample } from "./metrics_wire";
import { FrameStream } from "./stream";
import { refused } from "./wire";

/** A server that is there says something each second. */
const SILENT_MS = 15_000;
const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;

/** What the relay says of a server that sends nothing. */
const SAID: ReadonlyMap<string, ConsoleError> = new Map([
  ["away", new ConsoleError("metrics_away")],
  ["busy", new ConsoleError("metrics_busy")],
  ["cut", new ConsoleError("metrics_cut")],
]);

/** How the relay says it stands with the server; `undefined`: something else. */
function stateIn(text: string): string | undefined {
  try {
    const said: unknown = JSON.parse(text);
    const state = typeof said === "object" && said !== null ? Reflect.get(said, "state") : undefined;
    return typeof state === "string" ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Before the try with this number, so that many pages do not come back at once. */
export function waitMs(tries: number, random: number): number {
  const most = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** Math.min(tries, 16));
  return most * (0.5 + random / 2);
}

export class LiveFeed implements Feed {
  state: FeedState = { kind: "connecting" };
  private readonly store = new MetricsStore();
  private readonly listeners = new Set<() => void>();
  private stream: FrameStream | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  /** Counts the streams: what an earlier one still says is not heard. */
  private turn = 0;

  constructor(private readonly server: string) {
    void this.open();
  }

  past(): Past {
    return this.store.past();
  }

  onChange(listen: () => void): () => void {
    this.listeners.add(listen);
    return () => this.listeners.delete(listen);
  }

  rest(yes: boolean): void {
    if (this.state.kind === "over" || yes === (this.state.kind === "resting")) return;
    if (yes) {
      this.leave();
      this.become({ kind: "resting" });
    } else {
      this.become({ kind: "connecting" });
      void this.open();
    }
  }

  stop(): void {
    this.leave();
    this.listeners.clear();
  }

  private become(state: FeedState): void {
    this.state = state;
    for (const listen of this.listeners) listen();
  }

  private leave(): void {
    this.turn += 1;
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.stream?.leave();
    this.stream = undefined;
  }

  private async open(): Promise<void> {
    this.leave();
    const mine = this.turn;
    let stream: FrameStream;
    try {
      stream = await FrameStream.at(this.server, "metrics/live", (text) => {
        if (mine === this.turn) this.told(stateIn(text));
      });
    } catch (error) {
      if (mine === this.turn) this.lose(error);
      return;
    }
    if (mine !== this.turn) return stream.leave();
    this.stream = stream;
    this.store.begin();
    this.hush();
    stream.listen(() => {
      if (mine === this.turn) this.drain(stream);
    });
  }

  /** The relay asks again by itself; that nothing comes meanwhile is no fault of the stream. */
  private told(state: string | undefined): void {
    const error = state === undefined ? undefined : SAID.get(state);
    if (error !== undefined) this.missing(error);
    else if (state === "live" || state === "opening") this.hush();
  }

  private missing(error: ConsoleError): void {
    clearTimeout(this.silence);
    const since = this.state.kind === "lost" ? this.state.since : Date.now();
    this.become({ kind: "lost", since, error });
  }

  private hush(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(
      () => this.lose(new Cut(true, new ConsoleError("stream_lost", { id: "lost_silent", args: [] }))),
      SILENT_MS,
    );
  }

  private drain(stream: FrameStream): void {
    try {
      for (let frame = stream.take(); frame !== undefined; frame = stream.take()) this.hear(frame);
    } catch (error) {
      this.lose(error);
    }
  }

  private hear(frame: Frame): void {
    if (frame.kind === Kind.MetricsSample) {
      const found = sample(frame.body);
      // What cannot be read is as if it had not been said; silence ends the stream.
      if (found === undefined || !this.store.add(found)) return;
      this.tries = 0;
      this.hush();
      this.become({ kind: "live" });
    } else if (frame.kind === Kind.MetricsSeries) {
      const page = announced(frame.body);
      if (page !== undefined) this.store.announce(page);
    } else if (frame.kind === Kind.Refused) {
      this.missing(refusal(body(refused, frame)));
    } else throw new Cut(false, outOfTurn(frame));
  }

  private lose(error: unknown): void {
    const cut = Cut.of(error);
    this.leave();
    if (!cut.passing) return this.become({ kind: "over", error: cut.error });
    this.timer = setTimeout(() => void this.open(), waitMs(this.tries, Math.random()));
    this.tries += 1;
    this.missing(cut.error);
  }
}
