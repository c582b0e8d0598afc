// What stands in a trust log: entries, their exact bytes, and the names of the rules that one may break, as
// proto/src/trust/entry.rs and broken.rs. Nothing here is verified.

import type { Bytes } from "./bytes";
import { scope } from "./grant";
import { id16, id32, sha256 } from "./ids";
import { ENTRY_BYTES_MAX } from "./limits";
import {
  bin,
  type Codec,
  leftOutWhenEmpty,
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
import type { SignerFault } from "./ssh";

const DAY_SECS = 86_400;

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
  signer: optional(oneOf(["sshsig", "webauthn", "device"]), "sshsig"),
});
export type NamedKey = TypeOf<typeof namedKey>;

export const policy = struct({ visit: option(span), second_for: list(text), never: list(text) });
export type Policy = TypeOf<typeof policy>;

export type Role = "engineer" | "approver";
const role = oneOf<Role>(["engineer", "approver"]);

const person = struct({ key: namedKey, role, until: u64 });
const batch = struct({ key: id32, until: u64, uses: u32, note: text });
/** What a first entry may say besides. */
const first = variants({ "add-person": person, "enrol-batch": batch });
export type First = TypeOf<typeof first>;

/** A second signature ahead: for one engineer's key, on one server, for some hours. */
export const ahead = struct({
  agent: id32,
  engineer: id32,
  scopes: list(scope),
  from: u64,
  until: u64,
  note: text,
});
export type Ahead = TypeOf<typeof ahead>;

export const what = variants({
  genesis: struct({
    name: text,
    roots: list(namedKey),
    recovery: namedKey,
    salt: id16,
    first: leftOutWhenEmpty(list(first)),
  }),
  "add-root": struct({ key: namedKey }),
  "remove-root": struct({ key: id32 }),
  "replace-roots": struct({ roots: list(namedKey) }),
  "add-person": person,
  "remove-person": struct({ key: id32 }),
  "enrol-batch": batch,
  "add-agent": struct({ identity: id32, name: text }),
  "rename-agent": struct({ agent: id32, name: text }),
  "remove-agent": struct({ agent: id32 }),
  "sign-ahead": struct({ ahead }),
  "end-ahead": struct({ seq: u64 }),
  "set-policy": struct({ policy }),
});
export type What = TypeOf<typeof what>;

export const entry = struct({ version: u16, seq: u64, prev: id32, at: u64, by: id32, what });
export type Entry = TypeOf<typeof entry>;

export const signedEntry = struct({ entry: bin, signature: bin });
export type SignedEntry = TypeOf<typeof signedEntry>;

/** Rules of the log, by their names in proto/src/trust/broken.rs. */
export type Rule =
  | "GenesisFirst"
  | "GenesisShape"
  | "OneGenesis"
  | "Version"
  | "Full"
  | "Roots"
  | "SameRoots"
  | "RecoveryApart"
  | "NameLength"
  | "NameHidden"
  | "RootAlready"
  | "NoRoot"
  | "LastRoot"
  | "PersonDays"
  | "PersonPast"
  | "OtherRole"
  | "OtherKind"
  | "RootKind"
  | "RecoveryKind"
  | "PasskeyKind"
  | "FirstCount"
  | "AheadSelf"
  | "AheadDevice"
  | "AheadHours"
  | "AheadScopes"
  | "AheadMany"
  | "NoAhead"
  | "Nobody"
  | "BatchDays"
  | "BatchUses"
  | "BatchPast"
  | "Backdated"
  | "NoteLength"
  | "Enrolled"
  | "NoServer"
  | "PolicyLength";

/** Why an entry may not be appended. */
export type LogFault =
  | { readonly kind: "pack"; readonly why: PackError["why"] }
  | { readonly kind: "fork" }
  | { readonly kind: "other-tenant" }
  | { readonly kind: "not-allowed" }
  | { readonly kind: "signature"; readonly fault: SignerFault }
  | { readonly kind: "rule"; readonly rule: Rule }
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

/** The bytes of an entry, for signing. */
export function entryBytes(value: Entry): Bytes {
  return pack(entry, value);
}

/** An entry as it is stored and sent. */
export function packEntry(value: SignedEntry): Bytes {
  return pack(signedEntry, value);
}
