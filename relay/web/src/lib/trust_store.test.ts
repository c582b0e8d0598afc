// This browser's copy of the log: only ever longer, the same in every window, and proofs of whoever shows another one.

import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import { type Bytes, base64url, hex, unhex } from "./bytes";
import { decode, entryHash } from "./entry";
import { ConsoleError } from "./errors";
import { outside } from "./outside";
import * as store from "./store";
import { TrustStore } from "./trust_store";
import vectors from "./vectors.json";

const bytes = (text: string): Bytes => unhex(text) ?? new Uint8Array(0);
const genesis = bytes(vectors.log.genesis);
const tenant = bytes(vectors.log.tenant);
const good = vectors.log.steps.filter((step) => step.verdict === "ok").map((step) => bytes(step.bytes));
const all = [genesis, ...good];

let shown: Bytes[] = [];

/** A relay that shows `shown`, in pages of three. */
function relay(): void {
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async (input) => {
    const from = Number(new URL(input).searchParams.get("from"));
    const last = shown.at(-1);
    const head = last && { seq: shown.length - 1, hash: hex(entryHash(decode(last, 0).signed)) };
    const entries = shown.slice(from, from + 3).map(base64url);
    return new Response(JSON.stringify({ head, entries }), { status: 200 });
  };
}

/** This browser has kept nothing of the customer. */
async function emptied(): Promise<void> {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open("cloud-doctor");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const change = database.transaction("entries", "readwrite");
  change.objectStore("entries").clear();
  await new Promise((resolve) => {
    change.oncomplete = resolve;
  });
  database.close();
}

const failure = (error: unknown): string => (error instanceof ConsoleError ? error.id : String(error));

beforeEach(() => {
  shown = all;
  relay();
});

test("a copy grows, is kept, and is read again", async () => {
  shown = all.slice(0, 5);
  const copy = await TrustStore.start(genesis, tenant);
  await copy.sync();
  expect(copy.log.head().seq).toBe(4);
  shown = all;
  await Promise.all([copy.sync(), copy.sync(), copy.extend(5, all.slice(5, 8))]);
  expect(copy.log.head().seq).toBe(all.length - 1);
  const again = await TrustStore.load(tenant);
  expect(hex(again?.log.head().hash ?? genesis)).toBe(hex(copy.log.head().hash));
  expect(await store.tenants()).toEqual([hex(tenant)]);
});

test("a window that is behind takes what another one has verified, and never less", async () => {
  const copy = await TrustStore.load(tenant);
  shown = all.slice(0, 3);
  expect(await copy?.sync().catch(failure)).toBe("trust_rollback");
  shown = [];
  expect(await copy?.sync().catch(failure)).toBe("trust_rollback");
  expect(copy?.log.head().seq).toBe(all.length - 1);
});

test("another history is refused and changes nothing", async () => {
  const copy = await TrustStore.load(tenant);
  const [, first, second] = all;
  if (copy === undefined || first === undefined || second === undefined) throw new Error("not kept");
  const head = copy.log.head();
  expect(await copy.extend(2, [first]).catch(failure)).toBe("trust_fork");
  expect(await copy.extend(head.seq + 1, [second]).catch(failure)).toBe("trust_fork");
  expect(await copy.agree({ seq: 1, hash: tenant }).catch(failure)).toBe("trust_fork");
  expect(await copy.extend(1, [first, second]).catch(failure)).toBeUndefined();
  expect(await copy.extend(head.seq + 1, [new Uint8Array(9)]).catch(failure)).toBe("trust_refused");
  expect(copy.log.head()).toEqual(head);
  const kept = await store.entries(hex(tenant), 0);
  expect(kept.map(hex)).toEqual(all.map(hex));
  // Nobody writes over an entry that is there.
  await store.keepEntries(hex(tenant), 1, [second]);
  expect((await store.entries(hex(tenant), 0)).map(hex)).toEqual(all.map(hex));
});

test("a damaged copy trusts nobody", async () => {
  const [, first] = all;
  const other = tenant.map((byte) => byte ^ 1);
  await store.keepEntries(hex(other), 0, [genesis, first ?? genesis]);
  expect(await TrustStore.load(other).catch(failure)).toBe("trust_damaged");
});

test("a write that failed leaves no gap: the next one makes up for it", async () => {
  await emptied();
  const copy = await TrustStore.start(genesis, tenant);
  shown = all.slice(0, 4);
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("the disk is full", "QuotaExceededError");
  });
  try {
    await expect(copy.sync()).rejects.toThrow();
    expect(copy.log.head().seq).toBe(3);
  } finally {
    put.mockRestore();
  }
  // Nothing new, or entries beyond: whatever comes next.
  await copy.sync();
  expect((await store.entries(hex(tenant), 0)).map(hex)).toEqual(shown.map(hex));
  shown = all;
  await copy.sync();
  expect((await TrustStore.load(tenant))?.log.head().seq).toBe(all.length - 1);
});

test("a fork is told as one, also when what came before it cannot be kept", async () => {
  await emptied();
  const copy = await TrustStore.start(genesis, tenant);
  const [, first = genesis] = all;
  const put = vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(() => {
    throw new DOMException("the disk is full", "QuotaExceededError");
  });
  try {
    expect(await copy.extend(1, [first, first]).catch(failure)).toBe("trust_fork");
    expect(copy.log.head().seq).toBe(1);
  } finally {
    put.mockRestore();
  }
});

test("a kept copy with a gap counts up to the gap, and is whole again after it was brought up to date", async () => {
  await emptied();
  await store.keepEntries(hex(tenant), 0, all.slice(0, 3));
  await store.keepEntries(hex(tenant), 5, all.slice(5, 7));
  const copy = await TrustStore.load(tenant);
  expect(copy?.log.head().seq).toBe(2);
  // What is kept behind a gap is not taken for what belongs into it.
  await copy?.sync();
  expect(copy?.log.head().seq).toBe(all.length - 1);
  expect((await store.entries(hex(tenant), 0)).map(hex)).toEqual(all.map(hex));
});
