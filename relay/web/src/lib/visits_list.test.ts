// Visits out of streams: what belongs together, who is where, and pages of the past in which nothing is named twice.

import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import { base64url, hex, random } from "./bytes";
import { facts, whoIsWhere } from "./fleet";
import { grantBytes, grantHash } from "./grant";
import { visitOf } from "./ids";
import { outside } from "./outside";
import * as store from "./store";

const { tenant, server } = vi.hoisted(() => ({
  tenant: crypto.getRandomValues(new Uint8Array(32)),
  server: "ab".repeat(32),
}));

vi.mock("./seat", () => {
  // Made when it is asked for: this runs before the lines above.
  const pinned = () => ({ log: { tenant, agents: new Map([[server, { name: "web-1" }]]) } });
  return { account: () => "me", pinned, pinnedIfAny: pinned };
});

let open: Record<string, unknown>[] = [];
let ended: Record<string, unknown>[] = [];
let signed: Record<string, unknown>[] = [];
let calls: string[] = [];
/** Whether each call for a stream's ticket said that the page asks by itself. */
let tickets: boolean[] = [];
let lists: typeof import("./visits_list");
const NOW = Math.floor(Date.now() / 1000);

beforeEach(async () => {
  [open, ended, signed, calls, tickets] = [[], [], [], [], []];
  // What a page has fetched before is another page's.
  vi.resetModules();
  lists = await import("./visits_list");
  const { outside: fresh } = await import("./outside");
  for (const one of [outside, fresh]) relay(one);
});

function relay(of: typeof outside): void {
  of.origin = () => "https://relay.example";
  of.language = () => "en";
  of.fetch = async (input, init) => {
    const url = new URL(input);
    calls.push(url.pathname + url.search);
    if (url.pathname.endsWith("/stream-tickets")) {
      tickets.push(new Headers(init.headers).has("X-Cloud-Doctor-By-Itself"));
      return new Response("{}", { status: 503 });
    }
    const say = (value: unknown) => new Response(JSON.stringify(value), { status: 200 });
    if (url.pathname.endsWith("/approvals/past")) return say({ approvals: signed, more: false });
    if (url.pathname.includes("/servers/")) return say(machine);
    if (url.searchParams.get("state") === "open") return say({ sessions: open, more: false });
    const before = url.searchParams.get("before");
    const from = before === null ? 0 : ended.findIndex(({ stream }) => stream === before) + 1;
    return say({ sessions: ended.slice(from, from + 200), more: from + 200 < ended.length });
  };
}

const machine = {
  id: server,
  os: "Debian 12",
  kernel: "6.1",
  arch: "",
  build: "1.0",
  cpus: 8,
  memory_bytes: null,
  booted_at: 1000,
  enrolled_at: 2000,
  online: { since: 1, rtt_ms: 23, remote: "[2001:db8::1]:4433", streams: 0 },
};

let number = 0;
function stream(account: string, purpose: string, other: Record<string, unknown> = {}) {
  number += 1;
  return {
    stream: number.toString(16).padStart(32, "0"),
    account,
    server,
    client: "192.0.2.1",
    purpose,
    visit: null,
    channel: null,
    opened_at: NOW - 100,
    closed_at: null,
    bytes_up: 0,
    bytes_down: 0,
    reason: null,
    ...other,
  };
}

function approval(reason: string, at: number) {
  const grant = grantBytes({
    version: 1,
    tenant,
    agent: random(32),
    challenge: random(32),
    client_key: random(32),
    engineer: random(32),
    scopes: [{ shell: { user: "root" } }],
    ttl_secs: 600,
    reason,
    ticket: "T-1",
    trust_seq: 1,
    trust_head: random(32),
    at: 1,
  });
  const line = {
    id: reason,
    server,
    account: "eve",
    grant: base64url(grant),
    created_at: at,
    expires_at: at + 600,
    state: "signed",
    by: "bob",
    ended_at: at + 10,
    why: null,
  };
  return { line, visit: hex(visitOf(grantHash(grant))) };
}

test("a visit's streams are one visit, whose grant says as whom and why", async () => {
  const [channel, other] = ["01".repeat(16), "02".repeat(16)];
  const asked = approval("slow site", NOW - 95);
  const older = approval("last week", NOW - 9000);
  signed = [asked.line, older.line];
  open = [
    stream("eve", "attach", { channel: other, visit: asked.visit, opened_at: NOW - 20 }),
    // Its first stream was opened before there was a visit.
    stream("eve", "shell", { channel }),
    stream("carl", "watch", { channel, visit: "77".repeat(16) }),
    stream("carl", "ask"),
  ];
  const [visit, ...more] = await lists.running();
  expect(more).toEqual([]);
  expect(visit).toMatchObject({
    id: asked.visit,
    server: { id: server, name: "web-1" },
    account: "eve",
    users: ["root"],
    reason: "slow site",
    ticket: "T-1",
    startedAt: (NOW - 100) * 1000,
    endsAt: (NOW - 85 + 600) * 1000,
    second: "bob",
    mine: false,
  });
  expect(visit?.endedAt).toBeUndefined();
  expect(visit?.shells).toMatchObject([
    { id: other, kind: "shell", user: "root", watchers: [] },
    { id: channel, kind: "shell", user: "root", since: (NOW - 100) * 1000, watchers: ["carl"] },
  ]);
});

