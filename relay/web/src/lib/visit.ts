// Opening a visit: challenge, checks, grant, signature, and the first shell, in as few round trips as possible.
//
//   page                                     guard
//    │ ChallengeRequest ───────────────────▶ │
//    │ ◀─────────────────────────── Challenge │  is it the server that was meant?
//    │ OpenVisit + OpenChannel ────────────▶ │  signed here, for exactly this challenge
//    │ ◀──────── NeedSecond | VisitOpened ... │
//    │ ◀──────────────────────── ChannelReply │  holder; from here on everything is sealed
//
// Never: signing for a server whose key is not the one in the trust log, or below the highest head that was seen.

import * as api from "./api";
import { type Bytes, equal, hex, random } from "./bytes";
import { Channel } from "./channel";
import { ConsoleError } from "./errors";
import type { OpenShell } from "./facade";
import { type Frame, Kind, message } from "./frame";
import {
  broken,
  type Challenge,
  challengeHash,
  grantBytes,
  grantHash,
  NotGenuine,
  verifyChallenge,
} from "./grant";
import { agentOf, visitOf } from "./ids";
import type { DeviceKey } from "./keys";
import { CONTROL_BYTES_MAX, ENTRIES_PAGE, PROTO_VERSION, PROTO_VERSION_MIN } from "./limits";
import { body, Cut, knock, Link, outOfTurn, type Passage, refusal, remember } from "./link";
import { Broken, exchangePair, type Initiated } from "./noise";
import { wallSecs } from "./outside";
import { NAMESPACE_GRANT, signerOf } from "./ssh";
import { FrameStream } from "./stream";
import type { TrustStore } from "./trust_store";
import { hold } from "./window";
import * as wire from "./wire";
import { words } from "./words";

/** Guard answers from memory; a server that needs longer is not there. */
const ANSWER_MS = 15_000;
/** A relay that cannot be asked for a moment is asked again after this time. */
const ASK_AGAIN_MS = 2_000;
/** The server itself says when nobody signed; its word may need a moment. */
const LATE_MS = 1_000;
/** What the terminal of a page is like. */
export const TERM = "xterm-256color";

/** Whose hands a visit is opened with. */
export interface Hands {
  readonly account: string;
  readonly trust: TrustStore;
  readonly key: DeviceKey;
}

interface Challenged {
  readonly challenge: Challenge;
  readonly hash: Bytes;
  readonly bytes: Bytes;
}

interface Asked {
  readonly passage: Passage;
  readonly initiated: Initiated;
  readonly grant: Bytes;
  readonly signature: Bytes;
  readonly challenge: Bytes;
}

/** Opens a visit and its shell. Throws `ConsoleError`; nothing was started then. */
export async function open(hands: Hands, wish: OpenShell): Promise<Channel> {
  const channel = random(16);
  const stream = await FrameStream.open(wish.server.id, { purpose: "shell", channel: hex(channel) });
  const abandon = () => stream.abandon();
  wish.signal?.addEventListener("abort", abandon);
  try {
    if (wish.signal?.aborted === true) abandon();
    return await openOn(stream, hands, wish, channel);
  } catch (error) {
    stream.leave();
    if (wish.signal?.aborted === true) throw new ConsoleError("cancelled");
    if (error instanceof Cut) throw error.error;
    throw error instanceof Broken ? new ConsoleError("handshake_broken") : error;
  } finally {
    wish.signal?.removeEventListener("abort", abandon);
  }
}

async function openOn(stream: FrameStream, hands: Hands, wish: OpenShell, channel: Bytes): Promise<Channel> {
  const challenged = await challenge(stream, hands, wish);
  const asked = await ask(stream, hands, wish, challenged, channel);
  const opened = await answer(stream, hands, wish, asked);
  const { link, handed } = await Link.finish(stream, asked.initiated, await stream.next(ANSWER_MS));
  const start = {
    passage: asked.passage,
    account: hands.account,
    tenant: hex(hands.trust.log.tenant),
    user: wish.user,
    size: { cols: wish.cols, rows: wish.rows },
    endsInSecs: opened.ends_in_secs,
    unanswered: remember([], asked.initiated.ephemeral),
    release: (await hold(hex(channel))) ?? (() => undefined),
    received: 0,
    joins: false,
  };
  return Channel.begin(start, link, handed);
}

/** The next frame that is no refusal. */
async function next(stream: FrameStream, waitMs = ANSWER_MS): Promise<Frame> {
  const frame = await stream.next(waitMs);
  if (frame.kind === Kind.Refused) throw refusal(body(wire.refused, frame));
  return frame;
}

/** Asks for a challenge and verifies it against the trust log, which grows by the entries that came with it. */
async function challenge(stream: FrameStream, { trust }: Hands, wish: OpenShell): Promise<Challenged> {
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
  await catchUp(trust, value, reply);
  // The server may have been taken off the list by the entries that just came.
  const still = trust.log.agents.get(id)?.identity;
  if (still === undefined || !equal(still, value.identity)) throw new ConsoleError("not_that_server", name);
  return { challenge: value, hash: challengeHash(reply.challenge), bytes: reply.challenge };
}

