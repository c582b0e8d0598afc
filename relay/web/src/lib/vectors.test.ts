// What Rust wrote, read and judged (proto/tests/vectors.rs), done again here: bytes and verdicts must be the same.

import { expect, test } from "vitest";
import { type Bytes, equal, hex, hex as hexOf, unhex } from "./bytes";
import * as entryFile from "./entry";
import { LogError } from "./entry";
import * as frames from "./frame";
import * as grantFile from "./grant";
import { keyOf, visitOf } from "./ids";
import * as limits from "./limits";
import english from "./messages.en.json";
import englishRooms from "./messages.rooms.en.json";
import chineseRooms from "./messages.rooms.zh.json";
import chinese from "./messages.zh.json";
import { metricsSeries } from "./metrics_wire";
import { type Binding, type ExchangePair, initiate, type Sealed } from "./noise";
import { type Codec, pack, unpack, unpackSigned } from "./pack";
import * as passkey from "./passkey";
import * as session from "./session";
import { fingerprint, openssh, SignerError, signP256, verify } from "./ssh";
import { TrustLog } from "./trust";
import vectors from "./vectors.json";
import * as wire from "./wire";
import { matches, parsePin, words } from "./words";

function bytes(text: string): Bytes {
  const found = unhex(text);
  if (found === undefined) throw new Error(`no hexadecimal: ${text}`);
  return found;
}

/** Calls `each` with every one-bit change of `good` and Rust's verdict on it. */
async function everyFlip(
  good: Bytes,
  verdicts: string,
  each: (bad: Bytes, accepted: boolean, where: string) => void | Promise<void>,
): Promise<void> {
  const accepted = bytes(verdicts);
  for (let at = 0; at < good.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bad = good.slice();
      bad[at] = (bad[at] ?? 0) ^ (1 << bit);
      await each(bad, (((accepted[at] ?? 0) >> bit) & 1) === 1, `byte ${at}, bit ${bit}`);
    }
  }
}

function works(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}

const codecs: Readonly<Record<string, Codec<unknown>>> = {
  challengeRequest: wire.challengeRequest as Codec<unknown>,
  challengeReply: wire.challengeReply as Codec<unknown>,
  openVisit: wire.openVisit as Codec<unknown>,
  visitOpened: wire.visitOpened as Codec<unknown>,
  needSecond: wire.needSecond as Codec<unknown>,
  second: wire.second as Codec<unknown>,
  openChannel: wire.openChannel as Codec<unknown>,
  channelReply: wire.channelReply as Codec<unknown>,
  handed: wire.handed as Codec<unknown>,
  refused: wire.refused as Codec<unknown>,
  openRequest: session.openRequest as Codec<unknown>,
  metricsSeries: metricsSeries as Codec<unknown>,
};

test("control messages have Rust's bytes, and nothing is read that Rust refuses", async () => {
  expect(vectors.pack.length).toBeGreaterThan(10);
  for (const row of vectors.pack) {
    const codec = codecs[row.type];
    if (codec === undefined || row.bytes === undefined || row.flipped === undefined)
      throw new Error(row.type);
    const good = bytes(row.bytes);
    const value = unpack(codec, good, limits.CONTROL_BYTES_MAX);
    expect(hex(pack(codec, value)), row.type).toBe(row.bytes);
    await everyFlip(good, row.flipped, (bad, accepted, where) => {
      if (works(() => unpack(codec, bad, limits.CONTROL_BYTES_MAX)))
        expect(accepted, `${row.type} ${where}`).toBe(true);
    });
  }
});

test("frames are cut as Rust cuts them", () => {
  for (const { name, number, max } of vectors.frames.kinds) {
    const kind = frames.kindOf(number);
    if (name in frames.Kind) {
      if (kind === undefined) throw new Error(name);
      expect(frames.kindName(kind)).toBe(name);
      expect(frames.bytesMax(kind)).toBe(max);
    } else expect(kind, name).toBeUndefined();
  }
  for (const stream of vectors.frames.streams) {
    // At once, and byte by byte.
    for (const size of [stream.bytes.length, 1]) {
      const decoder = new frames.Decoder();
      const found: { kind: number; body: string }[] = [];
      const all = bytes(stream.bytes);
      const broken = !works(() => {
        for (let at = 0; at < all.length; at += size) {
          decoder.push(all.subarray(at, at + size));
          for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
            found.push({ kind: frame.kind, body: hex(frame.body) });
          }
        }
      });
      expect(found).toEqual(stream.frames);
      expect(broken).toBe(stream.broken);
    }
  }
});