test("what nobody in between knows is empty; one's own shells run without a stream", async () => {
  const channel = "03".repeat(16);
  open = [stream("eve", "shell", { channel })];
  const own = {
    id: "04".repeat(16),
    account: "me",
    tenant: hex(tenant),
    server,
    user: "deploy",
    visit: random(16),
    binding: {},
    ours: {},
    theirs: random(32),
    unanswered: [],
    endsAt: Date.now() + 60_000,
    received: 0,
  } as unknown as store.StoredShell;
  await store.keepShell(own);
  await store.keepShell({ ...own, id: "05".repeat(16), account: "somebody" });
  await store.keepShell({ ...own, id: "06".repeat(16), endsAt: Date.now() - 1 });
  const all = await lists.running();
  expect(all).toHaveLength(2);
  expect(all.find(({ mine }) => mine)).toMatchObject({
    id: hex(own.visit),
    account: "me",
    users: ["deploy"],
    endsAt: own.endsAt,
    shells: [{ id: own.id, user: "deploy" }],
  });
  expect(all.find(({ mine }) => !mine)).toMatchObject({
    id: channel,
    account: "eve",
    users: [],
    reason: "",
    shells: [{ id: channel, user: "" }],
  });
  await Promise.all([own.id, "05".repeat(16), "06".repeat(16)].map(store.forgetShell));
});

test("aut_08 a list that is shown by a timer asks servers by itself, a person's click does not", async () => {
  const look = {
    id: "07".repeat(16),
    account: "me",
    tenant: hex(tenant),
    user: "root",
    approver: false,
    ground: { server, visit: random(16) },
    endsAt: Date.now() + 60_000,
    views: {},
  } as unknown as store.StoredLook;
  await store.keepLook(look);
  await lists.running();
  expect(tickets).toEqual([true]);
  const [known] = await (await import("./looking")).looks();
  await known?.shells().catch(() => undefined);
  expect(tickets).toEqual([true, false]);
  await store.forgetLook(look.id);
});

test("the past goes back in pages, and a visit that two pages hold is named once", async () => {
  const visit = (at: number) => at.toString(16).padStart(32, "0");
  // 150 visits of three streams each, newest first; every third stream began a second before the one above it.
  ended = Array.from({ length: 450 }, (_, at) =>
    stream("eve", at % 3 === 2 ? "shell" : "attach", {
      visit: visit(Math.floor(at / 3)),
      channel: visit(Math.floor(at / 3) + 1000),
      opened_at: NOW - 1000 - at,
      closed_at: NOW - 999 - at,
    }),
  );
  open = [stream("eve", "attach", { visit: visit(0) })];
  const first = await lists.pastVisits();
  expect(first.length).toBe(100);
  // The newest runs still.
  expect(first[0]).toMatchObject({ id: visit(1), shells: [], endedAt: (NOW - 1002) * 1000 });
  const last = first.at(-1)?.startedAt ?? 0;
  const second = await lists.pastVisits(last);
  const ids = [...first, ...second].map(({ id }) => id);
  expect(ids).toEqual(Array.from({ length: 149 }, (_, at) => visit(at + 1)));
  expect(await lists.pastVisits(second.at(-1)?.startedAt)).toEqual([]);
  const before = calls.length;
  expect((await lists.pastVisits()).map(({ id }) => id)).toEqual(first.map(({ id }) => id));
  // The newest page, what runs, and grants at most: the rest is known.
  expect(calls.length - before).toBeLessThan(4);
});

test("who is where: whoever came first, and whether only to look", async () => {
  open = [
    stream("carl", "ask", { opened_at: NOW - 5 }),
    stream("eve", "attach", { opened_at: NOW - 50 }),
    stream("eve", "watch", { opened_at: NOW - 80 }),
    stream("carl", "watch", { opened_at: NOW - 70 }),
  ];
  expect((await whoIsWhere()).get(server)).toEqual([
    { account: "eve", since: (NOW - 80) * 1000, watching: false },
    { account: "carl", since: (NOW - 70) * 1000, watching: true },
  ]);
});

test("what is unknown of a machine is missing", async () => {
  expect(await facts(server)).toEqual({
    os: "Debian 12",
    kernel: "6.1",
    build: "1.0",
    cpus: 8,
    bootedAt: 1_000_000,
    enrolledAt: 2_000_000,
    address: "2001:db8::1",
    rttMs: 23,
  });
});
