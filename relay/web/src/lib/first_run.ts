// The relay's side of its first run: whether it is open, and the owner's account. Never: a key made, or an entry signed.

import * as relay from "./api";
import * as access from "./api_access";
import { signInWays } from "./api_sign_in";
import { ConsoleError } from "./errors";
import type { Setup, SetupOffer } from "./facade";
import { outside } from "./outside";
import { make } from "./passkey_login";
import * as seat from "./seat";

/** Hosts at which somebody tries it on one computer. */
const TRIAL = ["localhost", "127.0.0.1", "[::1]"];

/** What a link allows; "": what whoever has begun may go on with. Whether its code is right shows when it is used. */
export async function look(code: string): Promise<SetupOffer> {
  const ways = await signInWays();
  if (!(code === "" ? await isBegun() : ways.setUp)) throw new ConsoleError("setup_used");
  const { host, hostname } = new URL(outside.origin());
  // Where passkeys cannot be, nobody could begin without.
  return { relay: host, deviceAllowed: TRIAL.includes(hostname) || !ways.passkey };
}

async function isBegun(): Promise<boolean> {
  const { admin, tenant } = await seat.look();
  return admin && tenant === undefined;
}

/** Makes the owner's account and signs in. */
export const begin: Setup["begin"] = async (code, { account, customer, way }) => {
  const names = { code, account, tenant_name: customer };
  if ("passkey" in way) {
    const { id, options } = await access.beginSetupPasskey(names);
    await access.setUpByPasskey(code, id, account, await make(options));
  } else if (!(await access.setUp(names, way.password))) {
    await relay.login(account, way.password);
  }
  await seat.arrive(account);
};
