// @vitest-environment jsdom
// What the page of metrics makes of values: which resource is in trouble, which lines are drawn, what a file holds.
import { beforeAll, expect, test, vi } from "vitest";
import type { Column, Past, Series } from "../../lib/facade";
import { someWorld } from "../fake/world";
import type * as ChartsModule from "./charts";
import { cell, csv } from "./csv";
import { between, Chooser, copied, Lookup, mean, moved } from "./lookup";
import type * as UseModule from "./use";

const AT = 1_800_000_000_000;
let use: typeof UseModule;
let charts: typeof ChartsModule;
let words: typeof import("./words");
let format: typeof import("./format");

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  const table = await import("../words.svelte");
  await table.words();
  await table.roomWords();
  [use, charts, words, format] = await Promise.all([
    import("./use"),
    import("./charts"),
    import("./words"),
    import("./format"),
  ]);
});

type Given = readonly [string, Series["kind"], Record<string, string>, number | readonly number[]];

/** Three minutes of seconds; one number: always that. */
function past(...given: Given[]): Past {
  const times = Float64Array.from({ length: 180 }, (_, second) => AT + second * 1000);
  const columns = given.map(([name, kind, attributes, value]): Column => {
    const values = Float32Array.from(times, (_, at) =>
      typeof value === "number" ? value : (value[Math.floor((at * value.length) / 180)] ?? Number.NaN),
    );
    return { series: { name, unit: "1", kind, attributes: Object.entries(attributes).sort() }, values };
  });
  return { times, columns, dropped: 0 };
}

const rows = (...given: Given[]) => use.sorted(use.rowsOf(new Lookup(past(...given))));
const state = (resource: string, ...given: Given[]) =>
  rows(...given).find((row) => row.resource === resource)?.state;

test("each limit is one of the last minute, not of what was before", () => {
  const busy = (value: number | readonly number[]): Given => ["system.cpu.utilization", "gauge", {}, value];
  expect(state("cpu", busy(0.84))).toBe("ok");
  expect(state("cpu", busy(0.86))).toBe("warning");
  expect(state("cpu", busy(0.96))).toBe("critical");
  expect(state("cpu", busy([0.99, 0.99, 0.3]))).toBe("ok");
  expect(state("cpu", busy([0.1, 0.1, 0.97]))).toBe("critical");
  expect(state("cpu", busy(Number.NaN))).toBe("unknown");
  expect(state("cpu")).toBe("unknown");
});

test("kills are counted over all that is there; a share of few packets says nothing", () => {
  expect(state("memory", ["system.linux.oom_kills", "counter", {}, 0])).toBe("ok");
  const once = Array.from({ length: 180 }, (_, at) => (at === 5 ? 1 : 0));
  const killed = rows(["system.linux.oom_kills", "counter", {}, once]).find(
    ({ resource }) => resource === "memory",
  );
  expect([killed?.state, killed?.cells.errors?.value]).toEqual(["warning", 1]);
  const of = { device: "eth0", direction: "receive" };
  const lost = (packets: number): Given[] => [
    ["system.network.packet.dropped", "counter", of, 1],
    ["system.network.packet.count", "counter", of, packets],
  ];
  expect(state("network", ...lost(2))).toBe("warning");
  expect(state("network", ...lost(90))).toBe("ok");
  const again = (sent: number): Given[] => [
    ["system.linux.tcp.retransmits", "counter", {}, 0.3],
    ["system.linux.tcp.segments", "counter", { direction: "transmit" }, sent],
  ];
  expect(state("tcp", ...again(1))).toBe("ok");
  expect(state("tcp", ...again(10))).toBe("ok");
  expect(
    state(
      "tcp",
      ["system.linux.tcp.retransmits", "counter", {}, 2],
      ["system.linux.tcp.segments", "counter", { direction: "transmit" }, 30],
    ),
  ).toBe("critical");
});

test("the worst comes first, and the sentence names it", () => {
  const all = rows(
    ["system.cpu.utilization", "gauge", {}, 0.9],
    ["system.linux.filesystem.fullest", "gauge", {}, 0.99],
    ["system.memory.utilization", "gauge", {}, 0.5],
  );
  expect(all.map(({ resource }) => resource).slice(0, 3)).toEqual(["filesystem", "cpu", "memory"]);
  expect(words.answerOf(all)).toBe("Critical: Filesystems. Warning: CPU");
  expect(words.answerOf(rows(["system.memory.utilization", "gauge", {}, 0.5]))).toBe(
    "Nothing is beyond its limit",
  );
  expect(words.answerOf(rows())).toBe("Nothing is known yet");
});

test("every limit names where it comes from, and rises", () => {
  expect(new Set(use.MEASURES.map(({ id }) => id)).size).toBe(use.MEASURES.length);
  for (const { limit, id } of use.MEASURES) {
    if (!limit) continue;
    expect(limit.rule, id).toMatch(/^(CPU|MEM|DSK|NET|KRN)-\d\d$/);
    expect(limit.critical ?? limit.warning, id).toBeGreaterThanOrEqual(limit.warning);
  }
});

