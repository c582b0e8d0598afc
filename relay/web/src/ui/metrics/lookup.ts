// Series by name and attributes, and arithmetic over columns. Pure. Never: a name of a metric; those stand in charts.ts
// and use.ts.
import type { Column, Past, Series } from "../../lib/facade";

/** Something to draw: values over the shown times, and between which bounds they lay. */
export interface Line {
  readonly label: string;
  readonly values: Float32Array;
  readonly min?: Float32Array;
  readonly max?: Float32Array;
}

export function attribute(series: Series, key: string): string {
  return series.attributes.find(([name]) => name === key)?.[1] ?? "";
}

/** Which attributes a series has. Series stay the same from second to second, and there may be 2,000. */
const shapes = new WeakMap<Series, string>();

function shapeOf(series: Series): string {
  let shape = shapes.get(series);
  if (shape === undefined) {
    shape = series.attributes
      .map(([name]) => name)
      .sort()
      .join("\n");
    shapes.set(series, shape);
  }
  return shape;
}

export class Lookup {
  readonly #named = new Map<string, Column[]>();

  constructor(readonly past: Past) {
    for (const column of past.columns) {
      const all = this.#named.get(column.series.name);
      if (all) all.push(column);
      else this.#named.set(column.series.name, [column]);
    }
  }

  get times(): Float64Array {
    return this.past.times;
  }

  /** Those that have these attributes, each with this value where one is said, and no others. */
  all(name: string, attributes: Readonly<Record<string, string>> = {}): readonly Column[] {
    const shape = Object.keys(attributes).sort().join("\n");
    const said = Object.entries(attributes).filter(([, value]) => value !== "");
    return (this.#named.get(name) ?? []).filter(
      ({ series }) =>
        shapeOf(series) === shape && said.every(([key, value]) => attribute(series, key) === value),
    );
  }

  one(name: string, attributes: Readonly<Record<string, string>> = {}): Column | undefined {
    return this.all(name, attributes)[0];
  }
}

export function lineOf(label: string, { values, min, max }: Omit<Column, "series">): Line {
  return { label, values, ...(min && max ? { min, max } : {}) };
}

function zip(a: Float32Array, b: Float32Array, join: (a: number, b: number) => number): Float32Array {
  return a.map((value, at) => join(value, b[at] ?? Number.NaN));
}

/** The sum; what one does not know, the others may. The bounds are those beyond which it cannot have been. */
export function sum(label: string, columns: readonly Omit<Column, "series">[]): Line | undefined {
  const [first, ...rest] = columns;
  if (!first) return undefined;
  const add = (a: number, b: number) => (Number.isNaN(a) ? b : Number.isNaN(b) ? a : a + b);
  const over = (pick: (of: Omit<Column, "series">) => Float32Array) =>
    rest.reduce((all, one) => zip(all, pick(one), add), pick(first));
  const bounded = columns.every(({ min, max }) => min && max);
  return {
    label,
    values: over(({ values }) => values),
    ...(bounded
      ? { min: over(({ min, values }) => min ?? values), max: over(({ max, values }) => max ?? values) }
      : {}),
  };
}

/** One by the other, nothing where the other is nothing. */
export function ratio(label: string, a: Line | undefined, b: Line | undefined): Line | undefined {
  if (!a || !b) return undefined;
  return { label, values: zip(a.values, b.values, (over, under) => (under > 0 ? over / under : Number.NaN)) };
}

/** The mean of what is known. */
export function mean(values: Float32Array, from = 0): number {
  let [all, count] = [0, 0];
  for (let at = from; at < values.length; at++) {
    const value = values[at] ?? Number.NaN;
    if (Number.isNaN(value)) continue;
    all += value;
    count += 1;
  }
  return count === 0 ? Number.NaN : all / count;
}

/** The first time that is not before a moment. */
export function firstFrom(times: Float64Array, moment: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < moment) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What lies between two moments, without a copy. */
export function between(past: Past, from: number, to: number): Past {
  const [start, end] = [firstFrom(past.times, from), firstFrom(past.times, to + 1)];
  if (start === 0 && end === past.times.length) return past;
  const columns = past.columns.map(({ series, values, min, max }): Column => {
    const cut = { series, values: values.subarray(start, end) };
    return min && max ? { ...cut, min: min.subarray(start, end), max: max.subarray(start, end) } : cut;
  });
  return { times: past.times.subarray(start, end), columns, dropped: past.dropped };
}

/** A copy that what follows does not overwrite. */
export function copied({ times, columns, dropped }: Past): Past {
  const copies = columns.map((column): Column => ({ ...column, values: column.values.slice() }));
  return { times: times.slice(), columns: copies, dropped };
}

/** Values of another time, each where the shown one `shift` later lies. */
export function moved(
  values: Float32Array,
  of: Float64Array,
  shown: Float64Array,
  shift: number,
): Float32Array {
  const step = of.length > 1 ? ((of.at(-1) ?? 0) - (of[0] ?? 0)) / (of.length - 1) : 0;
  return Float32Array.from(shown, (time) => {
    const at = firstFrom(of, time - shift + 1) - 1;
    const found = of[at];
    if (found === undefined || time - shift - found > Math.max(2 * step, 2_000)) return Number.NaN;
    return values[at] ?? Number.NaN;
  });
}

/**
 * Which of many are drawn: those with the largest mean. It stays so for a while, so that lines do not come and go each
 * second.
 */
export class Chooser {
  readonly #chosen = new Map<string, { readonly at: number; readonly keys: ReadonlySet<string> }>();

  constructor(readonly keptMs = 30_000) {}

  choose<T>(
    of: string,
    all: readonly T[],
    key: (one: T) => string,
    values: (one: T) => Float32Array,
    most: number,
    now: number,
  ): readonly T[] {
    if (all.length <= most) return all;
    const before = this.#chosen.get(of);
    const still = before ? all.filter((one) => before.keys.has(key(one))) : [];
    if (before && now - before.at < this.keptMs && still.length >= most) return still;
    const ranked = all
      .map((one) => ({ one, mean: mean(values(one)) || 0 }))
      .sort((a, b) => b.mean - a.mean)
      .slice(0, most)
      .map(({ one }) => one);
    this.#chosen.set(of, { at: now, keys: new Set(ranked.map(key)) });
    return ranked;
  }

  /** Something else is shown. */
  forget(): void {
    this.#chosen.clear();
  }
}
