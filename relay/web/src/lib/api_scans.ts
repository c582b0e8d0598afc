// The relay's calls about scans, and the part of the library that pages use of them. Never: a number that is taken for
// what a server signed.

import { array, call, number, object, RelayError, said, string } from "./api";
import { ConsoleError } from "./errors";
import type { Status } from "./facade_checks";
import type {
  CheckCount,
  FindingFilter,
  PlanWish,
  ScanChange,
  ScanFinding,
  ScanLine,
  ScanPlan,
  ScanServer,
  ScanState,
  Scans,
} from "./facade_scans";

const STATUSES: readonly Status[] = ["critical", "warning", "unknown", "ok"];
const SCAN_STATES: readonly ScanState[] = [
  "pending",
  "asked",
  "report",
  "refused",
  "absent",
  "silent",
  "dropped",
  "broke",
  "failed",
  "cancelled",
];
const CHANGES: readonly ScanChange[] = ["new", "gone", "worse", "better", "unsure"];
const PLANS = "/api/v1/scan-plans";

function path(id = "", more = ""): string {
  return `/api/v1/scans${id && `/${encodeURIComponent(id)}`}${more}`;
}

/** The numbers whose names this console knows. */
function counts<Name extends string>(value: unknown, names: readonly Name[]): Partial<Record<Name, number>> {
  const found = object(value ?? {}, "counts");
  const known: Partial<Record<Name, number>> = {};
  for (const name of names) if (found[name] !== undefined) known[name] = number(found[name], name);
  return known;
}

function strings(value: unknown): readonly string[] {
  return array(value ?? [], "texts").map((one) => string(one, "text"));
}

function lineOf(found: unknown): ScanLine {
  const line = object(found, "scan");
  const ended = line.ended_at ?? undefined;
  return {
    id: string(line.scan, "scan").toLowerCase(),
    plan: said(line.plan),
    by: said(line.by),
    startedAt: number(line.started_at, "started_at") * 1000,
    ...(ended === undefined ? {} : { endedAt: number(ended, "ended_at") * 1000 }),
    cancelled: line.cancelled === true,
    labels: strings(line.labels),
    checks: strings(line.checks),
    servers: number(line.servers, "servers"),
    states: counts(line.states, SCAN_STATES),
    worst: counts(line.worst, STATUSES),
  };
}

/** What a newer relay calls otherwise could not be told here. */
function statusOf(value: unknown): Status {
  return STATUSES.find((one) => one === value) ?? "unknown";
}

function changeOf(value: unknown): { readonly change?: ScanChange } {
  const change = CHANGES.find((one) => one === value);
  return change === undefined ? {} : { change };
}

function countOf(found: unknown): CheckCount {
  const line = object(found, "check");
  return {
    check: string(line.check, "check"),
    status: statusOf(line.status),
    waived: line.waived === true,
    ...changeOf(line.change),
    findings: number(line.findings, "findings"),
    servers: number(line.servers, "servers"),
  };
}

function findingOf(found: unknown): ScanFinding {
  const line = object(found, "finding");
  const [en, zh] = array(line.summary, "summary");
  return {
    server: string(line.server, "server").toLowerCase(),
    name: said(line.name),
    check: string(line.check, "check"),
    subject: said(line.subject),
    status: statusOf(line.status),
    waived: line.waived === true,
    ...changeOf(line.change),
    summary: { en: said(en), zh: said(zh) },
  };
}

function serverOf(found: unknown): ScanServer {
  const line = object(found, "server");
  const state = SCAN_STATES.find((one) => one === line.state);
  return { id: string(line.server, "server").toLowerCase(), name: said(line.name), state };
}

function planOf(found: unknown): ScanPlan {
  const line = object(found, "plan");
  const last = said(line.last_scan).toLowerCase();
  return {
    id: string(line.plan, "plan"),
    name: said(line.name),
    cron: said(line.cron),
    labels: strings(line.labels),
    checks: strings(line.checks),
    by: said(line.by),
    nextAt: number(line.next_at, "next_at") * 1000,
    paused: line.paused === true,
    ...(last === "" ? {} : { last: { scan: last, at: number(line.last_at, "last_at") * 1000 } }),
  };
}

function query(values: Record<string, string | undefined>): string {
  const known = Object.entries(values).filter((one): one is [string, string] => one[1] !== undefined);
  const text = new URLSearchParams(known).toString();
  return text && `?${text}`;
}

const get = (of: string) => call("GET", of, undefined, { byItself: true });

async function forAdmins<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RelayError && error.code === "not-admin") throw new ConsoleError("not_admin");
    throw error;
  }
}

export const scans: Scans = {
  async list(before) {
    const answer = object(await get(path("", query({ before }))), "scans");
    return { scans: array(answer.scans, "scans").map(lineOf), more: answer.more === true };
  },
  async glance(id, since) {
    const answer = object(await get(path(id, query({ since }))), "scan");
    const before = said(answer.before).toLowerCase();
    const found = array(answer.found, "found").map(countOf);
    return { ...lineOf(answer), ...(before === "" ? {} : { before }), found };
  },
  async findings(id, filter: FindingFilter, after, since) {
    const answer = object(await get(path(id, `/findings${query({ ...filter, after, since })}`)), "findings");
    const next = said(answer.next);
    return { findings: array(answer.findings, "findings").map(findingOf), ...(next === "" ? {} : { next }) };
  },
  async servers(id, state: ScanState, after) {
    const answer = object(await get(path(id, `/servers${query({ state, after })}`)), "servers");
    return { servers: array(answer.servers, "servers").map(serverOf), more: answer.more === true };
  },
  async start(labels) {
    return lineOf(await forAdmins(() => call("POST", path(), { labels })));
  },
  async cancel(id) {
    await forAdmins(() => call("POST", path(id, "/cancel"), {}));
  },
  async plans() {
    return array(object(await get(PLANS), "plans").plans, "plans").map(planOf);
  },
  async addPlan({ name, cron, labels, checks }: PlanWish) {
    return planOf(await forAdmins(() => call("POST", PLANS, { name, cron, labels, checks })));
  },
  async pausePlan(id, pause) {
    const what = pause ? "pause" : "resume";
    await forAdmins(() => call("POST", `${PLANS}/${encodeURIComponent(id)}/${what}`, {}));
  },
  async removePlan(id) {
    await forAdmins(() => call("DELETE", `${PLANS}/${encodeURIComponent(id)}`));
  },
};
