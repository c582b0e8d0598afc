// A played relay: seconds arrive, streams break and come back, and nobody who does not look is sent anything.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { concat, uint, utf8 } from "./bytes";
import { encode, Kind, message } from "./frame";
import { metrics, together } from "./metrics";
import { LiveFeed, waitMs } from "./metrics_feed";
import { metricsSeries } from "./metrics_wire";
import { outside } from "./outside";
import { refused } from "./wire";

const AT = 1_800_000_000_000;

class Socket {
  static all: Socket[] = [];
  readonly OPEN = 1;
  readyState = 0;
  binaryType = "";
  bufferedAmount = 0;
  protocol = "cloud-doctor.v1";
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  onclose: ((event: { code: number }) => void) | undefined;
  closed: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    Socket.all.push(this);
  }

  says(frame: Uint8Array): void {
    this.onmessage?.({ data: frame.slice().buffer });
  }

  send(): void {}

  close(code: number): void {
    this.closed = code;
  }
}

const last = () => Socket.all.at(-1) as Socket;

beforeEach(() => {
  vi.useFakeTimers();
  Socket.all = [];
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async () => new Response(JSON.stringify({ ticket: "t" }), { status: 201 });
  outside.socket = (url, protocols) => new Socket(url, protocols) as unknown as WebSocket;
});

afterEach(() => {
  vi.useRealTimers();
});

const SERIES = [
  {
    name: "system.cpu.time",
    unit: "s",
    kind: "counter" as const,
    attributes: [["mode", "user"]],
    summary: true,
  },
] as const;

const series = (kind = SERIES) =>
  message(Kind.MetricsSeries, metricsSeries, { first: 0, series: kind as never });

function floats(...values: number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, at) => {
    view.setFloat32(at * 4, value);
  });
  return new Uint8Array(view.buffer);
}

const second = (at: number, value: number, elapsed = 1_000) =>
  encode(Kind.MetricsSample, concat(uint(at, 8), uint(elapsed, 4), uint(0, 4), floats(value)));

async function open(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0);
  last().readyState = 1;
  last().onopen?.();
  await vi.advanceTimersByTimeAsync(0);
}

test("seconds arrive, and a stream that breaks is opened again without losing what was there", async () => {
  const feed = new LiveFeed("ab/cd");
  const heard: string[] = [];
  feed.onChange(() => heard.push(feed.state.kind));
  await open();
  expect(last().url).toBe("wss://relay.example/api/v1/servers/ab%2Fcd/metrics/live");
  last().says(series());
  last().says(second(AT, 0.5));
  expect(feed.state.kind).toBe("live");
  last().onclose?.({ code: 4410 });
  expect(feed.state).toMatchObject({ kind: "lost", error: { id: "stream_closed" } });
  await vi.advanceTimersByTimeAsync(600);
  await open();
  expect(Socket.all.length).toBe(2);
  last().says(series());
  last().says(second(AT + 1_000, 0.25));
  expect([...(feed.past().columns[0]?.values ?? [])]).toEqual([0.5, 0.25]);
  expect(heard).toEqual(["live", "lost", "live"]);
  feed.stop();
  expect(last().closed).toBe(1000);
});

test("waits grow to a bound and differ between pages", async () => {
  expect([0, 1, 4, 5, 40].map((tries) => waitMs(tries, 1))).toEqual([500, 1_000, 8_000, 10_000, 10_000]);
  expect(waitMs(40, 0)).toBe(5_000);
  const feed = new LiveFeed("s");
  for (let count = 0; count < 30; count++) {
    await open();
    last().onclose?.({ code: 4404 });
    await vi.advanceTimersByTimeAsync(10_000);
  }
  await vi.advanceTimersByTimeAsync(600_000);
  expect(Socket.all.length).toBeLessThan(160);
  feed.stop();
});

test("a server that says nothing is asked again", async () => {
  const feed = new LiveFeed("s");
  await open();
  last().says(series());
  await vi.advanceTimersByTimeAsync(14_000);
  expect(Socket.all.length).toBe(1);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(feed.state).toMatchObject({ kind: "lost", error: { id: "stream_lost" } });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(Socket.all.length).toBe(2);
  feed.stop();
});

test("while the server is away or says no the stream stays, and its silence is no fault", async () => {
  const feed = new LiveFeed("s");
  const says = (text: string) => last().onmessage?.({ data: text });
  await open();
  for (const [text, id] of [
    ['{"state":"away"}', "metrics_away"],
    ['{"state":"cut"}', "metrics_cut"],
    ['{"state":"busy"}', "metrics_busy"],
  ] as const) {
    says(text);
    expect(feed.state).toMatchObject({ kind: "lost", error: { id } });
  }
  last().says(message(Kind.Refused, refused, { code: "lockdown", detail: "", told: null }));
  says('{"state":"refused"}');
  expect(feed.state).toMatchObject({ kind: "lost", error: { id: "refusal_lockdown" } });
  for (const text of ["", "nonsense", "[]", "null", '{"state":7}', '{"skipped":3}', '{"state":"moon"}'])
    says(text);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(feed.state).toMatchObject({ kind: "lost", error: { id: "refusal_lockdown" } });
  expect(Socket.all.length).toBe(1);
  says('{"state":"live"}');
  last().says(series());
  last().says(second(AT, 1));
  expect(feed.state.kind).toBe("live");
  await vi.advanceTimersByTimeAsync(15_100);
  expect(feed.state).toMatchObject({ kind: "lost", error: { id: "stream_lost" } });
  feed.stop();
});

