// What is wrong here: for each resource its errors, its saturation and its utilisation (in this order), and from when on
// that is trouble. The one table of limits; each says where it comes from. Pure but for the names' texts.
import type { TextId } from "../words.svelte";
import type { Unit } from "./format";
import { firstFrom, type Line, type Lookup, lineOf, mean, ratio, sum } from "./lookup";

export const RESOURCES = ["cpu", "memory", "disk", "filesystem", "network", "tcp", "limits"] as const;
export type Resource = (typeof RESOURCES)[number];
export const KINDS = ["errors", "saturation", "utilisation"] as const;
export type Kind = (typeof KINDS)[number];
export type State = "critical" | "warning" | "ok" | "unknown";

/** Who says so: Netdata's and the node mixin's alerts, Awesome Prometheus Alerts, or we. */
export type Source = "Netdata" | "node-mixin" | "Awesome Prometheus Alerts" | "Cloud Doctor";

export interface Limit {
  readonly warning: number;
  /** Missing: never critical by itself. */
  readonly critical?: number;
  /** The check that knows more about it. */
  readonly rule: string;
  readonly source: Source;
}

export interface Measure {
  readonly id: string;
  readonly resource: Resource;
  readonly kind: Kind;
  readonly name: TextId;
  readonly unit: Unit;
  /** Counted over all that is there, or the newest, instead of the mean of the last minute. */
  readonly as?: "count" | "newest";
  readonly limit?: Limit;
  readonly line: (look: Lookup) => Line | undefined;
}

/** A series as it is. */
function plain(name: string, attributes: Readonly<Record<string, string>> = {}) {
  return (look: Lookup): Line | undefined => {
    const found = look.one(name, attributes);
    return found && lineOf(name, found);
  };
}

/** The largest of many at each moment. */
function largest(name: string, lines: readonly (Line | undefined)[]): Line | undefined {
  const [first, ...rest] = lines.filter((line) => line !== undefined);
  if (!first) return undefined;
  const values = first.values.map((value, at) =>
    rest.reduce((most, line) => {
      const other = line.values[at] ?? Number.NaN;
      return other > most || Number.isNaN(most) ? other : most;
    }, value),
  );
  return { label: name, values };
}

function pressure(resource: string, kind: string) {
  return plain("system.linux.pressure", { kind, resource });
}

/** The mean time of an operation on the slowest device. */
function latency(look: Lookup): Line | undefined {
  const times = look.all("system.disk.operation_time", { device: "", direction: "" });
  const lines = times.map((time) => {
    const counts = look.one("system.disk.operations", Object.fromEntries(time.series.attributes));
    return ratio("", lineOf("", time), counts && lineOf("", counts));
  });
  return largest("latency", lines);
}

/** Of packets, on the device that is worst off. Few packets say nothing. */
function ofPackets(name: string) {
  return (look: Lookup): Line | undefined => {
    const lines = look.all(name, { device: "", direction: "" }).map((bad) => {
      const packets = look.one("system.network.packet.count", Object.fromEntries(bad.series.attributes));
      return (
        packets &&
        ratio("", lineOf("", bad), sum("", [{ values: packets.values.map((n) => Math.max(n, 20)) }]))
      );
    });
    return largest(name, lines);
  };
}

function retransmitted(look: Lookup): Line | undefined {
  const again = look.one("system.linux.tcp.retransmits");
  const sent = look.one("system.linux.tcp.segments", { direction: "transmit" });
  // Below a thousand a minute a share says nothing.
  const enough = sent && { values: sent.values.map((n) => Math.max(n, 1000 / 60)) };
  return ratio("retransmits", again && lineOf("", again), enough && lineOf("", enough));
}

function network(look: Lookup): Line | undefined {
  const totals = look.all("system.linux.network.io", { direction: "" });
  const devices = look
    .all("system.network.io", { device: "", direction: "" })
    .filter(({ series }) => !series.attributes.some(([, value]) => value === "lo"));
  return sum("network", totals.length > 0 ? totals : devices);
}

function swappedOut(look: Lookup): Line | undefined {
  return plain("system.paging.operations", { direction: "out" })(look);
}

