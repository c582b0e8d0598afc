// First entries of a customer's log that were made in this browser: kept before they are sent, until it is known what
// became of them. An answer may be lost. Never: one sent by what is here, since its owner may have given it up.

import { logPage } from "./api";
import { type Bytes, equal, hex } from "./bytes";
import { decode, entryHash } from "./entry";
import { ConsoleError } from "./errors";
import * as seat from "./seat";
import { read, write } from "./store";

export interface Begun {
  readonly account: string;
  /** Customer in hexadecimal. */
  readonly tenant: string;
  readonly genesis: Bytes;
  /** Milliseconds since 1970. */
  readonly madeAt: number;
}

/** An account's, newest first. */
export async function begun(account: string): Promise<Begun[]> {
  const found = await read<Begun[]>("begun", (store) => store.getAll(by(account)));
  return found.sort((a, b) => b.madeAt - a.madeAt);
}

export async function keepBegun(begun: Begun): Promise<void> {
  await write("begun", (store) => store.put(begun));
}

/** Forgets an account's for a customer in hexadecimal; without one, all of the account's. */
export async function forgetBegun(account: string, tenant?: string): Promise<void> {
  await write("begun", (store) => store.delete(tenant === undefined ? by(account) : [account, tenant]));
}

function by(account: string): IDBKeyRange {
  return IDBKeyRange.bound([account], [account, "g"]);
}

/** The customer that a first entry names. */
export function tenantOf(genesis: Bytes): Bytes {
  return entryHash(decode(genesis, 0).signed);
}

/**
 * Pins the relay's log if it begins with an entry that the signed-in account made here. Returns whether it does. Once a
 * log stands there it is settled which entry counts: none is kept any longer.
 */
export async function pinBegun(): Promise<boolean> {
  const account = seat.account();
  const [first] = (await logPage(0)).entries;
  if (first === undefined) return false;
  const ours = (await begun(account)).some((one) => equal(one.genesis, first));
  if (ours) await seat.pin(first, tenantOf(first));
  await forgetBegun(account);
  return ours;
}

/**
 * Goes on after a reload where an entry arrived and its answer was lost: pins it. Throws `setup_earlier`, once, when it
 * is pinned and not the newest: the owner has a later file, which counts for nothing.
 */
export async function goOn(): Promise<void> {
  const [newest] = await begun(seat.account());
  if (newest === undefined || !(await pinBegun())) return;
  if (hex(seat.pinned().log.tenant) !== newest.tenant) throw new ConsoleError("setup_earlier");
}