test("nobody who does not look is sent anything", async () => {
  const feed = new LiveFeed("s");
  await open();
  last().says(series());
  last().says(second(AT, 1));
  feed.rest(true);
  expect(last().closed).toBe(1000);
  last().says(second(AT + 1_000, 1));
  await vi.advanceTimersByTimeAsync(600_000);
  expect([Socket.all.length, feed.past().times.length, feed.state.kind]).toEqual([1, 1, "resting"]);
  feed.rest(false);
  await open();
  expect(Socket.all.length).toBe(2);
  feed.stop();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(Socket.all.length).toBe(2);
});

test("nonsense is skipped or ends the stream, and never throws", async () => {
  const feed = new LiveFeed("s");
  await open();
  last().says(encode(Kind.MetricsSample, utf8("short")));
  last().says(encode(Kind.MetricsSeries, utf8("no MessagePack")));
  last().says(second(2 ** 52 * 3, 1));
  expect([feed.state.kind, feed.past().times.length]).toEqual(["connecting", 0]);
  last().says(encode(Kind.Record, new Uint8Array(9)));
  expect(feed.state).toMatchObject({ kind: "over", error: { id: "out_of_turn" } });
  const other = new LiveFeed("s");
  await open();
  last().says(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 3, 4, 0));
  expect(other.state).toMatchObject({ kind: "over", error: { id: "stream_framing" } });
});

const rangeOf = (number: number, from: number, step: number, ...columns: number[][]) =>
  encode(
    Kind.MetricsRange,
    concat(
      uint(number, 4),
      uint(from, 8),
      uint(step, 4),
      uint(columns[0]?.length ?? 0, 4),
      ...columns.map((one) => floats(...one)),
    ),
  );

function answers(status: number, body: Uint8Array<ArrayBuffer> | string): string[] {
  const asked: string[] = [];
  outside.fetch = async (url) => {
    asked.push(url);
    return new Response(body, { status });
  };
  return asked;
}

test("a range comes on one time axis, with its smallest and largest", async () => {
  const two = [...SERIES, { ...SERIES[0], attributes: [["mode", "idle"]] }] as never;
  const asked = answers(
    200,
    concat(
      series(two),
      rangeOf(0, AT, 10_000, [1, 2, 3], [4, 5, 6], [7, 8, 9]),
      rangeOf(1, AT, 20_000, [1, 2], [3, 4], [5, 6]),
      rangeOf(7, AT, 10_000, [1], [1], [1]),
    ),
  );
  const past = await metrics.range("s", { from: AT, to: AT + 30_000, points: 3, names: ["a", "b"] });
  expect(asked).toEqual([
    `https://relay.example/api/v1/servers/s/metrics/range?from=${AT}&to=${AT + 30_000}&points=3&name=a&name=b`,
  ]);
  expect([...past.times]).toEqual([AT, AT + 10_000, AT + 20_000]);
  expect(past.columns.map(({ values }) => [...values])).toEqual([
    [4, 5, 6],
    [3, 3, 4],
  ]);
  expect([...(past.columns[0]?.max ?? [])]).toEqual([7, 8, 9]);
  expect(together([]).times.length).toBe(0);
});

test("the recorder's seconds are a past as well; refusals and nonsense have sentences", async () => {
  answers(200, concat(series(), second(AT, 1), second(AT + 5_000, 2, 5_000)));
  expect([...(await metrics.recorder("s")).times]).toEqual([AT, AT + 5_000]);
  const wish = { from: 0, to: 1, points: 1, names: [] };
  const fault = async () => metrics.range("s", wish).catch((error: { id: string }) => error.id);
  answers(200, message(Kind.Refused, refused, { code: "lockdown", detail: "", told: null }));
  expect(await fault()).toBe("refusal_lockdown");
  answers(502, JSON.stringify({ code: "server-refused", refusal: { code: "ceiling", detail: "" } }));
  expect(await fault()).toBe("refusal_ceiling");
  answers(200, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 3, 4, 0));
  expect(await fault()).toBe("relay_odd");
  answers(200, JSON.stringify({ at: AT, total: 2, processes: [{ pid: 1, name: "x", processors: -1 }] }));
  expect(await metrics.processes("s", 9).catch((error: { id: string }) => error.id)).toBe("relay_odd");
});

test("events are asked for as whole milliseconds; a newer server's kinds are left out, nonsense has a sentence", async () => {
  const event = { at: AT, kind: "failed", count: 1, names: [], unit: "a.service", guessed: false };
  const named = {
    ...event,
    kind: "upgraded",
    names: Array.from({ length: 20 }, () => ({ name: "x", before: "1" })),
  };
  const list = (events: unknown) =>
    JSON.stringify({ since: AT, events, left_out: 2, blind: ["kernel", "moon"] });
  const asked = answers(200, list([{ ...event, kind: "moonlight" }, event, named]));
  const found = await metrics.happened("s", AT - 0.5, AT + 0.5);
  expect(asked).toEqual([
    `https://relay.example/api/v1/servers/s/metrics/events?from=${AT - 1}&to=${AT + 1}`,
  ]);
  expect(found.events.map(({ kind, names }) => [kind, names.length])).toEqual([
    ["failed", 0],
    ["upgraded", 8],
  ]);
  expect([found.leftOut, found.blind]).toEqual([2, ["kernel"]]);
  answers(200, list(Array.from({ length: 900 }, () => event)));
  expect((await metrics.happened("s", 0, AT)).events.length).toBe(500);
  const fault = async () => metrics.happened("s", 0, AT).catch((error: { id: string }) => error.id);
  answers(200, list([{ ...event, at: "x" }]));
  expect(await fault()).toBe("relay_odd");
  answers(
    409,
    JSON.stringify({ code: "server-refused", refusal: { code: "events-too-often", detail: "4" } }),
  );
  expect(await fault()).toBe("refusal_events_too_often");
});
