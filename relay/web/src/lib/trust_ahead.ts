// Second signatures given ahead, as proto/src/trust/ahead.rs has them. Pure.

import { hex } from "./bytes";
import type { Ahead, NamedKey } from "./entry";
import { chars, isHidden } from "./errors";
import { before, onlyLooks } from "./grant";
import { keyOf } from "./ids";
import {
  AHEAD_MAX,
  AHEAD_SCOPES_MAX,
  AHEAD_SECS_MAX,
  AHEAD_START_SECS_MAX,
  REASON_CHARS_MAX,
} from "./limits";
import type { Person, Rules, TrustLog } from "./trust";

export interface SignedAhead {
  readonly what: Ahead;
  /** The key that signed it, in hexadecimal. It ends with that key. */
  readonly by: string;
  /** Its holder. */
  readonly person: string;
}

type Parts = Pick<TrustLog, "roots" | "people" | "agents" | "ahead" | "newestClaim">;

/**
 * Keys that may sign ahead, and end what was signed: those of the customer's approvers, and roots.
 *
 * By the later of `at` and the log's own clock: a key that is past its time is not revived by an early date.
 */
export function approversAt(log: Parts, at: number): Map<string, NamedKey> {
  const now = Math.max(at, log.newestClaim());
  const counts = ({ role, until }: Person) => role === "approver" && until >= now;
  const people = [...log.people.values()].filter(counts);
  return new Map([...people.map(({ key }): [string, NamedKey] => [hex(keyOf(key.key)), key]), ...log.roots]);
}

/** Keys that may end one: its user may as well, since giving up a permission needs nobody else. */
export function endersOf(log: Parts, seq: number, at: number): Map<string, NamedKey> {
  const enders = approversAt(log, at);
  const user = hex(log.ahead.get(seq)?.what.engineer ?? new Uint8Array(0));
  const own = log.people.get(user);
  if (own?.role === "engineer") enders.set(user, own.key);
  return enders;
}

export function rulesOfAhead(log: Parts, what: Ahead, by: Uint8Array, at: number): Rules {
  const person = log.people.get(hex(what.engineer));
  const engineer = person?.role === "engineer" ? person : undefined;
  const signer = approversAt(log, at).get(hex(by));
  const { from, until, scopes, note } = what;
  const sorted = scopes.every((one, place) => {
    const next = scopes[place + 1];
    return next === undefined || before(one, next);
  });
  return [
    [log.agents.has(hex(what.agent)), "NoServer"],
    [engineer !== undefined, "Nobody"],
    [signer !== undefined && engineer?.key.person !== signer.person, "AheadSelf"],
    [signer?.signer !== "device", "AheadDevice"],
    [from < until && until - from <= AHEAD_SECS_MAX, "AheadHours"],
    [from <= at + AHEAD_START_SECS_MAX && until > at, "AheadHours"],
    [scopes.length > 0 && scopes.length <= AHEAD_SCOPES_MAX, "AheadScopes"],
    [sorted && scopes.every((one) => !onlyLooks(one)), "AheadScopes"],
    [chars(note) <= REASON_CHARS_MAX, "NoteLength"],
    [!isHidden(note), "NameHidden"],
    [log.ahead.size < AHEAD_MAX, "AheadMany"],
  ];
}
