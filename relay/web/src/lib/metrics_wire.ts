// Series, samples and ranges, as proto/src/metrics.rs. Never: an exception, or an allocation that a peer's number alone
// decides; what is not what it should be is `undefined`, a value that is not finite NaN.

import type { Series } from "./facade";
import { ATTRIBUTES_MAX, NAME_CHARS_MAX, POINTS_MAX, SERIES_MAX, SERIES_PAGE } from "./limits";
import type { Reader, Writer } from "./msgpack";
import { boolean, type Codec, list, oneOf, PackError, struct, text, u32, unpack } from "./pack";

const SAMPLE_HEAD = 16;
const RANGE_HEAD = 20;
const VALUE_BYTES = 4;
/** The last moment that a `Date` can say. */
const TIME_MAX = 8.64e15;

const pair: Codec<readonly [string, string]> = {
  write(out: Writer, [key, value]) {
    out.list(2);
    out.text(key);
    out.text(value);
  },
  read(from: Reader) {
    const [key, value, more] = list(text).read(from);
    if (key === undefined || value === undefined || more !== undefined) throw new PackError("malformed");
    return [key, value];
  },
};

const kind = oneOf(["gauge", "counter"]);
const series = struct({
  name: text,
  unit: text,
  kind,
  attributes: list(pair),
  summary: boolean,
});
export const metricsSeries = struct({ first: u32, series: list(series) });

/** What the numbers in samples and ranges mean. */
export interface Announced {
  readonly first: number;
  /** `undefined`: a series that cannot be shown; it keeps its number. */
  readonly series: readonly (Series | undefined)[];
}

function fits(value: string): boolean {
  return value.length <= 2 * NAME_CHARS_MAX && Array.from(value).length <= NAME_CHARS_MAX;
}

/** Reads a page of series; one that keeps the limits. */
export function announced(body: Uint8Array): Announced | undefined {
  try {
    const page = unpack(metricsSeries, body, body.length);
    if (page.series.length > SERIES_PAGE || page.first + page.series.length > SERIES_MAX) return undefined;
    const found = page.series.map(({ name, unit, kind, attributes }): Series | undefined => {
      const texts = [name, unit, ...attributes.flat()];
      if (name === "" || attributes.length > ATTRIBUTES_MAX || !texts.every(fits)) return undefined;
      return { name, unit, kind, attributes };
    });
    return { first: page.first, series: found };
  } catch (error) {
    if (error instanceof PackError) return undefined;
    throw error;
  }
}

/** What two streams mean by the same series. */
export function identity({ name, unit, kind, attributes }: Series): string {
  return JSON.stringify([name, unit, kind, attributes]);
}

/** All values at one moment, by number. */
export interface Sample {
  readonly at: number;
  /** Milliseconds since the one before; 0: there is none. */
  readonly elapsed: number;
  readonly dropped: number;
  readonly values: Float32Array;
}

function floats(view: DataView, from: number, count: number): Float32Array {
  const out = new Float32Array(count);
  for (let at = 0; at < count; at++) {
    const value = view.getFloat32(from + at * VALUE_BYTES);
    out[at] = Number.isFinite(value) ? value : Number.NaN;
  }
  return out;
}

/** A moment, if it is one that can be shown. */
function moment(view: DataView, at: number): number | undefined {
  const value = Number(view.getBigUint64(at));
  return value <= TIME_MAX ? value : undefined;
}

function viewOf(body: Uint8Array): DataView {
  return new DataView(body.buffer, body.byteOffset, body.byteLength);
}

/** `u64 at | u32 elapsed | u32 dropped | f32 value …`. */
export function sample(body: Uint8Array): Sample | undefined {
  const rest = body.length - SAMPLE_HEAD;
  if (rest < 0 || rest % VALUE_BYTES !== 0 || rest > SERIES_MAX * VALUE_BYTES) return undefined;
  const view = viewOf(body);
  const at = moment(view, 0);
  if (at === undefined) return undefined;
  const values = floats(view, SAMPLE_HEAD, rest / VALUE_BYTES);
  return { at, elapsed: view.getUint32(8), dropped: view.getUint32(12), values };
}

/** Equally long intervals of one series, each with its smallest, mean and largest value. */
export interface Range {
  readonly series: number;
  readonly from: number;
  readonly step: number;
  readonly min: Float32Array;
  readonly mean: Float32Array;
  readonly max: Float32Array;
}

/** `u32 series | u64 from | u32 step | u32 n | n × f32 min | n × f32 mean | n × f32 max`. */
export function range(body: Uint8Array): Range | undefined {
  if (body.length < RANGE_HEAD) return undefined;
  const view = viewOf(body);
  const [number, from, step, count] = [
    view.getUint32(0),
    moment(view, 4),
    view.getUint32(12),
    view.getUint32(16),
  ];
  if (number >= SERIES_MAX || count > POINTS_MAX || from === undefined) return undefined;
  if (body.length !== RANGE_HEAD + 3 * count * VALUE_BYTES || from + step * count > TIME_MAX)
    return undefined;
  const column = (nth: number) => floats(view, RANGE_HEAD + nth * count * VALUE_BYTES, count);
  return { series: number, from, step, min: column(0), mean: column(1), max: column(2) };
}
