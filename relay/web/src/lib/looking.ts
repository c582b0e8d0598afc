// Visits that only look: at others' shells or at a host's audit. One for each server and purpose, kept for its time, so that
// a reload needs no second signature. Guard answers each question under seal, in a handshake of its own.
//
// Never: a first message sent twice, or an answer that another server could have given.

import { hex, random } from "./bytes";
import { ConsoleError } from "./errors";
import type { TouchWhat } from "./facade";
import { type Frame, Kind, message } from "./frame";
import type { Scope } from "./grant";
import { type Signer, signers } from "./keys";
import { GREETING_BYTES_MAX } from "./limits";
import { body, outOfTurn } from "./link";
import { type Answer, answer, type LivingShell, type Question, question } from "./look";
import { Broken, exchangePair, type Initiated, initiate } from "./noise";
import { wallSecs } from "./outside";
import { pack, unpack } from "./pack";
import * as seat from "./seat";
import { fingerprint } from "./ssh";
import * as store from "./store";
import { type FrameStream, StreamError } from "./stream";
import type { TrustStore } from "./trust_store";
import { ANSWER_MS, bindingOn, type Ground, next, onStream, openVisit, type Patience } from "./visit";
import { channelReply, openChannel } from "./wire";

/** A stream that nothing is asked on is left after this time. */
const QUIET_MS = 20_000;
/** A look that is nearly over is not begun with. */
const SPARE_MS = 5_000;

/** What a look is to see. */
export interface LookWish extends Patience {
  readonly server: { readonly id: string; readonly name: string };
  /** Whose shells; `undefined`: the host's audit. */
  readonly user: string | undefined;
  readonly seconds: number;
  /** What whoever touches a key reads. */
  readonly what: TouchWhat;
  /** Only an approver's key will do. */
  readonly approver: boolean;
}

/** A look that is open: where questions are asked. */
export class Look {
  private turn: Promise<unknown> = Promise.resolve();
  private leaving: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly kept: store.StoredLook,
    private stream: FrameStream | undefined,
  ) {
    this.rest();
  }

  /** Asks guard, one question after the other; `byItself`: by a timer. Throws `ConsoleError`. */
  ask(asked: Question, byItself = false): Promise<Answer> {
    const mine = this.turn.then(() => this.askNow(asked, byItself));
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  private async askNow(asked: Question, byItself: boolean): Promise<Answer> {
    clearTimeout(this.leaving);
    try {
      return (await this.askAgain(asked)) ?? (await this.askAnew(asked, byItself));
    } catch (error) {
      this.leave();
      if (error instanceof ConsoleError && error.id === "refusal_no_visit") await forget(this.kept.id);
      throw error;
    } finally {
      this.rest();
    }
  }

  /** On the stream of the last question, if it still stands. */
  private async askAgain(asked: Question): Promise<Answer | undefined> {
    if (this.stream === undefined) return undefined;
    try {
      return await askOn(this.stream, this.kept.ground, asked);
    } catch (error) {
      this.leave();
      if (error instanceof StreamError) return undefined;
      throw error;
    }
  }

  private askAnew(asked: Question, byItself: boolean): Promise<Answer> {
    const { ground } = this.kept;
    return onStream(ground.server, { ...noteOf(ground), byItself }, async (stream) => {
      const found = await askOn(stream, ground, asked);
      this.stream = stream;
      return found;
    });
  }

  private rest(): void {
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => this.leave(), QUIET_MS);
  }

  private leave(): void {
    this.stream?.leave();
    this.stream = undefined;
  }

  /** The shells that it may see now. */
  async shells(byItself = false): Promise<readonly LivingShell[]> {
    const said = await this.ask({ shells: {} }, byItself);
    if (!("shells" in said)) throw new ConsoleError("out_of_turn", "answer");
    return said.shells.shells;
  }
}

function noteOf(ground: Ground) {
  return { purpose: "ask", visit: hex(ground.visit) } as const;
}

/** A question as a handshake of its own. */
async function begin(
  ground: Ground,
  asked: Question,
): Promise<{ initiated: Initiated; frame: Uint8Array<ArrayBuffer> }> {
  const binding = bindingOn(ground, "ask", random(16));
  const payload = pack(question, asked);
  const { ours, theirs, visit } = ground;
  const initiated = await initiate(binding, ours, theirs, undefined, await exchangePair(), payload);
  const { channel, kind } = binding;
  const open = { visit, channel, kind, resume: 0, first: initiated.first };
  return { initiated, frame: message(Kind.OpenChannel, openChannel, open) };
}

