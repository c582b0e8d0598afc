// Watching and the audit as Rust has them (proto/tests/vectors/look.rs): scopes, questions, answers, records, handshakes.

import { expect, test } from "vitest";
import { type Bytes, hex, unhex } from "./bytes";
import * as grantFile from "./grant";
import * as limits from "./limits";
import * as look from "./look";
import { type Binding, type ExchangePair, initiate } from "./noise";
import { type Codec, pack, unpack } from "./pack";
import * as session from "./session";
import vectors from "./vectors.json";
import * as wire from "./wire";

function bytes(text: string): Bytes {
  const found = unhex(text);
  if (found === undefined) throw new Error(`no hexadecimal: ${text}`);
  return found;
}

function works(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

/** Every one-bit change of `good` with Rust's verdict on it. */
function* flips(good: Bytes, verdicts: string): Generator<readonly [Bytes, boolean, string]> {
  const accepted = bytes(verdicts);
  for (let at = 0; at < good.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = good.slice();
      bad[at] = (bad[at] ?? 0) ^ (1 << bit);
      yield [bad, (((accepted[at] ?? 0) >> bit) & 1) === 1, `byte ${at}, bit ${bit}`];
    }
  }
}

function goodGrant(found: Bytes): void {
  if (grantFile.broken(grantFile.readGrant(found)) !== undefined) throw new Error("a rule is broken");
}

test("grants that look have Rust's bytes, order and rules", () => {
  for (const [number, row] of vectors.look.grants.entries()) {
    const good = bytes(row.bytes);
    expect(
      works(() => goodGrant(good)),
      `${number}`,
    ).toBe(row.good);
    if (row.good) expect(hex(grantFile.grantBytes(grantFile.readGrant(good)))).toBe(row.bytes);
    for (const [bad, accepted, where] of flips(good, row.flipped))
      expect(
        works(() => goodGrant(bad)),
        `${number} ${where}`,
      ).toBe(accepted);
  }
});

test("questions and answers have Rust's bytes, and nothing is read that Rust refuses", () => {
  const codecs: Readonly<Record<string, Codec<unknown>>> = {
    question: look.question as Codec<unknown>,
    answer: look.answer as Codec<unknown>,
    channelKind: wire.channelKind as Codec<unknown>,
  };
  for (const row of vectors.look.pack) {
    const codec = codecs[row.type];
    if (codec === undefined) throw new Error(row.type);
    const good = bytes(row.bytes);
    expect(hex(pack(codec, unpack(codec, good, limits.CONTROL_BYTES_MAX))), row.type).toBe(row.bytes);
    for (const [bad, accepted, where] of flips(good, row.flipped))
      if (works(() => unpack(codec, bad, limits.CONTROL_BYTES_MAX)))
        expect(accepted, `${row.type} ${where}`).toBe(true);
  }
});

test("a watcher's records are Rust's, and what only informs may be unknown", () => {
  const { toHolder, toClient } = vectors.look;
  expect(hex(session.encode({ type: "look", from: 2 ** 34, last: limits.WATCH_TAIL_BYTES }))).toBe(
    toHolder.look,
  );
  expect(hex(session.encode({ type: "end" }))).toBe(toHolder.end);
  const read = toClient.map((row) => session.decode(bytes(row.bytes)));
  expect(read).toEqual([
    { type: "size", cols: 500, rows: 24 },
    { type: "watchers", people: ["carl", "würz"] },
    { type: "watchers", people: [] },
    { type: "unknown", tag: 0xc1 },
    { type: "fin", reason: "ended" },
  ]);
  for (const row of toClient)
    for (const [bad, accepted, where] of flips(bytes(row.bytes), row.flipped))
      if (works(() => session.decode(bad))) expect(accepted, `${row.said} ${where}`).toBe(true);
  expect(works(() => session.decode(Uint8Array.of(0xbf, 1)))).toBe(false);
});

/** A key with a known private half, as only a test has it. */
async function exchangeKey(secret: Bytes): Promise<ExchangePair> {
  const pkcs8 = bytes(`302e020100300506032b656e04220420${hex(secret)}`);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, true, ["deriveBits"]);
  const { x = "" } = await crypto.subtle.exportKey("jwk", key);
  return { secret: key, open: Uint8Array.from(Buffer.from(x, "base64url")) };
}

test("handshakes of a watcher and of a question are Rust's, and of no other kind", async () => {
  const { client, holder } = vectors.noise;
  const filled = (byte: number, size: number) => new Uint8Array(size).fill(byte);
  for (const row of vectors.look.transcripts) {
    const start = async (kind: Binding["kind"]) => {
      const binding = {
        version: 1,
        challenge: filled(1, 32),
        grant: filled(2, 32),
        kind,
        channel: filled(3, 16),
      };
      const { resume } = row;
      const handed = resume === null ? undefined : { index: resume.index, secret: bytes(resume.secret) };
      const [ours, once] = [await exchangeKey(bytes(client.secret)), await exchangeKey(bytes(row.ephemeral))];
      return initiate(binding, ours, bytes(holder), handed, once, bytes(row.payload));
    };
    const initiated = await start(row.kind as Binding["kind"]);
    expect(hex(initiated.first)).toBe(row.first);
    const { sealed, payload } = await initiated.finish(bytes(row.second));
    expect(hex(payload)).toBe(row.answer);
    for (const record of row.toHolder) expect(hex(sealed.seal(bytes(record.plain)))).toBe(record.sealed);
    for (const record of row.toClient) expect(hex(sealed.open(bytes(record.sealed)))).toBe(record.plain);
    const shell = await start("shell");
    await expect(shell.finish(bytes(row.second))).rejects.toThrow();
  }
});
