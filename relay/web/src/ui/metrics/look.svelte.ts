// What a page of metrics shows: where its values come from, which part of the time, and what lies behind for comparison.
//
//   live ──pause, zoom──▶ live, still        range: out of the server's history, asked again for each part of the time
//   recorder: what the relay kept of a server that is away
//
// Never: a stream while the page is hidden.
import { untrack } from "svelte";
import type { Feed, FeedState, Past } from "../../lib/facade";
import { facade } from "../facade";
import { Action } from "../poll.svelte";
import { CHARTS, type Drawn, drawn } from "./charts";
import { between, Chooser, copied, Lookup } from "./lookup";
import { type Row, rowsOf } from "./use";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export type Mode = "live" | "recorder" | "range";
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What lies behind: nothing, the time just before, or the same time earlier. */
export type Behind = "none" | "before" | "day" | "week" | "mark";

export const LIVE_MS = 5 * MINUTE;
/** Points of a line: more than that no screen shows apart. */
const POINTS = 600;
const SPAN_MS_MIN = 10_000;
/** How long a page that nobody sees goes on being sent. */
const HIDDEN_MS = 20_000;
/** Somebody who zooms on. */
const SETTLE_MS = 200;
const NONE: Past = { times: new Float64Array(), columns: [], dropped: 0 };

export class Look {
  mode = $state<Mode>("live");
  /** Of the range that was asked for, or of a part of it; in other modes what a person zoomed to. */
  span = $state.raw<Span | undefined>();
  paused = $state(false);
  behind = $state<Behind>("none");
  mark = $state<number | undefined>();
  /** Where the pointer, or the slider, is. */
  cursor = $state<number | undefined>();
  feed = $state.raw<FeedState>({ kind: "connecting" });
  readonly fetching = new Action();
  #past = $state.raw<Past>(NONE);
  #earlier = $state.raw<Past>(NONE);
  #shift = $state(0);
  readonly #chooser = new Chooser();
  #turn: Promise<unknown> = Promise.resolve();
  #live: Feed | undefined;

  constructor(
    readonly server: string,
    readonly spanMs: number = LIVE_MS,
  ) {}

  /** From when to when the axes go. */
  readonly shown = $derived.by((): Span => {
    if (this.span) return this.span;
    const to = this.#past.times.at(-1) ?? Date.now();
    const length = this.mode === "recorder" ? 15 * MINUTE : this.spanMs;
    return { from: to - length, to };
  });
  readonly #look = $derived(new Lookup(between(this.#past, this.shown.from, this.shown.to)));
  /** Everything that is there, for what counts more than is shown. */
  readonly #all = $derived(this.mode === "range" ? this.#look : new Lookup(this.#past));
  readonly rows = $derived<readonly Row[]>(rowsOf(this.#look, this.#all));
  readonly charts = $derived<readonly Drawn[]>(
    CHARTS.map((chart) => drawn(chart, this.#look, this.#chooser, this.newest)).filter(
      ({ lines }) => lines.length > 0,
    ),
  );
  readonly #behind = $derived(this.#earlier.times.length === 0 ? undefined : new Lookup(this.#earlier));

  get times(): Float64Array {
    return this.#look.times;
  }

  get newest(): number {
    return this.#past.times.at(-1) ?? 0;
  }

  get dropped(): number {
    return this.#past.dropped;
  }

  /** Since when there is anything. */
  get oldest(): number {
    return this.#past.times[0] ?? 0;
  }

  get empty(): boolean {
    return this.#past.times.length === 0;
  }

  /** Kills of processes for want of memory, of which the values themselves tell. */
  readonly kills = $derived.by((): readonly number[] => {
    const found = this.#look.one("system.linux.oom_kills");
    return found
      ? [...this.times].filter((_, at) => ((found.max ?? found.values)[at] ?? 0) > 0).slice(0, 50)
      : [];
  });

  /** The lines of a chart at the time that lies behind, and how much earlier that is. */
  earlier(
    of: Drawn,
  ): { readonly lines: Drawn["lines"]; readonly times: Float64Array; readonly shift: number } | undefined {
    const look = this.#behind;
    if (!look) return undefined;
    const labels = new Set(of.lines.map(({ label }) => label));
    const lines = of.chart.lines(look).filter(({ label }) => labels.has(label));
    return { lines, times: look.times, shift: this.#shift };
  }

  /** For `$effect`: a stream while somebody looks. */
  watch(): () => void {
    let over = false;
    let hidden: ReturnType<typeof setTimeout> | undefined;
    let stop = () => {};
    const show = (feed: Feed) => {
      this.feed = feed.state;
      if (this.mode === "live" && !this.paused && !this.span) this.#past = feed.past();
    };
    // Taking in what came and drawing it are two tasks, so that neither holds up the page for long.
    let soon: ReturnType<typeof setTimeout> | undefined;
    const showSoon = (feed: Feed) => {
      soon ??= setTimeout(() => {
        soon = undefined;
        show(feed);
      }, 0);
    };
    const seen = () => {
      clearTimeout(hidden);
      if (document.hidden) hidden = setTimeout(() => this.#live?.rest(true), HIDDEN_MS);
      else this.#live?.rest(false);
    };
    void facade()
      .metrics.watch(this.server)
      .then((feed) => {
        if (over) return feed.stop();
        this.#live = feed;
        stop = feed.onChange(() => showSoon(feed));
        show(feed);
        document.addEventListener("visibilitychange", seen);
        seen();
      })
      .catch((error: unknown) => {
        this.fetching.error = error;
      });
    return () => {
      over = true;
      clearTimeout(hidden);
      clearTimeout(soon);
      document.removeEventListener("visibilitychange", seen);
      stop();
      this.#live?.stop();
      this.#live = undefined;
    };
  }

  /** For `$effect`: the part of history that is shown, asked for again whenever it is another. */
  fetch(): (() => void) | undefined {
    const { span, mode } = this;
    if (mode !== "range" || !span) return undefined;
    return later(() =>
      this.#inTurn(async () => {
        if (this.span !== span) return;
        const past = await this.#range(span);
        if (this.span === span) this.#past = past;
      }),
    );
  }

  /** For `$effect`: what lies behind. It is asked for once for a place, never each second. */
  fetchBehind(): (() => void) | undefined {
    const { behind, mark, mode, span } = this;
    const still = mode !== "live" || this.paused || span !== undefined;
    const shown = untrack(() => this.shown);
    const at = still ? (span ?? shown) : shown;
    const shift = shiftOf(behind, at, mark);
    if (shift === undefined) {
      this.#earlier = NONE;
      return undefined;
    }
    return later(() =>
      this.#inTurn(async () => {
        if (this.behind !== behind) return;
        // A live view goes on: the time behind goes on with it.
        const to = still ? at.to : at.to + Math.min(shift, HOUR);
        const past = await this.#range({ from: at.from - shift, to: to - shift });
        if (this.behind !== behind) return;
        this.#shift = shift;
        this.#earlier = past;
      }),
    );
  }

  /** What is asked for while another is under way comes after it, and is not forgotten. */
  #inTurn(work: () => Promise<void>): void {
    this.#turn = this.#turn.then(() => this.fetching.run(work));
  }

