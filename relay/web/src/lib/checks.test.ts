// Reports of checks: only what the server that the trust log names has signed is told to a page.

import { beforeAll, beforeEach, expect, test, vi } from "vitest";
import { RelayError } from "./api";
import { type Bytes, base64url, concat, hex, unhex, utf8 } from "./bytes";
import { ConsoleError } from "./errors";
import { agentOf } from "./ids";
import { outside } from "./outside";
import { pack, unpackSigned } from "./pack";
import { finding, REPORT_BYTES_MAX, type Report, report, verifyReport } from "./report";

const agents = new Map<string, { identity: Bytes; name: string }>();
let synced = 0;

vi.mock("./seat", () => ({
  pinned: () => ({
    log: { agents },
    sync: async () => {
      synced += 1;
    },
  }),
}));

interface Server {
  readonly id: string;
  readonly identity: Bytes;
  sign(bytes: Bytes): Promise<Bytes>;
}

async function server(): Promise<Server> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const identity = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return {
    id: hex(agentOf(identity)),
    identity,
    async sign(bytes) {
      const signed = concat(utf8("cloud-doctor check report v1\0"), bytes);
      return new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, signed));
    },
  };
}

let web: Server;
let other: Server;
const NONCE = new Uint8Array(16).fill(7);
const RUN = hex(NONCE);
const words = (text: string) => ({ en: text, zh: `${text} 中文` });

function reportOf(identity: Bytes, more: Partial<Report> = {}): Report {
  return {
    identity,
    nonce: NONCE,
    at: 1_800_000_000,
    millis: 1200,
    version: "0.1.0",
    host: "web-1",
    findings: [
      {
        check: "lb.detection-time",
        subject: "haproxy backend web/web1",
        status: "critical",
        note: false,
        since: undefined,
        value: 1800,
        unit: "s",
        evidence: [{ source: "/etc/haproxy/haproxy.cfg:42", text: "inter 300s" }],
        summary: words("late"),
        impact: words("loss"),
        remedy: words("less"),
        details: [
          ["refused", 900],
          ["tcp", true],
          ["why", "default"],
        ],
      },
      {
        check: "disk.space",
        subject: "/",
        status: "ok",
        note: true,
        since: undefined,
        value: undefined,
        unit: "",
        evidence: [],
        summary: words("fine"),
        impact: words(""),
        remedy: words(""),
        details: [],
      },
    ],
    absent: [{ check: "nginx.config", why: words("no nginx") }],
    asked: [],
    refused: ["security.sshd"],
    left_out: 3,
    sandbox_open: ["landlock"],
    ...more,
  };
}

beforeAll(async () => {
  [web, other] = [await server(), await server()];
});

let answers: Record<string, unknown>;
/** What a server says to a nonce. */
let nonced: ((nonce: string) => Promise<unknown>) | undefined;
let asked: { method: string; path: string; body: unknown }[];

beforeEach(() => {
  agents.clear();
  agents.set(web.id, { identity: web.identity, name: "web-1" });
  [answers, asked, synced, nonced] = [{}, [], 0, undefined];
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async (input, init) => {
    const url = new URL(input);
    const path = url.pathname.replace(`/api/v1/servers/${web.id}`, "");
    const body: unknown = init.body === undefined ? undefined : JSON.parse(String(init.body));
    asked.push({ method: init.method ?? "", path: path + url.search, body });
    if (init.method === "POST" && path === "/checks" && nonced !== undefined)
      return new Response(JSON.stringify(await nonced((body as { nonce: string }).nonce)), { status: 201 });
    const found = answers[`${init.method} ${path}`];
    if (found instanceof Response) return found;
    return new Response(found === undefined ? "" : JSON.stringify(found), { status: 200 });
  };
});

const told = {
  run: RUN,
  at: 1,
  received_at: 1_800_000_002,
  why: "asked",
  by: "eve@example.com",
  // What the relay says of findings is not read.
  findings: [{ check: "made.up", subject: "", status: "critical" }],
  changes: [
    { check: "lb.detection-time", subject: "haproxy backend web/web1", change: "worse", before: "warning" },
    { check: "disk.space", subject: "/srv", change: "gone", before: "critical" },
    { check: "disk.space", subject: "/", change: "eaten" },
  ],
};

async function page(by: Server, bytes: Bytes, more: Record<string, unknown> = {}) {
  return { ...told, report: base64url(bytes), signature: base64url(await by.sign(bytes)), ...more };
}

const checks = async () => (await import("./checks")).checks;

