// Joining by somebody's link, and at the other side the keys that came by links.
//
// ```text
//  link ─▶ account ─▶ its customer's log pinned by the link's hash ─▶ key and mac ─▶ relay ─▶ whoever made the link
// ```
//
// Never: a customer pinned that the link does not name, or a key called vouched for whose mac was not verified here.

import { login, logPage, RelayError } from "./api";
import * as relay from "./api_people";
import { type Bytes, equal, hex, unhex } from "./bytes";
import { ConsoleError } from "./errors";
import type { Candidate, Joining, KeyKind, Way } from "./facade";
import { keyOf } from "./ids";
import { type JoinLink, linkId, macOf, parseLink, type SignerKind, sealed, vouches } from "./join_link";
import { byId } from "./own_keys";
import { make } from "./passkey_login";
import * as seat from "./seat";
import { fingerprint, openssh, parseKey, parseOpenssh } from "./ssh";
import * as store from "./store";
import { wordsKept } from "./words";

const OVER: readonly relay.JoinLine["state"][] = ["refused", "revoked", "expired"];

/** The account that was made here, and by which link: a try that failed after that goes on from there. */
let begun: { readonly id: string; readonly account: string } | undefined;

export const joining: Joining = {
  async look(token) {
    const link = parsed(token);
    const came = seat.isTaken() ? await cameBy(link) : undefined;
    if (came === undefined) {
      const { customer, by, name, as, device, expiresAt } = await relay.lookAt(link.token);
      return { customer, by, account: name, role: as, expiresAt, deviceAllowed: device };
    }
    if (OVER.includes(came.state)) throw new ConsoleError("invitation_over");
    const { log } = seat.pinnedIfAny() ?? {};
    const customer = log !== undefined && equal(log.tenant, link.tenant) ? log.name : "";
    return { customer, by: "", account: came.name, role: came.as, expiresAt: 0, deviceAllowed: came.device };
  },
  async begin(token, { account, way }) {
    const link = parsed(token);
    const isBegun = begun?.id === hex(linkId(link.token)) && begun.account === account;
    if (!isBegun) await enter(link, account, way);
    // A passkey has signed in already.
    if ("password" in way) await login(account, way.password);
    await seat.arrive(account);
    await pin(link.tenant);
  },
  async offer(key) {
    const link = await ownLink();
    // Whoever came another way has nobody to show it to, and showing it again changes nothing.
    if (link === undefined || link.shown === key) return;
    if (seat.pinnedIfAny() === undefined) await pin(link.tenant);
    const { blob, kind: own } = await byId(key);
    const kind = own === "passkey" ? "webauthn" : "device";
    const mac = await macOf(link.secret, {
      id: unhex(link.id) ?? new Uint8Array(0),
      tenant: link.tenant,
      kind,
      blob,
    });
    await relay.showKey({ key: openssh(blob), kind, mac });
    await store.keepJoin({ ...link, shown: key });
  },
};

function parsed(token: string): JoinLink {
  const link = parseLink(token);
  if (link === undefined) throw new ConsoleError("invitation_wrong");
  return link;
}

/**
 * How it stands with this link, when the signed-in account came by one. It may have come in another browser, often the one
 * inside a chat: then it goes on here.
 */
async function cameBy(link: JoinLink): Promise<relay.Joined | undefined> {
  const own = await ownLink();
  if (own !== undefined && own.id !== hex(linkId(link.token))) return undefined;
  try {
    const joined = await relay.joined();
    if (own === undefined) await keep(link, seat.account());
    return joined;
  } catch (error) {
    if (error instanceof RelayError && error.code === "unknown") return undefined;
    throw error;
  }
}

async function keep({ token, secret, tenant }: JoinLink, account: string): Promise<void> {
  await store.keepJoin({
    account,
    id: hex(linkId(token)),
    came: true,
    secret: await sealed(secret),
    tenant,
  });
}

/** The link by which the signed-in account came, in this browser. */
async function ownLink(): Promise<store.StoredJoin | undefined> {
  return (await store.joins(seat.account())).find(({ came }) => came);
}

