// Requests for a second signature, brought by a relay that may say what it likes: only signed bytes count.

import { beforeEach, expect, test, vi } from "vitest";
import { approvals } from "./approvals";
import { type Bytes, base64url, hex, random } from "./bytes";
import { ConsoleError } from "./errors";
import { challenge, challengeHash, grantBytes, grantHash, type Scope } from "./grant";
import { agentOf, keyOf, visitOf } from "./ids";
import { outside } from "./outside";
import { pack } from "./pack";
import { NAMESPACE_GRANT, NAMESPACE_SECOND, p256Blob, signP256, verify } from "./ssh";
import { words } from "./words";

interface Key {
  readonly secret: CryptoKey;
  readonly blob: Bytes;
}

async function makeKey(): Promise<Key> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
    "verify",
  ]);
  const open = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { secret: pair.privateKey, blob: p256Blob(open) };
}

const [engineer, boss, mine] = [await makeKey(), await makeKey(), await makeKey()];
const identity = random(32);
const server = hex(agentOf(identity));
const tenant = random(32);
const LAST = 4_000_000_000;
const named = (key: Key, person: string, role: string, until = LAST) =>
  [hex(keyOf(key.blob)), { key: { key: key.blob, person, signer: "device" }, role, until }] as const;
const people = new Map([named(engineer, "eve", "engineer"), named(boss, "bob", "approver")]);
const log = {
  tenant,
  name: "ACME",
  people,
  agents: new Map([[server, { identity, name: "web-1" }]]),
  newestClaim: () => 0,
  person: (key: Uint8Array, role: string) => {
    const found = people.get(hex(key));
    return found?.role === role ? found : undefined;
  },
};
let keys: readonly Key[] = [];
const asked: unknown[] = [];

vi.mock("./seat", () => ({
  account: () => "me",
  pinned: () => ({ log, sync: async () => undefined }),
}));
vi.mock("./visits_list", () => ({ running: async () => running }));
vi.mock("./keys", () => ({
  signers: async () =>
    keys.map(({ secret, blob }) => ({
      id: keyOf(blob),
      blob,
      kind: "device",
      label: "",
      sign: async (namespace: string, message: Bytes, about: unknown) => {
        asked.push(about);
        return signP256(secret, blob, namespace, message);
      },
    })),
}));

let running: { id: string }[] = [];
/** What the relay shows, and what it was told. */
let waiting: Record<string, unknown>[] = [];
let past: Record<string, unknown>[] = [];
let calls: [string, string, unknown][] = [];
let refuse: string | undefined;
let holds = true;

beforeEach(() => {
  [keys, running, waiting, past, calls, refuse] = [[boss], [], [], [], [], undefined];
  asked.length = 0;
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async (input, init) => {
    const url = new URL(input);
    const path = url.pathname.replace("/api/v1/approvals", "");
    calls.push([init.method ?? "", path + url.search, init.body && JSON.parse(String(init.body))]);
    const say = (value: unknown) => new Response(JSON.stringify(value), { status: 200 });
    if (init.method !== "GET")
      return refuse === undefined
        ? new Response(null, { status: 204 })
        : new Response(JSON.stringify({ code: refuse }), { status: 409 });
    if (path === "") {
      // Held until there is news, as long as the relay has room for that.
      const held = url.searchParams.has("seen") && holds;
      if (held) await new Promise((resolve) => setTimeout(resolve, 50));
      return say({ approvals: waiting, seen: held ? "second" : "first" });
    }
    if (path === "/past") return say({ approvals: past, more: false });
    return say(waiting.find(({ id }) => path === `/${id}`) ?? past[0]);
  };
});

const question = pack(challenge, {
  version: 1,
  offered_min: 1,
  offered_max: 1,
  identity,
  tenant,
  host: "web-1",
  boot: random(16),
  nonce: random(16),
  agent_key: random(32),
  trust_seq: 4,
  trust_head: random(32),
  at: 1,
  ttl_secs: 900,
});

