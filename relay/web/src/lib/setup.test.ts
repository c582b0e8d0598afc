// Starting alone: the owner's first entry, the recovery file, and changes of the log by a key of this browser, against a
// relay that keeps a log in memory.

import "fake-indexeddb/auto";
import { beforeEach, expect, test } from "vitest";
import { book } from "./book";
import { type Bytes, base64url, hex, unbase64url } from "./bytes";
import { decode, entryHash } from "./entry";
import { keyOf } from "./ids";
import { install } from "./install";
import { history } from "./log_view";
import { outside } from "./outside";
import * as seat from "./seat";
import { finish, makeKey } from "./setup";
import { ed25519Blob } from "./ssh";
import { TrustLog } from "./trust";

const TOKEN = { label: "first", uses: 1, seconds: 86_400 };

/** What the relay has. */
let log: Bytes[] = [];

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
    log.push(unbase64url(body.entry) ?? new Uint8Array(0));
    return answer({ head: head() }, 201);
  }
  if (pathname === "/api/v1/enrolment-tokens") {
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
  log = [];
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
