// The shells of one's own: opened by a visit, or taken up again after a reload. Fetched when there is a server to open one
// on, since all that is sealed comes with it.
//
// Never: one shell twice in this window, or one that another window has.

import * as relay from "./api";
import { hex } from "./bytes";
import { Channel } from "./channel";
import { ConsoleError } from "./errors";
import type { OpenShell, Server, Shell } from "./facade";
import { type Signer, signers } from "./keys";
import * as own from "./own";
import * as seat from "./seat";
import { open, TERM } from "./shell";
import { fingerprint } from "./ssh";
import * as store from "./store";
import type { TrustStore } from "./trust_store";
import { hold } from "./window";

/** Opens a visit and a shell in it. */
export async function openShell(wish: OpenShell): Promise<Shell> {
  // Somebody else may have signed in meanwhile, in another window of this browser.
  if ((await relay.me()).account !== seat.account()) throw new ConsoleError("signed_out");
  const copy = seat.pinned();
  // A key or server that was added since this copy was fetched.
  if (!copy.log.agents.has(wish.server.id)) await copy.sync();
  const key = await engineersKey(copy, wish.key);
  const shell = await open({ account: seat.account(), trust: copy, key }, wish);
  mark(shell);
  return shell;
}

/** The account's key here that the log lets open visits: the one that was wished for, else a passkey before a device key. */
async function engineersKey(copy: TrustStore, wished?: string): Promise<Signer> {
  const mine = await signers(seat.account());
  const able = () =>
    mine.find(
      ({ id }) =>
        (wished === undefined || hex(id) === wished) && copy.log.person(id, "engineer") !== undefined,
    );
  if (able() === undefined) await copy.sync();
  const key = able();
  if (key !== undefined) return key;
  const [first] = mine;
  if (first === undefined) throw new ConsoleError("no_signing_key");
  throw new ConsoleError("device_not_trusted", fingerprint(first.blob));
}

/** Notes that this window has a shell until it is over. */
function mark(shell: Shell): void {
  held.add(shell.id);
  own.mark(shell);
  shell.onState((state) => {
    if (state.kind === "ended") held.delete(shell.id);
  });
}

/**
 * Takes up again the shells that this browser has open on a server, after a reload. Output begins with what was there
 * before (marked `past`), all of it or the last 256 KiB. Shells that another window has are left to it.
 */
export async function resumeShells(server: Pick<Server, "id">): Promise<Shell[]> {
  const copy = seat.pinned();
  const kept = await store.shells();
  const ofTenant = kept.filter(
    (one) => one.tenant === hex(copy.log.tenant) && one.account === seat.account(),
  );
  const here = ofTenant.filter((one) => one.server === server.id);
  const resumed = await Promise.all(here.map(({ id }) => resume(id)));
  return resumed.filter((shell) => shell !== undefined);
}

/** Shells that this window has: asking twice must not make two views of one. */
const held = new Set<string>();

async function resume(id: string): Promise<Shell | undefined> {
  if (held.has(id)) return undefined;
  held.add(id);
  const letGo = await hold(id);
  // Read only now: another window may have used the secret a moment ago.
  const kept = letGo && (await store.shell(id));
  if (kept?.secret === undefined) {
    letGo?.();
    held.delete(id);
    return undefined;
  }
  const { server, visit, binding, ours, theirs, user, secret, unanswered, received } = kept;
  const request = { user, attach: true, abandoned: [], term: TERM, lang: "", argv: [] };
  const shell = Channel.resume({
    passage: { server, visit, binding, ours, theirs, request },
    account: kept.account,
    tenant: kept.tenant,
    user,
    size: { cols: 80, rows: 24 },
    endsInSecs: Math.max(0, Math.ceil((kept.endsAt - Date.now()) / 1000)),
    unanswered,
    release: letGo ?? (() => undefined),
    received,
    secret,
    joins: true,
  });
  mark(shell);
  return shell;
}