function grant(scopes: readonly Scope[] = [{ shell: { user: "root" } }], by = engineer, other = {}): Bytes {
  return grantBytes({
    version: 1,
    tenant,
    agent: agentOf(identity),
    challenge: challengeHash(question),
    client_key: random(32),
    engineer: keyOf(by.blob),
    scopes,
    ttl_secs: 600,
    reason: "slow site",
    ticket: "T-9",
    trust_seq: 4,
    trust_head: random(32),
    at: 1,
    ...other,
  });
}

async function request(bytes: Bytes, other: Record<string, unknown> = {}, by = engineer) {
  return {
    id: "a1",
    server,
    account: "eves-account",
    grant: base64url(bytes),
    signature: base64url(await signP256(by.secret, by.blob, NAMESPACE_GRANT, bytes)),
    challenge: base64url(question),
    created_at: 1_795_264_440,
    expires_at: 1_795_265_040,
    state: "waiting",
    second: null,
    by: null,
    ended_at: null,
    why: null,
    ...other,
  };
}

/** Approves what the list shows under an id. */
async function approve(id: string): Promise<void> {
  const shown = (await approvals.list()).find((one) => one.id === id);
  await approvals.approve(id, shown?.grant ?? "");
}

const id = (error: unknown) => (error instanceof ConsoleError ? error.id : String(error));

test("who, what and where come from the signed bytes; the words are the grant's", async () => {
  const bytes = grant([{ shell: { user: "root" } }, { exec: { user: "web" } }]);
  waiting = [await request(bytes)];
  const [one] = await approvals.list();
  expect(one).toMatchObject({
    state: "waiting",
    engineer: "eve",
    account: "eves-account",
    server: { id: server, name: "web-1" },
    scopes: [
      { kind: "shell", user: "root" },
      { kind: "exec", user: "web" },
    ],
    seconds: 600,
    reason: "slow site",
    ticket: "T-9",
    words: await words(grantHash(bytes)),
    mine: false,
  });
  expect([one?.fault, one?.hindrance]).toEqual([undefined, undefined]);
});

test("what does not hold says why and is never signed", async () => {
  const good = grant();
  const rows: [Record<string, unknown>, string][] = [
    [await request(good, {}, boss), "approval_fault_engineer"],
    [await request(good, { signature: base64url(random(200)) }), "approval_fault_engineer"],
    [await request(grant(undefined, boss), {}, boss), "approval_fault_engineer"],
    [await request(grant(undefined, engineer, { tenant: random(32) })), "approval_fault_customer"],
    [await request(grant(undefined, engineer, { agent: random(32) })), "approval_fault_server"],
    [await request(good, { server: "cd".repeat(32) }), "approval_fault_server"],
    [await request(good, { challenge: base64url(random(90)) }), "approval_fault_challenge"],
    [await request(grant([{ shell: { user: "b" } }, { shell: { user: "a" } }])), "approval_fault_form"],
    [await request(random(40)), "approval_fault_form"],
  ];
  for (const [row, fault] of rows) {
    waiting = [row];
    const [one] = await approvals.list();
    expect(one?.fault?.id).toBe(fault);
    expect(await approve("a1").catch(id)).toBe(fault);
  }
  expect(asked).toEqual([]);
  expect(calls.every(([method]) => method === "GET")).toBe(true);
});

test("who may not approve is told why", async () => {
  const bytes = grant();
  const rows: [readonly Key[], Record<string, unknown>, string][] = [
    [[boss], { account: "me" }, "approval_own"],
    [[], {}, "approval_no_key"],
    [[mine, engineer], {}, "approval_not_yours"],
  ];
  for (const [these, other, why] of rows) {
    keys = these;
    waiting = [await request(bytes, other)];
    const [one] = await approvals.list();
    expect(one?.hindrance?.id).toBe(why);
    expect(await approve("a1").catch(id)).toBe(why);
  }
  // An approver's key of the engineer's own, and one past its last day.
  const [twin, late] = [await makeKey(), await makeKey()];
  people.set(...named(twin, "eve", "approver"));
  people.set(...named(late, "bob", "approver", 1000));
  waiting = [await request(bytes)];
  keys = [twin];
  expect((await approvals.list())[0]?.hindrance?.id).toBe("approval_own");
  keys = [late];
  expect((await approvals.list())[0]?.hindrance?.id).toBe("approval_not_yours");
  keys = [twin, late, boss];
  expect((await approvals.list())[0]?.hindrance).toBeUndefined();
  await approve("a1");
  expect(asked.length).toBe(1);
});