/** What becomes of a run that the relay shows as this server's newest. */
async function shown(latest: unknown): Promise<unknown> {
  answers["GET /checks"] = { latest, schedule: { every_secs: 3600 }, waivers: [] };
  const { latest: found } = await (await checks()).health(web.id);
  if (found === undefined) return "none";
  return "run" in found ? found.run.findings.map(({ check }) => check) : found.fault.id;
}

test("chk_10 findings come out of the signed report, and only the rest from the relay", async () => {
  const bytes = pack(report, reportOf(web.identity));
  const waiver = {
    waiver: "w1",
    check: "disk.space",
    subject: "/",
    reason: "old",
    owner: "eve@example.com",
    until: 1_900_000_000,
  };
  answers["GET /checks"] = {
    latest: await page(web, bytes),
    schedule: { every_secs: 3600 },
    waivers: [waiver],
  };
  const found = await (await checks()).health(web.id);
  if (!found.latest || !("run" in found.latest)) throw new Error("it verifies");
  const { run } = found.latest;
  expect(run.findings.map(({ check, status, value }) => [check, status, value])).toEqual([
    ["lb.detection-time", "critical", 1800],
    ["disk.space", "ok", undefined],
  ]);
  expect(run.findings[0]?.details).toEqual([
    ["refused", 900],
    ["tcp", true],
    ["why", "default"],
  ]);
  expect(run).toMatchObject({
    id: RUN,
    at: 1_800_000_000_000,
    receivedAt: 1_800_000_002_000,
    millis: 1200,
    by: "eve@example.com",
    why: "asked",
    asked: [],
    leftOut: 3,
    refused: ["security.sshd"],
    sandboxOpen: ["landlock"],
  });
  expect(run.changes.map(({ change, before }) => [change, before])).toEqual([
    ["worse", "warning"],
    ["gone", "critical"],
  ]);
  expect(found.everySeconds).toBe(3600);
  expect(found.waivers).toEqual([
    {
      id: "w1",
      check: "disk.space",
      subject: "/",
      reason: "old",
      owner: "eve@example.com",
      until: 1_900_000_000_000,
    },
  ]);
  expect(await shown(null)).toBe("none");
});

test("chk_10 every changed byte of a report or its signature is refused", async () => {
  const bytes = pack(report, reportOf(web.identity));
  const signature = await web.sign(bytes);
  const fault = (some: Bytes, sign: Bytes) =>
    verifyReport(web.identity, RUN, some, sign).then(
      () => "believed",
      (error: unknown) => (error instanceof Error ? error.message : ""),
    );
  expect(await fault(bytes, signature)).toBe("believed");
  for (let at = 0; at < bytes.length; at += 1) {
    const bad = bytes.slice();
    bad[at] = (bad[at] ?? 0) ^ 1;
    expect(await fault(bad, signature), `byte ${at}`).toMatch(/^(signature|stranger|malformed)$/);
  }
  for (let at = 0; at < signature.length; at += 1) {
    const bad = signature.slice();
    bad[at] = (bad[at] ?? 0) ^ 1;
    expect(await fault(bytes, bad)).toBe("signature");
  }
  expect(await fault(bytes, signature.slice(1))).toBe("signature");
  expect(await fault(new Uint8Array(REPORT_BYTES_MAX + 1), signature)).toBe("malformed");
});

test("chk_10 another server's report, an unsigned one and another run's show nothing", async () => {
  const bytes = pack(report, reportOf(web.identity));
  const theirs = pack(report, reportOf(other.identity));
  expect(await shown(await page(web, bytes))).toEqual(["lb.detection-time", "disk.space"]);
  expect(await shown(await page(other, theirs))).toBe("report_stranger");
  // The right name, another's signature; and another's name under the right signature.
  expect(await shown(await page(other, bytes))).toBe("report_signature");
  expect(await shown(await page(web, theirs))).toBe("report_stranger");
  expect(await shown(await page(web, bytes, { run: "08".repeat(16) }))).toBe("report_nonce");
  expect(await shown(await page(web, utf8("nothing")))).toBe("report_malformed");
  answers[`GET /checks/runs/${"08".repeat(16)}`] = await page(web, bytes);
  const read = await (await checks()).read(web.id, "08".repeat(16));
  expect("fault" in read && read.fault.id).toBe("report_nonce");
});

test("chk_10 a fresh run is believed only when it signs the nonce that was made here", async () => {
  const answer = async (nonce: Bytes | undefined) =>
    page(web, pack(report, reportOf(web.identity, nonce && { nonce })));
  nonced = async (nonce) => answer(unhex(nonce));
  const ran = await (await checks()).run(web.id);
  expect(asked[0]?.body).toEqual({ nonce: "run" in ran ? ran.run.id : "none" });
  // An earlier report under its own name, which verifies, is no answer.
  nonced = async () => answer(undefined);
  const old = await (await checks()).run(web.id);
  expect("fault" in old && old.fault.id).toBe("report_nonce");
});

