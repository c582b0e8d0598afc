// Opening a visit, up to the signature: what the server's challenge brings to this browser's copy of the log.

import "fake-indexeddb/auto";
import { expect, test } from "vitest";
import { type Bytes, base64url, concat, hex, random, unhex, utf8 } from "./bytes";
import { decode, entryHash } from "./entry";
import { ConsoleError } from "./errors";
import { Kind } from "./frame";
import { challenge } from "./grant";
import { agentOf } from "./ids";
import type { Signer } from "./keys";
import { outside } from "./outside";
import { pack } from "./pack";
import type { FrameStream } from "./stream";
import { TrustStore } from "./trust_store";
import vectors from "./vectors.json";
import { openVisit, type VisitWish } from "./visit";
import { challengeReply } from "./wire";

const bytes = (text: string): Bytes => unhex(text) ?? new Uint8Array(0);
const genesis = bytes(vectors.log.genesis);
const tenant = bytes(vectors.log.tenant);
const good = vectors.log.steps.filter((step) => step.verdict === "ok").map((step) => bytes(step.bytes));
const all = [genesis, ...good];

/** A server whose log has all entries, and which answers with those behind number `known`. */
async function guardOf(known: number) {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const identity = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const asked = pack(challenge, {
    version: 1,
    offered_min: 1,
    offered_max: 1,
    identity,
    tenant,
    host: "web-1",
    boot: random(16),
    nonce: random(16),
    agent_key: random(32),
    trust_seq: all.length - 1,
    trust_head: entryHash(decode(all.at(-1) ?? genesis, 0).signed),
    at: 1,
    ttl_secs: 900,
  });
  const signed = concat(utf8("cloud-doctor challenge v1\0"), asked);
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, signed));
  const entries = all.slice(known + 1);
  return { identity, body: pack(challengeReply, { challenge: asked, signature, entries }) };
}

test("entries that came with a challenge keep their numbers when the copy grew meanwhile", async () => {
  let shown = all.slice(0, 3);
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async (input) => {
    const from = Number(new URL(input).searchParams.get("from"));
    const head = { seq: shown.length - 1, hash: hex(entryHash(decode(shown.at(-1) ?? genesis, 0).signed)) };
    return new Response(JSON.stringify({ head, entries: shown.slice(from).map(base64url) }));
  };
  const trust = await TrustStore.start(genesis, tenant);
  await trust.sync();
  const { identity, body } = await guardOf(trust.log.head().seq);
  const id = hex(agentOf(identity));
  trust.log.agents.set(id, { identity, name: "web-1" });
  const stream = {
    send: () => undefined,
    next: async () => {
      // Another part of the page looks at the log while the server answers.
      shown = all.slice(0, 6);
      await trust.sync();
      return { kind: Kind.Challenge, body };
    },
  } as unknown as FrameStream;
  const sign = () => Promise.reject(new ConsoleError("touch_declined"));
  const hands = { account: "eve", trust, key: { id: random(32), sign } as unknown as Signer };
  const wish = {
    server: { id, name: "web-1" },
    scopes: [{ shell: { user: "deploy" } }],
    seconds: 600,
    reason: "slow",
    ticket: "",
  } as unknown as VisitWish;
  // All that is left to do is a touch.
  await expect(openVisit(stream, hands, wish, async () => new Uint8Array(0))).rejects.toMatchObject({
    id: "touch_declined",
  });
  expect(trust.log.head().seq).toBe(all.length - 1);
});
