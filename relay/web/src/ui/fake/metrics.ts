// Metrics of the made-up world's servers: values that depend on nothing but the time, so that two looks agree. web-1 has
// a disk that cannot keep up; db-1 is gone, and its last minute says why.
import { ConsoleError } from "../../lib/errors";
import type {
  Column,
  Feed,
  FeedState,
  HappenedKind,
  HappenedView,
  Metrics,
  Past,
  ProcessView,
  Series,
} from "../../lib/facade";
import { MetricsStore } from "../../lib/metrics_store";
import { soon, type World } from "./world";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** Seconds that are there when the page comes. */
const BEFORE = 300;

type Value = (at: number) => number;
interface Made {
  readonly series: Series;
  readonly value: Value;
  readonly summary: boolean;
}

/** Between 0 and 1, the same for the same time and line. */
function noise(at: number, line: number): number {
  const seed = Math.sin(Math.floor(at / SECOND) * 12.9898 + line * 78.233) * 43758.5453;
  return seed - Math.floor(seed);
}

/** Around `middle`, slowly up and down, with noise of a tenth of it. */
function wave(middle: number, line: number, part = 0.3): Value {
  const period = (90 + 37 * (line % 7)) * SECOND;
  return (at) =>
    middle * (1 + part * Math.sin((at / period) * 2 * Math.PI) + 0.2 * part * (noise(at, line) - 0.5));
}

/** Little, and much within the last minutes. */
function trouble(before: number, since: Value, from: number): Value {
  return (at) => (at < from ? before * (1 + 0.2 * noise(at, 5)) : since(at));
}

/** How a part of a server is made up. */
interface Maker {
  readonly now: number;
  /** When it began to go wrong. */
  readonly from: number;
  /** It is gone since. */
  readonly away: boolean;
  readonly gauge: (name: string, unit: string, attributes: Record<string, string>, value: Value) => void;
  readonly counter: Maker["gauge"];
  /** What its disk does, where that is what goes wrong. */
  readonly late: (before: number, since: Value) => Value;
  /** What its memory does, where that is what goes wrong. */
  readonly full: (before: number, since: number) => Value;
}

function cpuOf({ from, away, gauge, counter, late }: Maker): void {
  const modes: [string, number][] = [
    ["user", 1.4],
    ["system", 0.5],
    ["nice", 0.02],
    ["irq", 0.03],
    ["softirq", 0.08],
    ["steal", 0.05],
  ];
  for (const [line, [mode, middle]] of modes.entries())
    counter("system.cpu.time", "s", { mode }, wave(middle, line));
  counter("system.cpu.time", "s", { mode: "iowait" }, late(0.1, wave(3.1, 9)));
  counter("system.cpu.time", "s", { mode: "idle" }, late(5.8, wave(2.7, 8)));
  gauge("system.cpu.utilization", "1", {}, late(0.27, wave(0.31, 2)));
  gauge("system.cpu.utilization", "1", { mode: "iowait" }, late(0.01, wave(0.39, 9)));
  gauge("system.cpu.utilization", "1", { mode: "steal" }, wave(0.006, 4));
  gauge("system.cpu.load_average.1m", "{thread}", {}, late(2, wave(11, 6, 0.1)));
  gauge("system.linux.cpu.load_per_cpu", "{thread}", {}, late(0.25, wave(1.4, 6, 0.1)));
  for (const [resource, before, since] of [
    ["cpu", 0.02, 0.04],
    ["memory", 0.001, 0.002],
    ["io", 0.03, 0.71],
  ] as const) {
    const worse = away && resource === "memory" ? 0.64 : since;
    const turn = away && resource !== "memory" ? before : worse;
    gauge("system.linux.pressure", "1", { resource, kind: "some" }, trouble(before, wave(turn, 7), from));
    if (resource !== "cpu")
      gauge(
        "system.linux.pressure",
        "1",
        { resource, kind: "full" },
        trouble(before / 3, wave(turn * 0.6, 8), from),
      );
  }
}

