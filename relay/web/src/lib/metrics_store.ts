// The last minutes of a server's series, in memory of a fixed size.
//
// Columns belong to a series, not to its number: a stream that begins again may count otherwise. Never: more than
// `SERIES_MAX` columns of `KEPT` values, a negative rate, or a line drawn over time in which nothing was heard.

import type { Column, Past, Series } from "./facade";
import { SERIES_MAX } from "./limits";
import { type Announced, identity, type Sample } from "./metrics_wire";

/** Fifteen minutes of seconds. */
const KEPT = 900;
/** Values move to the front once so many are over, so that a second costs what it should on the mean. */
const SLACK = 300;
/** Whoever sends faster than this is not believed. */
const PAUSE_MS = 250;
/** Longer than so many of the usual pauses: nothing was heard in between. */
const GAP = 3;
const GAP_MS_MIN = 3_000;

interface Kept {
  readonly key: string;
  readonly series: Series;
  /** Where it stands in samples. */
  number: number;
  /** Missing until there is a value: announcing costs nothing. */
  values: Float32Array | undefined;
}

/** A counter's increase per second; one that went back, or whose time is not known, says nothing. */
function rate(increase: number, elapsed: number): number {
  return elapsed > 0 && increase >= 0 ? (increase * 1000) / elapsed : Number.NaN;
}

export class MetricsStore {
  private readonly times = new Float64Array(KEPT + SLACK);
  private end = 0;
  private columns: (Kept | undefined)[] = [];
  /** By what they are; those of the stream before stay until the first moment of this one. */
  private readonly known = new Map<string, Kept>();
  private dropped = 0;
  /**
   * Memory of columns that went, for those that come: names may change by the hundred. With what is in use it is never more
   * than `SERIES_MAX`: more is only made when none is spare.
   */
  private spare: Float32Array[] = [];

  /** Another stream begins: numbers mean nothing yet. */
  begin(): void {
    this.columns = [];
  }

  announce({ first, series }: Announced): void {
    series.forEach((one, index) => {
      this.columns[first + index] = one && this.columnOf(one, first + index);
    });
  }

  private columnOf(series: Series, number: number): Kept {
    const key = identity(series);
    // Somebody who announces and never says a value.
    if (this.known.size > 2 * SERIES_MAX) this.prune();
    const kept = this.known.get(key) ?? { key, series, number, values: undefined };
    this.known.set(key, kept);
    // One that moved must not be written from its old number too.
    if (kept.number !== number && this.columns[kept.number] === kept) this.columns[kept.number] = undefined;
    kept.number = number;
    return kept;
  }

  /** What no number means any more goes. */
  private prune(): void {
    for (const kept of this.known.values()) {
      if (this.columns[kept.number] === kept) continue;
      this.known.delete(kept.key);
      if (kept.values !== undefined) this.spare.push(kept.values);
    }
  }

  /** For a column whose first value comes now. Each moment from here on is written, so only what is before is cleared. */
  private room(): Float32Array {
    const values = this.spare.pop() ?? new Float32Array(KEPT + SLACK);
    return values.fill(Number.NaN, 0, this.end);
  }

  /** Adds a moment. Returns whether it was one. */
  add({ at, elapsed, dropped, values }: Sample): boolean {
    const last = this.end === 0 ? Number.NEGATIVE_INFINITY : (this.times[this.end - 1] ?? 0);
    // A clock that was set back: what is drawn after it would lie on what was before.
    if (at < last - GAP_MS_MIN) this.forget();
    else if (at - last < PAUSE_MS) return false;
    this.prune();
    if (this.end > 0 && at - last > Math.max(GAP * elapsed, GAP_MS_MIN)) this.append((at + last) / 2, 0, []);
    this.append(at, elapsed, values);
    this.dropped = dropped;
    return true;
  }

  private append(at: number, elapsed: number, values: ArrayLike<number>): void {
    if (this.end === this.times.length) this.makeRoom();
    this.times[this.end] = at;
    this.columns.forEach((column, number) => {
      if (column === undefined) return;
      const found = values[number] ?? Number.NaN;
      const value = column.series.kind === "counter" ? rate(found, elapsed) : found;
      if (Number.isFinite(value)) column.values ??= this.room();
      if (column.values !== undefined) column.values[this.end] = value;
    });
    this.end += 1;
  }

  private makeRoom(): void {
    const from = this.end - KEPT;
    this.times.copyWithin(0, from, this.end);
    for (const column of this.columns) column?.values?.copyWithin(0, from, this.end);
    this.end = KEPT;
  }

  private forget(): void {
    this.end = 0;
  }

  /** What there is, oldest first, without a copy: the next `add` may move it. */
  past(): Past {
    const start = Math.max(0, this.end - KEPT);
    const columns: Column[] = [];
    for (const column of this.columns) {
      if (column?.values === undefined) continue;
      columns.push({ series: column.series, values: column.values.subarray(start, this.end) });
    }
    return { times: this.times.subarray(start, this.end), columns, dropped: this.dropped };
  }
}