test("approving signs the exact bytes as a second signature, after saying what they mean", async () => {
  const bytes = grant([{ shell: { user: "root" } }]);
  waiting = [await request(bytes)];
  await approve("a1");
  const [method, path, body] = calls.at(-1) ?? [];
  expect([method, path]).toEqual(["POST", "/a1/signature"]);
  const { signature } = body as { signature: string };
  const sshsig = Uint8Array.from(Buffer.from(signature, "base64url"));
  await verify(boss.blob, NAMESPACE_SECOND, bytes, sshsig);
  expect(asked).toEqual([
    {
      what: {
        kind: "approve",
        engineer: "eve",
        user: "root",
        scopes: [{ kind: "shell", user: "root" }],
        seconds: 600,
        reason: "slow site",
        ticket: "T-9",
        words: await words(grantHash(bytes)),
      },
      customer: "ACME",
      server: { id: server, name: "web-1" },
    },
  ]);
  for (const [code, error] of [
    ["approval-over", "approval_over"],
    ["not-second", "not_second"],
  ]) {
    refuse = code;
    expect(await approve("a1").catch(id)).toBe(error);
    expect(await approvals.deny("a1", "no").catch(id)).toBe(error);
    expect(await approvals.withdraw("a1").catch(id)).toBe(error);
  }
});

test("another grant under the id that was shown is not signed, although it holds", async () => {
  waiting = [await request(grant([{ exec: { user: "web" } }]))];
  const [shown] = await approvals.list();
  waiting = [await request(grant([{ shell: { user: "root" } }]))];
  expect(await approvals.approve("a1", shown?.grant ?? "").catch(id)).toBe("approval_changed");
  expect(asked).toEqual([]);
  expect(calls.every(([method]) => method === "GET")).toBe(true);
});

test("saying no takes one line; what is over says who said what, and the visit that runs", async () => {
  await approvals.deny("a1", "  not\nnow \u202e");
  expect(calls.at(-1)).toEqual(["POST", "/a1/denial", { why: "not now \\u{202e}" }]);
  await approvals.deny("a1", "x".repeat(500));
  expect(calls.at(-1)?.[2]).toEqual({ why: "x".repeat(200) });
  await approvals.withdraw("a1");
  expect(calls.at(-1)).toEqual(["DELETE", "/a1", undefined]);
  const bytes = grant();
  const now = Math.floor(Date.now() / 1000);
  const ended = { ended_at: now, by: "bob", signature: undefined, challenge: undefined };
  past = [
    await request(bytes, { ...ended, id: "p1", state: "signed" }),
    await request(grant(), { ...ended, id: "p2", state: "denied", why: "not now" }),
    await request(grant(), { ...ended, id: "p3", state: "withdrawn" }),
    await request(grant(), { ...ended, id: "p4", state: "expired", by: null, ended_at: null }),
  ];
  const visit = hex(visitOf(grantHash(bytes)));
  running = [{ id: visit }];
  const all = await approvals.list();
  expect(all.map(({ state }) => state)).toEqual(["approved", "denied", "withdrawn", "expired"]);
  expect(all[0]).toMatchObject({ visit, answeredBy: "bob", answeredAt: now * 1000, engineer: "eve" });
  expect(all[1]).toMatchObject({ sentence: "not now" });
  expect(all[3]?.answeredBy).toBeUndefined();
  expect(await approve("p1").catch(id)).toBe("approval_over");
});

test("waiting for news ends with news, and quietly with the signal", async () => {
  await approvals.list();
  await approvals.changed(new AbortController().signal);
  expect(calls.at(-1)?.[1]).toBe("?wait=25&seen=first");
  const over = new AbortController();
  const waits = approvals.changed(over.signal);
  over.abort();
  await waits;
  // A relay that cannot hold the call is not asked again at once.
  holds = false;
  const began = performance.now();
  await approvals.changed(new AbortController().signal);
  expect(performance.now() - began).toBeGreaterThan(2_000);
});