/** Where no device is told apart, as the relay's recorder has it. */
function lost(look: Lookup): Line | undefined {
  if (look.all("system.network.errors", { device: "", direction: "" }).length > 0) return undefined;
  const totals = ["system.linux.network.errors", "system.linux.network.dropped"];
  return sum(
    "lost",
    totals.flatMap((name) => look.one(name) ?? []),
  );
}

export const MEASURES: readonly Measure[] = [
  {
    id: "cpu-pressure",
    resource: "cpu",
    kind: "saturation",
    name: "measure-cpu-pressure",
    unit: "share",
    limit: { warning: 0.2, critical: 0.5, rule: "CPU-05", source: "Cloud Doctor" },
    line: pressure("cpu", "some"),
  },
  {
    id: "cpu-load",
    resource: "cpu",
    kind: "saturation",
    name: "measure-cpu-load",
    unit: "count",
    limit: { warning: 2, rule: "CPU-04", source: "node-mixin" },
    line: plain("system.linux.cpu.load_per_cpu"),
  },
  {
    id: "cpu-steal",
    resource: "cpu",
    kind: "saturation",
    name: "measure-cpu-steal",
    unit: "share",
    limit: { warning: 0.1, rule: "CPU-02", source: "Netdata" },
    line: plain("system.cpu.utilization", { mode: "steal" }),
  },
  {
    id: "cpu-busy",
    resource: "cpu",
    kind: "utilisation",
    name: "measure-cpu-busy",
    unit: "share",
    limit: { warning: 0.85, critical: 0.95, rule: "CPU-01", source: "Netdata" },
    line: plain("system.cpu.utilization"),
  },
  {
    id: "cpu-iowait",
    resource: "cpu",
    kind: "utilisation",
    name: "measure-cpu-iowait",
    unit: "share",
    limit: { warning: 0.4, rule: "CPU-03", source: "Netdata" },
    line: plain("system.cpu.utilization", { mode: "iowait" }),
  },
  {
    id: "memory-oom",
    resource: "memory",
    kind: "errors",
    name: "measure-memory-oom",
    unit: "count",
    as: "count",
    limit: { warning: 1, rule: "MEM-02", source: "Netdata" },
    line: plain("system.linux.oom_kills"),
  },
  {
    id: "memory-full",
    resource: "memory",
    kind: "saturation",
    name: "measure-memory-full",
    unit: "share",
    limit: { warning: 0.05, critical: 0.05, rule: "MEM-06", source: "Cloud Doctor" },
    line: pressure("memory", "full"),
  },
  {
    id: "memory-some",
    resource: "memory",
    kind: "saturation",
    name: "measure-memory-some",
    unit: "share",
    limit: { warning: 0.1, rule: "MEM-06", source: "Cloud Doctor" },
    line: pressure("memory", "some"),
  },
  {
    id: "memory-faults",
    resource: "memory",
    kind: "saturation",
    name: "measure-memory-faults",
    unit: "/s",
    limit: { warning: 500, rule: "MEM-03", source: "node-mixin" },
    line: plain("system.paging.faults", { type: "major" }),
  },
  {
    id: "memory-swapping",
    resource: "memory",
    kind: "saturation",
    name: "measure-memory-swapping",
    unit: "/s",
    line: swappedOut,
  },
  {
    id: "memory-used",
    resource: "memory",
    kind: "utilisation",
    name: "measure-memory-used",
    unit: "share",
    limit: { warning: 0.9, critical: 0.95, rule: "MEM-01", source: "Netdata" },
    line: plain("system.memory.utilization"),
  },
  {
    id: "memory-swap",
    resource: "memory",
    kind: "utilisation",
    name: "measure-memory-swap",
    unit: "share",
    limit: { warning: 0.9, critical: 0.98, rule: "MEM-04", source: "Netdata" },
    line: plain("system.paging.utilization"),
  },
  {
    id: "disk-pressure",
    resource: "disk",
    kind: "saturation",
    name: "measure-disk-pressure",
    unit: "share",
    limit: { warning: 0.2, critical: 0.5, rule: "DSK-07", source: "Cloud Doctor" },
    line: pressure("io", "some"),
  },
  {
    id: "disk-queue",
    resource: "disk",
    kind: "saturation",
    name: "measure-disk-queue",
    unit: "count",
    limit: { warning: 10, rule: "DSK-07", source: "node-mixin" },
    line: plain("system.linux.disk.longest_queue"),
  },
  {
    id: "disk-latency",
    resource: "disk",
    kind: "saturation",
    name: "measure-disk-latency",
    unit: "seconds",
    limit: { warning: 0.1, rule: "DSK-08", source: "Awesome Prometheus Alerts" },
    line: latency,
  },
  {
    id: "disk-busy",
    resource: "disk",
    kind: "utilisation",
    name: "measure-disk-busy",
    unit: "share",
    limit: { warning: 0.98, rule: "DSK-06", source: "Netdata" },
    line: plain("system.linux.disk.busiest"),
  },
  {
    id: "filesystem-hung",
    resource: "filesystem",
    kind: "errors",
    name: "measure-filesystem-hung",
    unit: "count",
    as: "newest",
    limit: { warning: 1, critical: 1, rule: "DSK-14", source: "Cloud Doctor" },
    line: plain("system.linux.filesystem.hung"),
  },
  {
    id: "filesystem-used",
    resource: "filesystem",
    kind: "utilisation",
    name: "measure-filesystem-used",
    unit: "share",
    limit: { warning: 0.9, critical: 0.98, rule: "DSK-01", source: "Netdata" },
    line: plain("system.linux.filesystem.fullest"),
  },
  {
    id: "filesystem-inodes",
    resource: "filesystem",
    kind: "utilisation",
    name: "measure-filesystem-inodes",
    unit: "share",
    limit: { warning: 0.9, critical: 0.98, rule: "DSK-02", source: "Netdata" },
    line: plain("system.linux.filesystem.fullest_inodes"),
  },
  {
    id: "network-errors",
    resource: "network",
    kind: "errors",
    name: "measure-network-errors",
    unit: "share",
    limit: { warning: 0.01, rule: "NET-02", source: "node-mixin" },
    line: ofPackets("system.network.errors"),
  },
  {
    id: "network-drops",
    resource: "network",
    kind: "errors",
    name: "measure-network-drops",
    unit: "share",
    limit: { warning: 0.02, rule: "NET-01", source: "Netdata" },
    line: ofPackets("system.network.packet.dropped"),
  },
  {
    id: "network-lost",
    resource: "network",
    kind: "errors",
    name: "measure-network-lost",
    unit: "/s",
    limit: { warning: 1, rule: "NET-01", source: "Cloud Doctor" },
    line: lost,
  },
  {
    id: "network-softnet",
    resource: "network",
    kind: "saturation",
    name: "measure-network-softnet",
    unit: "/s",
    limit: { warning: 10 / 60, rule: "NET-12", source: "Netdata" },
    line: (look) => sum("softnet", look.all("system.linux.softnet", { kind: "" })),
  },
  {
    id: "network-bytes",
    resource: "network",
    kind: "utilisation",
    name: "measure-network-bytes",
    unit: "bytes/s",
    line: network,
  },
  {
    id: "tcp-retransmits",
    resource: "tcp",
    kind: "errors",
    name: "measure-tcp-retransmits",
    unit: "share",
    limit: { warning: 0.02, critical: 0.05, rule: "NET-04", source: "Cloud Doctor" },
    line: retransmitted,
  },
  {
    id: "tcp-overflows",
    resource: "tcp",
    kind: "saturation",
    name: "measure-tcp-overflows",
    unit: "/s",
    limit: { warning: 1, critical: 5, rule: "NET-05", source: "Netdata" },
    line: plain("system.linux.tcp.listen_overflows"),
  },
  {
    id: "tcp-connections",
    resource: "tcp",
    kind: "utilisation",
    name: "measure-tcp-connections",
    unit: "count",
    line: plain("system.network.connection.count", {
      "network.connection.state": "established",
      "network.transport": "tcp",
    }),
  },
  {
    id: "limits-conntrack",
    resource: "limits",
    kind: "saturation",
    name: "measure-limits-conntrack",
    unit: "share",
    limit: { warning: 0.75, critical: 0.9, rule: "NET-07", source: "node-mixin" },
    line: plain("system.linux.conntrack.utilization"),
  },
  {
    id: "limits-files",
    resource: "limits",
    kind: "utilisation",
    name: "measure-limits-files",
    unit: "share",
    limit: { warning: 0.7, critical: 0.9, rule: "KRN-07", source: "node-mixin" },
    line: plain("system.linux.file_handles.utilization"),
  },
];

