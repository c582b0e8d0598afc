// Accounts at the relay and links for new ones, for whoever manages the relay.
//
// The half of a link that vouches for the new person's key stays in this browser until the person here, or this browser's
// clock, is done with it. Never: power on a server given here, or such a half forgotten because of what the relay says:
// without it the relay's own key would be one whose words are compared, and no longer one that is refused.

import * as relay from "./api_people";
import { hex, random } from "./bytes";
import { ConsoleError } from "./errors";
import type { AccountView, People } from "./facade";
import { linkId, linkText, SECRET_BYTES, sealed } from "./join_link";
import { outside, wallSecs } from "./outside";
import * as seat from "./seat";
import * as store from "./store";

/** After a link's last moment: whoever came by it may wait this long to be let in. */
const KEPT_SECS = 90 * 86_400;

export const people: People = {
  async accounts() {
    return (await relay.accounts()).map(view);
  },
  remove: relay.removeAccount,
  async reset(name) {
    const { code, endsAt } = await relay.resetAccount(name);
    return { link: `${outside.page()}/#/reset/${code}`, expiresAt: endsAt };
  },
  async invitations() {
    return (await relay.joins())
      .filter(({ state }) => state === "open")
      .map(({ id, name, as, by, expiresAt }) => ({ id: hex(id), account: name, role: as, by, expiresAt }));
  },
  async invite({ account, role, seconds }) {
    const { tenant } = seat.pinned().log;
    const wish = { name: account, as: role, device: false, valid_secs: seconds };
    const { token, expiresAt } = await relay.makeJoin(wish);
    const link = { token, secret: random(SECRET_BYTES), tenant };
    await forgetOld();
    await store.keepJoin({
      account: seat.account(),
      id: hex(linkId(token)),
      came: false,
      secret: await sealed(link.secret),
      tenant,
      until: (wallSecs() + seconds + KEPT_SECS) * 1000,
    });
    return { link: `${outside.page()}/#/join/${linkText(link)}`, expiresAt };
  },
  async withdraw(invitation) {
    await relay.withdrawJoin(invitation);
    await store.forgetJoin(seat.account(), invitation);
  },
};

/** Secrets of links that nobody has asked about for long. */
async function forgetOld(): Promise<void> {
  const now = wallSecs() * 1000;
  for (const { account, id, until = now } of await store.joins(seat.account()))
    if (until < now) await store.forgetJoin(account, id);
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
