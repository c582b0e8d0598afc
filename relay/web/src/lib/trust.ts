// The customer's trust log: verified entry by entry, as proto/src/trust.rs does, with all its rules. Pure but for WebCrypto.
//
// Append-only and hash-chained: an entry that does not continue the log is a fork and changes nothing. Never: an entry
// that is believed before its signature and every rule were checked, or a head that goes back.

import { type Bytes, concat, equal, hex, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import { agentOf, batchOf, id16, id32, keyOf, sha256, short } from "./ids";
import {
  BATCH_SECS_MAX,
  BATCH_USES_MAX,
  ENGINEER_DAYS_MAX,
  ENTRIES_MAX,
  ENTRY_BYTES_MAX,
  NAME_CHARS_MAX,
} from "./limits";
import {
  bin,
  type Codec,
  list,
  oneOf,
  option,
  optional,
  PackError,
  pack,
  struct,
  type TypeOf,
  text,
  u16,
  u32,
  u64,
  unpackSigned,
  variants,
} from "./pack";
import { NAMESPACE_LOG, SignerError, type SignerFault, verify } from "./ssh";

const DAY_SECS = 86_400;
/** A new server's clock may be this much behind the clock of whoever signed the newest entry. */
const CLOCKS_APART_SECS = DAY_SECS;
const BATCH_CONTEXT = utf8("cloud-doctor log entry v1\0");

/** A length of time in its one written form: `90s`, `15m`, `8h`, `2d`. */
export const span: Codec<number> = {
  write: (out, value) => text.write(out, spanText(value)),
  read(from) {
    const [, digits, unit] = /^([0-9]+)([smhd])$/.exec(text.read(from)) ?? [];
    const seconds = { s: 1, m: 60, h: 3600, d: DAY_SECS }[unit ?? ""];
    const value = Number(digits) * (seconds ?? Number.NaN);
    if (!Number.isSafeInteger(value)) throw new PackError("malformed");
    return value;
  },
};

function spanText(seconds: number): string {
  if (seconds === 0) return "0s";
  if (seconds % DAY_SECS === 0) return `${seconds / DAY_SECS}d`;
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** A person's key with the name that others see. `signer` says how it signs, where that is not an SSH key. */
export const namedKey = struct({
  key: bin,
  person: text,
  signer: optional(oneOf(["sshsig", "device"]), "sshsig"),
});
export type NamedKey = TypeOf<typeof namedKey>;

export const policy = struct({ visit: option(span), second_for: list(text), never: list(text) });
export type Policy = TypeOf<typeof policy>;

export type Role = "engineer" | "approver";
const role = oneOf<Role>(["engineer", "approver"]);

export const what = variants({
  genesis: struct({ name: text, roots: list(namedKey), recovery: namedKey, salt: id16 }),
  "add-root": struct({ key: namedKey }),
  "remove-root": struct({ key: id32 }),
  "add-person": struct({ key: namedKey, role, until: u64 }),
  "remove-person": struct({ key: id32 }),
  "enrol-batch": struct({ key: id32, until: u64, uses: u32, note: text }),
  "add-agent": struct({ identity: id32, name: text }),
  "remove-agent": struct({ agent: id32 }),
  "set-policy": struct({ policy }),
});
export type What = TypeOf<typeof what>;

export const entry = struct({ version: u16, seq: u64, prev: id32, at: u64, by: id32, what });
export type Entry = TypeOf<typeof entry>;

export const signedEntry = struct({ entry: bin, signature: bin });
export type SignedEntry = TypeOf<typeof signedEntry>;

/** Which rule of the log an entry breaks, in the words of proto/src/trust.rs. */
export type LogFault =
  | { readonly kind: "pack"; readonly why: PackError["why"] }
  | { readonly kind: "fork" }
  | { readonly kind: "other-tenant" }
  | { readonly kind: "not-allowed" }
  | { readonly kind: "signature"; readonly fault: SignerFault }
  | { readonly kind: "rule"; readonly rule: string }
  | { readonly kind: "empty" };

/** An entry that may not be appended. */
export class LogError extends Error {
  constructor(
    readonly seq: number,
    readonly fault: LogFault,
  ) {
    super(`entry ${seq}: ${describe(fault)}`);
  }
}

/** A fault in a few words, for a sentence that names it. */
export function describe(fault: LogFault): string {
  switch (fault.kind) {
    case "pack":
      return fault.why;
    case "signature":
      return `signature ${fault.fault}`;
    case "rule":
      return fault.rule;
    default:
      return fault.kind;
  }
}

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
}

export interface AgentRecord {
  readonly identity: Bytes;
  /** A stranger's text. */
  readonly name: string;
}

type Rules = readonly (readonly [boolean, string])[];

function check(seq: number, rules: Rules): void {
  const broken = rules.find(([holds]) => !holds);
  if (broken !== undefined) throw new LogError(seq, { kind: "rule", rule: broken[1] });
}

/** Code points, as Rust counts them. */
export function chars(value: string): number {
  let count = 0;
  for (const _ of value) count += 1;
  return count;
}

function isName(value: string): boolean {
  return value !== "" && chars(value) <= NAME_CHARS_MAX;
}

/** Reads an entry without verifying it. */
export function decode(bytes: Uint8Array, seq: number): { signed: SignedEntry; entry: Entry } {
  try {
    const signed = unpackSigned(signedEntry, bytes, ENTRY_BYTES_MAX);
    return { signed, entry: unpackSigned(entry, signed.entry, ENTRY_BYTES_MAX) };
  } catch (error) {
    if (error instanceof PackError) throw new LogError(seq, { kind: "pack", why: error.why });
    throw error;
  }
}

/** The hash that the next entry names; of the first one: the customer's id. */
export function entryHash(signed: SignedEntry): Bytes {
  return sha256(signed.entry);
}

/** A verified log: its entries and what they add up to. Maps are keyed by ids in hexadecimal. */
export class TrustLog {
  readonly roots = new Map<string, NamedKey>();
  readonly people = new Map<string, Person>();
  readonly batches = new Map<string, Batch>();
  readonly agents = new Map<string, AgentRecord>();
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
      throw new LogError(0, { kind: "rule", rule: "the first entry must be a genesis" });
    }
    const { name, roots, recovery } = first.what.genesis;
    const log = new TrustLog(tenant, name, recovery, first.at);
    for (const root of roots) log.roots.set(hex(keyOf(root.key)), root);
    check(0, [
      [
        first.version === 1 && first.seq === 0 && first.prev.every((byte) => byte === 0),
        "the first entry is malformed",
      ],
      [roots.length > 0 && roots.length <= 16, "a customer has 1 to 16 roots"],
      [log.roots.size === roots.length, "two roots are the same key"],
      [!log.roots.has(hex(keyOf(recovery.key))), "the recovery key must be another key than the roots"],
      [
        [...roots, recovery].every((key) => isName(key.person)) && isName(name),
        "a name is empty or too long",
      ],
    ]);
    await verifyPerson(log.roots, signed, first);
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
      [next.version === 1, "entries of another version"],
      [this.entries.length < ENTRIES_MAX, "the log is full"],
    ]);
    await this.verifySigner(signed, next);
    this.verifyRules(next);
    // Another append may have come while signatures were checked.
    if (this.head() !== head && !equal(this.head().hash, head.hash))
      throw new LogError(seq, { kind: "fork" });
    this.apply(next);
    this.newest = Math.max(this.newest, next.at);
    this.keep(bytes, entryHash(signed));
  }

  private keep(bytes: Bytes, hash: Bytes): void {
    this.entries.push(bytes.slice());
    this.hashes.push(hash);
  }

  private async verifySigner(signed: SignedEntry, next: Entry): Promise<void> {
    if ("add-agent" in next.what) return this.verifyBatch(signed, next);
    const ofRoots = "add-root" in next.what || "remove-root" in next.what;
    const recovery: readonly [string, NamedKey] = [hex(keyOf(this.recovery.key)), this.recovery];
    return verifyPerson(ofRoots ? new Map([...this.roots, recovery]) : this.roots, signed, next);
  }

  private async verifyBatch(signed: SignedEntry, next: Entry): Promise<void> {
    const { seq } = next;
    const batch = this.batches.get(hex(next.by));
    if (batch === undefined) throw new LogError(seq, { kind: "not-allowed" });
    check(seq, [
      [Math.max(next.at, this.newest) <= batch.until, "the enrolment batch is past its last moment"],
      [next.at + CLOCKS_APART_SECS >= this.newest, "the entry is dated before the log's newest"],
    ]);
    const good = await verifyEd25519(batch.key, concat(BATCH_CONTEXT, signed.entry), signed.signature);
    if (!good) throw new LogError(seq, { kind: "signature", fault: "wrong" });
  }

  private verifyRules(next: Entry): void {
    const said = next.what;
    if ("genesis" in said) check(next.seq, [[false, "a log has one genesis"]]);
    else if ("add-root" in said) check(next.seq, this.rulesOfRoot(said["add-root"].key));
    else if ("remove-root" in said) {
      check(next.seq, [
        [this.roots.has(hex(said["remove-root"].key)), "this key is no root"],
        [this.roots.size > 1, "the last root cannot be removed; add another first"],
      ]);
    } else if ("add-person" in said) check(next.seq, this.rulesOfPerson(said["add-person"], next.at));
    else if ("remove-person" in said) {
      check(next.seq, [[this.people.has(hex(said["remove-person"].key)), "nobody has this key"]]);
    } else if ("enrol-batch" in said) check(next.seq, rulesOfBatch(said["enrol-batch"], next.at));
    else if ("add-agent" in said) {
      const { identity, name } = said["add-agent"];
      check(next.seq, [
        [isName(name), "a name is empty or too long"],
        [!this.agents.has(hex(agentOf(identity))), "this server is enrolled already"],
      ]);
    } else if ("remove-agent" in said) {
      check(next.seq, [[this.agents.has(hex(said["remove-agent"].agent)), "no such server"]]);
    } else {
      const users = [...said["set-policy"].policy.second_for, ...said["set-policy"].policy.never];
      check(next.seq, [[users.length <= 100 && users.every(isName), "the policy is too long"]]);
    }
  }

  private rulesOfRoot(key: NamedKey): Rules {
    return [
      [isName(key.person), "a name is empty or too long"],
      [this.roots.size < 16, "a customer has 1 to 16 roots"],
      [!this.roots.has(hex(keyOf(key.key))), "this key is a root already"],
    ];
  }

  private rulesOfPerson(person: Person, at: number): Rules {
    const known = this.people.get(hex(keyOf(person.key.key)));
    return [
      [isName(person.key.person), "a name is empty or too long"],
      [person.until <= at + ENGINEER_DAYS_MAX * DAY_SECS, "a key is valid for at most 90 days"],
      [person.until > at, "the key's last day is in the past"],
      [known === undefined || known.role === person.role, "this key has another role; remove it first"],
    ];
  }

  private apply(next: Entry): void {
    const said = next.what;
    if ("genesis" in said) return;
    if ("add-root" in said) this.roots.set(hex(keyOf(said["add-root"].key.key)), said["add-root"].key);
    else if ("remove-root" in said) this.roots.delete(hex(said["remove-root"].key));
    else if ("add-person" in said)
      this.people.set(hex(keyOf(said["add-person"].key.key)), said["add-person"]);
    else if ("remove-person" in said) this.people.delete(hex(said["remove-person"].key));
    else if ("enrol-batch" in said)
      this.batches.set(hex(batchOf(said["enrol-batch"].key)), said["enrol-batch"]);
    else if ("add-agent" in said) {
      this.agents.set(hex(agentOf(said["add-agent"].identity)), said["add-agent"]);
      this.use(hex(next.by));
    } else if ("remove-agent" in said) this.agents.delete(hex(said["remove-agent"].agent));
    else this.policy = said["set-policy"].policy;
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
    copy.policy = this.policy;
    copy.entries.push(...this.entries);
    copy.hashes.push(...this.hashes);
    return copy;
  }
}

function rulesOfBatch(batch: Batch, at: number): Rules {
  return [
    [batch.until <= at + BATCH_SECS_MAX, "a batch lives at most seven days"],
    [batch.uses > 0 && batch.uses <= BATCH_USES_MAX, "a batch binds 1 to 10,000 servers"],
    [chars(batch.note) <= NAME_CHARS_MAX, "the note is too long"],
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
    await verify(signer.key, NAMESPACE_LOG, signed.entry, signed.signature);
  } catch (error) {
    if (error instanceof SignerError) throw new LogError(next.seq, { kind: "signature", fault: error.fault });
    throw error;
  }
}

/** The bytes of an entry, for signing. */
export function entryBytes(value: Entry): Bytes {
  return pack(entry, value);
}

/** A head in words that fit on a screen. */
export function headText(head: Head): string {
  return short(head.hash);
}
