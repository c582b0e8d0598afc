// The customer's trust log: verified entry by entry, as proto/src/trust/ does, with all its rules. Pure but for WebCrypto.
//
// Append-only and hash-chained: an entry that does not continue the log is a fork and changes nothing. Never: an entry
// that is believed before its signature and every rule were checked, or a head that goes back.

import { type Bytes, concat, equal, hex, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import {
  decode,
  type Entry,
  entryHash,
  LogError,
  type NamedKey,
  type Policy,
  type Role,
  type Rule,
  type SignedEntry,
} from "./entry";
import { chars, isHidden } from "./errors";
import { agentOf, batchOf, keyOf } from "./ids";
import { BATCH_SECS_MAX, BATCH_USES_MAX, ENGINEER_DAYS_MAX, ENTRIES_MAX, NAME_CHARS_MAX } from "./limits";
import { rpIdOf, verifyBy } from "./passkey";
import { NAMESPACE_LOG, SignerError } from "./ssh";
import { approversAt, endersOf, rulesOfAhead, type SignedAhead } from "./trust_ahead";

const DAY_SECS = 86_400;
/** A new server's clock may be this much behind the clock of whoever signed the newest entry. */
const CLOCKS_APART_SECS = DAY_SECS;
/** More roots than this are nobody's overview. */
const ROOTS_MAX = 16;
const POLICY_USERS_MAX = 100;
/** What a first entry may hold besides: a person's keys and an install token. */
const FIRST_MAX = 8;
const BATCH_CONTEXT = utf8("cloud-doctor log entry v1\0");

export interface Head {
  readonly seq: number;
  readonly hash: Bytes;
}

export interface Person {
  readonly key: NamedKey;
  readonly role: Role;
  readonly until: number;
}

export interface Batch {
  readonly key: Bytes;
  readonly until: number;
  readonly uses: number;
  readonly note: string;
  /** The root that made it, or the recovery key that began the log, in hexadecimal. It ends with it. */
  readonly by: string;
}

export interface AgentRecord {
  readonly identity: Bytes;
  /** A stranger's text. */
  readonly name: string;
}

export type Rules = readonly (readonly [boolean, Rule])[];

function check(seq: number, rules: Rules): void {
  const broken = rules.find(([holds]) => !holds);
  if (broken !== undefined) throw new LogError(seq, { kind: "rule", rule: broken[1] });
}

/** Names are what people decide by: what cannot be seen must not tell two of them apart, or turn one around. */
function named(name: string): Rules {
  return [[name !== "" && chars(name) <= NAME_CHARS_MAX, "NameLength"], visible(name)];
}

function visible(name: string): Rules[number] {
  return [!isHidden(name), "NameHidden"];
}

/** Whoever may say who is trusted does so with a key that a page cannot use by itself. */
function heldByAPerson(key: NamedKey): Rules[number] {
  return [key.signer !== "device", "RootKind"];
}

/** A passkey signs in a form of its own, on a page of its own: no other key may claim to, and none of them to be another. */
function ofItsKind(key: NamedKey): Rules[number] {
  return [(rpIdOf(key.key) !== undefined) === (key.signer === "webauthn"), "PasskeyKind"];
}

/** What replaces roots must work when every browser is lost, and when the page is somebody else's. */
function outsideABrowser(recovery: NamedKey): Rules[number] {
  return [recovery.signer === "sshsig", "RecoveryKind"];
}

/** Whether these may be all the roots of a customer with this recovery key. */
function mayBeRoots(roots: readonly NamedKey[], recovery: NamedKey): Rules {
  const ids = new Set(roots.map((root) => hex(keyOf(root.key))));
  return [
    [roots.length > 0 && roots.length <= ROOTS_MAX, "Roots"],
    [ids.size === roots.length, "SameRoots"],
    [!ids.has(hex(keyOf(recovery.key))), "RecoveryApart"],
    ...roots.flatMap((root) => [...named(root.person), heldByAPerson(root), ofItsKind(root)]),
  ];
}

/** A verified log: its entries and what they add up to. Maps are keyed by ids in hexadecimal. */
export class TrustLog {
  readonly roots = new Map<string, NamedKey>();
  readonly people = new Map<string, Person>();
  readonly batches = new Map<string, Batch>();
  readonly agents = new Map<string, AgentRecord>();
  /** Second signatures ahead, by the numbers of their entries. */
  readonly ahead = new Map<number, SignedAhead>();
  policy: Policy = { visit: null, second_for: [], never: [] };
  private readonly entries: Bytes[] = [];
  private readonly hashes: Bytes[] = [];
  private newest: number;

  private constructor(
    readonly tenant: Bytes,
    readonly name: string,
    readonly recovery: NamedKey,
    at: number,
  ) {
    this.newest = at;
  }

  /** Starts a copy from its first entry, which must be the pinned one and signed by a root that it names. */
  static async genesis(bytes: Bytes, pinned?: Uint8Array): Promise<TrustLog> {
    const { signed, entry: first } = decode(bytes, 0);
    const tenant = entryHash(signed);
    if (pinned !== undefined && !equal(pinned, tenant)) throw new LogError(0, { kind: "other-tenant" });
    if (!("genesis" in first.what)) {
      throw new LogError(0, { kind: "rule", rule: "GenesisFirst" });
    }
    const { name, roots, recovery, first: besides } = first.what.genesis;
    const log = new TrustLog(tenant, name, recovery, first.at);
    for (const root of roots) log.roots.set(hex(keyOf(root.key)), root);
    const isFirst = first.version === 1 && first.seq === 0 && first.prev.every((byte) => byte === 0);
    check(0, [
      [isFirst, "GenesisShape"],
      ...named(name),
      ...named(recovery.person),
      outsideABrowser(recovery),
      ofItsKind(recovery),
      [besides.length <= FIRST_MAX, "FirstCount"],
      ...mayBeRoots(roots, recovery),
    ]);
    // The recovery key is above all roots, so it may say who they are from the start.
    await verifyPerson(log.withRecovery(), signed, first);
    for (const what of besides) {
      log.verifyRules({ ...first, what });
      log.apply({ ...first, what });
    }
    log.keep(bytes, tenant);
    return log;
  }

  /** Verifies a whole copy. */
  static async replay(entries: readonly Bytes[], pinned?: Uint8Array): Promise<TrustLog> {
    const [first, ...rest] = entries;
    if (first === undefined) throw new LogError(0, { kind: "empty" });
    const log = await TrustLog.genesis(first, pinned);
    for (const bytes of rest) await log.append(bytes);
    return log;
  }

  /** Appends one entry after verifying it; on an error nothing changes. One at a time. */
  async append(bytes: Bytes): Promise<void> {
    const head = this.head();
    const seq = head.seq + 1;
    const { signed, entry: next } = decode(bytes, seq);
    if (next.seq !== seq || !equal(next.prev, head.hash)) throw new LogError(seq, { kind: "fork" });
    check(seq, [
      [next.version === 1, "Version"],
      [this.entries.length < ENTRIES_MAX, "Full"],
    ]);
    await this.verifySigner(signed, next);
    this.verifyRules(next);
    // Another append may have come while signatures were checked.
    if (this.head() !== head && !equal(this.head().hash, head.hash))
      throw new LogError(seq, { kind: "fork" });
    this.apply(next);
    this.newest = Math.max(this.newest, next.at);
    this.forgetAhead(({ what: { until } }) => until <= this.newest);
    this.keep(bytes, entryHash(signed));
  }

  private keep(bytes: Bytes, hash: Bytes): void {
    this.entries.push(bytes.slice());
    this.hashes.push(hash);
  }

  private async verifySigner(signed: SignedEntry, next: Entry): Promise<void> {
    if ("add-agent" in next.what) return this.verifyBatch(signed, next);
    if ("replace-roots" in next.what) {
      return verifyPerson(new Map([[hex(keyOf(this.recovery.key)), this.recovery]]), signed, next);
    }
    if ("sign-ahead" in next.what) return verifyPerson(approversAt(this, next.at), signed, next);
    if ("end-ahead" in next.what) {
      return verifyPerson(endersOf(this, next.what["end-ahead"].seq, next.at), signed, next);
    }
    const ofRoots = "add-root" in next.what || "remove-root" in next.what;
    if (!ofRoots) return verifyPerson(this.roots, signed, next);
    // A touch that a page has talked somebody into must not make a root that lasts.
    const lasting = [...this.withRecovery()].filter(([, root]) => root.signer !== "webauthn");
    return verifyPerson(new Map(lasting), signed, next);
  }

  /** Roots and the key above them. */
  private withRecovery(): Map<string, NamedKey> {
    return new Map([...this.roots, [hex(keyOf(this.recovery.key)), this.recovery]]);
  }

  private async verifyBatch(signed: SignedEntry, next: Entry): Promise<void> {
    const { seq } = next;
    const batch = this.batches.get(hex(next.by));
    if (batch === undefined) throw new LogError(seq, { kind: "not-allowed" });
    check(seq, [
      [Math.max(next.at, this.newest) <= batch.until, "BatchPast"],
      [next.at + CLOCKS_APART_SECS >= this.newest, "Backdated"],
    ]);
    const good = await verifyEd25519(batch.key, concat(BATCH_CONTEXT, signed.entry), signed.signature);
    if (!good) throw new LogError(seq, { kind: "signature", fault: "wrong" });
  }

  private verifyRules(next: Entry): void {
    check(next.seq, this.rules(next));
  }

  /** Whether an entry, once signed by somebody who may, could be appended: asked before a person signs it. */
  allows(next: Entry): void {
    this.verifyRules(next);
  }

  private rules({ what: said, at, by }: Entry): Rules {
    if ("sign-ahead" in said) return rulesOfAhead(this, said["sign-ahead"].ahead, by, at);
    if ("end-ahead" in said) return [[this.ahead.has(said["end-ahead"].seq), "NoAhead"]];
    if ("genesis" in said) return [[false, "OneGenesis"]];
    if ("add-root" in said) return this.rulesOfRoot(said["add-root"].key);
    if ("remove-root" in said) {
      const isRoot = this.roots.has(hex(said["remove-root"].key));
      return [
        [isRoot, "NoRoot"],
        [this.roots.size > 1, "LastRoot"],
      ];
    }
    if ("replace-roots" in said) return mayBeRoots(said["replace-roots"].roots, this.recovery);
    if ("add-person" in said) return this.rulesOfPerson(said["add-person"], at);
    if ("remove-person" in said) return [[this.people.has(hex(said["remove-person"].key)), "Nobody"]];
    if ("enrol-batch" in said) return rulesOfBatch(said["enrol-batch"], at);
    if ("add-agent" in said) {
      const { identity, name } = said["add-agent"];
      return [...named(name), [!this.agents.has(hex(agentOf(identity))), "Enrolled"]];
    }
    if ("rename-agent" in said) {
      const { agent, name } = said["rename-agent"];
      return [...named(name), [this.agents.has(hex(agent)), "NoServer"]];
    }
    if ("remove-agent" in said) return [[this.agents.has(hex(said["remove-agent"].agent)), "NoServer"]];
    const { second_for, never } = said["set-policy"].policy;
    const users = [...second_for, ...never];
    return [[users.length <= POLICY_USERS_MAX, "PolicyLength"], ...users.flatMap(named)];
  }

  private rulesOfRoot(key: NamedKey): Rules {
    return [
      ...named(key.person),
      [this.roots.size < ROOTS_MAX, "Roots"],
      [!this.roots.has(hex(keyOf(key.key))), "RootAlready"],
      [!equal(key.key, this.recovery.key), "RecoveryApart"],
      heldByAPerson(key),
      ofItsKind(key),
    ];
  }

  private rulesOfPerson(person: Person, at: number): Rules {
    const known = this.people.get(hex(keyOf(person.key.key)));
    return [
      ...named(person.key.person),
      [person.until <= at + ENGINEER_DAYS_MAX * DAY_SECS, "PersonDays"],
      [person.until > at, "PersonPast"],
      [known === undefined || known.role === person.role, "OtherRole"],
      // A renewal that forgets the kind must not make more of a browser's key than it was.
      [known === undefined || known.key.signer === person.key.signer, "OtherKind"],
      ofItsKind(person.key),
    ];
  }

  private apply(next: Entry): void {
    const said = next.what;
    if ("genesis" in said) return;
    if ("add-root" in said) this.roots.set(hex(keyOf(said["add-root"].key.key)), said["add-root"].key);
    else if ("remove-root" in said) {
      this.roots.delete(hex(said["remove-root"].key));
      this.forget(hex(said["remove-root"].key));
    } else if ("replace-roots" in said) this.replace(said["replace-roots"].roots);
    else if ("add-person" in said)
      this.people.set(hex(keyOf(said["add-person"].key.key)), said["add-person"]);
    else if ("remove-person" in said) this.leave(hex(said["remove-person"].key));
    else if ("enrol-batch" in said) {
      const batch = said["enrol-batch"];
      this.batches.set(hex(batchOf(batch.key)), { ...batch, by: hex(next.by) });
    } else if ("add-agent" in said) {
      this.agents.set(hex(agentOf(said["add-agent"].identity)), said["add-agent"]);
      this.use(hex(next.by));
    } else if ("rename-agent" in said) {
      const { agent, name } = said["rename-agent"];
      const record = this.agents.get(hex(agent));
      if (record !== undefined) this.agents.set(hex(agent), { ...record, name });
    } else if ("remove-agent" in said) {
      const agent = hex(said["remove-agent"].agent);
      this.agents.delete(agent);
      this.forgetAhead(({ what }) => hex(what.agent) === agent);
    } else if ("sign-ahead" in said) {
      const key = approversAt(this, next.at).get(hex(next.by));
      const { ahead } = said["sign-ahead"];
      if (key !== undefined) this.ahead.set(next.seq, { what: ahead, by: hex(next.by), person: key.person });
    } else if ("end-ahead" in said) this.ahead.delete(said["end-ahead"].seq);
    else this.policy = said["set-policy"].policy;
  }

  /** From now on these are the roots; those that they replace can do nothing more. */
  private replace(roots: readonly NamedKey[]): void {
    const before = [...this.roots.keys()];
    this.roots.clear();
    for (const root of roots) this.roots.set(hex(keyOf(root.key)), root);
    for (const id of before) if (!this.roots.has(id)) this.forget(id);
    for (const [id, { by }] of this.batches) if (!this.roots.has(by)) this.batches.delete(id);
  }

  /** A root is gone: its key signs no grants either, and servers are bound no more by batches that it made. */
  private forget(root: string): void {
    this.leave(root);
    for (const [id, batch] of this.batches) if (batch.by === root) this.batches.delete(id);
  }

  /** A person's key is gone, and with it what was signed ahead by it or for it. */
  private leave(key: string): void {
    this.people.delete(key);
    this.forgetAhead(({ by, what }) => by === key || hex(what.engineer) === key);
  }

  private forgetAhead(gone: (ahead: SignedAhead) => boolean): void {
    for (const [seq, ahead] of this.ahead) if (gone(ahead)) this.ahead.delete(seq);
  }

  /** A batch binds one server less. */
  private use(id: string): void {
    const batch = this.batches.get(id);
    if (batch !== undefined) this.batches.set(id, { ...batch, uses: batch.uses - 1 });
    for (const [other, { uses }] of this.batches) if (uses <= 0) this.batches.delete(other);
  }

  head(): Head {
    const seq = this.entries.length - 1;
    return { seq, hash: this.hashes[seq] ?? this.tenant };
  }

  /** The latest moment that an entry claims: no clock that is right stands before it. */
  newestClaim(): number {
    return this.newest;
  }

  /** The hash of entry `seq`, if this copy goes that far. */
  hashAt(seq: number): Bytes | undefined {
    return this.hashes[seq];
  }

  /** Entries from number `seq` on, at most `count`. */
  entriesFrom(seq: number, count: number): Bytes[] {
    return this.entries.slice(seq, seq + count);
  }

  /** A person's key in this role. */
  person(key: Uint8Array, role: Role): Person | undefined {
    const person = this.people.get(hex(key));
    return person?.role === role ? person : undefined;
  }

  /** A copy of its own, to try entries with. */
  clone(): TrustLog {
    const copy = new TrustLog(this.tenant, this.name, this.recovery, this.newest);
    for (const [id, value] of this.roots) copy.roots.set(id, value);
    for (const [id, value] of this.people) copy.people.set(id, value);
    for (const [id, value] of this.batches) copy.batches.set(id, value);
    for (const [id, value] of this.agents) copy.agents.set(id, value);
    for (const [seq, value] of this.ahead) copy.ahead.set(seq, value);
    copy.policy = this.policy;
    copy.entries.push(...this.entries);
    copy.hashes.push(...this.hashes);
    return copy;
  }
}

function rulesOfBatch(batch: Pick<Batch, "until" | "uses" | "note">, at: number): Rules {
  return [
    [batch.until <= at + BATCH_SECS_MAX, "BatchDays"],
    [batch.uses > 0 && batch.uses <= BATCH_USES_MAX, "BatchUses"],
    [chars(batch.note) <= NAME_CHARS_MAX, "NoteLength"],
    visible(batch.note),
  ];
}

async function verifyPerson(
  signers: ReadonlyMap<string, NamedKey>,
  signed: SignedEntry,
  next: Entry,
): Promise<void> {
  const signer = signers.get(hex(next.by));
  if (signer === undefined) throw new LogError(next.seq, { kind: "not-allowed" });
  try {
    await verifyBy(signer, NAMESPACE_LOG, signed.entry, signed.signature);
  } catch (error) {
    if (error instanceof SignerError) throw new LogError(next.seq, { kind: "signature", fault: error.fault });
    throw error;
  }
}
