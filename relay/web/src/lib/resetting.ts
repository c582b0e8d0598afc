// A way in again, by a link, for whoever's account was reset. Never: a key that signs on a server made or changed.

import { login, RelayError } from "./api";
import * as relay from "./api_access";
import { ConsoleError } from "./errors";
import type { Resetting } from "./facade";
import { outside } from "./outside";
import { make } from "./passkey_login";
import * as seat from "./seat";

/** The code that this page has used up, or may have: an answer may be lost. */
let used: string | undefined;
/** The code whose password is set: only signing in is left. */
let set: string | undefined;

export const resetting: Resetting = {
  async look(code) {
    const { account, passkey } = await relay.beginReset(code).catch(over);
    // One for signing in belongs to the relay's own name.
    return { account, passkey: passkey !== undefined && outside.page() === outside.origin() };
  },
  async finish(code, { account, way }) {
    if ("passkey" in way) {
      const { passkey } = await relay.beginReset(code).catch((error: unknown) => over(error, code));
      if (passkey === undefined) throw new ConsoleError("passkey_missing");
      const credential = await make(passkey.options);
      await use(code, () => relay.resetToPasskey(code, passkey.id, account, credential));
    } else {
      if (set !== code) await use(code, () => relay.resetToPassword(code, way.password));
      set = code;
      await login(account, way.password);
    }
    await seat.arrive(account);
    used = undefined;
    set = undefined;
  },
};

/** Does what uses the code up. */
async function use(code: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    used = code;
  } catch (error) {
    // Whoever tries too often is refused before anything is done; of other failures nobody knows.
    if (!(error instanceof RelayError && error.mayPass && error.code !== "limited")) over(error, code);
    used = code;
    throw new ConsoleError("reset_perhaps");
  }
}

/** A code that is over is no news where this page has used it. */
function over(error: unknown, code?: string): never {
  if (!(error instanceof RelayError && error.code === "reset-code")) throw error;
  throw new ConsoleError(code !== undefined && code === used ? "reset_perhaps" : "reset_over");
}
