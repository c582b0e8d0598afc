// This browser's own copy of a customer's trust log: every entry verified here, pinned by its first, only ever longer.
//
// A history that does not continue ours is kept as a proof and refused; the copy stays as it was. Never: the relay's word
// taken for a head, or a signature below the highest head that this browser has seen.

import * as api from "./api";
import { type Bytes, base64url, equal, hex } from "./bytes";
import { decode, entryHash, LogError } from "./entry";
import { ConsoleError, oneLine, type Sentence } from "./errors";
import * as store from "./store";
import { type Head, TrustLog } from "./trust";

/** What a fault of the log is called. */
export function faultOf({ seq, fault }: LogError): Sentence {
  const where = [String(seq)];
  switch (fault.kind) {
    case "rule":
      return { id: "log_rule", args: [...where, { id: `rule_${fault.rule}`, args: [] }] };
    case "signature":
      return { id: "log_signature", args: where };
    case "not-allowed":
      return { id: "log_not_allowed", args: where };
    case "other-tenant":
      return { id: "log_other_tenant", args: [] };
    case "empty":
      return { id: "log_empty", args: [] };
    case "fork":
      return { id: "log_fork", args: where };
    case "pack":
      return { id: "log_pack", args: where };
  }
}

function refused(error: unknown): unknown {
  return error instanceof LogError ? new ConsoleError("trust_refused", faultOf(error)) : error;
}

export class TrustStore {
  /** One change at a time: entries are verified between looking and taking. */
  private turn: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly log: TrustLog,
    /** How many of its entries are known to be kept: a write that failed is made up for by the next. */
    private kept: number,
  ) {}

  /** The kept copy, verified from its first entry on; behind a gap it is fetched again. */
  static async load(tenant: Bytes): Promise<TrustStore | undefined> {
    const kept = await store.entries(hex(tenant), 0);
    if (kept.length === 0) return undefined;
    try {
      return new TrustStore(await TrustLog.replay(kept, tenant), kept.length);
    } catch (error) {
      throw error instanceof LogError ? new ConsoleError("trust_damaged", faultOf(error)) : error;
    }
  }

  /** Starts a copy from its first entry, whose hash a person has compared. */
  static async start(genesis: Bytes, tenant: Bytes): Promise<TrustStore> {
    const known = await TrustStore.load(tenant);
    if (known !== undefined) return known;
    const log = await TrustLog.genesis(genesis, tenant).catch((error: unknown) => {
      throw refused(error);
    });
    await store.keepEntries(hex(tenant), 0, [genesis]);
    return new TrustStore(log, 1);
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(work, work);
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /** Takes entries that somebody sent, the first of them being number `from`; those that are here must be the same. */
  extend(from: number, sent: readonly Bytes[]): Promise<void> {
    return this.alone(() => this.extendNow(from, sent));
  }

  private async extendNow(from: number, sent: readonly Bytes[]): Promise<void> {
    try {
      for (const [at, bytes] of sent.entries()) await this.takeEntry(from + at, bytes);
    } catch (error) {
      // A copy that cannot be kept must not hide why an entry was refused.
      await this.keep().catch(() => undefined);
      throw error;
    }
    await this.keep();
  }

  private async keep(): Promise<void> {
    const next = this.log.head().seq + 1;
    if (next === this.kept) return;
    await store.keepEntries(hex(this.log.tenant), this.kept, this.log.entriesFrom(this.kept, next));
    this.kept = next;
  }

  private async takeEntry(seq: number, bytes: Bytes): Promise<void> {
    const ours = this.log.hashAt(seq);
    try {
      if (ours === undefined) return await this.log.append(bytes);
      if (equal(entryHash(decode(bytes, seq).signed), ours)) return;
    } catch (error) {
      if (!(error instanceof LogError && error.fault.kind === "fork")) throw refused(error);
    }
    throw await this.fork(seq, bytes);
  }

  /** Checks a head that somebody claims against ours: the same history, as far as both go. */
  async agree(theirs: Head): Promise<void> {
    const ours = this.log.hashAt(theirs.seq);
    if (ours !== undefined && !equal(ours, theirs.hash)) throw await this.fork(theirs.seq, theirs.hash);
  }

  /** Takes what another window of this browser has verified, then what the relay has beyond. */
  sync(): Promise<void> {
    return this.alone(async () => {
      const next = this.log.head().seq + 1;
      await this.extendNow(next, await store.entries(hex(this.log.tenant), next));
      while (!(await this.syncPage()));
    });
  }

  /** One page of the relay's; whether that was the last. */
  private async syncPage(): Promise<boolean> {
    const ours = this.log.head();
    const page = await api.logPage(ours.seq + 1);
    if (page.head === undefined) throw await this.rollback(0);
    await this.agree(page.head);
    if (page.head.seq < ours.seq) throw await this.rollback(page.head.seq);
    await this.extendNow(ours.seq + 1, page.entries);
    if (this.log.head().seq >= page.head.seq) {
      await this.agree(page.head);
      return true;
    }
    if (page.entries.length === 0) throw new ConsoleError("relay_odd", "the trust log ends early");
    return false;
  }

  private async fork(seq: number, theirs: Bytes): Promise<ConsoleError> {
    const [ours = new Uint8Array(0)] = this.log.entriesFrom(seq, 1);
    await this.proof(`entry ${seq} here ${base64url(ours)} sent ${base64url(theirs.slice(0, 4096))}`);
    return new ConsoleError("trust_fork", seq);
  }

  private async rollback(theirs: number): Promise<ConsoleError> {
    const ours = this.log.head();
    await this.proof(`the relay shows entry ${theirs}, here is ${ours.seq} ${hex(ours.hash)}`);
    return new ConsoleError("trust_rollback", theirs, ours.seq);
  }

  /** That a proof could not be kept changes nothing about the refusal. */
  private async proof(what: string): Promise<void> {
    const text = `Trust log of ${oneLine(this.log.name)}, tenant ${hex(this.log.tenant)}: ${what}`;
    await store.keepProof(text).catch(() => undefined);
  }
}