function memoryOf({ now, away, gauge, counter, full }: Maker): void {
  for (const [state, part] of [
    ["used", full(0.44, 0.985)],
    ["cached", wave(0.31, 3, 0.02)],
    ["buffers", wave(0.02, 4, 0.02)],
    ["free", wave(0.2, 5, 0.03)],
  ] as const)
    gauge("system.memory.usage", "By", { state }, (at) => 16.7e9 * part(at));
  gauge("system.memory.limit", "By", {}, () => 16.7e9);
  gauge("system.memory.utilization", "1", {}, full(0.44, 0.985));
  gauge("system.paging.utilization", "1", {}, full(0.06, 0.97));
  counter("system.paging.operations", "{operation}", { direction: "in" }, full(2, 900));
  counter("system.paging.operations", "{operation}", { direction: "out" }, full(1, 4_000));
  counter("system.paging.faults", "{fault}", { type: "major" }, full(3, 1_800));
  const killed = Math.floor((now - 70 * SECOND) / (5 * SECOND));
  counter("system.linux.oom_kills", "{process}", {}, (at) =>
    away && Math.floor(at / (5 * SECOND)) === killed ? 1 : 0,
  );
}

function disksOf({ gauge, counter, late }: Maker): void {
  const disks: [string, number][] = [
    ["sda", 1],
    ["nvme0n1", 0.2],
  ];
  for (const [device, part] of disks) {
    const hurts = part === 1;
    counter(
      "system.disk.io_time",
      "s",
      { device },
      hurts ? late(0.18, (at) => 0.985 + 0.015 * noise(at, 1)) : wave(0.07, 3),
    );
    counter("system.disk.weighted_io_time", "s", { device }, hurts ? late(0.3, wave(23, 4)) : wave(0.1, 3));
    for (const direction of ["read", "write"]) {
      const operations = hurts ? late(80, wave(direction === "write" ? 410 : 120, 2)) : wave(140, 6);
      counter(
        "system.disk.io",
        "By",
        { device, direction },
        hurts ? late(3e6, wave(direction === "write" ? 41e6 : 6e6, 5)) : wave(9e6, 6),
      );
      counter("system.disk.operations", "{operation}", { device, direction }, operations);
      const seconds = hurts ? late(0.004, wave(direction === "write" ? 0.18 : 0.09, 1)) : wave(0.0004, 2);
      counter("system.disk.operation_time", "s", { device, direction }, (at) => operations(at) * seconds(at));
    }
  }
  counter("system.linux.network.errors", "{error}", {}, () => 0);
  counter("system.linux.network.dropped", "{packet}", {}, (at) => (noise(at, 2) > 0.9 ? 3 : 0));
  for (const direction of ["receive", "transmit"])
    counter(
      "system.linux.network.io",
      "By",
      { direction },
      wave(direction === "receive" ? 4.1e6 : 11.6e6, 3),
    );
  gauge(
    "system.linux.disk.busiest",
    "1",
    {},
    late(0.18, (at) => 0.985 + 0.015 * noise(at, 1)),
  );
  gauge("system.linux.disk.longest_queue", "{operation}", {}, late(0.3, wave(23, 4)));
}

function filesystemsOf({ gauge }: Maker): void {
  for (const [mountpoint, used] of [
    ["/", 0.61],
    ["/var/lib/postgresql", 0.924],
    ["/boot", 0.31],
  ] as const) {
    const of = { device: "/dev/sda", mountpoint, type: "ext4" };
    gauge("system.filesystem.utilization", "1", of, () => used);
    for (const [state, part] of [
      ["used", used / 3],
      ["free", 1 - used / 3],
    ] as const)
      gauge("system.linux.filesystem.inodes", "{inode}", { ...of, state }, () => 3.2e6 * part);
  }
  gauge("system.linux.filesystem.fullest", "1", {}, () => 0.924);
  gauge("system.linux.filesystem.fullest_inodes", "1", {}, () => 0.308);
  gauge("system.linux.filesystem.hung", "{filesystem}", {}, () => 0);
}

function networkOf({ counter }: Maker): void {
  for (const [device, part] of [
    ["eth0", 1],
    ["lo", 0.1],
  ] as const) {
    for (const direction of ["receive", "transmit"]) {
      const of = { device, direction };
      counter("system.network.io", "By", of, wave((direction === "receive" ? 4.1e6 : 11.6e6) * part, 3));
      counter("system.network.packet.count", "{packet}", of, wave(9_000 * part, 3));
      counter("system.network.errors", "{error}", of, () => 0);
      counter("system.network.packet.dropped", "{packet}", of, (at) =>
        device === "eth0" && noise(at, 2) > 0.9 ? 3 : 0,
      );
    }
  }
}

