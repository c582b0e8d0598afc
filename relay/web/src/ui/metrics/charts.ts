// Which charts there are, out of which series each is made, and which of many are drawn. A server's recorder, and an
// older agent, have fewer series: then the next of a chart's ways that has something is drawn.

import { oneLine } from "../../lib/errors";
import type { Column, Series } from "../../lib/facade";
import type { TextId } from "../words.svelte";
import type { Unit } from "./format";
import { type Chooser, type Line, type Lookup, lineOf, ratio, sum } from "./lookup";
import type { Resource } from "./use";

export interface Chart {
  readonly id: string;
  readonly title: TextId;
  readonly unit: Unit;
  readonly resource: Resource | "services";
  /** The axis goes to 1 at least. */
  readonly whole?: true;
  /** In the panel beside a terminal too. */
  readonly first?: true;
  /** Names that a range must hold. */
  readonly names: readonly string[];
  readonly lines: (look: Lookup) => readonly Line[];
}

/** Lines in one chart: more cannot be told apart. */
const LINES_MAX = 8;
const CHARS_MAX = 60;

/** Series stay the same from second to second, and there may be 2,000. */
const labels = new WeakMap<Series, Map<string, string>>();

function labelOf({ series }: Column, keys: readonly string[]): string {
  const known = labels.get(series) ?? new Map<string, string>();
  labels.set(series, known);
  const which = keys.join();
  let label = known.get(which);
  if (label === undefined) {
    const values = keys.map((key) => series.attributes.find(([name]) => name === key)?.[1] ?? "");
    label = oneLine(values.join(" "), CHARS_MAX);
    known.set(which, label);
  }
  return label;
}

/** One line each, named by what they differ in. */
function each(name: string, keys: readonly string[], but: (column: Column) => boolean = () => true) {
  const attributes = Object.fromEntries(keys.map((key) => [key, ""]));
  return (look: Lookup): readonly Line[] =>
    look
      .all(name, attributes)
      .filter(but)
      .map((column) => lineOf(labelOf(column, keys), column));
}

function one(label: string, name: string, attributes: Readonly<Record<string, string>> = {}) {
  return (look: Lookup): readonly Line[] => {
    const found = look.one(name, attributes);
    return found ? [lineOf(label, found)] : [];
  };
}

/** The first way that has something. */
function either(...ways: ((look: Lookup) => readonly Line[])[]) {
  return (look: Lookup): readonly Line[] => {
    for (const way of ways) {
      const lines = way(look);
      if (lines.length > 0) return lines;
    }
    return [];
  };
}

function both(...ways: ((look: Lookup) => readonly Line[])[]) {
  return (look: Lookup): readonly Line[] => ways.flatMap((way) => way(look));
}

/** Each mode's part of all processors' time. */
function modes(look: Lookup): readonly Line[] {
  const columns = look.all("system.cpu.time", { mode: "" });
  const all = sum("", columns);
  if (!all) return [];
  const order = ["user", "system", "iowait", "steal", "softirq", "irq", "interrupt", "nice"];
  const of = (column: Column) => order.indexOf(column.series.attributes[0]?.[1] ?? "");
  return [...columns]
    .filter((column) => column.series.attributes[0]?.[1] !== "idle")
    .sort((a, b) => ((of(a) + 99) % 99) - ((of(b) + 99) % 99))
    .map((column) => shareOf(lineOf(labelOf(column, ["mode"]), column), all));
}

function shareOf(line: Line, all: Line): Line {
  const by = (values: Float32Array) => values.map((value, at) => value / (all.values[at] || Number.NaN));
  return {
    ...line,
    values: by(line.values),
    ...(line.min && line.max ? { min: by(line.min), max: by(line.max) } : {}),
  };
}

function latency(look: Lookup): readonly Line[] {
  return look.all("system.disk.operation_time", { device: "", direction: "" }).flatMap((time) => {
    const counts = look.one("system.disk.operations", Object.fromEntries(time.series.attributes));
    return (
      ratio(labelOf(time, ["device", "direction"]), lineOf("", time), counts && lineOf("", counts)) ?? []
    );
  });
}

const own = ({ series }: Column) =>
  series.attributes.some(([key, value]) => key === "device" && value === "lo");
const physical = (column: Column) => !own(column);

/** Errors and drops, where there are any, of every device. */
function lost(look: Lookup): readonly Line[] {
  return [
    ["errors", "system.network.errors"],
    ["drops", "system.network.packet.dropped"],
  ].flatMap(([label, name]) => {
    const columns = look.all(name ?? "", { device: "", direction: "" });
    const devices = [...new Set(columns.map((column) => labelOf(column, ["device"])))];
    return devices.flatMap(
      (device) =>
        sum(
          `${device} ${label}`,
          columns.filter((column) => labelOf(column, ["device"]) === device),
        ) ?? [],
    );
  });
}