test("a report in another form than the canonical one is refused, though it is signed", async () => {
  const plain = pack(report, reportOf(web.identity));
  const more = concat(plain, Uint8Array.of(0xc0));
  expect(await shown(await page(web, more))).toBe("report_malformed");
  const two = (names: readonly string[]) => {
    const [first] = reportOf(web.identity).findings;
    if (!first) throw new Error("there is one");
    return pack(finding, { ...first, details: names.map((name) => [name, 1] as const) });
  };
  const reads = (bytes: Bytes) => {
    try {
      return unpackSigned(finding, bytes, 4000).details.map(([name]) => name);
    } catch {
      return "refused";
    }
  };
  expect(reads(two(["10", "9", "__proto__", "a"]))).toEqual(["10", "9", "__proto__", "a"]);
  for (const bad of [
    ["b", "a"],
    ["a", "a"],
  ])
    expect(reads(two(bad))).toBe("refused");
});

test("a server that the log does not name has no report that could be believed", async () => {
  const bytes = pack(report, reportOf(web.identity));
  agents.clear();
  await expect(shown(await page(web, bytes))).rejects.toMatchObject({ id: "nobody_there" });
  expect(synced).toBe(1);
});

test("the server's refusals are in the reader's words, and others in the relay's", async () => {
  const refuse = (code: string, refusal?: Record<string, unknown>) => {
    const body = JSON.stringify({ code, title: "No.", detail: "Because.", refusal });
    answers["POST /checks"] = new Response(body, { status: 409 });
  };
  const failure = async () => {
    const error: unknown = await (await checks()).run(web.id).catch((thrown: unknown) => thrown);
    return error instanceof ConsoleError ? [error.id, ...error.args] : error;
  };
  const both = { en: "E", zh: "Z" };
  refuse("server-refused", { code: "checks-too-often", detail: "12", ...both });
  expect(await failure()).toEqual(["refusal_checks_too_often", "12"]);
  refuse("server-refused", { code: "checks-not-allowed", detail: "", ...both });
  expect(await failure()).toEqual(["refusal_checks_not_allowed"]);
  refuse("server-refused", { code: "checks-failed", detail: "a\u202eb", ...both });
  expect(await failure()).toEqual(["refusal_checks_failed", "a\\u{202e}b"]);
  for (const refusal of [
    undefined,
    { code: "checks-failed", detail: "" },
    { code: "moonlight", detail: "x" },
  ]) {
    refuse("server-refused", refusal);
    expect(await failure()).toEqual(["relay_says_no", "No. Because."]);
  }
  refuse("server-away");
  expect(await failure()).toEqual(["relay_says_no", "No. Because."]);
  expect(new RelayError(false, "relay_odd", "x").problem).toEqual({});
});

test("asking, waiving and planning say what the relay needs, in seconds", async () => {
  const all = await checks();
  answers["POST /checks/waivers"] = {
    waiver: "w2",
    check: "c.d",
    subject: "s",
    reason: "r",
    owner: "me",
    until: 1_900_000_000,
  };
  const until = 1_900_000_000_500;
  const waived = await all.waive(web.id, { check: "c.d", subject: "s", reason: "r", until });
  expect(waived).toMatchObject({ id: "w2", owner: "me", until: 1_900_000_000_000 });
  await all.unwaive(web.id, "w2");
  await all.schedule(web.id, 86_400);
  const line = {
    run: RUN,
    at: 5,
    why: "schedule",
    by: "",
    critical: 1,
    warning: 2,
    unknown: 3,
    ok: 4,
    notes: 5,
  };
  answers["GET /checks/runs"] = { runs: [line], more: true };
  expect(await all.runs(web.id, RUN)).toEqual({
    runs: [
      { id: RUN, at: 5000, why: "schedule", by: "", critical: 1, warning: 2, unknown: 3, ok: 4, notes: 5 },
    ],
    more: true,
  });
  expect(asked.map(({ method, path, body }) => [method, path, body])).toEqual([
    ["POST", "/checks/waivers", { check: "c.d", subject: "s", reason: "r", until: 1_900_000_000 }],
    ["DELETE", "/checks/waivers/w2", undefined],
    ["PUT", "/checks/schedule", { every_secs: 86_400 }],
    ["GET", `/checks/runs?before=${RUN}`, undefined],
  ]);
});