function protocolsOf({ from, away, gauge, counter }: Maker): void {
  counter("system.linux.tcp.segments", "{segment}", { direction: "transmit" }, wave(8_600, 4));
  counter("system.linux.tcp.segments", "{segment}", { direction: "receive" }, wave(7_100, 4));
  counter("system.linux.tcp.retransmits", "{segment}", {}, trouble(12, wave(away ? 12 : 236, 6), from));
  counter("system.linux.tcp.syn_retransmits", "{segment}", {}, wave(2, 6));
  counter("system.linux.tcp.timeouts", "{timeout}", {}, wave(4, 7));
  counter("system.linux.tcp.listen_overflows", "{connection}", {}, () => 0);
  counter("system.linux.softnet", "{packet}", { kind: "dropped" }, () => 0);
  counter("system.linux.softnet", "{packet}", { kind: "squeezed" }, () => 0);
  gauge(
    "system.network.connection.count",
    "{connection}",
    { "network.connection.state": "established", "network.transport": "tcp" },
    wave(412, 5),
  );
  gauge("system.linux.conntrack.utilization", "1", {}, wave(0.18, 5, 0.1));
  gauge("system.linux.file_handles.utilization", "1", {}, wave(0.04, 5, 0.1));
}

function servicesOf({ gauge }: Maker): void {
  const services = [
    "postgresql",
    "nginx",
    "myapp",
    "redis",
    "cron",
    "ssh",
    "docker",
    "systemd-journald",
    "php8.2-fpm",
    "node-exporter",
  ];
  services.forEach((name, line) => {
    gauge(
      "system.linux.service.cpu.usage",
      "{cpu}",
      { service: `${name}.service` },
      wave(1.2 / (line + 1), line),
    );
    gauge(
      "system.linux.service.memory.usage",
      "By",
      { service: `${name}.service` },
      wave(4.1e9 / (line + 1), line, 0.05),
    );
    gauge("system.linux.service.cpu.throttled", "1", { service: `${name}.service` }, () => 0);
  });
}

function list(now: number, server: string): Made[] {
  const made: Made[] = [];
  const add = (
    kind: Series["kind"],
    name: string,
    unit: string,
    attributes: Record<string, string>,
    value: Value,
  ) =>
    made.push({
      series: { name, unit, kind, attributes: Object.entries(attributes).sort() },
      value,
      summary:
        Object.keys(attributes).length === 0 ||
        ["system.linux.pressure", "system.linux.network.io"].includes(name),
    });
  const gauge = (name: string, unit: string, attributes: Record<string, string>, value: Value) =>
    add("gauge", name, unit, attributes, value);
  const counter = (name: string, unit: string, attributes: Record<string, string>, value: Value) =>
    add("counter", name, unit, attributes, value);
  const away = server.startsWith("04");
  const from = now - (away ? 80 * SECOND : 100 * SECOND);
  const late = (before: number, since: Value) =>
    trouble(before, since, away ? Number.POSITIVE_INFINITY : from);
  const full = (before: number, since: number) =>
    away ? trouble(before, wave(since, 3, 0.02), from) : wave(before, 3, 0.05);
  const maker: Maker = { now, from, away, gauge, counter, late, full };
  for (const make of [cpuOf, memoryOf, disksOf, filesystemsOf, networkOf, protocolsOf, servicesOf])
    make(maker);
  return made;
}

/** A host at the limit: 2,000 series, most of them of one name whose 10,000 values come and go. */
function huge(now: number, turn: number): Made[] {
  const made = list(now, "01");
  for (let count = 0; made.length < 2_000; count++) {
    const service = `container-${(count + turn * 700) % 10_000}.scope`;
    made.push({
      series: {
        name: "system.linux.service.cpu.usage",
        unit: "{cpu}",
        kind: "gauge",
        attributes: [["service", service]],
      },
      value: wave(0.4, count),
      summary: false,
    });
  }
  return made;
}