/** One measure's answer. */
export interface Told {
  readonly measure: Measure;
  readonly state: State;
  /** Over the last minute; NaN: nothing is known. */
  readonly value: number;
  readonly values: Float32Array;
}

export interface Row {
  readonly resource: Resource;
  readonly state: State;
  /** The worst of each kind; missing: it is not measured. */
  readonly cells: Readonly<Partial<Record<Kind, Told>>>;
  /** All of them. */
  readonly told: readonly Told[];
}

const MINUTE_MS = 60_000;
const STATES: readonly State[] = ["critical", "warning", "ok", "unknown"];

/** What was counted: increases per second times the seconds between. */
function counted(values: Float32Array, times: Float64Array): number {
  let [all, known] = [0, false];
  for (let at = 1; at < values.length; at++) {
    const value = values[at] ?? Number.NaN;
    if (Number.isNaN(value)) continue;
    known = true;
    all += (value * ((times[at] ?? 0) - (times[at - 1] ?? 0))) / 1000;
  }
  return known ? Math.round(all) : Number.NaN;
}

export function stateOf(value: number, limit: Limit | undefined): State {
  if (Number.isNaN(value)) return "unknown";
  if (!limit) return "ok";
  if (limit.critical !== undefined && value >= limit.critical) return "critical";
  return value >= limit.warning ? "warning" : "ok";
}

