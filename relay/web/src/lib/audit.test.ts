// A host's audit, verified as proto/src/audit.rs does: a log that a real agent wrote, and what somebody could do to one.

import { beforeEach, expect, test, vi } from "vitest";
import { AuditVerifier, LINE_BYTES_MAX, linesOf, verifyLines } from "./audit";
import real from "./audit_lines.json";
import { auditLog } from "./audit_log";
import { type Bytes, base64, concat, hex, unhex, utf8 } from "./bytes";
import { ConsoleError } from "./errors";
import type { Server } from "./facade";
import { sha256 } from "./ids";
import { AUDIT_PAGE_BYTES } from "./limits";
import type { Answer, Question } from "./look";

const identity = unhex(real.identity) ?? new Uint8Array(0);
const lines = real.lines.map(utf8);

/** The server that a read or a dropped file is about. */
const SERVER = { id: "ab".repeat(32), name: "web-1" } as Server;
let named: Bytes = identity;
let ask: (asked: Question) => Answer;

vi.mock("./seat", () => ({
  pinned: () => ({ log: { agents: new Map([[SERVER.id, { identity: named, name: "web-1" }]]) } }),
}));
vi.mock("./looking", () => ({
  kept: async () => undefined,
  openLook: async (_: unknown, asked: Question) => {
    return { look: { ask: async (next: Question) => ask(next) }, answer: ask(asked) };
  },
}));

const verified = (some: readonly Uint8Array[], key = identity) => verifyLines(new AuditVerifier(key), some);
const pick = (...order: readonly number[]) => order.map((at) => lines[at] ?? new Uint8Array(0));

beforeEach(() => {
  named = identity;
});

test("a real log verifies, and goes on from any line", async () => {
  const all = await verified(lines);
  expect(all.fault).toBeUndefined();
  expect(all.entries.map(({ seq }) => seq)).toEqual(lines.map((_, at) => at));
  expect(all.entries[0]).toMatchObject({ event: "guard-started", at: Date.parse("2026-11-25T21:48:45Z") });
  expect(all.entries[0]?.fields.identity).toBe(real.identity);
  expect((await verified(lines.slice(3))).entries.length).toBe(lines.length - 3);
});

test("aud_01 one changed bit, and lines that were removed, moved or doubled, are named", async () => {
  const line = lines[1] ?? new Uint8Array(0);
  for (let at = 0; at < line.length; at += 3) {
    const bad = line.slice();
    bad[at] = (bad[at] ?? 0) ^ 1;
    const { entries, fault } = await verified([...pick(0), bad, ...pick(2)]);
    expect([entries.length, fault?.seq], `byte ${at}`).toEqual([1, 1]);
  }
  const chain = (seq: number) => ({ seq, kind: "chain" });
  expect((await verified(pick(0, 2, 3))).fault).toEqual(chain(1));
  expect((await verified(pick(0, 2, 1, 3))).fault).toEqual(chain(1));
  expect((await verified(pick(0, 1, 1, 2))).fault).toEqual(chain(2));
  expect((await verified(pick(3, 5))).fault).toEqual(chain(4));
  expect((await verified(pick(0), sha256(identity))).fault).toEqual({ seq: 0, kind: "signature" });
  const marked = concat(Uint8Array.of(0xef, 0xbb, 0xbf), lines[1] ?? line);
  expect((await verified([...pick(0), marked])).fault).toEqual({ seq: 1, kind: "signature" });
  for (const none of [
    "",
    "nothing",
    "{} AAAA",
    `${"x".repeat(LINE_BYTES_MAX)} ${base64(new Uint8Array(64))}`,
  ])
    expect((await verified([...pick(0), utf8(none)])).fault).toEqual({ seq: 1, kind: "malformed" });
});