function sampleOf(made: readonly Made[], at: number, elapsed: number, dropped: number) {
  const value = ({ series, value }: Made) =>
    series.kind === "counter" ? (value(at) * elapsed) / SECOND : value(at);
  return { at, elapsed, dropped, values: Float32Array.from(made, value) };
}

function announce(store: MetricsStore, made: readonly Made[]) {
  store.begin();
  store.announce({ first: 0, series: made.map(({ series }) => series) });
}

class FakeFeed implements Feed {
  state: FeedState = { kind: "connecting" };
  readonly #store = new MetricsStore();
  readonly #listeners = new Set<() => void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #made: readonly Made[];
  #turn = 0;

  constructor(
    readonly world: World,
    server: string,
    readonly many: boolean,
  ) {
    const now = Date.now();
    this.#made = many ? huge(now, 0) : list(now, server);
    announce(this.#store, this.#made);
    for (let back = BEFORE; back > 0; back--) this.#store.add(this.#sample(now - back * SECOND));
    const { refused } = world.metrics;
    setTimeout(() => this.become(refused ? { kind: "over", error: refused } : { kind: "live" }), 20);
    this.#timer = setInterval(() => this.#second(), SECOND);
  }

  #sample(at: number) {
    return sampleOf(this.#made, at, SECOND, this.many ? 8_000 : 0);
  }

  #second() {
    if (this.state.kind !== "live" || this.world.metrics.still) return;
    this.#turn += 1;
    if (this.many && this.#turn % 5 === 0) {
      this.#made = huge(Date.now(), this.#turn);
      announce(this.#store, this.#made);
    }
    this.#store.add(this.#sample(Date.now()));
    this.become(this.state);
  }

  /** Tests say what its connection does. */
  become(state: FeedState) {
    this.state = state;
    for (const listen of this.#listeners) listen();
  }

  past(): Past {
    if (this.state.kind === "over") return new MetricsStore().past();
    return this.#store.past();
  }

  onChange(listen: () => void) {
    this.#listeners.add(listen);
    return () => this.#listeners.delete(listen);
  }

  rest(yes: boolean) {
    if (this.state.kind !== "over") this.become({ kind: yes ? "resting" : "live" });
  }

  stop() {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }
}

/** Intervals with their smallest, mean and largest, out of some moments each. */
function rangeOf(made: readonly Made[], from: number, to: number, points: number): Past {
  const step = Math.max(SECOND, Math.ceil((to - from) / points / SECOND) * SECOND);
  const times = Float64Array.from({ length: Math.floor((to - from) / step) }, (_, at) => from + at * step);
  const columns = made.map(({ series, value }): Column => {
    const [values, min, max] = [times, times, times].map(({ length }) => new Float32Array(length));
    if (!values || !min || !max) throw new Error("three");
    times.forEach((time, at) => {
      const some = [0.05, 0.3, 0.55, 0.8].map((part) => value(time + part * step));
      values[at] = some.reduce((sum, one) => sum + one, 0) / some.length;
      [min[at], max[at]] = [Math.min(...some), Math.max(...some)];
    });
    return { series, values, min, max };
  });
  return { times, columns, dropped: 0 };
}

const PROCESSES: readonly (readonly [
  number,
  string,
  string,
  string,
  string,
  number,
  number,
  number,
  number,
])[] = [
  [2214, "postgres", "postgres", "postgresql.service", "D", 0.62, 2_400_000_000, 310_000, 31_000_000],
  [2219, "postgres", "postgres", "postgresql.service", "D", 0.41, 1_100_000_000, 90_000, 8_400_000],
  [811, "nginx", "www-data", "nginx.service", "S", 0.18, 74_000_000, 0, 120_000],
  [1502, "java", "myapp", "myapp.service", "S", 0.96, 3_900_000_000, 0, 40_000],
  [402, "systemd-journal", "root", "systemd-journald.service", "S", 0.03, 61_000_000, 0, 1_900_000],
  [9120, "kworker/u16:2", "root", "", "I", 0.01, 0, 0, 0],
];

type Told = readonly [
  seconds: number,
  HappenedKind,
  string,
  ...(readonly (readonly [string, string, string])[]),
];

/** Seconds before the page came; what happened explains what the charts show. */
const HAPPENED: readonly Told[] = [
  [5 * 86_400, "shut-down", ""],
  [5 * 86_400 - 95, "booted", ""],
  [26 * 3_600, "installed", "", ["strace", "", "6.1-0.1"]],
  [
    180,
    "upgraded",
    "",
    ["postgresql-15", "15.8-0+deb12u1", "15.9-0+deb12u1"],
    ["libpq5", "15.8-0+deb12u1", "15.9-0+deb12u1"],
  ],
  [150, "started", "postgresql.service"],
  [110, "failed", "myapp.service"],
  [108, "restarted", "myapp.service"],
  [70, "killed", "myapp.service", ["java", "", ""]],
  [40, "removed", "", ["old-\u202etool", "0.9", ""]],
];

function happenedAt(now: number, [before, kind, unit, ...names]: Told): HappenedView {
  return {
    at: now - before * SECOND,
    kind,
    count: kind === "restarted" ? 3 : kind === "upgraded" ? 14 : Math.max(1, names.length),
    names: names.map(([name, before, after]) => ({ name, before, after })),
    unit,
    guessed: kind === "removed",
  };
}

export function fakeMetrics(world: World): Metrics {
  const { metrics } = world;
  const known = (server: string) => (metrics.huge ? huge(metrics.at, 0) : list(metrics.at, server));
  return {
    async watch(server) {
      const feed = new FakeFeed(world, server, metrics.huge);
      if (server.startsWith("04"))
        setTimeout(
          () =>
            feed.become({
              kind: "over",
              error: new ConsoleError("stream_closed", { id: "close_4404", args: [] }),
            }),
          10,
        );
      metrics.feeds.push(feed);
      return feed;
    },
    async range(server, { from, to, points, names }) {
      await soon();
      metrics.asked.push({ from, to });
      const wanted = known(server).filter(({ series }) => names.length === 0 || names.includes(series.name));
      return rangeOf(wanted, from, Math.min(to, Date.now()), points);
    },
    async recorder(server) {
      await soon();
      const made = known(server).filter(({ summary }) => summary);
      const end = world.servers.find(({ id }) => id === server)?.lastSeenAt ?? metrics.at;
      // Its time is moved so that what went wrong is in its last minute.
      const moved = made.map((one) => ({ ...one, value: (at: number) => one.value(at - end + metrics.at) }));
      const store = new MetricsStore();
      announce(store, moved);
      for (let at = end - 15 * MINUTE; at <= end; at += 5 * SECOND)
        store.add(sampleOf(moved, at, 5 * SECOND, 0));
      return store.past();
    },
    async happened(server, from, to) {
      await soon();
      if (server.startsWith("04")) throw new ConsoleError("relay_says_no", "The server is not connected.");
      const all = HAPPENED.map((one) => happenedAt(metrics.at, one));
      return {
        since: metrics.at - 7 * 86_400 * SECOND,
        events: all.filter(({ at }) => at >= from && at < to),
        leftOut: 0,
        blind: metrics.blind ? ["kernel"] : [],
      };
    },
    async processes(server, count) {
      await soon(metrics.processesMs);
      if (server.startsWith("04")) throw new ConsoleError("relay_says_no", "The server is not connected.");
      const processes = PROCESSES.map(
        ([pid, name, user, unit, state, processors, memory, read, written]): ProcessView => ({
          pid,
          name,
          user,
          unit,
          state,
          processors,
          memory,
          read,
          written,
          threads: 4,
          descriptors: 64,
        }),
      );
      return { at: Date.now(), total: 214, processes: processes.slice(0, count) };
    },
  };
}

/** What of metrics a test changes. */
export interface MetricsWorld {
  /** When the page came: trouble began a little before. */
  at: number;
  /** 2,000 series. */
  huge: boolean;
  /** No second comes. */
  still: boolean;
  refused: ConsoleError | undefined;
  /** The server may not read its kernel's log. */
  blind: boolean;
  processesMs: number;
  readonly feeds: { state: FeedState; become(state: FeedState): void }[];
  readonly asked: { from: number; to: number }[];
}

export function someMetrics(now: number): MetricsWorld {
  return {
    at: now,
    huge: false,
    still: false,
    refused: undefined,
    blind: false,
    processesMs: 60,
    feeds: [],
    asked: [],
  };
}
