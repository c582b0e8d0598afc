// What pages use of metrics: what a server measures each second, its history, and what the relay kept of one that is
// gone. Nothing of it is signed: it is the relay's and the server's word. Types only.

import type { ConsoleError } from "./errors";

/** What is measured. Names, units and attributes follow OpenTelemetry; all are the server's texts. */
export interface Series {
  readonly name: string;
  /** As UCUM writes it; a counter's values are this per second. */
  readonly unit: string;
  readonly kind: "gauge" | "counter";
  /** Sorted by key. */
  readonly attributes: readonly (readonly [string, string])[];
}

/** A series' values, one for each of the times. NaN: nothing is known. Counters are increases per second. */
export interface Column {
  readonly series: Series;
  readonly values: Float32Array;
  /** Where a value stands for an interval: the smallest and the largest in it. */
  readonly min?: Float32Array;
  readonly max?: Float32Array;
}

/** Values over time. Whoever keeps one copies it: a live one is overwritten by what follows. */
export interface Past {
  /** Milliseconds of Unix time by the server's clock, rising. */
  readonly times: Float64Array;
  readonly columns: readonly Column[];
  /** Series that the server dropped so far because it had too many. */
  readonly dropped: number;
}

export type FeedState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** Asks again by itself. */
  | { readonly kind: "lost"; readonly since: number; readonly error: ConsoleError }
  /** Nobody looks: nothing is sent. */
  | { readonly kind: "resting" }
  /** Asking again would not help. */
  | { readonly kind: "over"; readonly error: ConsoleError };

/** All series of a server each second, as long as somebody looks. */
export interface Feed {
  readonly state: FeedState;
  /** The last 15 minutes at most. */
  past(): Past;
  /** Called with every second and every new state. Returns how to stop. */
  onChange(listen: () => void): () => void;
  /** Lets the server stop measuring for us, and begins again. What was there stays. */
  rest(yes: boolean): void;
  stop(): void;
}

export interface RangeWish {
  readonly from: number;
  readonly to: number;
  /** How many of each series at most. */
  readonly points: number;
  /** Names of series; none: all. */
  readonly names: readonly string[];
}

/** A process. Its command line stays on the server. */
export interface ProcessView {
  readonly pid: number;
  readonly name: string;
  readonly user: string;
  /** Its systemd unit or container; "": none can be told. */
  readonly unit: string;
  /** As `ps` writes it. */
  readonly state: string;
  /** Processors used: 1 is one of them for the whole time. */
  readonly processors: number;
  /** Resident bytes. */
  readonly memory: number;
  /** Bytes per second; missing: the kernel does not tell. */
  readonly read?: number;
  readonly written?: number;
  readonly descriptors?: number;
  readonly threads: number;
}

export interface ProcessList {
  readonly at: number;
  /** How many there are. */
  readonly total: number;
  readonly processes: readonly ProcessView[];
}

/** What a server says of a time in which something happened to it. Kinds of a newer server are left out. */
export type HappenedKind =
  | "installed"
  | "upgraded"
  | "downgraded"
  | "removed"
  | "booted"
  | "shut-down"
  | "started"
  | "restarted"
  | "failed"
  | "killed";

export interface HappenedView {
  /** Milliseconds of Unix time by the server's clock. */
  readonly at: number;
  readonly kind: HappenedKind;
  /** How many packages, or how often within ten minutes, of which `at` is the last. */
  readonly count: number;
  /** The packages, some of them, or the kernel's name of a process. */
  readonly names: readonly { readonly name: string; readonly before: string; readonly after: string }[];
  /** The service; "": there is none. */
  readonly unit: string;
  /** The moment was guessed. */
  readonly guessed: boolean;
}

/** Where events are read; silence says nothing where it could not be. */
export type HappenedSource = "packages" | "starts" | "services" | "kernel";

export interface HappenedList {
  /** Since when the server has looked. */
  readonly since: number;
  /** The oldest first. */
  readonly events: readonly HappenedView[];
  /** Older ones that are not in here. */
  readonly leftOut: number;
  readonly blind: readonly HappenedSource[];
}

/** All but `watch` throw `refusal_…` where the server says no. */
export interface Metrics {
  /** Begins at once; what goes wrong is the feed's state. */
  watch(server: string): Promise<Feed>;
  /** Out of the server's own history. */
  range(server: string, wish: RangeWish): Promise<Past>;
  /** What the relay kept of the last 15 minutes, a point for 5 seconds, whether the server is there or not. */
  recorder(server: string): Promise<Past>;
  /** Those that use most, measured over a second. */
  processes(server: string, count: number): Promise<ProcessList>;
  /** What happened there, out of the server's own logs, a week back at most. */
  happened(server: string, from: number, to: number): Promise<HappenedList>;
}