/** Whoever narrows the offer on the way would choose the version for both sides. */
function sameOffer(value: Challenge, server: string): void {
  const offered = value.offered_min === PROTO_VERSION_MIN && value.offered_max === PROTO_VERSION;
  const spoken = value.version >= PROTO_VERSION_MIN && value.version <= PROTO_VERSION;
  if (!offered || !spoken) throw new ConsoleError("other_version", server, value.version);
}

/** Brings our copy up to the server's: with the entries it sent, else from the relay. */
async function catchUp(trust: TrustStore, value: Challenge, reply: wire.ChallengeReply): Promise<void> {
  await trust.extend(trust.log.head().seq + 1, reply.entries);
  const theirs = { seq: value.trust_seq, hash: value.trust_head };
  if (trust.log.head().seq < theirs.seq) await trust.sync();
  await trust.agree(theirs);
  if (trust.log.head().seq < theirs.seq) throw new ConsoleError("trust_slow");
}

/** Makes and signs the grant, and sends it together with the first handshake message. */
async function ask(
  stream: FrameStream,
  { trust, key }: Hands,
  wish: OpenShell,
  challenged: Challenged,
  channel: Bytes,
): Promise<Asked> {
  const identity = challenged.challenge.identity;
  const ours = await exchangePair();
  const head = trust.log.head();
  const value = {
    version: challenged.challenge.version,
    tenant: trust.log.tenant,
    agent: agentOf(identity),
    challenge: challenged.hash,
    client_key: ours.open,
    engineer: key.id,
    scopes: [{ shell: { user: wish.user } }],
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
  const signature = await key.sign(NAMESPACE_GRANT, grant);
  const passage: Passage = {
    server: wish.server.id,
    visit: visitOf(grantHash(grant)),
    binding: {
      version: value.version,
      challenge: challenged.hash,
      grant: grantHash(grant),
      kind: "shell",
      channel,
    },
    ours,
    theirs: challenged.challenge.agent_key,
    request: { user: wish.user, attach: false, abandoned: [], term: TERM, lang: "", argv: [] },
  };
  const { initiated, frame } = await knock(passage, undefined, []);
  const entries = trust.log.entriesFrom(challenged.challenge.trust_seq + 1, ENTRIES_PAGE);
  const opening = { grant, engineer: { key: key.id, sshsig: signature }, second: null, entries };
  stream.send(message(Kind.OpenVisit, wire.openVisit, opening));
  stream.send(frame);
  return { passage, initiated, grant, signature, challenge: challenged.bytes };
}

/** Waits for guard's yes, and for a second person where one is needed. */
async function answer(
  stream: FrameStream,
  hands: Hands,
  wish: OpenShell,
  asked: Asked,
): Promise<wire.VisitOpened> {
  let frame = await next(stream);
  if (frame.kind === Kind.NeedSecond) {
    frame = await second(stream, hands, wish, asked, body(wire.needSecond, frame));
  }
  if (frame.kind !== Kind.VisitOpened) throw outOfTurn(frame);
  const opened = body(wire.visitOpened, frame);
  if (!equal(opened.visit, asked.passage.visit)) throw outOfTurn(frame);
  return { ...opened, ends_in_secs: Math.min(opened.ends_in_secs, wish.seconds) };
}

/** Who may sign second: every other person whose key is an approver's. */
function approvers({ log }: TrustStore, key: DeviceKey): string[] {
  const own = log.person(key.id, "engineer")?.key.person;
  const others = [...log.people.values()].filter(
    ({ role, key: { person } }) => role === "approver" && person !== own,
  );
  return [...new Set(others.map((one) => one.key.person))];
}

/** Another person signs: asked for at the relay, or given by root on the server itself, who may be faster. */
async function second(
  stream: FrameStream,
  { trust, key }: Hands,
  wish: OpenShell,
  asked: Asked,
  need: wire.NeedSecond,
): Promise<Frame> {
  const withinMs = (need.within_secs + 5) * 1000;
  wish.onSecond?.({
    words: await words(grantHash(asked.grant)),
    expiresAt: Date.now() + need.within_secs * 1000,
    approvers: need.remote ? approvers(trust, key) : [],
    local: need.local,
  });
  const over = new AbortController();
  const late = setTimeout(() => over.abort(), withinMs);
  try {
    if (need.remote) void bring(stream, wish, asked, need, over.signal);
    return await next(stream, withinMs + LATE_MS);
  } catch (error) {
    throw over.signal.aborted ? new ConsoleError("nobody_signed") : error;
  } finally {
    clearTimeout(late);
    over.abort();
  }
}

/** Brings the second signature from the relay to the server, once somebody has given it. */
async function bring(
  stream: FrameStream,
  wish: OpenShell,
  asked: Asked,
  need: wire.NeedSecond,
  over: AbortSignal,
): Promise<void> {
  const { grant, signature, challenge: signed } = asked;
  let id: string | undefined;
  while (!over.aborted) {
    try {
      id ??= await api.askApproval({
        server: wish.server.id,
        grant,
        signature,
        challenge: signed,
        validSecs: need.within_secs,
      });
      const sshsig = await api.waitApproval(id);
      const key = sshsig === undefined ? undefined : signerOf(sshsig);
      if (sshsig === undefined || key === undefined || over.aborted) continue;
      return stream.send(message(Kind.Second, wire.second, { second: { key, sshsig } }));
    } catch (error) {
      // Root on the server may still say yes; the server itself says when the time is over.
      if (!(error instanceof api.RelayError && error.mayPass)) return;
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
}