test("what the fake server, as the sampler names things, sends has a chart and a measure", async () => {
  const { fakeMetrics } = await import("../fake/metrics");
  const world = someWorld(Date.now());
  const whole = await fakeMetrics(world).range("01", {
    from: Date.now() - 60_000,
    to: Date.now(),
    points: 60,
    names: [],
  });
  const look = new Lookup(whole);
  const chooser = new Chooser();
  const empty = charts.CHARTS.filter((chart) => charts.drawn(chart, look, chooser, 0).lines.length === 0);
  // Bytes are known: then no shares.
  expect(empty.map(({ id }) => id)).toEqual(["memory-share"]);
  expect(use.rowsOf(look).filter((row) => row.state === "unknown")).toEqual([]);
  const recorder = await fakeMetrics(world).recorder("04");
  const few = charts.CHARTS.filter(
    (chart) => charts.drawn(chart, new Lookup(recorder), chooser, 0).lines.length > 0,
  );
  for (const id of ["cpu", "pressure", "memory-share", "disk-busy", "network-lost"])
    expect(few.map((one) => one.id)).toContain(id);
});

test("WEB-09 of many lines those with the largest means are drawn, and stay for a while", () => {
  const many = Array.from({ length: 1_900 }, (_, at) => ({
    key: String(at),
    values: Float32Array.of(at, Number.NaN),
  }));
  const chooser = new Chooser(30_000);
  const chosen = (all: typeof many, now: number) =>
    chooser
      .choose(
        "x",
        all,
        ({ key }) => key,
        ({ values }) => values,
        3,
        now,
      )
      .map(({ key }) => key);
  expect(chosen(many, 0)).toEqual(["1899", "1898", "1897"]);
  const turned = many.map(({ key }) => ({ key, values: Float32Array.of(-Number(key)) }));
  expect(chosen(turned, 29_000)).toEqual(["1897", "1898", "1899"]);
  expect(chosen(turned, 31_000)).toEqual(["0", "1", "2"]);
  // Those that were drawn are gone.
  expect(chosen(many.slice(100), 32_000)).toEqual(["1899", "1898", "1897"]);
});

test("a part of the time is cut without a copy; a copy stays", () => {
  const all = past(["x", "gauge", {}, 1]);
  const part = between(all, AT + 10_000, AT + 20_000);
  expect([part.times.length, part.columns[0]?.values.length]).toEqual([11, 11]);
  const copy = copied(part);
  all.columns[0]?.values.fill(9);
  expect([part.columns[0]?.values[0], copy.columns[0]?.values[0]]).toEqual([9, 1]);
  expect(between(all, AT - 1, AT + 1e9)).toBe(all);
  expect(between(all, AT + 1e9, AT + 2e9).times.length).toBe(0);
});

test("what lies behind is laid under the same clock, with its gaps", () => {
  const day = 86_400_000;
  const of = Float64Array.of(AT - day, AT - day + 10_000, AT - day + 90_000);
  const shown = Float64Array.of(AT, AT + 5_000, AT + 10_000, AT + 500_000, AT + 90_000 + 1);
  const found = moved(Float32Array.of(1, 2, 3), of, shown, day);
  expect([...found].map((value) => (Number.isNaN(value) ? null : value))).toEqual([1, 1, 2, null, 3]);
  expect(mean(Float32Array.of(Number.NaN, 2, 4))).toBe(3);
  expect(mean(Float32Array.of(Number.NaN))).toBeNaN();
});

test("numbers are written as engineers write them", () => {
  const check = (value: number, unit: Parameters<typeof format.told>[1], expected: string) =>
    expect(format.told(value, unit)).toBe(expected);
  check(0.9312, "share", "93.1 %");
  check(1, "share", "100 %");
  check(4_100_000, "bytes/s", "4.1 MB/s");
  check(0.0234, "seconds", "23.4 ms");
  check(0.0000234, "seconds", "23.4 µs");
  check(2, "seconds", "2 s");
  check(12_345, "/s", "12.3 k/s");
  check(Number.NaN, "bytes", "–");
  check(Number.POSITIVE_INFINITY, "count", "–");
});

test("a file for a spreadsheet holds no formula, and nothing where nothing is known", () => {
  for (const bad of ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "|calc", "%x", "\r=1"]) {
    expect(cell(bad), bad).toMatch(/^"'/);
  }
  expect([cell("sda read"), cell('a"b'), cell("a,b")]).toEqual(["sda read", '"a""b"', '"a,b"']);
  const chart = charts.CHARTS.find(({ id }) => id === "disk-bytes");
  if (!chart) throw new Error("there is one");
  const lines = [
    { label: "=cmd|' /C calc'!A0", values: Float32Array.of(1.5, Number.NaN) },
    { label: "sda", values: Float32Array.of(1, 2), min: Float32Array.of(0, 1), max: Float32Array.of(2, 3) },
  ];
  const file = csv(Float64Array.of(AT, AT + 1_000), [{ chart, lines, of: 2 }], () => "=evil");
  expect(file.split("\r\n")).toEqual([
    `time,"'=evil: =cmd|' /C calc'!A0 [By/s]","'=evil: sda [By/s]","'=evil: sda [By/s] min","'=evil: sda [By/s] max"`,
    "2027-01-15T08:00:00.000Z,1.5,1,0,2",
    "2027-01-15T08:00:01.000Z,,2,1,3",
    "",
  ]);
});
