// Install tokens and the one command that uses one, as relay/cli/src/commands/token.rs makes it.
//
// The token has two halves: the relay's, and a key that a root has put into the log. It stands in the command's own file,
// never in the arguments of the agent. Never: kept in the browser.

import * as relay from "./api_log";
import { base64url, concat } from "./bytes";
import type { InstallCommand, InstallToken } from "./facade";
import { BATCH_SECS_MAX } from "./limits";
import { write } from "./log_write";
import { wallSecs } from "./outside";
import * as seat from "./seat";
import { makeSeed, type Seed } from "./seed";
import { words } from "./words";

export interface InstallWish {
  readonly label: string;
  readonly uses: number;
  readonly seconds: number;
  readonly preset: "own" | "vendor" | "checks-only";
}

/** Lets a new token's key into the log (by passkey: the touch) and makes the command that uses it. */
export async function install(wish: InstallWish): Promise<InstallCommand> {
  const batch = await makeSeed();
  const seconds = Math.min(wish.seconds, BATCH_SECS_MAX);
  const until = wallSecs() + seconds;
  await write({ "enrol-batch": { key: batch.open, until, uses: wish.uses, note: wish.label } });
  return commandOf(batch, { ...wish, seconds });
}

/** The command of a token whose key the log has already. */
export async function commandOf(batch: Seed, wish: InstallWish): Promise<InstallCommand> {
  const made = await relay.makeToken(wish.label, wish.uses, wish.seconds);
  const tenant = seat.pinned().log.tenant;
  const token = `cdt1.${base64url(concat(made.secret, batch.seed, tenant))}`;
  const pins = made.pins.map((pin) => `--relay-pin ${pin}`).join(" ");
  const enrol = `sudo cloud-doctor-agent enrol --relay ${made.agents} ${pins} --trust "${await words(tenant)}"`;
  return {
    token: made.id,
    command:
      `(umask 077; echo ${token} > cloud-doctor.token) && ` +
      `${enrol} --preset ${wish.preset} --token-file cloud-doctor.token && ` +
      "rm cloud-doctor.token && sudo systemctl enable --now cloud-doctor.target",
    uses: wish.uses,
    expiresAt: made.expiresAt,
  };
}

/** Those that the relay still lists as good, newest first. */
export async function tokens(): Promise<InstallToken[]> {
  const all = await relay.tokens();
  return all.filter((token) => !token.revoked).map(({ revoked: _, ...token }) => token);
}

export const revoke = relay.revokeToken;
