// What pages use of this library, and all that they use. Never: a key, a secret or a socket in a page's hands.
//
// Names of servers, people and customers are strangers' texts: show them as text. Every function that fails throws a
// `ConsoleError` whose id is a key of messages.en.json and messages.zh.json; `say` makes its words.
// All times are milliseconds since 1970.

import * as relay from "./api";
import { type Bytes, hex } from "./bytes";
import { Channel } from "./channel";
import { hasEd25519 } from "./ed25519";
import { decode, entryHash, LogError } from "./entry";
import { ConsoleError, type MessageId, type Sentence, say } from "./errors";
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

export { ConsoleError, type MessageId, type Sentence, say };

/** Who is signed in. */
export interface Me {
  readonly account: string;
  readonly admin: boolean;
  /** `null`: the customer has no trust log yet. The name is the relay's word; the log's own is in `TrustView`. */
  readonly tenant: { readonly id: string; readonly name: string } | null;
}

/** A server: what the relay says about it, and whether the verified trust log knows it. */
export interface Server {
  /** Agent id in hex. */
  readonly id: string;
  /** The trust log's name when the log is pinned and has it, else what the server calls itself. */
  readonly name: string;
  /** The trust log has it: only then can anything be opened there. */
  readonly trusted: boolean;
  readonly hostname: string;
  readonly os: string;
  readonly build: string;
  readonly lastSeenAt?: number;
  /** Missing: no tunnel. */
  readonly online?: { readonly since: number; readonly rttMs: number };
}

export interface Api {
  /** Throws `signed_out` when nobody is signed in. */
  me(): Promise<Me>;
  /** Signs in; `me` is known then. */
  login(account: string, password: string): Promise<void>;
  logout(): Promise<void>;
  servers(): Promise<Server[]>;
}

/** The verified log in plain values. */
export interface TrustView {
  /** The customer's name in the log. */
  readonly customer: string;
  /** Hash of the first entry in hex. */
  readonly tenant: string;
  /** How many there are. */
  readonly entries: number;
  /** Short hash of the newest one, in hex. */
  readonly head: string;
  /** When the newest was signed, by its signer's clock. */
  readonly at: number;
  readonly people: readonly PersonView[];
  readonly roots: readonly KeyView[];
  readonly servers: readonly { readonly id: string; readonly name: string }[];
}

export interface KeyView {
  /** Who holds it. */
  readonly name: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

export interface PersonView extends KeyView {
  readonly role: "engineer" | "approver";
  /** `device`: a browser's key, which signs without a touch. */
  readonly kind: "ssh" | "device";
  /** Last moment. */
  readonly until: number;
}

export interface Trust {
  /** `none`: nothing is pinned in this browser; nothing can be opened. */
  state(): "none" | "pinned";
  /** The six words of the pinned customer, for showing them. */
  words(): Promise<string>;
  /** Fetches the log, verifies it from its first entry on, and pins it when the words (or the hash in hex) match. */
  pin(sixWords: string): Promise<void>;
  /** Fetches what is new and verifies it. */
  refresh(): Promise<void>;
  /** Throws `trust_none` before `pin`. */
  log(): TrustView;
  /** The account's own key in this browser; made at the first call. `trusted`: the log lets it sign now. */
  deviceKey(): Promise<{ openssh: string; fingerprint: string; trusted: boolean }>;
}

export interface OpenShell {
  readonly server: Server;
  /** User name on the server. */
  readonly user: string;
  /** How long the visit lasts. */
  readonly seconds: number;
  readonly reason: string;
  readonly ticket: string;
  readonly cols: number;
  readonly rows: number;
  /** Another person must sign: six words that both see. The promise waits on. */
  readonly onSecond?: (words: string) => void;
}

/** How a shell or its process ended. */
export type Exit =
  | { readonly code: number }
  | { readonly signal: number }
  /** It never ran; why. */
  | { readonly notStarted: Sentence };

export type EndReason =
  | "exited"
  | "closed"
  | "expired"
  | "detached"
  | "idle"
  | "ended"
  | "revoked"
  | "taken-over"
  | "compromised"
  | "unknown"
  /** This view left; the shell lives. */
  | "left"
  /** See `error`. */
  | "error";

export type ShellState =
  | { readonly kind: "connected"; readonly rttMs?: number }
  | { readonly kind: "reconnecting"; readonly since: number }
  | {
      readonly kind: "ended";
      readonly reason: EndReason;
      readonly exit?: Exit;
      readonly error?: ConsoleError;
    }
  /** Told once; `connected` follows. */
  | { readonly kind: "skipped"; readonly bytes: number };

/** A shell that outlives its connections. */
export interface Shell {
  /** Channel id in hex. */
  readonly id: string;
  /** Agent id in hex. */
  readonly server: string;
  readonly user: string;
  /** When the grant ends by this computer's clock. */
  readonly endsAt: number;
  readonly state: ShellState;
  /** Something that the server tells, for example that there is no home directory. There once it is `connected`. */
  readonly notice: Sentence | undefined;
  /** Called with every new state. Returns how to stop. */
  onState(listen: (state: ShellState) => void): () => void;
  /**
   * Output in order, each byte once. Call `drawn` when xterm.js has really drawn it (its write callback): the server
   * sends on only then. `past`: it was there before this page was loaded, and is only drawn again. One listener; what
   * came before it is kept for it. Returns how to stop.
   */
  onOutput(listen: (bytes: Uint8Array, drawn: () => void, past: boolean) => void): () => void;
  /** Kept until the server has applied it, also while the connection is cut. Throws `input_full` beyond 256 KiB. */
  input(bytes: Uint8Array): void;
  resize(cols: number, rows: number): void;
  /** Leaves the shell running; `resumeShells` takes it up again. */
  detach(): void;
  /** Ends the shell. */
  end(): void;
}

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

function viewOf({ log }: TrustStore): TrustView {
  const head = log.head();
  return {
    customer: log.name,
    tenant: hex(log.tenant),
    entries: head.seq + 1,
    head: short(head.hash),
    at: log.newestClaim() * 1000,
    people: [...log.people.values()].map(({ key, role, until }) => ({
      name: key.person,
      fingerprint: fingerprintOf(keyOf(key.key)),
      role,
      kind: key.signer === "device" ? "device" : "ssh",
      until: until * 1000,
    })),
    roots: [...log.roots.values()].map((key) => ({
      name: key.person,
      fingerprint: fingerprintOf(keyOf(key.key)),
    })),
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

/** Everything that pages use, so that they can be tried with another one. */
export interface Facade {
  readonly api: Api;
  readonly trust: Trust;
  openShell(wish: OpenShell): Promise<Shell>;
  resumeShells(server: Server): Promise<Shell[]>;
}

/** Reads what this browser has kept. Await it once, before anything is drawn. */
export async function connect(): Promise<Facade> {
  // Without X25519 and Ed25519 nothing can be checked or sealed: said at once, not at the first server.
  if (globalThis.crypto?.subtle === undefined) throw new ConsoleError("not_secure");
  if (!(await hasEd25519()) || !(await hasX25519())) throw new ConsoleError("browser_too_old");
  const [only, more] = await store.tenants();
  if (only !== undefined && more === undefined) await choose(parseId(only, 32));
  return { api, trust, openShell, resumeShells };
}
