// Waiting for another person's signature: asked for at the relay, or given by root on the server itself, who may be faster.
//
// The relay only carries it: guard verifies it against the same grant. Never: a visit that opens because the relay says so,
// or a request that stays at the relay when nobody waits for it.

import { RelayError } from "./api";
import * as approvals from "./api_approvals";
import { hex } from "./bytes";
import { ConsoleError } from "./errors";
import { type Frame, Kind, message } from "./frame";
import type { Signer } from "./keys";
import { signerOf } from "./passkey";
import type { FrameStream } from "./stream";
import type { TrustStore } from "./trust_store";
import { type Asked, type Hands, next, type VisitWish } from "./visit";
import * as wire from "./wire";
import { words } from "./words";

/** A relay that cannot be asked for a moment is asked again after this time. */
const ASK_AGAIN_MS = 2_000;
/** No news sooner than this is no reason to ask again at once. */
const NEWS_MS = 1_000;
/** The server itself says when nobody signed; its word may need a moment. */
const LATE_MS = 6_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Who may sign second: every other person whose key is an approver's. */
function approvers({ log }: TrustStore, key: Signer): string[] {
  const own = log.people.get(hex(key.id))?.key.person;
  const others = [...log.people.values()].filter(
    ({ role, key: { person } }) => role === "approver" && person !== own,
  );
  return [...new Set(others.map((one) => one.key.person))];
}

/** Waits until the visit is opened or refused; returns the frame that says so. */
export async function second(
  stream: FrameStream,
  { trust, key }: Hands,
  wish: VisitWish,
  asked: Asked,
  need: wire.NeedSecond,
): Promise<Frame> {
  const expiresAt = Date.now() + need.within_secs * 1000;
  const request = new Request(stream, wish, asked, need);
  // Words take a while, in which the request is on its way already.
  const say = async (): Promise<never> => {
    const six = await words(asked.ground.grant);
    const others = need.remote ? approvers(trust, key) : [];
    if (!request.isOver) wish.onSecond?.({ words: six, expiresAt, approvers: others, local: need.local });
    return new Promise<never>(() => undefined);
  };
  try {
    const decided = next(stream, need.within_secs * 1000 + LATE_MS);
    return await Promise.race([decided, request.brought(), say(), cancelled(wish.signal)]);
  } catch (error) {
    if (error instanceof ConsoleError && error.id === "refusal_no_answer") {
      throw new ConsoleError("nobody_signed");
    }
    throw error;
  } finally {
    request.over();
  }
}

/** Fails when the request is taken back; waits for ever else. */
function cancelled(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const gone = () => reject(new ConsoleError("cancelled"));
    if (signal?.aborted) gone();
    else signal?.addEventListener("abort", gone, { once: true });
  });
}

/** A request at the relay. */
class Request {
  private id: string | undefined;
  private answered = false;
  private done = false;

  constructor(
    private readonly stream: FrameStream,
    private readonly wish: VisitWish,
    private readonly asked: Asked,
    private readonly need: wire.NeedSecond,
  ) {}

  /** Nobody waits for it any more. */
  get isOver(): boolean {
    return this.done;
  }

  /** Brings the second signature to the server, once somebody has given it, and fails when somebody says no. */
  async brought(): Promise<never> {
    if (this.need.remote) {
      while (!this.done && !(await this.step())) {
        // Held by the relay for as long as there is nothing new.
      }
    }
    // From here on the server has the word.
    return new Promise<never>(() => undefined);
  }

  /** Asks once; whether there is nothing more to ask. */
  private async step(): Promise<boolean> {
    try {
      this.id ??= await this.ask();
      if (this.done) {
        this.over();
        return true;
      }
      const asked = performance.now();
      if (this.take(await approvals.request(this.id, true))) return true;
      // A relay that holds too many calls already answers at once.
      if (performance.now() - asked < NEWS_MS) await pause(NEWS_MS);
      return false;
    } catch (error) {
      if (!(error instanceof RelayError)) throw error;
      // Root on the server may still say yes; the server itself says when the time is over.
      if (!error.mayPass) {
        if (this.need.local) return true;
        throw error;
      }
      await pause(ASK_AGAIN_MS);
      return false;
    }
  }

  private ask(): Promise<string> {
    const { grant, signature, challenge } = this.asked;
    const validSecs = this.need.within_secs;
    return approvals.ask({ server: this.wish.server.id, grant, signature, challenge, validSecs });
  }

  private take(found: approvals.Request): boolean {
    if (found.state === "waiting") return false;
    this.answered = true;
    if (found.state === "denied") throw denied(found);
    if (found.state === "withdrawn") throw new ConsoleError("cancelled");
    if (found.state === "expired") {
      // Where root on the server may sign as well, the server's own clock decides.
      if (this.need.local) return true;
      throw new ConsoleError("nobody_signed");
    }
    const sshsig = found.second;
    const key = sshsig === undefined ? undefined : signerOf(sshsig);
    if (sshsig === undefined || key === undefined) throw new RelayError(false, "relay_odd", "signature");
    if (!this.done) this.stream.send(message(Kind.Second, wire.second, { second: { key, sshsig } }));
    return true;
  }

  /** Nobody waits any more. */
  over(): void {
    this.done = true;
    if (this.id === undefined || this.answered) return;
    this.answered = true;
    // A relay that is away withdraws it by itself, when the stream ends.
    void approvals.withdraw(this.id).catch(() => undefined);
  }
}

function denied({ by = "", why = "" }: approvals.Request): ConsoleError {
  return why === ""
    ? new ConsoleError("second_denied_silent", by)
    : new ConsoleError("second_denied", by, why);
}
