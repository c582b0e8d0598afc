// Starting alone: the owner's first entry, the recovery file, and changes of the log by a key of this browser, against a
// relay that keeps a log in memory.

import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import { begun, forgetBegun } from "./begun";
import { book } from "./book";
import { type Bytes, base64url, hex, unbase64url } from "./bytes";
import { api } from "./console";
import { decode, entryHash } from "./entry";
import { ConsoleError } from "./errors";
import { keyOf } from "./ids";
import { install } from "./install";
import { history } from "./log_view";
import { outside } from "./outside";
import * as seat from "./seat";
import { finish, makeKey } from "./setup";
import { ed25519Blob } from "./ssh";
import * as store from "./store";
import { TrustLog } from "./trust";

const TOKEN = { label: "first", uses: 1, seconds: 86_400 };

/** What the relay has. */
let log: Bytes[] = [];
/** What becomes of the next entry that is sent. */
let road: "works" | "answer lost" | "lost" | "refused" = "works";
/** Entries that did not arrive. */
let lost: Bytes[] = [];
let makesTokens = true;
/** How many entries were sent. */
let sent = 0;

function answer(value: unknown, status = 200): Response {
  return new Response(value === null ? null : JSON.stringify(value), { status });
}

function head() {
  const seq = log.length - 1;
  const last = log[seq];
  return last === undefined ? null : { seq, hash: hex(entryHash(decode(last, seq).signed)) };
}

async function relay(url: string, init: RequestInit): Promise<Response> {
  const { pathname, searchParams } = new URL(url);
  const body = typeof init.body === "string" ? JSON.parse(init.body) : {};
  if (pathname === "/api/v1/me") {
    const first = log[0];
    const id = first === undefined ? null : hex(entryHash(decode(first, 0).signed));
    return answer({ account: "ann", role: "admin", tenant: { id, name: "Ann & Co" } });
  }
  if (pathname === "/api/v1/trust-log" && init.method === "GET") {
    return answer({ head: head(), entries: log.slice(Number(searchParams.get("from"))).map(base64url) });
  }
  if (pathname === "/api/v1/trust-log") {
    const entry = unbase64url(body.entry) ?? new Uint8Array(0);
    const now = road;
    road = "works";
    sent += 1;
    if (now === "refused") return answer({ code: "entry-refused" }, 422);
    if (now === "lost") lost.push(entry);
    else if (log.length > 0) return answer({ code: "head-moved", head: head() }, 409);
    else log.push(entry);
    if (now !== "works") throw new TypeError("no answer");
    return answer({ head: head() }, 201);
  }
  if (pathname === "/api/v1/enrolment-tokens") {
    if (!makesTokens) return answer({}, 503);
    const [agents_pin, agents_next_pin] = [`sha256:${"a".repeat(64)}`, `sha256:${"b".repeat(64)}`];
    const secret = base64url(new Uint8Array(32).fill(7));
    const made = {
      id: "ff",
      secret,
      expires_at: 1,
      agents: "quic://relay.example:8443",
      agents_pin,
      agents_next_pin,
    };
    return answer(made, 201);
  }
  throw new Error(`no route ${pathname}`);
}

beforeEach(async () => {
  await forgetBegun("ann");
  [log, lost, road, sent] = [[], [], "works", 0];
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = relay;
  await seat.choose(undefined);
  await seat.look();
});

/** The Ed25519 key in an OpenSSH private key file. */
function keyIn(file: string): Bytes {
  const lines = file.split("\n").filter((line) => line !== "" && !line.startsWith("-----"));
  const bytes = Uint8Array.from(atob(lines.join("")), (c) => c.charCodeAt(0));
  const at = new TextDecoder("latin1").decode(bytes).indexOf("ssh-ed25519") + 11 + 4;
  return bytes.slice(at, at + 32);
}

test("a trial with the browser's own key: the file holds the root, the first token needs no touch", async () => {
  const file = await makeKey("device", "this browser");
  expect(file.name).toBe("cloud-doctor-root-ann.key");
  const made = await finish("Ann & Co", TOKEN);
  const copy = await TrustLog.replay(log);
  expect(copy.name).toBe("Ann & Co");
  expect([...copy.roots.keys()]).toEqual([hex(keyOf(ed25519Blob(keyIn(file.text))))]);
  expect([...copy.people.values()].map((one) => [one.key.person, one.key.signer, one.role])).toEqual([
    ["ann", "device", "engineer"],
  ]);
  expect(log.length).toBe(1);
  const [, token = ""] = /echo cdt1\.(\S+) >/.exec(made.command) ?? [];
  const parts = unbase64url(token) ?? new Uint8Array(0);
  expect(parts.length).toBe(96);
  expect(hex(parts.slice(64))).toBe(hex(copy.tenant));
  const key = await crypto.subtle.importKey(
    "jwk",
    {
      kty: "OKP",
      crv: "Ed25519",
      d: base64url(parts.slice(32, 64)),
      x: base64url([...copy.batches.values()][0]?.key ?? new Uint8Array(0)),
    },
    "Ed25519",
    false,
    ["sign"],
  );
  expect(key.type).toBe("private");
  await expect(install({ label: "", uses: 1, seconds: 86_400, preset: "own" })).rejects.toMatchObject({
    id: "not_root",
  });
});

