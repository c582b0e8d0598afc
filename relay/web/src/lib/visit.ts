// Opening a visit: challenge, checks, grant, signature, and what comes first in it, in as few round trips as possible.
//
//   page                                     guard
//    │ ChallengeRequest ───────────────────▶ │
//    │ ◀─────────────────────────── Challenge │  is it the server that was meant?
//    │ OpenVisit + first OpenChannel ──────▶ │  signed here, for exactly this challenge
//    │ ◀──────── NeedSecond | VisitOpened ... │
//    │ ◀──────────────────────── ChannelReply │  from here on everything is sealed
//
// Never: signing for a server whose key is not the one in the trust log, or below the highest head that was seen.

import { type Bytes, equal } from "./bytes";
import { ConsoleError } from "./errors";
import type { Second, TouchWhat } from "./facade";
import { type Frame, Kind, message } from "./frame";
import {
  broken,
  type Challenge,
  challengeHash,
  grantBytes,
  grantHash,
  NotGenuine,
  type Scope,
  verifyChallenge,
} from "./grant";
import { agentOf, visitOf } from "./ids";
import type { Signer } from "./keys";
import { later } from "./later";
import { CONTROL_BYTES_MAX, ENTRIES_PAGE, PROTO_VERSION, PROTO_VERSION_MIN } from "./limits";
import { body, Cut, outOfTurn, refusal } from "./link";
import { type Binding, Broken, type ExchangePair, exchangePair } from "./noise";
import { wallSecs } from "./outside";
import { NAMESPACE_GRANT } from "./ssh";
import { FrameStream, type StreamNote } from "./stream";
import type { TrustStore } from "./trust_store";
import * as wire from "./wire";

/** Guard answers from memory; a server that needs longer is not there. */
export const ANSWER_MS = 15_000;

/** Most visits need nobody else. */
const asking = later(() => import("./second"));

/** Whose hands a visit is opened with. */
export interface Hands {
  readonly account: string;
  readonly trust: TrustStore;
  readonly key: Signer;
}

/** How a visit is waited for. */
export interface Patience {
  /** Another person must sign. The promise waits on. */
  readonly onSecond?: (second: Second) => void;
  /** Takes the request back: the promise fails with `cancelled`. */
  readonly signal?: AbortSignal;
}

/** What a visit is to be. */
export interface VisitWish extends Patience {
  readonly server: { readonly id: string; readonly name: string };
  readonly scopes: readonly Scope[];
  readonly seconds: number;
  readonly reason: string;
  readonly ticket: string;
  /** The same in plain values, for whoever touches a key. */
  readonly what: TouchWhat;
}

/** What every channel of a visit is tied to. */
export interface Ground {
  /** Agent id in hexadecimal. */
  readonly server: string;
  readonly visit: Bytes;
  readonly version: number;
  /** Hash of the challenge. */
  readonly challenge: Bytes;
  /** Hash of the grant. */
  readonly grant: Bytes;
  readonly ours: ExchangePair;
  readonly theirs: Bytes;
}

/** What the handshakes of one channel are tied to. */
export function bindingOn(ground: Ground, kind: Binding["kind"], channel: Bytes): Binding {
  const { version, challenge, grant } = ground;
  return { version, challenge, grant, kind, channel };
}

/** A grant that was sent, as whoever signs second gets it. */
export interface Asked {
  readonly ground: Ground;
  readonly grant: Bytes;
  readonly signature: Bytes;
  readonly challenge: Bytes;
}

/** Does something on a new stream, which is left when it fails or is taken back. Throws `ConsoleError`. */
export async function onStream<T>(
  server: string,
  note: StreamNote,
  work: (stream: FrameStream) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const stream = await FrameStream.open(server, note);
  const abandon = () => stream.abandon();
  signal?.addEventListener("abort", abandon);
  try {
    if (signal?.aborted) abandon();
    return await work(stream);
  } catch (error) {
    stream.leave();
    if (signal?.aborted) throw new ConsoleError("cancelled");
    if (error instanceof Cut) throw error.error;
    throw error instanceof Broken ? new ConsoleError("handshake_broken") : error;
  } finally {
    signal?.removeEventListener("abort", abandon);
  }
}

/**
 * Opens a visit on a stream. `first` makes the first handshake, which is sent together with the grant; its answer is the
 * stream's next frame. Throws `ConsoleError`; nothing was started then.
 */
export async function openVisit(
  stream: FrameStream,
  hands: Hands,
  wish: VisitWish,
  first: (ground: Ground) => Promise<Bytes>,
): Promise<{ readonly ground: Ground; readonly endsInSecs: number }> {
  const challenged = await challenge(stream, hands, wish);
  notCancelled(wish);
  const asked = await ask(stream, hands, wish, challenged, first);
  const endsInSecs = await answer(stream, hands, wish, asked);
  return { ground: asked.ground, endsInSecs };
}

function notCancelled({ signal }: Patience): void {
  if (signal?.aborted) throw new ConsoleError("cancelled");
}

/** The next frame that is no refusal. */
export async function next(stream: FrameStream, waitMs = ANSWER_MS): Promise<Frame> {
  const frame = await stream.next(waitMs);
  if (frame.kind === Kind.Refused) throw refusal(body(wire.refused, frame));
  return frame;
}

