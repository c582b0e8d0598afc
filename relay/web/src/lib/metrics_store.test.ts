// The last minutes of a server: rates, gaps, clocks that jump, series that come and go, and a fixed size.

import { expect, test } from "vitest";
import type { Series } from "./facade";
import { SERIES_MAX } from "./limits";
import { MetricsStore } from "./metrics_store";

const AT = 1_800_000_000_000;
const gauge = (name: string, value = ""): Series => ({
  name,
  unit: "1",
  kind: "gauge",
  attributes: value === "" ? [] : [["of", value]],
});
const counter = (name: string): Series => ({ ...gauge(name), kind: "counter" });
const add = (store: MetricsStore, at: number, values: number[], elapsed = 1_000) =>
  store.add({ at, elapsed, dropped: 0, values: Float32Array.from(values) });
const values = (store: MetricsStore, name: string) =>
  Array.from(store.past().columns.find(({ series }) => series.name === name)?.values ?? [], (value) =>
    Number.isNaN(value) ? null : value,
  );

function begun(...series: Series[]): MetricsStore {
  const store = new MetricsStore();
  store.begin();
  store.announce({ first: 0, series });
  return store;
}

test("COD-09 a counter is what it grew by per second, and nothing where it went back or no time is known", () => {
  const store = begun(counter("io"), gauge("load"));
  add(store, AT, [50, 1], 0);
  add(store, AT + 2_000, [50, 2], 2_000);
  add(store, AT + 3_000, [-7, Number.NaN]);
  add(store, AT + 4_000, [0, 3]);
  expect(values(store, "io")).toEqual([null, 25, null, 0]);
  expect(values(store, "load")).toEqual([1, 2, null, 3]);
});

test("no line is drawn over time in which nothing was heard", () => {
  const store = begun(gauge("load"));
  for (const at of [0, 1_000, 60_000]) add(store, AT + at, [1]);
  expect(values(store, "load")).toEqual([1, 1, null, 1]);
  expect([...store.past().times].map((at) => at - AT)).toEqual([0, 1_000, 30_500, 60_000]);
});

test("COD-09 a clock that was set back begins anew; one that stumbles does not", () => {
  const store = begun(gauge("load"));
  for (const at of [0, 1_000, 900, 1_050, 2_000]) add(store, AT + at, [at]);
  expect(values(store, "load")).toEqual([0, 1_000, 2_000]);
  add(store, AT - 3_600_000, [7]);
  expect(values(store, "load")).toEqual([7]);
  const { times } = store.past();
  expect(times.every((at, index) => index === 0 || at > (times[index - 1] ?? 0))).toBe(true);
});

test("a stream that begins again may number its series otherwise; what is gone goes", () => {
  const store = begun(gauge("a"), gauge("b"));
  add(store, AT, [1, 2]);
  store.begin();
  store.announce({ first: 0, series: [gauge("b"), undefined, gauge("c")] });
  add(store, AT + 1_000, [20, 5, 30]);
  expect(store.past().columns.map(({ series }) => series.name)).toEqual(["b", "c"]);
  expect(values(store, "b")).toEqual([2, 20]);
  expect(values(store, "c")).toEqual([null, 30]);
});

test("a series that moves to another number within a stream goes on", () => {
  const store = begun(gauge("a"), gauge("b"));
  add(store, AT, [1, 2]);
  store.announce({ first: 0, series: [gauge("b")] });
  add(store, AT + 1_000, [20]);
  expect(values(store, "b")).toEqual([2, 20]);
  expect(store.past().columns.length).toBe(1);
});

test("fifteen minutes are kept, oldest first", () => {
  const store = begun(gauge("n"));
  for (let second = 0; second < 3_700; second++) add(store, AT + second * 1_000, [second]);
  expect(values(store, "n")).toEqual(Array.from({ length: 900 }, (_, at) => 2_800 + at));
  expect(store.past().times[0]).toBe(AT + 2_800_000);
});

test("WEB-09 10,000 label values take no more than 2,000 columns; DOS-06 a flood is not drawn", () => {
  const store = begun();
  const used = () => store.past().columns.length;
  for (let first = 0; first < 10_000; first += 500) {
    const series = Array.from({ length: 500 }, (_, at) => gauge("x", String(first + at)));
    if (first % 2_000 === 0) store.begin();
    store.announce({ first: first % SERIES_MAX, series });
    add(store, AT + first * 2, new Array(SERIES_MAX).fill(1));
    expect(used()).toBeLessThanOrEqual(SERIES_MAX);
  }
  const moments = store.past().times.length;
  let taken = 0;
  for (let count = 0; count < 100_000; count++)
    taken += Number(add(store, AT + 20_000 + count / 100, [1], 0));
  expect(taken).toBeLessThan(10);
  expect(store.past().times.length - moments).toBeLessThan(10);
});

test("WEB-09 a series gets the memory of one that went, and nothing of what stood in it", () => {
  const store = begun(gauge("a"), gauge("keeps"));
  for (let second = 0; second < 1_500; second++) add(store, AT + second * 1_000, [second, 1]);
  const before = store.past().columns.find(({ series }) => series.name === "a")?.values.buffer;
  store.announce({ first: 0, series: [gauge("b")] });
  add(store, AT + 1_500_000, [7, 1]);
  const after = store.past().columns.find(({ series }) => series.name === "b")?.values;
  expect(after?.buffer).toBe(before);
  expect(values(store, "b")).toEqual([...Array(899).fill(null), 7]);
  for (let second = 1_501; second < 2_000; second++) add(store, AT + second * 1_000, [Number.NaN, 2]);
  expect(values(store, "b").filter((value) => value !== null)).toEqual([7]);
  expect(values(store, "keeps").every((value) => value !== null)).toBe(true);
});
