// The relay's calls about checks. Never: a finding; those are read out of the signed report, by checks.ts.

import { array, call, number, object, odd, RelayError, said, string } from "./api";
import { type Bytes, unbase64, unbase64url } from "./bytes";
import { ConsoleError, type MessageId } from "./errors";
import type { Difference, RunLine, RunsPage, Status, Waiver, WaiverWish } from "./facade";

/** The relay waits so long for a server, with some room for the way there and back. */
const RUN_SECS = 80;
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

/** A page of the runs that the relay has kept, newest first: those before `run`, or the newest ones. */
export async function runs(server: string, before?: string): Promise<RunsPage> {
  const query = before === undefined ? "" : `?before=${encodeURIComponent(before)}`;
  const found = await call("GET", path(server, `/runs${query}`), undefined, { byItself: true });
  const answer = object(found, "runs");
  return { runs: array(answer.runs, "runs").map(lineOf), more: answer.more === true };
}

export async function read(server: string, run: string): Promise<RunPage> {
  return runOf(await call("GET", path(server, `/runs/${encodeURIComponent(run)}`)));
}

/** The server's refusals that a run may meet; the others name a value. */
const WITHOUT_VALUE: readonly string[] = ["checks-not-allowed", "lockdown", "busy", "guard-away"];
const WITH_VALUE: readonly string[] = ["checks-too-often", "checks-failed"];

/** The server's refusal in the reader's words; whatever lacks its value, or is newer, keeps the relay's. */
function refusal(error: unknown): unknown {
  if (!(error instanceof RelayError) || error.code !== "server-refused") return error;
  const { refusal: told } = error.problem;
  const { code, detail } = object(told ?? {}, "refusal");
  const [name, value] = [said(code), said(detail)];
  const id = `refusal_${name.replaceAll("-", "_")}` as MessageId;
  if (WITHOUT_VALUE.includes(name)) return new ConsoleError(id);
  return WITH_VALUE.includes(name) && value !== "" ? new ConsoleError(id, value) : error;
}

/** Has the server look now, and sign `nonce` with what it finds. Throws `refusal_…`. */
export async function run(server: string, nonce: string): Promise<RunPage> {
  try {
    return runOf(await call("POST", path(server), { nonce }, { heldSecs: RUN_SECS }));
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
