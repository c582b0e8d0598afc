// One's own account at the relay: how it signs in, and where it does. Never: a key that signs on a server made or used.

import * as relay from "./api_access";
import { ConsoleError, oneLine } from "./errors";
import type { OwnAccount } from "./facade";
import { make } from "./passkey_login";

/** Longest name of a program that is shown. */
const AGENT_CHARS_MAX = 200;

/** The second step that was begun and waits for its first code. */
let begun: string | undefined;

export const account: OwnAccount = {
  async passkeys() {
    const lines = await relay.passkeys();
    return lines.map(({ id, name, createdAt, usedAt }) => ({
      id,
      label: name,
      madeAt: createdAt,
      ...(usedAt === undefined ? {} : { usedAt }),
    }));
  },
  addPasskey: addSignInPasskey,
  removePasskey: relay.removePasskey,
  async password() {
    const { password, on, recoveryLeft } = await relay.secondStep();
    return { set: password, totp: on, codesLeft: recoveryLeft };
  },
  changePassword: relay.changePassword,
  async beginTotp() {
    const { id, secret, uri } = await relay.beginTotp();
    begun = id;
    return { secret, address: uri };
  },
  async finishTotp(code) {
    if (begun === undefined) throw new ConsoleError("code_refused");
    const codes = await relay.finishTotp(begun, code);
    begun = undefined;
    return codes;
  },
  endTotp: relay.endTotp,
  async signIns() {
    const lines = await relay.logins();
    return lines
      .map(({ id, current, agent, address, createdAt, usedAt }) => ({
        id,
        current,
        client: oneLine(agent, AGENT_CHARS_MAX),
        address: oneLine(address),
        since: createdAt,
        seenAt: usedAt,
      }))
      .sort((a, b) => b.since - a.since);
  },
  endSignIn: relay.endLogin,
  endOtherSignIns: relay.endOtherLogins,
};

/** Makes a passkey with which the signed-in account signs in from now on. */
export async function addSignInPasskey(label: string): Promise<void> {
  const { id, options } = await relay.beginPasskey();
  await relay.keepPasskey(id, label, await make(options));
}
