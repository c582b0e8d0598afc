// Challenge and grant, the two signed objects that open a visit, as proto/src/grant.rs.
//
// Both are verified over the exact bytes that travel, before they are decoded. Never: a grant for a challenge that the
// server's identity did not sign.

import { type Bytes, concat, equal, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import { chars } from "./errors";
import { id16, id32, sha256 } from "./ids";
import { CHALLENGE_BYTES_MAX, GRANT_BYTES_MAX, NAME_CHARS_MAX, REASON_CHARS_MAX } from "./limits";
import { list, PackError, pack, struct, type TypeOf, text, u16, u64, unpackSigned, variants } from "./pack";

const CHALLENGE_CONTEXT = utf8("cloud-doctor challenge v1\0");
const GRANT_CONTEXT = utf8("cloud-doctor grant v1\0");
const SCOPES_MAX = 20;

export const challenge = struct({
  version: u16,
  offered_min: u16,
  offered_max: u16,
  identity: id32,
  tenant: id32,
  host: text,
  boot: id16,
  nonce: id16,
  agent_key: id32,
  trust_seq: u64,
  trust_head: id32,
  at: u64,
  ttl_secs: u64,
});
export type Challenge = TypeOf<typeof challenge>;

export const scope = variants({
  shell: struct({ user: text }),
  exec: struct({ user: text }),
  watch: struct({ user: text }),
  audit: struct({}),
});
export type Scope = TypeOf<typeof scope>;

export const grant = struct({
  version: u16,
  tenant: id32,
  agent: id32,
  challenge: id32,
  client_key: id32,
  engineer: id32,
  scopes: list(scope),
  ttl_secs: u64,
  reason: text,
  ticket: text,
  trust_seq: u64,
  trust_head: id32,
  at: u64,
});
export type Grant = TypeOf<typeof grant>;

/** A challenge that the identity did not sign, or that is not in its one form. */
export class NotGenuine extends Error {}

/** Verifies against the identity that the trust log names, then decodes. */
export async function verifyChallenge(bytes: Bytes, signature: Bytes, identity: Bytes): Promise<Challenge> {
  const fits = bytes.length <= CHALLENGE_BYTES_MAX;
  if (!fits || !(await verifyEd25519(identity, concat(CHALLENGE_CONTEXT, bytes), signature)))
    throw new NotGenuine();
  try {
    const value = unpackSigned(challenge, bytes, CHALLENGE_BYTES_MAX);
    if (!equal(value.identity, identity)) throw new NotGenuine();
    return value;
  } catch (error) {
    throw error instanceof PackError ? new NotGenuine() : error;
  }
}

/** Reads a challenge that somebody else has verified; `undefined` when it is none. */
export function readChallenge(bytes: Bytes): Challenge | undefined {
  try {
    return unpackSigned(challenge, bytes, CHALLENGE_BYTES_MAX);
  } catch (error) {
    if (error instanceof PackError) return undefined;
    throw error;
  }
}

/** What a grant names and the prologue of channels holds. */
export function challengeHash(bytes: Bytes): Bytes {
  return sha256(CHALLENGE_CONTEXT, bytes);
}

/** What signers and channels refer to. */
export function grantHash(bytes: Bytes): Bytes {
  return sha256(GRANT_CONTEXT, bytes);
}

/** The rule that a grant breaks, if any. */
export type GrantFault = "no-scope" | "scope-order" | "scopes" | "user" | "reason" | "ticket" | "time";

/** What a scope is about, as Rust orders them. */
export const SCOPE_KINDS = ["shell", "exec", "watch", "audit"] as const;
export type ScopeKind = (typeof SCOPE_KINDS)[number];

/** A scope in plain values; the audit belongs to no user. */
export function scopeOf(one: Scope): { readonly kind: ScopeKind; readonly user: string | undefined } {
  if ("shell" in one) return { kind: "shell", user: one.shell.user };
  if ("exec" in one) return { kind: "exec", user: one.exec.user };
  return "watch" in one ? { kind: "watch", user: one.watch.user } : { kind: "audit", user: undefined };
}

/** Sorts as Rust does: shells, commands, looks at shells, the audit; then by the user's bytes. */
export function before(a: Scope, b: Scope): boolean {
  const [left, right] = [scopeOf(a), scopeOf(b)];
  if (left.kind !== right.kind) return SCOPE_KINDS.indexOf(left.kind) < SCOPE_KINDS.indexOf(right.kind);
  const [one, other] = [utf8(left.user ?? ""), utf8(right.user ?? "")];
  const at = one.findIndex((byte, index) => byte !== other[index]);
  return at < 0 ? one.length < other.length : (one[at] ?? 0) < (other[at] ?? -1);
}

/** Whether it only looks: it starts nothing and types nothing. */
export function onlyLooks(one: Scope): boolean {
  return "watch" in one || "audit" in one;
}

function namesUser(one: Scope): boolean {
  const { user } = scopeOf(one);
  return user === undefined || (user !== "" && chars(user) <= NAME_CHARS_MAX);
}

/** The rule that is broken, if any. */
export function broken(value: Grant): GrantFault | undefined {
  const sorted = value.scopes.every((one, at) => {
    const next = value.scopes[at + 1];
    return next === undefined || before(one, next);
  });
  const rules: readonly (readonly [boolean, GrantFault])[] = [
    [value.scopes.length > 0, "no-scope"],
    [sorted, "scope-order"],
    [value.scopes.length <= SCOPES_MAX, "scopes"],
    [value.scopes.every(namesUser), "user"],
    [chars(value.reason) <= REASON_CHARS_MAX, "reason"],
    [chars(value.ticket) <= NAME_CHARS_MAX, "ticket"],
    [value.ttl_secs > 0, "time"],
  ];
  return rules.find(([holds]) => !holds)?.[1];
}

/** The exact bytes to sign. */
export function grantBytes(value: Grant): Bytes {
  return pack(grant, value);
}

/** Reads a grant, for showing it to a person. Throws `PackError`. */
export function readGrant(bytes: Bytes): Grant {
  return unpackSigned(grant, bytes, GRANT_BYTES_MAX);
}
