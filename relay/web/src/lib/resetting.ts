// A way in again, by a link, for whoever's account was reset. Never: a key that signs on a server made or changed.

import { login, RelayError } from "./api";
import * as relay from "./api_access";
import { ConsoleError } from "./errors";
import type { Resetting } from "./facade";
import { outside } from "./outside";
import { make } from "./passkey_login";
import * as seat from "./seat";

export const resetting: Resetting = {
  async look(code) {
    const { account, passkey } = await relay.beginReset(code).catch(over);
    // One for signing in belongs to the relay's own name.
    return { account, passkey: passkey !== undefined && outside.page() === outside.origin() };
  },
  async finish(code, { account, way }) {
    if ("passkey" in way) {
      const { passkey } = await relay.beginReset(code).catch(over);
      if (passkey === undefined) throw new ConsoleError("passkey_missing");
      const credential = await make(passkey.options);
      await relay.resetToPasskey(code, passkey.id, account, credential).catch(over);
    } else {
      await relay.resetToPassword(code, way.password).catch(over);
      await login(account, way.password);
    }
    await seat.arrive(account);
  },
};

function over(error: unknown): never {
  throw error instanceof RelayError && error.code === "reset-code" ? new ConsoleError("reset_over") : error;
}