function tellsOf({ as }: Measure, { values }: Line, times: Float64Array): number {
  if (as === "count") return counted(values, times);
  if (as === "newest") return values.findLast((value) => !Number.isNaN(value)) ?? Number.NaN;
  return mean(values, firstFrom(times, (times.at(-1) ?? 0) - MINUTE_MS));
}

function tell(measure: Measure, look: Lookup, all: Lookup): Told | undefined {
  const of = measure.as === "count" ? all : look;
  const line = measure.line(of);
  if (!line) return undefined;
  const value = tellsOf(measure, line, of.times);
  return { measure, state: stateOf(value, measure.limit), value, values: line.values };
}

/** How near to its limit, for the order of what is equally bad. */
function share({ value, measure: { limit } }: Told): number {
  return limit && !Number.isNaN(value) ? value / limit.warning : 0;
}

function worse(a: Told, b: Told): number {
  return STATES.indexOf(a.state) - STATES.indexOf(b.state);
}

/** `all`: what there is beyond what is shown; kills are counted there. */
export function rowsOf(look: Lookup, all: Lookup = look): readonly Row[] {
  const told = MEASURES.map((measure) => tell(measure, look, all)).filter((one) => one !== undefined);
  return RESOURCES.map((resource): Row => {
    const own = told.filter(({ measure }) => measure.resource === resource);
    // Sorting keeps the table's order where two are equally bad.
    const of = (kind: Kind) => own.filter(({ measure }) => measure.kind === kind).sort(worse)[0];
    const cells = Object.fromEntries(KINDS.map((kind) => [kind, of(kind)]).filter(([, one]) => one));
    const state = [...own].sort(worse)[0]?.state ?? "unknown";
    return { resource, state, cells, told: own };
  });
}

/** What is worst comes first; within that, what is nearest to its limit, in steps, so that rows do not dance. */
export function sorted(rows: readonly Row[]): readonly Row[] {
  const step = (row: Row) =>
    row.state === "ok" || row.state === "unknown" ? 0 : Math.floor(Math.max(0, ...row.told.map(share)));
  return [...rows].sort(
    (a, b) =>
      STATES.indexOf(a.state) - STATES.indexOf(b.state) ||
      step(b) - step(a) ||
      RESOURCES.indexOf(a.resource) - RESOURCES.indexOf(b.resource),
  );
}
