// The relay's calls about checks. Never: a finding; those are read out of the signed report, by checks.ts.

import { array, call, type Json, number, object, odd, RelayError, said, string } from "./api";
import { type Bytes, unbase64, unbase64url } from "./bytes";
import { ConsoleError, type MessageId, type Sentence } from "./errors";
import type { Difference, RunLine, Status, Waiver, WaiverWish } from "./facade";

/** Longest time that a server needs for all its checks, with the way there and back. */
const RUN_SECS = 180;
const STATUSES: readonly Status[] = ["critical", "warning", "unknown", "ok"];
const CHANGES: readonly Difference["change"][] = ["new", "gone", "worse", "better"];

/** A run as the relay has it: the report in its bytes, and what the relay knows besides. */
export interface RunPage {
  readonly id: string;
  readonly receivedAt: number;
  readonly why: "asked" | "schedule";
  readonly by: string;
  readonly changes: readonly Difference[];
  readonly report: Bytes;
  readonly signature: Bytes;
}

export interface HealthPage {
  readonly latest: RunPage | undefined;
  readonly everySeconds: number;
  readonly waivers: readonly Waiver[];
}

function path(server: string, more = ""): string {
  return `/api/v1/servers/${encodeURIComponent(server)}/checks${more}`;
}

function bytes(value: unknown, what: string): Bytes {
  const text = string(value, what);
  return unbase64url(text) ?? unbase64(text) ?? odd(what);
}

function statusOf(value: unknown): Status | undefined {
  return STATUSES.find((one) => one === value);
}

function whyOf(value: unknown): "asked" | "schedule" {
  return value === "schedule" ? value : "asked";
}

function changesOf(value: unknown): readonly Difference[] {
  return array(value ?? [], "changes").flatMap((found) => {
    const line = object(found, "change");
    const change = CHANGES.find((one) => one === line.change);
    // A newer relay's kind of change has no words here.
    if (change === undefined) return [];
    const [before, now] = [statusOf(line.before), statusOf(line.now)];
    return [
      {
        check: string(line.check, "check"),
        subject: said(line.subject),
        change,
        ...(before === undefined ? {} : { before }),
        ...(now === undefined ? {} : { now }),
      },
    ];
  });
}

function runOf(found: unknown): RunPage {
  const run = object(found, "run");
  return {
    id: string(run.run, "run").toLowerCase(),
    receivedAt: number(run.received_at, "received_at") * 1000,
    why: whyOf(run.why),
    by: said(run.by),
    changes: changesOf(run.changes),
    report: bytes(run.report, "report"),
    signature: bytes(run.signature, "signature"),
  };
}

function waiverOf(found: unknown): Waiver {
  const waiver = object(found, "waiver");
  return {
    id: string(waiver.waiver, "waiver"),
    check: string(waiver.check, "check"),
    subject: said(waiver.subject),
    reason: said(waiver.reason),
    owner: said(waiver.owner),
    until: number(waiver.until, "until") * 1000,
  };
}

/** The newest run, how often the relay asks by itself, and what was waived. */
export async function health(server: string): Promise<HealthPage> {
  const answer = object(await call("GET", path(server), undefined, { byItself: true }), "checks");
  return {
    latest: answer.latest === null || answer.latest === undefined ? undefined : runOf(answer.latest),
    everySeconds: number(object(answer.schedule, "schedule").every_secs, "every_secs"),
    waivers: array(answer.waivers, "waivers").map(waiverOf),
  };
}

function lineOf(found: unknown): RunLine {
  const line = object(found, "run");
  const count = (name: string) => number(line[name], name);
  return {
    id: string(line.run, "run").toLowerCase(),
    at: number(line.at, "at") * 1000,
    why: whyOf(line.why),
    by: said(line.by),
    critical: count("critical"),
    warning: count("warning"),
    unknown: count("unknown"),
    ok: count("ok"),
    notes: count("notes"),
  };
}

/** The runs that the relay has kept, newest first. */
export async function runs(server: string): Promise<readonly RunLine[]> {
  const answer = await call("GET", path(server, "/runs"), undefined, { byItself: true });
  return array(Array.isArray(answer) ? answer : object(answer, "runs").runs, "runs").map(lineOf);
}

export async function read(server: string, run: string): Promise<RunPage> {
  return runOf(await call("GET", path(server, `/runs/${encodeURIComponent(run)}`)));
}

/** The server's refusals that come through the relay, and where their value stands. */
const REFUSALS: Readonly<Record<string, string | undefined>> = {
  "checks-not-allowed": undefined,
  "checks-too-often": "secs",
  "checks-failed": "why",
  lockdown: undefined,
  busy: undefined,
  "guard-away": undefined,
};

/** A refusal in the reader's words; whatever lacks its value keeps the relay's own. */
function refusal(error: unknown): unknown {
  if (!(error instanceof RelayError) || !Object.hasOwn(REFUSALS, error.code)) return error;
  const id = `refusal_${error.code.replaceAll("-", "_")}` as MessageId;
  const name = REFUSALS[error.code];
  if (name === undefined) return new ConsoleError(id);
  const value = error.problem[name] ?? error.problem.told;
  if (typeof value === "string" || typeof value === "number") return new ConsoleError(id, value);
  const told = toldOf(value);
  return told === undefined ? error : new ConsoleError(id, told);
}

/** A sentence of the server's: an id and its values. */
function toldOf(value: unknown): Sentence | undefined {
  const { code, values } = (typeof value === "object" && value !== null ? value : {}) as Json;
  if (typeof code !== "string" || !Array.isArray(values)) return undefined;
  const id = `told_${code.slice(0, 64).replaceAll("-", "_")}` as MessageId;
  return new ConsoleError(id, ...values.slice(0, 4).map(String));
}

/** Has the server look now. Throws `refusal_…`. */
export async function run(server: string): Promise<RunPage> {
  try {
    return runOf(await call("POST", path(server), {}, { heldSecs: RUN_SECS }));
  } catch (error) {
    throw refusal(error);
  }
}

export async function schedule(server: string, everySeconds: number): Promise<void> {
  await call("PUT", path(server, "/schedule"), { every_secs: everySeconds });
}

export async function waive(server: string, wish: WaiverWish): Promise<Waiver> {
  const { check, subject, reason, until } = wish;
  const body = { check, subject, reason, until: Math.floor(until / 1000) };
  return waiverOf(await call("POST", path(server, "/waivers"), body));
}

export async function unwaive(server: string, waiver: string): Promise<void> {
  await call("DELETE", path(server, `/waivers/${encodeURIComponent(waiver)}`));
}
