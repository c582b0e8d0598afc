// What facade.ts promises to pages, as far as it is built. Never: a key, a secret or a socket in a page's hands.

import * as relay from "./api";
import { type Bytes, hex } from "./bytes";
import { Channel } from "./channel";
import { hasEd25519 } from "./ed25519";
import { decode, entryHash, LogError, type NamedKey } from "./entry";
import { ConsoleError } from "./errors";
import type { Api, KeyView, Offered, OpenShell, Server, Shell, Trust, TrustView } from "./facade";
import { agentOf, keyOf, parseId, short } from "./ids";
import { deviceKey } from "./keys";
import { exchangePair } from "./noise";
import { wallSecs } from "./outside";
import { fingerprint, fingerprintOf, openssh } from "./ssh";
import * as store from "./store";
import { faultOf, TrustStore } from "./trust_store";
import { open, TERM } from "./visit";
import { hold } from "./window";
import { matches, parsePin, words } from "./words";

/** The customer whose log is pinned here and whom the signed-in account belongs to. */
let current: TrustStore | undefined;
let tenant: Bytes | undefined;
/** Who is signed in: keys and shells of others stay theirs. */
let signedIn: string | undefined;

function account(): string {
  if (signedIn === undefined) throw new ConsoleError("signed_out");
  return signedIn;
}

/** The pinned log of the account's customer, if it is pinned. */
async function choose(of: Bytes | undefined): Promise<void> {
  if (of === undefined) {
    tenant = undefined;
    current = undefined;
    return;
  }
  if (hex(of) === hex(tenant ?? new Uint8Array(0))) return;
  tenant = of;
  current = await TrustStore.load(of);
}

function pinned(): TrustStore {
  if (current === undefined) throw new ConsoleError("trust_none");
  return current;
}

export const api: Api = {
  async me() {
    const { account: name, admin, tenant: id, tenantName } = await relay.me();
    signedIn = name;
    await choose(id);
    return {
      account: name,
      admin,
      tenant: id === undefined ? null : { id: hex(id), name: tenantName },
    };
  },
  async login(name, password) {
    await relay.login(name, password);
    // The name chooses the key that signs: not the relay's word for it, but the person's.
    if ((await api.me()).account !== name) {
      signedIn = undefined;
      throw new ConsoleError("account_differs");
    }
  },
  async logout() {
    await relay.logout();
    signedIn = undefined;
  },
  async servers() {
    return (await relay.servers()).map(serverOf);
  },
};

function serverOf(line: relay.ServerLine): Server {
  const record = current?.log.agents.get(line.id);
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
  state: () => (current === undefined ? "none" : "pinned"),
  words: async () => words(pinned().log.tenant),
  async pin(sixWords) {
    const pin = await parsePin(sixWords);
    if ("unknown" in pin) throw new ConsoleError("six_words_wrong", pin.unknown);
    if ("count" in pin) throw new ConsoleError("six_words_count", pin.count);
    const [genesis] = (await relay.logPage(0)).entries;
    if (genesis === undefined) throw new ConsoleError("trust_empty");
    const first = nameOf(genesis);
    if (!(await matches(pin, first))) throw new ConsoleError("six_words_differ");
    // What is pinned must not be cleared away to make room.
    await navigator.storage?.persist?.();
    const started = await TrustStore.start(genesis, first);
    await started.sync();
    tenant = first;
    current = started;
  },
  refresh: async () => pinned().sync(),
  log: () => viewOf(pinned()),
  async deviceKey() {
    const { id, blob } = await deviceKey(account());
    const person = current?.log.person(id, "engineer");
    const trusted = person !== undefined && person.until >= wallSecs();
    return { openssh: openssh(blob), fingerprint: fingerprint(blob), trusted };
  },
};

/** The customer that a first entry names: its hash. */
function nameOf(genesis: Bytes): Bytes {
  try {
    return entryHash(decode(genesis, 0).signed);
  } catch (error) {
    throw error instanceof LogError ? new ConsoleError("trust_refused", faultOf(error)) : error;
  }
}

const KINDS: Readonly<Record<string, KeyView["kind"]>> = {
  sshsig: "ssh",
  webauthn: "passkey",
  device: "device",
};

function keyView(key: NamedKey): KeyView {
  return { name: key.person, fingerprint: fingerprintOf(keyOf(key.key)), kind: KINDS[key.signer] ?? "ssh" };
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
    policy: {
      ...(log.policy.visit === null ? {} : { seconds: log.policy.visit }),
      secondFor: log.policy.second_for,
      never: log.policy.never,
    },
    servers: [...log.agents.values()].map(({ identity, name }) => ({ id: hex(agentOf(identity)), name })),
  };
}

/** Opens a visit and a shell in it. */
export async function openShell(wish: OpenShell): Promise<Shell> {
  // Somebody else may have signed in meanwhile, in another window of this browser.
  if ((await relay.me()).account !== account()) throw new ConsoleError("signed_out");
  const copy = pinned();
  const key = await deviceKey(account());
  const known = (): boolean =>
    copy.log.person(key.id, "engineer") !== undefined && copy.log.agents.has(wish.server.id);
  // A key or server that was added since this copy was fetched.
  if (!known()) await copy.sync();
  if (copy.log.person(key.id, "engineer") === undefined) {
    throw new ConsoleError("device_not_trusted", fingerprint(key.blob));
  }
  const shell = await open({ account: account(), trust: copy, key }, wish);
  mark(shell);
  return shell;
}

/** Notes that this window has a shell until it is over. */
function mark(shell: Shell): void {
  held.add(shell.id);
  shell.onState((state) => {
    if (state.kind === "ended") held.delete(shell.id);
  });
}

/**
 * Takes up again the shells that this browser has open on a server, after a reload. Output begins with what was there
 * before (marked `past`), all of it or the last 256 KiB. Shells that another window has are left to it.
 */
export async function resumeShells(server: Server): Promise<Shell[]> {
  const copy = pinned();
  const kept = await store.shells();
  const ofTenant = kept.filter((one) => one.tenant === hex(copy.log.tenant) && one.account === account());
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

async function hasX25519(): Promise<boolean> {
  return exchangePair().then(
    () => true,
    () => false,
  );
}

/** Reads what this browser has kept. Await it once, before anything is drawn. */
export async function connect(): Promise<Offered> {
  // Without X25519 and Ed25519 nothing can be checked or sealed: said at once, not at the first server.
  if (globalThis.crypto?.subtle === undefined) throw new ConsoleError("not_secure");
  if (!(await hasEd25519()) || !(await hasX25519())) throw new ConsoleError("browser_too_old");
  const [only, more] = await store.tenants();
  if (only !== undefined && more === undefined) await choose(parseId(only, 32));
  return { api, trust, openShell, resumeShells };
}
