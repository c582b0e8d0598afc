// What facade.ts promises to pages, as far as it is built. Never: a key, a secret or a socket in a page's hands.

import { access, comeBack } from "./access";
import * as relay from "./api";
import { book } from "./book";
import { type Bytes, hex } from "./bytes";
import { Channel } from "./channel";
import { hasEd25519 } from "./ed25519";
import { decode, entryHash, LogError } from "./entry";
import { ConsoleError } from "./errors";
import type { Api, Facade, Here, OpenShell, Server, Shell, Trust, TrustView } from "./facade";
import { agentOf, parseId, short } from "./ids";
import { keyView, policyView } from "./key_view";
import { type Signer, signers } from "./keys";
import { later } from "./later";
import { exchangePair } from "./noise";
import * as own from "./own";
import * as seat from "./seat";
import { open, TERM } from "./shell";
import { fingerprint } from "./ssh";
import * as store from "./store";
import { onTouch } from "./touch";
import { faultOf, type TrustStore } from "./trust_store";
import { hold } from "./window";
import { matches, parsePin, words } from "./words";

export const api: Api = {
  async me() {
    const { account: name, admin, tenant: id, tenantName } = await seat.look();
    return {
      account: name,
      admin,
      tenant: id === undefined ? null : { id: hex(id), name: tenantName },
    };
  },
  async login(name, password, second) {
    const code = second && ("totp" in second ? second.totp : second.recovery);
    await relay.login(name, password, code);
    await seat.arrive(name);
  },
  async logout() {
    await relay.logout();
    seat.leave();
  },
  async servers() {
    const lines = await relay.servers();
    const here = await whoIsWhere(lines);
    return lines.map((line) => {
      const there = here && { here: here.get(line.id) ?? [] };
      return { ...serverOf(line), labels: line.labels, ...there };
    });
  },
};

/** Who is on which server, where anybody is. The list is worth something without it. */
async function whoIsWhere(
  lines: readonly relay.ServerLine[],
): Promise<ReadonlyMap<string, readonly Here[]> | undefined> {
  if (lines.every(({ here }) => here === 0)) return new Map();
  const { whoIsWhere: found } = await import("./fleet");
  return found().catch(() => undefined);
}

function serverOf(line: relay.ServerLine): Server {
  const record = seat.pinnedIfAny()?.log.agents.get(line.id);
  const { id, hostname, os, build, lastSeenAt, online } = line;
  return {
    id,
    name: record?.name ?? (hostname === "" ? id.slice(0, 12) : hostname),
    trusted: record !== undefined,
    hostname,
    os,
    build,
    ...(lastSeenAt === undefined ? {} : { lastSeenAt }),
    ...(online === undefined ? {} : { online }),
  };
}

export const trust: Trust = {
  state: () => (seat.pinnedIfAny() === undefined ? "none" : "pinned"),
  words: async () => words(seat.pinned().log.tenant),
  async pin(sixWords) {
    const pin = await parsePin(sixWords);
    if ("unknown" in pin) throw new ConsoleError("six_words_wrong", pin.unknown);
    if ("count" in pin) throw new ConsoleError("six_words_count", pin.count);
    const [genesis] = (await relay.logPage(0)).entries;
    if (genesis === undefined) throw new ConsoleError("trust_empty");
    const first = nameOf(genesis);
    if (!(await matches(pin, first))) throw new ConsoleError("six_words_differ");
    await seat.pin(genesis, first);
  },
  refresh: async () => seat.pinned().sync(),
  log: () => viewOf(seat.pinned()),
};

/** The customer that a first entry names: its hash. */
function nameOf(genesis: Bytes): Bytes {
  try {
    return entryHash(decode(genesis, 0).signed);
  } catch (error) {
    throw error instanceof LogError ? new ConsoleError("trust_refused", faultOf(error)) : error;
  }
}

function viewOf({ log }: TrustStore): TrustView {
  const head = log.head();
  return {
    customer: log.name,
    tenant: hex(log.tenant),
    entries: head.seq + 1,
    head: short(head.hash),
    at: log.newestClaim() * 1000,
    people: [...log.people.values()].map(({ key, role, until }) => ({
      ...keyView(key),
      role,
      until: until * 1000,
    })),
    roots: [...log.roots.values()].map(keyView),
    recovery: keyView(log.recovery),
    policy: policyView(log.policy),
    servers: [...log.agents.values()].map(({ identity, name }) => ({ id: hex(agentOf(identity)), name })),
  };
}

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

const setup = later(async () => (await import("./first_steps")).setup);
const account = later(async () => (await import("./account")).account);
const people = later(async () => (await import("./people")).people);
const joining = later(async () => (await import("./joining")).joining);
const keys = later(async () => (await import("./own_keys")).keys);
const fleet = later(async () => (await import("./fleet")).fleet);
const approvals = later(async () => (await import("./approvals")).approvals);
const visits = later(async () => (await import("./visits")).visits(resumeShells));
const audit = later(async () => (await import("./audit_log")).auditLog);
const checks = later(async () => (await import("./checks")).checks);
const metrics = later(async () => (await import("./metrics")).metrics);

async function hasX25519(): Promise<boolean> {
  return exchangePair().then(
    () => true,
    () => false,
  );
}

/** Reads what this browser has kept. Await it once, before anything is drawn. */
export async function connect(): Promise<Facade> {
  // Without X25519 and Ed25519 nothing can be checked or sealed: said at once, not at the first server.
  if (globalThis.crypto?.subtle === undefined) throw new ConsoleError("not_secure");
  if (!(await hasEd25519()) || !(await hasX25519())) throw new ConsoleError("browser_too_old");
  await comeBack();
  const [only, more] = await store.tenants();
  if (only !== undefined && more === undefined) await seat.choose(parseId(only, 32));
  return {
    api,
    trust,
    openShell,
    resumeShells,
    access,
    setup,
    joining,
    account,
    people,
    keys,
    book,
    approvals,
    fleet,
    visits,
    audit,
    checks,
    metrics,
    onTouch,
  };
}