export const CHARTS: readonly Chart[] = [
  {
    id: "cpu",
    title: "chart-cpu",
    unit: "share",
    resource: "cpu",
    whole: true,
    first: true,
    names: ["system.cpu.time"],
    lines: either(
      modes,
      both(
        one("busy", "system.cpu.utilization"),
        one("iowait", "system.cpu.utilization", { mode: "iowait" }),
        one("steal", "system.cpu.utilization", { mode: "steal" }),
      ),
    ),
  },
  {
    id: "pressure",
    title: "chart-pressure",
    unit: "share",
    resource: "cpu",
    first: true,
    names: ["system.linux.pressure"],
    lines: each("system.linux.pressure", ["resource", "kind"]),
  },
  {
    id: "load",
    title: "chart-load",
    unit: "count",
    resource: "cpu",
    names: [
      "system.cpu.load_average.1m",
      "system.cpu.load_average.5m",
      "system.cpu.load_average.15m",
      "system.process.count",
    ],
    lines: both(
      one("1 min", "system.cpu.load_average.1m"),
      one("5 min", "system.cpu.load_average.5m"),
      one("15 min", "system.cpu.load_average.15m"),
      each("system.process.count", ["status"]),
    ),
  },
  {
    id: "memory",
    title: "chart-memory",
    unit: "bytes",
    resource: "memory",
    first: true,
    names: ["system.memory.usage", "system.memory.limit"],
    lines: either(each("system.memory.usage", ["state"]), one("available", "system.memory.linux.available")),
  },
  {
    id: "memory-share",
    title: "chart-memory-share",
    unit: "share",
    resource: "memory",
    whole: true,
    first: true,
    names: [],
    // Where the bytes are known they say more.
    lines: (look) =>
      look.all("system.memory.usage", { state: "" }).length > 0
        ? []
        : both(one("memory", "system.memory.utilization"), one("swap", "system.paging.utilization"))(look),
  },
  {
    id: "paging",
    title: "chart-paging",
    unit: "/s",
    resource: "memory",
    names: ["system.paging.operations", "system.paging.faults"],
    lines: both(
      (look) =>
        each("system.paging.operations", ["direction"])(look).map((line) => ({
          ...line,
          label: `swap ${line.label}`,
        })),
      one("major faults", "system.paging.faults", { type: "major" }),
    ),
  },
  {
    id: "disk-busy",
    title: "chart-disk-busy",
    unit: "share",
    resource: "disk",
    whole: true,
    first: true,
    names: ["system.disk.io_time"],
    lines: either(each("system.disk.io_time", ["device"]), one("busiest", "system.linux.disk.busiest")),
  },
  {
    id: "disk-latency",
    title: "chart-disk-latency",
    unit: "seconds",
    resource: "disk",
    names: ["system.disk.operation_time", "system.disk.operations"],
    lines: latency,
  },
  {
    id: "disk-bytes",
    title: "chart-disk-bytes",
    unit: "bytes/s",
    resource: "disk",
    names: ["system.disk.io"],
    lines: either(
      each("system.disk.io", ["device", "direction"]),
      each("system.linux.disk.io", ["direction"]),
    ),
  },
  {
    id: "disk-queue",
    title: "chart-disk-queue",
    unit: "count",
    resource: "disk",
    names: ["system.disk.weighted_io_time"],
    lines: either(
      each("system.disk.weighted_io_time", ["device"]),
      one("longest", "system.linux.disk.longest_queue"),
    ),
  },
  {
    id: "network-bytes",
    title: "chart-network-bytes",
    unit: "bytes/s",
    resource: "network",
    first: true,
    names: ["system.network.io"],
    lines: either(
      each("system.network.io", ["device", "direction"], physical),
      each("system.linux.network.io", ["direction"]),
    ),
  },
  {
    id: "network-lost",
    title: "chart-network-lost",
    unit: "/s",
    resource: "network",
    names: ["system.network.errors", "system.network.packet.dropped"],
    lines: either(
      lost,
      both(one("errors", "system.linux.network.errors"), one("drops", "system.linux.network.dropped")),
    ),
  },
  {
    id: "tcp",
    title: "chart-tcp",
    unit: "/s",
    resource: "tcp",
    names: [
      "system.linux.tcp.retransmits",
      "system.linux.tcp.syn_retransmits",
      "system.linux.tcp.timeouts",
      "system.linux.tcp.listen_overflows",
    ],
    lines: both(
      one("retransmits", "system.linux.tcp.retransmits"),
      one("SYN retransmits", "system.linux.tcp.syn_retransmits"),
      one("timeouts", "system.linux.tcp.timeouts"),
      one("listen overflows", "system.linux.tcp.listen_overflows"),
    ),
  },
  {
    id: "filesystems",
    title: "chart-filesystems",
    unit: "share",
    resource: "filesystem",
    whole: true,
    names: ["system.filesystem.utilization"],
    lines: either(
      (look) =>
        look
          .all("system.filesystem.utilization", { device: "", mountpoint: "", type: "" })
          .map((column) => lineOf(labelOf(column, ["mountpoint"]), column)),
      both(
        one("fullest", "system.linux.filesystem.fullest"),
        one("fullest, inodes", "system.linux.filesystem.fullest_inodes"),
      ),
    ),
  },
  {
    id: "service-cpu",
    title: "chart-service-cpu",
    unit: "processors",
    resource: "services",
    names: ["system.linux.service.cpu.usage"],
    lines: each("system.linux.service.cpu.usage", ["service"]),
  },
  {
    id: "service-memory",
    title: "chart-service-memory",
    unit: "bytes",
    resource: "services",
    names: ["system.linux.service.memory.usage"],
    lines: each("system.linux.service.memory.usage", ["service"]),
  },
  {
    id: "limits",
    title: "chart-limits",
    unit: "share",
    resource: "limits",
    whole: true,
    names: ["system.linux.conntrack.utilization", "system.linux.file_handles.utilization"],
    lines: both(
      one("conntrack", "system.linux.conntrack.utilization"),
      one("file handles", "system.linux.file_handles.utilization"),
    ),
  },
];

/** Lines of a chart, and how many there would be. */
export interface Drawn {
  readonly chart: Chart;
  readonly lines: readonly Line[];
  readonly of: number;
}

export function drawn(chart: Chart, look: Lookup, chooser: Chooser, now: number): Drawn {
  const all = chart.lines(look);
  const lines = chooser.choose(
    chart.id,
    all,
    ({ label }) => label,
    ({ values }) => values,
    LINES_MAX,
    now,
  );
  return { chart, lines, of: all.length };
}