test("a file that is dropped here is verified with the log's identity for that server", async () => {
  const file = (text: string) => new Blob([text]);
  const good = await auditLog.verify(SERVER.id, file(`${real.lines.join("\n")}\n`));
  expect(good).toMatchObject({ server: { name: "web-1" }, first: 0, more: false });
  expect(good.entries.length).toBe(lines.length);
  const cut = await auditLog.verify(SERVER.id, file(`${real.lines.slice(2).join("\n")}\nand more`));
  expect(cut).toMatchObject({ first: 2, fault: { seq: lines.length, kind: "malformed" } });
  const id = (error: unknown) => (error instanceof ConsoleError ? error.id : String(error));
  for (const text of ["", "a picture", "{}\n{}"])
    expect(await auditLog.verify(SERVER.id, file(text)).catch(id)).toBe("audit_not_a_log");
  expect(await auditLog.verify("cd".repeat(32), file("")).catch(id)).toBe("not_that_server");
  named = sha256(identity);
  const other = await auditLog.verify(SERVER.id, file(real.lines.join("\n")));
  expect(other).toMatchObject({ entries: [], fault: { seq: 0, kind: "signature" } });
});

/** A log of `count` lines as a server with a key of the test keeps it, from number `from` on. */
async function longLog(count: number, from: number): Promise<string[]> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  named = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const all: string[] = [];
  let prev = from === 0 ? "0".repeat(64) : "1f".repeat(32);
  for (let seq = from; seq < from + count; seq++) {
    const at = new Date(1_795_264_440_000 + seq * 1000).toISOString().replace(".000", "");
    const fields = { who: `世 ${"x".repeat(100 + (seq % 200))}` };
    const json = JSON.stringify({ v: 1, seq, prev, at, boot_ms: seq, event: "refused", fields });
    const signed = concat(utf8("cloud-doctor audit v1\0"), utf8(json));
    const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, signed));
    all.push(`${json} ${base64(signature)}`);
    prev = hex(sha256(utf8(all.at(-1) ?? "")));
  }
  return all;
}

/** A guard with these files, by the number of their first line. */
function guard(files: ReadonlyMap<number, Bytes>): void {
  ask = (asked) => {
    if (!("audit" in asked)) throw new Error("not asked");
    const { file, offset } = asked.audit;
    const list = [...files].map(([first, { length: bytes }]) => ({ first, bytes }));
    const data = files.get(file)?.slice(offset, offset + AUDIT_PAGE_BYTES) ?? new Uint8Array(0);
    return { audit: { files: list, data } };
  };
}

async function readAll(): Promise<{ seqs: number[]; pages: number; fault: unknown }> {
  const seqs: number[] = [];
  let pages = 0;
  for (let more = true; more; pages++) {
    const copy = await auditLog.read(SERVER, seqs[0]);
    seqs.unshift(...copy.entries.map(({ seq }) => seq));
    more = copy.more;
    if (copy.fault !== undefined) return { seqs, pages, fault: copy.fault };
  }
  return { seqs, pages, fault: undefined };
}

test("pages go back over all files, whole lines each, and continue one another", async () => {
  const all = await longLog(900, 40);
  const file = (from: number, to?: number) => utf8(`${all.slice(from, to).join("\n")}\n`);
  // The newest file has a few lines only; the middle one more than pages of bytes.
  const files = new Map([
    [40, file(0, 200)],
    [240, file(200, 890)],
    [930, file(890)],
  ]);
  guard(files);
  const newest = await auditLog.read(SERVER);
  expect(newest.first).toBe(40);
  expect(newest.entries.at(-1)?.seq).toBe(939);
  expect(newest.entries.length).toBeGreaterThan(50);
  const read = await readAll();
  expect(read.fault).toBeUndefined();
  expect(read.seqs).toEqual(all.map((_, at) => at + 40));
  expect(read.pages).toBeGreaterThan(3);
  // Somebody leaves the last line of a file out: both halves are good logs, but not one.
  guard(new Map([...files, [240, file(200, 889)]]));
  expect(await readAll()).toMatchObject({ fault: { kind: "chain" } });
  guard(new Map([...files, [40, file(0, 199)]]));
  expect(await readAll()).toMatchObject({ fault: { kind: "chain", seq: 240 } });
});

test("a log that does not begin and a log of one line are read too", async () => {
  guard(new Map());
  expect(await auditLog.read(SERVER)).toMatchObject({ entries: [], first: 0, more: false });
  const [only = ""] = await longLog(1, 0);
  guard(new Map([[0, utf8(`${only}\n`)]]));
  expect((await auditLog.read(SERVER)).entries.map(({ seq }) => seq)).toEqual([0]);
  expect(linesOf(utf8("a\nb"))).toEqual([utf8("a"), utf8("b")]);
});
