// Accounts at the relay and links for new ones, for whoever manages the relay.
//
// The half of a link that vouches for the new person's key stays in this browser. Never: power on a server given here.

import * as relay from "./api_people";
import { hex, random } from "./bytes";
import { ConsoleError } from "./errors";
import type { AccountView, People } from "./facade";
import { linkId, linkText, SECRET_BYTES, sealed } from "./join_link";
import { outside } from "./outside";
import * as seat from "./seat";
import * as store from "./store";

export const people: People = {
  async accounts() {
    return (await relay.accounts()).map(view);
  },
  remove: relay.removeAccount,
  async invitations() {
    const lines = await relay.joins();
    await forgetOver(lines);
    return lines
      .filter(({ state }) => state === "open")
      .map(({ id, name, as, by, expiresAt }) => ({ id: hex(id), account: name, role: as, by, expiresAt }));
  },
  async invite({ account, role, seconds }) {
    const { tenant } = seat.pinned().log;
    const wish = { name: account, as: role, device: false, valid_secs: seconds };
    const { token, expiresAt } = await relay.makeJoin(wish);
    const link = { token, secret: random(SECRET_BYTES), tenant };
    await store.keepJoin({
      account: seat.account(),
      id: hex(linkId(token)),
      came: false,
      secret: await sealed(link.secret),
      tenant,
    });
    return { link: `${outside.origin()}/#/join/${linkText(link)}`, expiresAt };
  },
  async withdraw(invitation) {
    await relay.withdrawJoin(invitation);
    await store.forgetJoin(seat.account(), invitation);
  },
};

/** Secrets of links that can bring nobody any more. */
async function forgetOver(lines: readonly relay.JoinLine[]): Promise<void> {
  const alive = new Set(
    lines.filter(({ state }) => ["open", "joined", "key"].includes(state)).map(({ id }) => hex(id)),
  );
  const made = (await store.joins(seat.account())).filter(({ came }) => !came);
  for (const { account, id } of made) if (!alive.has(id)) await store.forgetJoin(account, id);
}

function view({ name, admin, createdAt, standing }: relay.AccountLine): AccountView {
  // Members are told no more than who there is.
  if (standing === undefined) throw new ConsoleError("not_admin");
  const ways = [
    standing.password && ("password" as const),
    standing.totp && ("totp" as const),
    standing.passkeys > 0 && ("passkey" as const),
    standing.identities > 0 && ("provider" as const),
  ];
  return {
    name,
    admin,
    ways: ways.filter((way) => way !== false),
    madeAt: createdAt,
    ...(standing.signedInAt === undefined ? {} : { seenAt: standing.signedInAt }),
  };
}
