// Who sits here: the account that is signed in, and its customer's pinned log. Every part of the library asks here.
//
// Never: the log of one customer for the account of another.

import * as relay from "./api";
import { type Bytes, hex } from "./bytes";
import { ConsoleError } from "./errors";
import { TrustStore } from "./trust_store";

/** The customer whose log is pinned here and whom the signed-in account belongs to. */
let current: TrustStore | undefined;
let tenant: Bytes | undefined;
/** Who is signed in: keys and shells of others stay theirs. */
let signedIn: string | undefined;

/** The signed-in account's name. Throws `signed_out`. */
export function account(): string {
  if (signedIn === undefined) throw new ConsoleError("signed_out");
  return signedIn;
}

/** Whether anybody is known to be signed in. */
export function isTaken(): boolean {
  return signedIn !== undefined;
}

/** The pinned log. Throws `trust_none`. */
export function pinned(): TrustStore {
  if (current === undefined) throw new ConsoleError("trust_none");
  return current;
}

/** The pinned log, if there is one. */
export function pinnedIfAny(): TrustStore | undefined {
  return current;
}

export function leave(): void {
  signedIn = undefined;
}

/** Asks the relay who is signed in, and takes up the log of that account's customer, if it is pinned. */
export async function look(): Promise<relay.Account> {
  const me = await relay.me();
  signedIn = me.account;
  await choose(me.tenant);
  return me;
}

/**
 * Takes up who has just signed in under the name that the person gave: it chooses the keys that sign, not the relay's
 * word for it. Throws `account_differs`.
 */
export async function arrive(name: string): Promise<void> {
  if ((await look()).account === name) return;
  leave();
  throw new ConsoleError("account_differs");
}

/** Takes up the pinned log of a customer, if it is pinned. */
export async function choose(of: Bytes | undefined): Promise<void> {
  if (of === undefined) {
    tenant = undefined;
    current = undefined;
    return;
  }
  if (hex(of) === hex(tenant ?? new Uint8Array(0))) return;
  tenant = of;
  current = await TrustStore.load(of);
}

/** Pins a customer: its first entry's hash is what a person compared, typed, or got in a link. */
export async function pin(genesis: Bytes, first: Bytes): Promise<void> {
  const started = await TrustStore.start(genesis, first);
  // What is pinned must not be cleared away to make room. Some browsers ask the person, for whom nothing waits.
  void globalThis.navigator?.storage?.persist?.().catch(() => undefined);
  await started.sync();
  tenant = first;
  current = started;
}