test("limits are Rust's", () => {
  const ours = limits as Readonly<Record<string, number | string>>;
  for (const [name, value] of Object.entries(vectors.limits)) {
    if (name in ours) expect(ours[name], name).toBe(value);
  }
  expect(Object.keys(ours).filter((name) => !(name in vectors.limits))).toEqual([]);
});

test("six words name one hash", async () => {
  for (const row of vectors.words) {
    const hash = bytes(row.hash);
    expect(await words(hash)).toBe(row.words);
    const pin = await parsePin(`  ${row.words.toUpperCase().replaceAll(" ", "-")}\n`);
    if (!("words" in pin)) throw new Error("not read");
    expect(await matches(pin, hash)).toBe(true);
    expect(await matches(pin, keyOf(hash))).toBe(false);
  }
  expect(await parsePin("zoo zoo zoo zoo zoo zooo")).toEqual({ unknown: "zooo" });
  expect(await parsePin("a b c")).toEqual({ count: 3 });
  const [first] = vectors.words;
  expect(await parsePin(first?.hash ?? "")).toEqual({ hash: bytes(first?.hash ?? "") });
});

const FAULTS: Readonly<Record<string, string>> = {
  Malformed: "malformed",
  OtherKey: "other-key",
  Wrong: "wrong",
  NotTouched: "not-touched",
  Origin: "origin",
};

test("signatures hold for their key, namespace and bytes only", async () => {
  for (const row of vectors.sshsig) {
    const [blob, message, sshsig] = [bytes(row.blob), bytes(row.message), bytes(row.sshsig)];
    expect(openssh(blob)).toBe(row.openssh);
    expect(fingerprint(blob)).toBe(row.fingerprint);
    expect(hex(keyOf(blob))).toBe(row.id);
    const verdict = await verify(blob, row.namespace, message, sshsig).then(
      () => "ok",
      (error: unknown) => (error instanceof SignerError ? error.fault : String(error)),
    );
    expect(verdict, row.name).toBe(row.verdict === "ok" ? "ok" : FAULTS[row.verdict]);
    await everyFlip(sshsig, row.flipped, async (bad, accepted, where) => {
      const good = await verify(blob, row.namespace, message, bad).then(
        () => true,
        () => false,
      );
      expect(good, `${row.name} ${where}`).toBe(accepted);
    });
  }
});

test("AUT-09: a passkey's signature holds for its key, purpose, page and bytes only", async () => {
  for (const row of vectors.passkey) {
    const [blob, message, assertion] = [bytes(row.blob), bytes(row.message), bytes(row.assertion)];
    expect(passkey.rpIdOf(blob) ?? null).toBe(row.rpId);
    expect(hex(passkey.challengeOf(row.namespace, message))).toBe(row.challenge);
    const verdict = await passkey.verify(blob, row.namespace, message, assertion).then(
      () => "ok",
      (error: unknown) => (error instanceof SignerError ? error.fault : String(error)),
    );
    expect(verdict, row.name).toBe(row.verdict === "ok" ? "ok" : FAULTS[row.verdict]);
    if (row.flipped === "") continue;
    await everyFlip(assertion, row.flipped, async (bad, accepted, where) => {
      const good = await passkey.verify(blob, row.namespace, message, bad).then(
        () => true,
        () => false,
      );
      expect(good, `${row.name} ${where}`).toBe(accepted);
    });
  }
});

test("a signature of this browser's kind of key verifies", async () => {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, [
    "sign",
    "verify",
  ]);
  const { p256Blob } = await import("./ssh");
  const blob = p256Blob(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  // Many, because numbers of a signature are sometimes shorter.
  for (let round = 0; round < 300; round++) {
    const message = Uint8Array.of(round & 0xff, round >> 8);
    const sshsig = await signP256(pair.privateKey, blob, "cloud-doctor-grant-v1", message);
    await verify(blob, "cloud-doctor-grant-v1", message, sshsig);
  }
});

function logVerdict(error: unknown): string {
  if (!(error instanceof LogError)) return String(error);
  const { fault } = error;
  if (fault.kind === "rule") return `rule ${fault.rule}`;
  if (fault.kind !== "signature") return fault.kind;
  const name = Object.entries(FAULTS).find(([, ours]) => ours === fault.fault)?.[0];
  return `signature ${name}`;
}