/** Makes the account; a passkey signs in as well. */
async function enter(link: JoinLink, account: string, way: Way): Promise<void> {
  if ("password" in way) await relay.join(link.token, account, way.password);
  else {
    const { id, options } = await relay.beginJoinPasskey(link.token, account);
    await relay.joinByPasskey(link.token, id, account, await make(options));
  }
  begun = { id: hex(linkId(link.token)), account };
  await keep(link, account);
}

/** Pins the customer whose first entry has this hash, and no other. */
async function pin(tenant: Bytes): Promise<void> {
  const [genesis] = (await logPage(0)).entries;
  if (genesis === undefined) throw new ConsoleError("trust_empty");
  await seat.pin(genesis, tenant).catch((error: unknown) => {
    const [fault] = error instanceof ConsoleError && error.id === "trust_refused" ? error.args : [];
    const isOther = typeof fault === "object" && fault.id === "log_other_tenant";
    throw isOther ? new ConsoleError("six_words_differ") : error;
  });
}

/** Somebody who came by a link and waits to be let in. */
export interface Newcomer extends Candidate {
  /** The link's id in hexadecimal, for `settle`. */
  readonly link: string;
  /** The name that the link was made for. */
  readonly name: string;
  readonly blob: Bytes;
  readonly signer: SignerKind;
  /**
   * `link`: the secret that this browser kept vouches for exactly this key. `words`: it was made elsewhere, so both compare
   * six words. `broken`: the secret is here and says no: somebody shows another key. That one is never let in.
   */
  readonly proof: "link" | "words" | "broken";
}

const KINDS: Readonly<Record<SignerKind, KeyKind>> = { sshsig: "ssh", device: "device", webauthn: "passkey" };

/** Keys that came by links, oldest link first. Those that cannot be read, or that the log has, are left out. */
export async function candidates(): Promise<Newcomer[]> {
  const { tenant, people } = seat.pinned().log;
  const made = (await store.joins(seat.account())).filter((one) => !one.came && equal(one.tenant, tenant));
  const waiting = (await relay.joins()).filter(({ state }) => state === "key");
  const found = await Promise.all(waiting.map((line) => newcomer(line, tenant, made)));
  return found
    .filter((one) => one !== undefined)
    .filter(({ blob }) => !people.has(hex(keyOf(blob))))
    .sort((a, b) => a.since - b.since);
}

async function newcomer(
  { id, name, as, account, createdAt, shown }: relay.JoinLine,
  tenant: Bytes,
  made: readonly store.StoredJoin[],
): Promise<Newcomer | undefined> {
  const blob = shown && blobOf(shown.key);
  const signer = shown?.kind;
  // An account that manages the relay needs no key for it.
  if (shown === undefined || blob === undefined || as === "admin" || !isSigner(signer)) return undefined;
  if (isDisguised(blob, signer)) return undefined;
  const secret = made.find((one) => one.id === hex(id))?.secret;
  const good = secret && (await vouches(secret, { id, tenant, kind: signer, blob }, shown.mac));
  return {
    account,
    key: fingerprint(blob),
    kind: KINDS[signer],
    words: await wordsKept(keyOf(blob)),
    role: as,
    since: createdAt,
    link: hex(id),
    name,
    blob,
    signer,
    proof: good === undefined ? "words" : good ? "link" : "broken",
  };
}

/** A browser's key must not come as one that asks for a touch or a file. */
function isDisguised(blob: Bytes, signer: SignerKind): boolean {
  const key = parseKey(blob);
  return signer === "sshsig" && "point" in key && !("application" in key);
}

function isSigner(kind: string | undefined): kind is SignerKind {
  return kind !== undefined && Object.hasOwn(KINDS, kind);
}

function blobOf(line: string): Bytes | undefined {
  try {
    return parseOpenssh(line);
  } catch {
    return undefined;
  }
}

/** Says how it went with a newcomer: `accepted` once the log has the key. The link is over then. */
export async function settle(link: string, accepted: boolean): Promise<void> {
  await relay.endJoin(link, accepted);
  await store.forgetJoin(seat.account(), link);
}
