// The account's signing keys in plain values: which are here, and what the log trusts each for.

import { hex } from "./bytes";
import { ConsoleError } from "./errors";
import type { OwnKey, SigningKeys } from "./facade";
import { deviceKey, forget as forgetKey, makePasskey as make, type Signer, signers } from "./keys";
import * as seat from "./seat";
import { fingerprint, openssh } from "./ssh";
import { wordsKept } from "./words";

async function view({ id, blob, kind, label, madeAt }: Signer): Promise<OwnKey> {
  const log = seat.pinnedIfAny()?.log;
  const until = (role: "engineer" | "approver") => log?.person(id, role)?.until;
  const [engineer, approver] = [until("engineer"), until("approver")];
  return {
    id: hex(id),
    kind,
    label,
    fingerprint: fingerprint(blob),
    openssh: openssh(blob),
    words: await wordsKept(id),
    here: true,
    ...(madeAt === undefined ? {} : { madeAt }),
    trusted: {
      ...(engineer === undefined ? {} : { engineer: engineer * 1000 }),
      ...(approver === undefined ? {} : { approver: approver * 1000 }),
      root: log?.roots.has(hex(id)) ?? false,
    },
  };
}

/** The one that would sign first, first. */
async function list(): Promise<OwnKey[]> {
  return Promise.all((await signers(seat.account())).map(view));
}

export const keys: SigningKeys = {
  list,
  makePasskey: async (label) => view(await make(seat.account(), label)),
  makeDevice: async () => view(await deviceKey(seat.account())),
  forget: (id) => forgetKey(seat.account(), id),
};

/** An own key by its id. Throws `no_signing_key`. */
export async function byId(id: string): Promise<Signer> {
  const found = (await signers(seat.account())).find((one) => hex(one.id) === id);
  if (found === undefined) throw new ConsoleError("no_signing_key");
  return found;
}
