// The relay's calls about metrics. Never: more in memory than a host's history may have.

import { array, call, type Json, number, object, odd, problem, RelayError, reach, said, string } from "./api";
import { ConsoleError, type MessageId } from "./errors";
import type {
  HappenedKind,
  HappenedList,
  HappenedSource,
  HappenedView,
  ProcessList,
  ProcessView,
  RangeWish,
} from "./facade";
import { Decoder, type Frame, FrameError } from "./frame";
import { EVENT_NAMES_MAX, EVENTS_MAX, PROCESSES_MAX } from "./limits";

/** 2,000 series of 600 points with three values each are 14 MB; nobody asks for more. */
const BYTES_MAX = 48 << 20;
const HISTORY_SECS = 20;

function path(server: string, more: string): string {
  return `/api/v1/servers/${encodeURIComponent(server)}/metrics/${more}`;
}

/** The server's refusal in the reader's words. */
function refusal(error: unknown): unknown {
  if (!(error instanceof RelayError) || error.code !== "server-refused") return error;
  const { code, detail } = object(error.problem.refusal ?? {}, "refusal");
  const name = said(code);
  if (!/^[a-z-]{1,64}$/.test(name)) return error;
  return new ConsoleError(`refusal_${name.replaceAll("-", "_")}` as MessageId, said(detail));
}

/** The frames of an answer, one after the other, as they come. */
async function frames(from: string, heard: (frame: Frame) => void): Promise<void> {
  const response = await reach(from, HISTORY_SECS);
  if (!response.ok) throw refusal(problem(response.status, await response.text()));
  const reader = response.body?.getReader() ?? odd("body");
  const decoder = new Decoder();
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        throw new RelayError(true, "relay_unreachable");
      });
      if (done) return;
      length += value.length;
      if (length > BYTES_MAX) odd("length");
      decoder.push(value);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) heard(frame);
    }
  } catch (error) {
    // Nothing more is wanted of it; that it is over already is no fault.
    await reader.cancel().catch(() => undefined);
    throw error instanceof FrameError ? new RelayError(false, "relay_odd", error.message) : error;
  }
}

export function range(server: string, wish: RangeWish, heard: (frame: Frame) => void): Promise<void> {
  const query = new URLSearchParams({
    from: String(Math.floor(wish.from)),
    to: String(Math.ceil(wish.to)),
    points: String(wish.points),
  });
  for (const name of wish.names) query.append("name", name);
  return frames(path(server, `range?${query}`), heard);
}

export function recorder(server: string, heard: (frame: Frame) => void): Promise<void> {
  return frames(path(server, "recorder"), heard);
}

/** A number that need not be whole. */
function amount(value: unknown, what: string): number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : odd(what);
}

function processOf(found: unknown): ProcessView {
  const line: Json = object(found, "process");
  const maybe = (name: "read" | "written" | "descriptors") =>
    typeof line[name] === "number" ? { [name]: amount(line[name], name) } : {};
  return {
    pid: number(line.pid, "pid"),
    name: string(line.name, "name"),
    user: said(line.user),
    unit: said(line.unit),
    state: said(line.state),
    processors: amount(line.processors, "processors"),
    memory: amount(line.memory, "memory"),
    threads: number(line.threads, "threads"),
    ...maybe("read"),
    ...maybe("written"),
    ...maybe("descriptors"),
  };
}

export async function processes(server: string, count: number): Promise<ProcessList> {
  try {
    const answer = object(await call("GET", path(server, `processes?count=${count}`)), "processes");
    return {
      at: number(answer.at, "at"),
      total: number(answer.total, "total"),
      processes: array(answer.processes, "processes").slice(0, PROCESSES_MAX).map(processOf),
    };
  } catch (error) {
    throw refusal(error);
  }
}

const KINDS: readonly HappenedKind[] = [
  "installed",
  "upgraded",
  "downgraded",
  "removed",
  "booted",
  "shut-down",
  "started",
  "restarted",
  "failed",
  "killed",
];
const SOURCES: readonly HappenedSource[] = ["packages", "starts", "services", "kernel"];

/** One event; nothing of a kind that this page does not know. */
function happenedOf(found: unknown): HappenedView[] {
  const line: Json = object(found, "event");
  const kind = KINDS.find((one) => one === line.kind);
  if (kind === undefined) return [];
  const names = array(line.names, "names").slice(0, EVENT_NAMES_MAX);
  return [
    {
      at: number(line.at, "at"),
      kind,
      count: number(line.count, "count"),
      names: names.map((one) => {
        const { name, before, after } = object(one, "name");
        return { name: string(name, "name"), before: said(before), after: said(after) };
      }),
      unit: said(line.unit),
      guessed: line.guessed === true,
    },
  ];
}

export async function happened(server: string, from: number, to: number): Promise<HappenedList> {
  try {
    const asked = `events?from=${Math.max(0, Math.floor(from))}&to=${Math.ceil(to)}`;
    const answer = object(await call("GET", path(server, asked)), "events");
    const blind = array(answer.blind, "blind");
    return {
      since: number(answer.since, "since"),
      events: array(answer.events, "events").slice(-EVENTS_MAX).flatMap(happenedOf),
      leftOut: number(answer.left_out, "left_out"),
      blind: SOURCES.filter((one) => blind.includes(one)),
    };
  } catch (error) {
    throw refusal(error);
  }
}
