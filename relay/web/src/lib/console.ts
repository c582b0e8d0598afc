// What facade.ts promises to pages, as far as it is built. Never: a key, a secret or a socket in a page's hands.

import { access, comeBack } from "./access";
import * as relay from "./api";
import { book } from "./book";
import { type Bytes, hex } from "./bytes";
import { hasEd25519 } from "./ed25519";
import { decode, entryHash, LogError } from "./entry";
import { ConsoleError } from "./errors";
import type { Api, Facade, Here, Server, Trust, TrustView } from "./facade";
import { agentOf, parseId, short } from "./ids";
import { keyView, policyView } from "./key_view";
import { later } from "./later";
import * as seat from "./seat";
import * as store from "./store";
import { onTouch } from "./touch";
import { faultOf, type TrustStore } from "./trust_store";
import { matches, parsePin, words } from "./words";

export const api: Api = {
  async me() {
    const { account: name, admin, tenant: id, tenantName } = await seat.look();
    // The answer to the entry that began the log may have been lost here.
    if (admin && id !== undefined && seat.pinnedIfAny() === undefined) await (await import("./begun")).goOn();
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
    // Whoever sees servers is likely to open one.
    void sealed().catch(() => {});
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

/** All that is sealed: nobody needs it before there is a server to open something on. */
const sealed = () => import("./shells");
const shells = later(sealed);

const setup = later(async () => (await import("./first_steps")).setup);
const account = later(async () => (await import("./account")).account);
const people = later(async () => (await import("./people")).people);
const joining = later(async () => (await import("./joining")).joining);
const resetting = later(async () => (await import("./resetting")).resetting);
const keys = later(async () => (await import("./own_keys")).keys);
const fleet = later(async () => (await import("./fleet")).fleet);
const approvals = later(async () => (await import("./approvals")).approvals);
const visits = later(async () => (await import("./visits")).visits(shells.resumeShells));
const audit = later(async () => (await import("./audit_log")).auditLog);
const checks = later(async () => (await import("./checks")).checks);
const metrics = later(async () => (await import("./metrics")).metrics);
const scans = later(async () => (await import("./api_scans")).scans);

async function hasX25519(): Promise<boolean> {
  return crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]).then(
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
    openShell: shells.openShell,
    resumeShells: shells.resumeShells,
    access,
    setup,
    joining,
    resetting,
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
    scans,
    onTouch,
  };
}
