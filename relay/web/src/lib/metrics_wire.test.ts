// Samples, ranges and series as Rust wrote and judged them, and what a hostile server may send instead.

import { expect, test } from "vitest";
import { type Bytes, unhex } from "./bytes";
import { ATTRIBUTES_MAX, NAME_CHARS_MAX, SERIES_MAX, SERIES_PAGE } from "./limits";
import { announced, metricsSeries, range, sample } from "./metrics_wire";
import { pack } from "./pack";
import vectors from "./vectors.json";

const TIME_MAX = 8_640_000_000_000_000n;
const bytes = (text: string): Bytes => unhex(text) ?? new Uint8Array();
const known = (values: Float32Array) => Array.from(values, (value) => (Number.isNaN(value) ? null : value));

test("COD-09 samples are read as Rust reads them; what no date can say is refused", () => {
  expect(vectors.metrics.samples.length).toBeGreaterThan(30);
  for (const { bytes: written, sample: expected } of vectors.metrics.samples) {
    const found = sample(bytes(written));
    if (expected === null || BigInt(expected.at) > TIME_MAX) {
      expect(found, written).toBeUndefined();
      continue;
    }
    if (found === undefined) throw new Error(written);
    expect({ ...found, at: String(found.at), values: known(found.values) }).toEqual(expected);
  }
});

test("COD-09 ranges are read as Rust reads them", () => {
  let read = 0;
  for (const { bytes: written, range: expected } of vectors.metrics.ranges) {
    const found = range(bytes(written));
    if (expected === null || BigInt(expected.from) + BigInt(expected.step) * 3n > TIME_MAX) {
      expect(found, written).toBeUndefined();
      continue;
    }
    if (found === undefined) throw new Error(written);
    const { min, mean, max } = found;
    const columns = { min: known(min), mean: known(mean), max: known(max) };
    expect({ ...found, from: String(found.from), ...columns }).toEqual(expected);
    read += 1;
  }
  expect(read).toBeGreaterThan(2);
});

test("WEB-09 a series that is too long keeps its number and is not shown; a page beyond the limits is nothing", () => {
  const one = (name: string, attributes: [string, string][] = []) => ({
    name,
    unit: "1",
    kind: "gauge" as const,
    attributes,
    summary: false,
  });
  const page = (first: number, series: ReturnType<typeof one>[]) =>
    announced(pack(metricsSeries, { first, series }));
  const long = "x".repeat(64 << 10);
  const many = Array.from({ length: ATTRIBUTES_MAX + 1 }, (): [string, string] => ["a", "b"]);
  const names = [
    one("good"),
    one(""),
    one(long),
    one("a", [["k", "é".repeat(NAME_CHARS_MAX + 1)]]),
    one("b", many),
  ];
  expect(
    page(3, [...names, one("𝄞".repeat(NAME_CHARS_MAX))])?.series.map((found) => found?.name.slice(0, 4)),
  ).toEqual(["good", undefined, undefined, undefined, undefined, "𝄞𝄞"]);
  const full = Array.from({ length: SERIES_PAGE }, () => one("x"));
  expect(page(SERIES_MAX - SERIES_PAGE, full)?.series.length).toBe(SERIES_PAGE);
  expect(page(SERIES_MAX - SERIES_PAGE + 1, full)).toBeUndefined();
  expect(page(0, [...full, one("x")])).toBeUndefined();
  expect(page(0xffff_ffff, [one("x")])).toBeUndefined();
});

test("no bytes at all throw", () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return seed >> 8;
  };
  const good = [
    ...vectors.pack.filter(({ type }) => type === "metricsSeries").map((row) => row.bytes ?? ""),
    vectors.metrics.samples[0]?.bytes ?? "",
    vectors.metrics.ranges[0]?.bytes ?? "",
  ].map(bytes);
  for (let turn = 0; turn < 3_000; turn++) {
    for (const body of good) {
      const bad = body.slice(0, random() % 4 === 0 ? random() % (body.length + 1) : body.length);
      for (let count = random() % 6; count > 0; count--) bad[random() % bad.length] = random();
      for (const read of [announced, sample, range]) expect(() => read(bad)).not.toThrow();
    }
  }
});