interface Challenged {
  readonly challenge: Challenge;
  readonly bytes: Bytes;
}

/** Asks for a challenge and verifies it against the trust log, which grows by the entries that came with it. */
async function challenge(stream: FrameStream, { trust }: Hands, wish: VisitWish): Promise<Challenged> {
  const { id, name } = wish.server;
  const head = trust.log.head();
  const offer = { proto_min: PROTO_VERSION_MIN, proto_max: PROTO_VERSION, trust_seq: head.seq };
  stream.send(message(Kind.ChallengeRequest, wire.challengeRequest, offer));
  const frame = await next(stream);
  if (frame.kind !== Kind.Challenge) throw outOfTurn(frame);
  const reply = body(wire.challengeReply, frame, CONTROL_BYTES_MAX);
  const identity = trust.log.agents.get(id)?.identity;
  if (identity === undefined) throw new ConsoleError("not_that_server", name);
  const value = await verifyChallenge(reply.challenge, reply.signature, identity).catch((error: unknown) => {
    throw error instanceof NotGenuine ? new ConsoleError("not_that_server", name) : error;
  });
  if (!equal(value.tenant, trust.log.tenant)) throw new ConsoleError("other_tenant", name);
  sameOffer(value, name);
  await catchUp(trust, head.seq + 1, value, reply);
  // The server may have been taken off the list by the entries that just came.
  const still = trust.log.agents.get(id)?.identity;
  if (still === undefined || !equal(still, value.identity)) throw new ConsoleError("not_that_server", name);
  return { challenge: value, bytes: reply.challenge };
}

/** Whoever narrows the offer on the way would choose the version for both sides. */
function sameOffer(value: Challenge, server: string): void {
  const offered = value.offered_min === PROTO_VERSION_MIN && value.offered_max === PROTO_VERSION;
  const spoken = value.version >= PROTO_VERSION_MIN && value.version <= PROTO_VERSION;
  if (!offered || !spoken) throw new ConsoleError("other_version", server, value.version);
}

/**
 * Brings our copy up to the server's: with the entries it sent, else from the relay. `from`: number of the first that was
 * asked for; our copy may have grown meanwhile.
 */
async function catchUp(
  trust: TrustStore,
  from: number,
  value: Challenge,
  reply: wire.ChallengeReply,
): Promise<void> {
  await trust.extend(from, reply.entries);
  const theirs = { seq: value.trust_seq, hash: value.trust_head };
  if (trust.log.head().seq < theirs.seq) await trust.sync();
  await trust.agree(theirs);
  if (trust.log.head().seq < theirs.seq) throw new ConsoleError("trust_slow");
}

/** Makes and signs the grant, and sends it together with the first handshake message. */
async function ask(
  stream: FrameStream,
  { trust, key }: Hands,
  wish: VisitWish,
  challenged: Challenged,
  first: (ground: Ground) => Promise<Bytes>,
): Promise<Asked> {
  const { version, identity, agent_key: theirs, trust_seq } = challenged.challenge;
  const ours = await exchangePair();
  const head = trust.log.head();
  const hash = challengeHash(challenged.bytes);
  const value = {
    version,
    tenant: trust.log.tenant,
    agent: agentOf(identity),
    challenge: hash,
    client_key: ours.open,
    engineer: key.id,
    scopes: wish.scopes,
    ttl_secs: wish.seconds,
    reason: wish.reason,
    ticket: wish.ticket,
    trust_seq: head.seq,
    trust_head: head.hash,
    at: wallSecs(),
  };
  const fault = broken(value);
  if (fault !== undefined) throw new ConsoleError("wish_form", fault);
  const grant = grantBytes(value);
  const { id, name } = wish.server;
  const signature = await key.sign(NAMESPACE_GRANT, grant, {
    what: wish.what,
    customer: trust.log.name,
    server: { id, name: trust.log.agents.get(id)?.name ?? name },
  });
  notCancelled(wish);
  const granted = grantHash(grant);
  const visit = visitOf(granted);
  const ground: Ground = { server: id, visit, version, challenge: hash, grant: granted, ours, theirs };
  const frame = await first(ground);
  const entries = trust.log.entriesFrom(trust_seq + 1, ENTRIES_PAGE);
  const opening = { grant, engineer: { key: key.id, sshsig: signature }, second: null, entries };
  stream.send(message(Kind.OpenVisit, wire.openVisit, opening));
  stream.send(frame);
  return { ground, grant, signature, challenge: challenged.bytes };
}

/** Waits for guard's yes, and for a second person where one is needed. Returns for how long the visit is open. */
async function answer(stream: FrameStream, hands: Hands, wish: VisitWish, asked: Asked): Promise<number> {
  let frame = await next(stream);
  if (frame.kind === Kind.NeedSecond) {
    frame = await asking.second(stream, hands, wish, asked, body(wire.needSecond, frame));
  }
  if (frame.kind !== Kind.VisitOpened) throw outOfTurn(frame);
  const opened = body(wire.visitOpened, frame);
  if (!equal(opened.visit, asked.ground.visit)) throw outOfTurn(frame);
  return Math.min(opened.ends_in_secs, wish.seconds);
}