test("the trust log obeys every rule", async () => {
  const { genesis, tenant, steps, beginnings } = vectors.log;
  const log = await TrustLog.genesis(bytes(genesis), bytes(tenant));
  const kept = [bytes(genesis)];
  for (const [number, step] of steps.entries()) {
    const verdict = await log.append(bytes(step.bytes)).then(() => "ok", logVerdict);
    const where = `step ${number}`;
    expect(verdict, where).toBe(step.verdict);
    if (verdict === "ok") kept.push(bytes(step.bytes));
    const uses = [...log.batches.values()].reduce((sum, batch) => sum + batch.uses, 0);
    const sizes = [log.roots.size, log.people.size, uses, log.agents.size, log.ahead.size];
    expect(sizes, where).toEqual([step.roots, step.people, step.batches, step.agents, step.ahead]);
    expect([log.head().seq, hex(log.head().hash), log.newestClaim()], where).toEqual([
      step.seq,
      step.head,
      step.at,
    ]);
  }
  const copy = await TrustLog.replay(kept, bytes(tenant));
  expect(hex(copy.head().hash)).toBe(hex(log.head().hash));
  await expect(TrustLog.replay(kept, new Uint8Array(32))).rejects.toMatchObject({
    fault: { kind: "other-tenant" },
  });
  await expect(TrustLog.replay([])).rejects.toMatchObject({ fault: { kind: "empty" } });
  for (const [number, row] of beginnings.entries()) {
    const verdict = await TrustLog.genesis(bytes(row.bytes)).then(() => "ok", logVerdict);
    expect(verdict, `beginning ${number}`).toBe(row.verdict);
  }
});

test("signed objects have one form", async () => {
  const { log, challenge, grant } = vectors;
  const strict = (codec: Codec<never>, max: number) => (bad: Bytes, accepted: boolean, where: string) => {
    expect(
      works(() => unpackSigned(codec, bad, max)),
      where,
    ).toBe(accepted);
  };
  const signed = entryFile.signedEntry as unknown as Codec<never>;
  const entry = entryFile.entry as unknown as Codec<never>;
  const question = grantFile.challenge as unknown as Codec<never>;
  await everyFlip(bytes(log.genesis), log.flipped, strict(signed, limits.ENTRY_BYTES_MAX));
  await everyFlip(bytes(log.entry), log.entryFlipped, strict(entry, limits.ENTRY_BYTES_MAX));
  await everyFlip(bytes(challenge.bytes), challenge.canonical, strict(question, limits.CHALLENGE_BYTES_MAX));
  await everyFlip(bytes(grant.bytes), grant.flipped, (bad, accepted, where) => {
    expect(
      works(() => grantGood(bad)),
      where,
    ).toBe(accepted);
  });
});

function grantGood(found: Bytes): void {
  if (grantFile.broken(grantFile.readGrant(found)) !== undefined) throw new Error("a rule is broken");
}

test("challenges are believed only from the identity that was meant", async () => {
  const { identity, bytes: text, signature, hash, flipped } = vectors.challenge;
  const [key, good, by] = [bytes(identity), bytes(text), bytes(signature)];
  const value = await grantFile.verifyChallenge(good, by, key);
  expect(value.host).toBe("web-1");
  expect(hex(grantFile.challengeHash(good))).toBe(hash);
  await everyFlip(good, flipped, async (bad, accepted, where) => {
    const believed = await grantFile.verifyChallenge(bad, by, key).then(
      () => true,
      () => false,
    );
    expect(believed, where).toBe(accepted);
  });
  await expect(grantFile.verifyChallenge(good, by, keyOf(key))).rejects.toThrow();
  // The neutral element as a key verifies anything where nobody looks.
  const nobody = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 1 : 0));
  await expect(grantFile.verifyChallenge(good, new Uint8Array(64), nobody)).rejects.toThrow();
});

test("grants have Rust's bytes, hashes and rules", async () => {
  const { bytes: text, hash, visit, words: six, rules } = vectors.grant;
  const value = grantFile.readGrant(bytes(text));
  expect(grantFile.broken(value)).toBeUndefined();
  expect(hex(grantFile.grantBytes(value))).toBe(text);
  expect(hex(grantFile.grantHash(bytes(text)))).toBe(hash);
  expect(hex(visitOf(bytes(hash)))).toBe(visit);
  expect(await words(bytes(hash))).toBe(six);
  for (const [number, row] of rules.entries())
    expect(
      works(() => grantGood(bytes(row.bytes))),
      `${number}`,
    ).toBe(row.good);
});

/** A key with a known private half, as only a test has it. */
async function exchangeKey(secret: Bytes): Promise<ExchangePair> {
  const pkcs8 = bytes(`302e020100300506032b656e04220420${hexOf(secret)}`);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, { name: "X25519" }, true, ["deriveBits"]);
  const { x = "" } = await crypto.subtle.exportKey("jwk", key);
  return { secret: key, open: Uint8Array.from(Buffer.from(x, "base64url")) };
}