test("the log's history is told in plain values", async () => {
  await makeKey("device", "this browser");
  await finish("Ann & Co", TOKEN);
  const [genesis] = history(seat.pinned().log);
  expect(genesis?.by).toEqual({ kind: "root", name: "ann" });
  expect(genesis?.what).toMatchObject({ kind: "genesis", customer: "Ann & Co" });
  expect(await book.mayWrite()).toBe(false);
  const line = book.command({ kind: "rename-server", server: "ab".repeat(32), name: "it's" });
  expect(line).toBe("cloud-doctor tenant server rename abababababab 'it'\\''s'");
});

test("without a key in memory nothing is begun", async () => {
  await makeKey("device", "this browser");
  await finish("Ann & Co", TOKEN);
  log = [];
  await expect(finish("Ann & Co", TOKEN)).rejects.toMatchObject({ id: "setup_key_first" });
  expect(log).toEqual([]);
});

const failure = (error: unknown): string => (error instanceof ConsoleError ? error.id : String(error));

/** Everything in memory is gone; what the browser keeps is there. */
async function reload(): Promise<void> {
  seat.leave();
  await seat.choose(undefined);
}

test("a lost answer to the first entry: another try sends the same one and pins it", async () => {
  await makeKey("device", "this browser");
  for (const way of ["lost", "answer lost"] as const) {
    road = way;
    expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
    expect(seat.pinnedIfAny()).toBeUndefined();
  }
  makesTokens = false;
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_says_no");
  makesTokens = true;
  const { command } = await finish("Ann & Co", TOKEN);
  expect(command).toContain("cloud-doctor-agent enrol");
  expect(log.map(hex)).toEqual(lost.map(hex));
  expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
  expect(await begun("ann")).toEqual([]);
});

test("a lost answer and a reload: the owner finds the log pinned if the entry arrived", async () => {
  await makeKey("device", "this browser");
  road = "answer lost";
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
  await reload();
  expect((await api.me()).tenant?.id).toBe(head()?.hash);
  expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
  expect(sent).toBe(1);
  expect(await begun("ann")).toEqual([]);
});

test("an entry that never arrived is not sent after a reload: its owner may have given it up", async () => {
  await makeKey("device", "this browser");
  road = "lost";
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
  await reload();
  expect((await api.me()).tenant).toBeNull();
  expect([log, sent]).toEqual([[], 1]);
  expect(seat.pinnedIfAny()).toBeUndefined();
  // The set-up begins anew, with another file.
  await makeKey("device", "this browser");
  await finish("Ann & Co", TOKEN);
  expect(log.map(hex)).not.toEqual(lost.map(hex));
  expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
  expect(await begun("ann")).toEqual([]);
});

test("which of two files counts is said after a reload, once, where the earlier try stands", async () => {
  const clock = vi.spyOn(Date, "now");
  for (let tries = 0; tries < 2; tries++) {
    await makeKey("device", "this browser");
    road = "lost";
    expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
    // The later one has the later time.
    clock.mockReturnValue(Date.now() + 1000);
  }
  clock.mockRestore();
  log = lost.slice(0, 1);
  await reload();
  expect(await api.me().catch(failure)).toBe("setup_earlier");
  expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
  await reload();
  expect((await api.me()).tenant?.id).toBe(head()?.hash);
  expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
});

test("an entry that the relay refused for good is forgotten, one whose fate is open is not", async () => {
  await makeKey("device", "this browser");
  road = "lost";
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
  await makeKey("device", "this browser");
  road = "refused";
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_says_no");
  expect((await begun("ann")).map((one) => hex(one.genesis))).toEqual(lost.map(hex));
});

test("an earlier try that arrives late is the one that counts, and is said so", async () => {
  await makeKey("device", "this browser");
  road = "lost";
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
  await makeKey("device", "this browser");
  log = [...lost];
  for (let tries = 0; tries < 2; tries++) {
    expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("setup_earlier");
    expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
  }
  await reload();
  await api.me();
  expect(hex(seat.pinned().log.tenant)).toBe(head()?.hash);
});

test("a log that was begun elsewhere is not taken for one's own", async () => {
  await makeKey("device", "this browser");
  await finish("Ann & Co", TOKEN);
  const theirs = log;
  log = [];
  await reload();
  await api.me();
  await makeKey("device", "this browser");
  road = "lost";
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("relay_unreachable");
  log = theirs;
  expect(await finish("Ann & Co", TOKEN).catch(failure)).toBe("log_moved");
  expect(seat.pinnedIfAny()).toBeUndefined();
  expect(await begun("ann")).toEqual([]);
});

test("nothing waits for a browser that asks the person whether it may keep things", async () => {
  const kept: number[] = [];
  const persist = () => {
    void store.tenants().then((all) => kept.push(all.length));
    return new Promise<boolean>(() => undefined);
  };
  const before = (await store.tenants()).length;
  vi.stubGlobal("navigator", { storage: { persist } });
  try {
    await makeKey("device", "this browser");
    await finish("Ann & Co", TOKEN);
    await vi.waitFor(() => expect(kept).toEqual([before + 1]));
  } finally {
    vi.unstubAllGlobals();
  }
});
