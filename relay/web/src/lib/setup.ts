// The owner's signing key, the recovery file, and the first entry of the customer's log.
//
// The recovery key signs that entry and is then forgotten here: it lives in the file alone. With a passkey the passkey is
// the root, and the file replaces it should it be lost. A browser's own key can be no root, so on that trial road the
// file holds the root itself. Never: a private half that is kept in the browser, or sent; or an entry that is sent before
// it is kept: a lost answer would leave an owner whom nothing names.

import { RelayError } from "./api";
import { append } from "./api_log";
import { forgetBegun, keepBegun, pinBegun, tenantOf } from "./begun";
import { type Bytes, hex, random } from "./bytes";
import { type Entry, entryBytes, type First, type NamedKey, packEntry, type What } from "./entry";
import { ConsoleError } from "./errors";
import type { InstallCommand, SavedFile } from "./facade";
import { keyOf } from "./ids";
import { commandOf } from "./install";
import { deviceKey, makePasskey, type Signer, signers } from "./keys";
import { BATCH_SECS_MAX, ENGINEER_DAYS_MAX } from "./limits";
import { wallSecs } from "./outside";
import * as seat from "./seat";
import { makeSeed, type Seed } from "./seed";
import { NAMESPACE_LOG } from "./ssh";

const DAY_SECS = 86_400;

interface Prepared {
  readonly account: string;
  readonly key: Signer;
  /** Private half in the saved file. */
  readonly saved: Seed;
  made?: Made;
}

/** A first entry, and the install token's key that it lets in. */
interface Made {
  readonly genesis: Bytes;
  readonly batch: Seed;
}

let prepared: Prepared | undefined;

/** See the facade's `Setup.makeKey`. */
export async function makeKey(kind: "passkey" | "device", label: string): Promise<SavedFile> {
  const account = seat.account();
  const before = (await signers(account)).find((one) => one.kind === kind);
  const made = () => (kind === "device" ? deviceKey(account) : makePasskey(account, label));
  const key = before ?? (await made());
  const saved = await makeSeed();
  prepared = { account, key, saved };
  const what = kind === "passkey" ? "recovery" : "root";
  return {
    name: `cloud-doctor-${what}-${fileName(account)}.key`,
    text: saved.file(`${what} key of ${account}`),
  };
}

function fileName(account: string): string {
  return account.replace(/[^A-Za-z0-9._-]/g, "_").slice(0, 64);
}

/** See the facade's `Setup.finish`. `customer`: its name at the relay, which becomes the log's. */
export async function finish(
  customer: string,
  token: { readonly label: string; readonly uses: number; readonly seconds: number },
): Promise<InstallCommand> {
  if (prepared === undefined || prepared.account !== seat.account())
    throw new ConsoleError("setup_key_first");
  const { account } = prepared;
  // Another try must send the same bytes: the relay may have them, and only its answer was lost.
  prepared.made ??= await makeFirst(prepared, customer, token);
  const { genesis, batch } = prepared.made;
  const tenant = hex(tenantOf(genesis));
  if (seat.pinnedIfAny() === undefined) {
    await keepBegun({ account, tenant, genesis, madeAt: Date.now() });
    await deliver(account, genesis);
  }
  if (hex(seat.pinned().log.tenant) !== tenant) throw new ConsoleError("setup_earlier");
  const command = await commandOf(batch, { ...token, preset: "own" });
  prepared = undefined;
  return command;
}

/** Sends a first entry and pins what stands then: it, or one that an earlier try has sent. Throws `log_moved`. */
async function deliver(account: string, genesis: Bytes): Promise<void> {
  const tenant = tenantOf(genesis);
  try {
    await append(genesis);
  } catch (error) {
    if (error instanceof ConsoleError && error.id === "log_moved" && (await pinBegun())) return;
    // No log stands there, and this will never begin one. Any other refusal leaves open what became of an earlier try.
    if (error instanceof RelayError && error.code === "entry-refused")
      await forgetBegun(account, hex(tenant));
    throw error;
  }
  await seat.pin(genesis, tenant);
  await forgetBegun(account);
}

async function makeFirst(
  prepared: Prepared,
  customer: string,
  token: { readonly label: string; readonly uses: number; readonly seconds: number },
): Promise<Made> {
  const { account, key, saved } = prepared;
  const batch = await makeSeed();
  const at = wallSecs();
  const until = at + Math.min(token.seconds, BATCH_SECS_MAX);
  const first: First[] = [
    {
      "add-person": {
        key: { key: key.blob, person: account, signer: key.kind === "passkey" ? "webauthn" : "device" },
        role: "engineer",
        until: at + ENGINEER_DAYS_MAX * DAY_SECS,
      },
    },
    { "enrol-batch": { key: batch.open, until, uses: token.uses, note: token.label } },
  ];
  const what: What = { genesis: { name: customer, ...(await rootsOf(prepared)), salt: random(16), first } };
  const entry: Entry = { version: 1, seq: 0, prev: new Uint8Array(32), at, by: keyOf(saved.blob), what };
  const bytes = entryBytes(entry);
  const signature = await saved.sign(NAMESPACE_LOG, bytes);
  return { genesis: packEntry({ entry: bytes, signature }), batch };
}

/** Who changes the log, and who replaces them. */
async function rootsOf({
  account,
  key,
  saved,
}: Prepared): Promise<{ roots: NamedKey[]; recovery: NamedKey }> {
  const file: NamedKey = { key: saved.blob, person: account, signer: "sshsig" };
  if (key.kind === "passkey") {
    return { roots: [{ key: key.blob, person: account, signer: "webauthn" }], recovery: file };
  }
  // A trial: nothing stands above the root, so a key that nobody has takes that place.
  return { roots: [file], recovery: { key: (await makeSeed()).blob, person: "nobody", signer: "sshsig" } };
}