test("handshakes and records are Rust's, byte for byte", async () => {
  const { client, holder, transcripts } = vectors.noise;
  const ours = await exchangeKey(bytes(client.secret));
  expect(hex(ours.open)).toBe(client.open);
  for (const row of transcripts) {
    const kind = row.kind === "shell" ? "shell" : "exec";
    const filled = (byte: number, size: number) => new Uint8Array(size).fill(byte);
    const binding: Binding = {
      version: 1,
      challenge: filled(1, 32),
      grant: filled(2, 32),
      kind,
      channel: filled(3, 16),
    };
    const resume =
      row.resume === null ? undefined : { index: row.resume.index, secret: bytes(row.resume.secret) };
    const start = async () =>
      initiate(
        binding,
        ours,
        bytes(holder),
        resume,
        await exchangeKey(bytes(row.ephemeral)),
        bytes(row.payload),
      );
    const initiated = await start();
    expect(hex(initiated.first)).toBe(row.first);
    const { sealed, payload } = await initiated.finish(bytes(row.second));
    expect(hex(payload)).toBe(row.answer);
    for (const record of row.toHolder) expect(hex(sealed.seal(bytes(record.plain)))).toBe(record.sealed);
    for (const record of row.toClient) expect(hex(sealed.open(bytes(record.sealed)))).toBe(record.plain);
    for (let at = 0; at < bytes(row.second).length; at++) {
      const bad = bytes(row.second);
      bad[at] = (bad[at] ?? 0) ^ 0x40;
      await expect(start().then((again) => again.finish(bad))).rejects.toThrow();
    }
    await damaged(async () => (await (await start()).finish(bytes(row.second))).sealed, row.toClient);
  }
});

/** Dropped, doubled and changed records are noticed. */
async function damaged(open: () => Promise<Sealed>, records: readonly { sealed: string }[]): Promise<void> {
  const [a, b] = records.map(({ sealed }) => bytes(sealed));
  if (a === undefined || b === undefined) throw new Error("two are needed");
  const changed = a.slice();
  changed[0] = (changed[0] ?? 0) ^ 1;
  for (const order of [[b], [a, a], [changed], [a.slice(0, -1)], [new Uint8Array(3)]]) {
    const sealed = await open();
    expect(works(() => order.map((record) => sealed.open(record)))).toBe(false);
  }
}

test("session messages have Rust's bytes, and nothing is read that Rust refuses", async () => {
  const { toHolder, toClient } = vectors.session;
  const begin = { out_from: 2 ** 34, err_from: 0, cols: 80, rows: 24 };
  expect(hex(session.encode({ type: "begin", begin }))).toBe(toHolder.begin);
  const data = new TextEncoder().encode("ls\n");
  expect(hex(session.encode({ type: "input", offset: 2 ** 40, data }))).toBe(toHolder.input);
  expect(hex(session.encode({ type: "ack", out: 1, err: 2 }))).toBe(toHolder.ack);
  expect(hex(session.encode({ type: "resize", cols: 500, rows: 24 }))).toBe(toHolder.resize);
  expect(hex(session.encode({ type: "ping", number: 7 }))).toBe(toHolder.ping);
  expect(hex(session.encode({ type: "close" }))).toBe(toHolder.close);
  expect(hex(session.encode({ type: "bye" }))).toBe(toHolder.bye);
  for (const row of toClient) {
    const good = bytes(row.bytes);
    session.decode(good);
    await everyFlip(good, row.flipped, (bad, accepted, where) => {
      if (works(() => session.decode(bad))) expect(accepted, `${row.said} ${where}`).toBe(true);
    });
    for (let cut = 0; cut < good.length; cut++) works(() => session.decode(good.subarray(0, cut)));
  }
  const [welcome] = toClient;
  expect(session.decode(bytes(welcome?.bytes ?? ""))).toMatchObject({
    type: "welcome",
    welcome: { out_end: 300 },
  });
  expect(works(() => session.decode(new Uint8Array(10 + limits.RECORD_DATA_BYTES_MAX + 1).fill(1)))).toBe(
    false,
  );
});

test("the tables hold Rust's sentences, and both languages the same ids and places", () => {
  const en: Readonly<Record<string, string>> = { ...english, ...englishRooms };
  const zh: Readonly<Record<string, string>> = { ...chinese, ...chineseRooms };
  for (const [id, [inEnglish, inChinese]] of Object.entries(vectors.texts)) {
    expect([en[id], zh[id]], id).toEqual([inEnglish, inChinese]);
  }
  expect(Object.keys(zh)).toEqual(Object.keys(en));
  const places = (text: string | undefined): string[] =>
    [...(text ?? "").matchAll(/\{[0-9]\}/g)].map(String).sort();
  for (const id of Object.keys(en)) expect(places(zh[id]), id).toEqual(places(en[id]));
  expect(equal(new Uint8Array(1), new Uint8Array(1))).toBe(true);
});