async function finish(initiated: Initiated, reply: Frame): Promise<Answer> {
  if (reply.kind !== Kind.ChannelReply) throw outOfTurn(reply);
  const { payload } = await initiated.finish(body(channelReply, reply).second);
  try {
    return unpack(answer, payload, GREETING_BYTES_MAX);
  } catch {
    throw new Broken();
  }
}

async function askOn(stream: FrameStream, ground: Ground, asked: Question): Promise<Answer> {
  const { initiated, frame } = await begin(ground, asked);
  stream.send(frame);
  return finish(initiated, await next(stream, ANSWER_MS));
}

/** Looks that this window has asked with. */
const open = new Map<string, Look>();

async function forget(id: string): Promise<void> {
  open.delete(id);
  await store.forgetLook(id);
}

/** The looks of whoever is signed in that still count. */
export async function looks(): Promise<Look[]> {
  const tenant = hex(seat.pinned().log.tenant);
  const account = seat.account();
  const all = await store.looks();
  const gone = all.filter((one) => one.endsAt <= Date.now());
  await Promise.all(gone.map(({ id }) => forget(id)));
  return all
    .filter((one) => one.tenant === tenant && one.account === account && one.endsAt > Date.now() + SPARE_MS)
    .map(lookOf);
}

function lookOf(kept: store.StoredLook): Look {
  const known = open.get(kept.id) ?? new Look(kept, undefined);
  open.set(kept.id, known);
  return known;
}

/** A look that is open already and sees that. */
export async function kept(
  server: string,
  user: string | undefined,
  approver: boolean,
): Promise<Look | undefined> {
  const all = await looks();
  return all.find(
    ({ kept: one }) => one.ground.server === server && one.user === user && (one.approver || !approver),
  );
}

/** Opens a look by a grant of one's own, and asks the first question with it. Throws `ConsoleError`. */
export async function openLook(wish: LookWish, asked: Question): Promise<{ look: Look; answer: Answer }> {
  const trust = seat.pinned();
  if (!trust.log.agents.has(wish.server.id)) await trust.sync();
  const { key, approver } = await lookersKey(trust, wish.approver);
  const account = seat.account();
  const scope: Scope = wish.user === undefined ? { audit: {} } : { watch: { user: wish.user } };
  const visit = { ...wish, scopes: [scope], reason: "", ticket: "" };
  const work = async (stream: FrameStream): Promise<{ look: Look; answer: Answer }> => {
    let first: Initiated | undefined;
    const { ground, endsInSecs } = await openVisit(stream, { account, trust, key }, visit, async (on) => {
      const begun = await begin(on, asked);
      first = begun.initiated;
      return begun.frame;
    });
    if (first === undefined) throw new Error("no handshake was made");
    const found = await finish(first, await next(stream));
    const stored: store.StoredLook = {
      id: hex(ground.visit),
      account,
      tenant: hex(trust.log.tenant),
      user: wish.user,
      approver,
      ground,
      endsAt: Date.now() + endsInSecs * 1000,
      views: {},
    };
    await store.keepLook(stored);
    const look = new Look(stored, stream);
    open.set(stored.id, look);
    return { look, answer: found };
  };
  return onStream(wish.server.id, { purpose: "ask" }, work, wish.signal);
}

/** The account's keys here that the log lets look, approvers' first: their signature is the customer's. */
export async function lookers(
  trust: TrustStore,
): Promise<readonly { readonly key: Signer; readonly approver: boolean }[]> {
  const now = Math.max(wallSecs(), trust.log.newestClaim());
  const able = (await signers(seat.account())).flatMap((key) => {
    const person = trust.log.people.get(hex(key.id));
    return person === undefined || person.until < now ? [] : [{ key, approver: person.role === "approver" }];
  });
  const weight = ({ key, approver }: (typeof able)[number]) =>
    (key.kind === "passkey" ? 0 : 2) + (approver ? 0 : 1);
  return able.sort((a, b) => weight(a) - weight(b));
}

async function lookersKey(trust: TrustStore, onlyApprover: boolean) {
  const fits = async () => (await lookers(trust)).find(({ approver }) => approver || !onlyApprover);
  let found = await fits();
  if (found === undefined) {
    await trust.sync();
    found = await fits();
  }
  if (found !== undefined) return found;
  if (onlyApprover) throw new ConsoleError("not_allowed_to_end");
  const [first] = await signers(seat.account());
  if (first === undefined) throw new ConsoleError("no_signing_key");
  throw new ConsoleError("device_not_trusted", fingerprint(first.blob));
}