  #range({ from, to }: Span): Promise<Past> {
    const names = [...new Set([...CHARTS.flatMap((chart) => chart.names), ...USE_NAMES])];
    return facade().metrics.range(this.server, { from, to, points: POINTS, names });
  }

  /** What the relay kept of one that is away: its last minute first. */
  async recall(): Promise<void> {
    await this.fetching.run(async () => {
      const past = await facade().metrics.recorder(this.server);
      this.mode = "recorder";
      this.#chooser.forget();
      this.#past = past;
      const to = past.times.at(-1);
      this.span = to === undefined ? undefined : { from: to - MINUTE, to };
    });
  }

  live(): void {
    this.mode = "live";
    this.#chooser.forget();
    this.span = undefined;
    this.paused = false;
    this.#past = this.#live?.past() ?? NONE;
  }

  /** The recorder's whole quarter of an hour. */
  whole(): void {
    this.span = undefined;
  }

  range(from: number, to: number): void {
    this.#still();
    this.mode = "range";
    this.#chooser.forget();
    this.span = { from, to: Math.max(to, from + SPAN_MS_MIN) };
  }

  pause(): void {
    this.paused = true;
    this.#still();
  }

  goOn(): void {
    this.live();
  }

  /** The live store is overwritten by what follows. */
  #still(): void {
    if (this.mode === "live") this.#past = copied(this.#past);
  }

  zoom(from: number, to: number): void {
    if (!(to - from > 0)) return;
    const middle = (from + to) / 2;
    const half = Math.max(SPAN_MS_MIN, to - from) / 2;
    if (this.mode === "live" && !this.span) this.#still();
    this.span = { from: Math.round(middle - half), to: Math.round(middle + half) };
  }

  /** By how much: below 1 closer. Around the cursor, where there is one. */
  scale(by: number): void {
    const { from, to } = this.shown;
    const middle =
      this.cursor !== undefined && this.cursor >= from && this.cursor <= to ? this.cursor : (from + to) / 2;
    const length = Math.max(SPAN_MS_MIN, (to - from) * by);
    const part = (middle - from) / (to - from);
    this.zoom(middle - length * part, middle + length * (1 - part));
  }

  pan(by: number): void {
    const { from, to } = this.shown;
    this.zoom(from + (to - from) * by, to + (to - from) * by);
  }

  /** The mark is where the cursor is, or at the newest value. */
  setMark(): void {
    const at = this.cursor ?? Math.min(this.newest, this.shown.to);
    this.mark = this.mark === at || at === 0 ? undefined : at;
    if (this.mark === undefined && this.behind === "mark") this.behind = "none";
  }
}

/** What the rows need beside the charts. */
const USE_NAMES = [
  "system.cpu.utilization",
  "system.linux.cpu.load_per_cpu",
  "system.linux.oom_kills",
  "system.memory.utilization",
  "system.paging.utilization",
  "system.linux.disk.busiest",
  "system.linux.disk.longest_queue",
  "system.linux.filesystem.fullest",
  "system.linux.filesystem.fullest_inodes",
  "system.linux.filesystem.hung",
  "system.network.packet.count",
  "system.linux.softnet",
  "system.linux.tcp.segments",
  "system.network.connection.count",
] as const;

function later(work: () => void): () => void {
  const timer = setTimeout(work, SETTLE_MS);
  return () => clearTimeout(timer);
}

function shiftOf(behind: Behind, { from, to }: Span, mark: number | undefined): number | undefined {
  if (behind === "none") return undefined;
  if (behind === "before") return to - from;
  if (behind === "day") return DAY;
  if (behind === "week") return 7 * DAY;
  return mark === undefined || mark >= to ? undefined : to - mark;
}
