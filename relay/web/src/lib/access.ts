// Signing in, for whoever is not signed in; part of the page's first load. Never: a key that signs on a server used.

import * as relay from "./api_sign_in";
import { ConsoleError } from "./errors";
import type { Access } from "./facade";
import { inside } from "./inside";
import { outside } from "./outside";
import * as seat from "./seat";

/** WebAuthn knows hosts by name only. */
const ADDRESS = /^[0-9.]+$|^\[/;
/** The one provider that a relay has. */
const OIDC = "oidc";
/** Where it sends browsers back to. */
const CALLBACK = "/oidc/callback";

const login = () => import("./passkey_login");

/** What people know the provider as. */
let provider = "";
/** Why a way through it did not work. */
let failure: Error | undefined;

export const access: Access = {
  async ways() {
    const { password, passkey, setUp, oidc } = await relay.signInWays();
    provider = oidc ?? "";
    // Both lead to the relay's own name: a page from another host gets nothing back from there.
    const here = outside.page() === outside.origin();
    const application = (await passkeys()) ? undefined : inside(navigator.userAgent);
    return {
      password,
      passkey: passkey && here,
      providers: oidc === undefined || !here ? [] : [{ id: OIDC, name: oidc }],
      setupOpen: setUp,
      ...(application === undefined ? {} : { inside: application }),
    };
  },
  passkeys,
  async passkey() {
    const [{ answer }, { id, options }] = await Promise.all([login(), relay.beginPasskeyLogin()]);
    await relay.passkeyLogin(id, await answer(options));
    await seat.look();
  },
  async provider() {
    await (await import("./oidc")).leave(provider);
  },
  returned() {
    const once = failure;
    failure = undefined;
    return once;
  },
};

/** Goes on with a sign-in when the page was loaded by a provider's sending back. Never throws. */
export async function comeBack(): Promise<void> {
  if (globalThis.location?.pathname !== CALLBACK) return;
  try {
    await (await import("./oidc")).arrive();
  } catch (error) {
    failure = error instanceof Error ? error : new ConsoleError("oidc_refused", provider);
  }
}

async function passkeys(): Promise<boolean> {
  return globalThis.PublicKeyCredential !== undefined && !ADDRESS.test(location.hostname);
}
