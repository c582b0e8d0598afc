// Changes of the customer's log by a root key of this browser, and the command lines that do the same elsewhere.
//
// What is signed is made here from what the page shows. Never: an entry that the log's own rules would refuse, since a
// touch would be spent on nothing.

import { setLabels as label } from "./api_labels";
import * as relay from "./api_log";
import { type Bytes, hex } from "./bytes";
import { type Ahead, type Entry, entryBytes, LogError, type NamedKey, packEntry, type What } from "./entry";
import { ConsoleError } from "./errors";
import type { Change } from "./facade";
import { before, type Scope } from "./grant";
import { parseId } from "./ids";
import { type Signer, signers } from "./keys";
import { history, standing, whatOf } from "./log_view";
import { wallSecs } from "./outside";
import * as seat from "./seat";
import { fingerprint, NAMESPACE_LOG } from "./ssh";
import type { TrustLog } from "./trust";
import { approversAt } from "./trust_ahead";
import { faultOf } from "./trust_store";

/** A key of this account in this browser that may change the log. */
async function rootKey(log: TrustLog): Promise<Signer | undefined> {
  const mine = await signers(seat.account());
  return mine.find(({ id }) => log.roots.has(hex(id)));
}

/** A key of this account in this browser that may sign ahead and end it: an approver's, or a root's. */
async function approversKey(log: TrustLog): Promise<Signer | undefined> {
  const able = approversAt(log, wallSecs());
  return (await signers(seat.account())).find(({ id, kind }) => kind === "passkey" && able.has(hex(id)));
}

/** Whose key signs this. */
async function keyFor(log: TrustLog, what: What): Promise<Signer> {
  const ahead = "sign-ahead" in what || "end-ahead" in what;
  const key = await (ahead ? approversKey(log) : rootKey(log));
  if (key === undefined) throw new ConsoleError(ahead ? "approval_not_yours" : "not_root");
  return key;
}

export async function mayWrite(): Promise<boolean> {
  return (await rootKey(seat.pinned().log)) !== undefined;
}

/** Signs an entry and delivers it. Throws `not_root`, `touch_declined`, `passkey_cancelled`, `log_moved`, `rule_…`. */
export async function write(what: What): Promise<void> {
  const copy = seat.pinned();
  await copy.sync();
  const { log } = copy;
  const key = await keyFor(log, what);
  const head = log.head();
  const at = Math.max(wallSecs(), log.newestClaim());
  const entry: Entry = { version: 1, seq: head.seq + 1, prev: head.hash, at, by: key.id, what };
  allowed(log, entry);
  const server = serverOf(log, what);
  const bytes = entryBytes(entry);
  const about = {
    what: { kind: "log", entry: whatOf(log, what) },
    customer: log.name,
    ...(server === undefined ? {} : { server }),
  } as const;
  const signature = await key.sign(NAMESPACE_LOG, bytes, about);
  await relay.append(packEntry({ entry: bytes, signature }));
  await copy.sync();
}

function allowed(log: TrustLog, entry: Entry): void {
  try {
    log.allows(entry);
  } catch (error) {
    throw error instanceof LogError ? new ConsoleError("change_refused", faultOf(error)) : error;
  }
}

function serverOf(log: TrustLog, what: What): { id: string; name: string } | undefined {
  const agent: Bytes | undefined =
    "rename-agent" in what
      ? what["rename-agent"].agent
      : "remove-agent" in what
        ? what["remove-agent"].agent
        : undefined;
  const record = agent === undefined ? undefined : log.agents.get(hex(agent));
  return agent === undefined || record === undefined ? undefined : { id: hex(agent), name: record.name };
}

/** The entry that a change is. `candidate`: the key of somebody whom the log does not know yet. */
export function entryOf(
  log: TrustLog,
  change: Exclude<Change, { readonly kind: "label-server" }>,
  candidate: (fingerprint: string) => NamedKey | undefined,
): What {
  switch (change.kind) {
    case "rename-server":
      return { "rename-agent": { agent: agentId(change.server), name: change.name } };
    case "remove-server":
      return { "remove-agent": { agent: agentId(change.server) } };
    case "add-person": {
      const known = person(log, change.key)?.[1].key ?? candidate(change.key);
      if (known === undefined) throw new ConsoleError("nobody_there");
      const until = Math.floor(change.until / 1000);
      return { "add-person": { key: { ...known, person: change.name }, role: change.role, until } };
    }
    case "remove-person": {
      const id = parseId(person(log, change.key)?.[0] ?? "", 32);
      if (id === undefined) throw new ConsoleError("nobody_there");
      return { "remove-person": { key: id } };
    }
    case "sign-ahead":
      return { "sign-ahead": { ahead: aheadOf(log, change) } };
    case "end-ahead":
      return { "end-ahead": { seq: change.seq } };
    case "set-policy": {
      const { seconds, secondFor, never } = change.policy;
      return {
        "set-policy": { policy: { visit: seconds ?? null, second_for: [...secondFor], never: [...never] } },
      };
    }
  }
}

function aheadOf(log: TrustLog, change: Extract<Change, { readonly kind: "sign-ahead" }>): Ahead {
  const engineer = parseId(person(log, change.engineer)?.[0] ?? "", 32);
  if (engineer === undefined) throw new ConsoleError("nobody_there");
  const shells: Scope[] = [...new Set(change.users)].map((user) => ({ shell: { user } }));
  const [from, until] = [Math.floor(change.from / 1000), Math.floor(change.until / 1000)];
  const scopes = shells.sort((a, b) => (before(a, b) ? -1 : 1));
  return { agent: agentId(change.server), engineer, scopes, from, until, note: change.note };
}

function agentId(id: string): Bytes {
  const bytes = parseId(id, 32);
  if (bytes === undefined) throw new ConsoleError("nobody_there");
  return bytes;
}

function person(log: TrustLog, print: string) {
  return [...log.people].find(([, { key }]) => fingerprint(key.key) === print);
}

/** Signs a change of a page. */
async function sign(change: Change): Promise<void> {
  if (change.kind === "label-server") return label(change.server, change.labels);
  const { candidates: newcomers, settle } = await import("./joining");
  const unknown = change.kind === "add-person" && person(seat.pinned().log, change.key) === undefined;
  const candidate = unknown ? (await newcomers()).find(({ key }) => key === change.key) : undefined;
  // The link's secret is here and says that somebody changed the key on the way.
  if (candidate?.proof === "broken") throw new ConsoleError("candidate_broken", candidate.account);
  const key = candidate && { key: candidate.blob, person: candidate.name, signer: candidate.signer };
  await write(entryOf(seat.pinned().log, change, () => key));
  if (candidate !== undefined) await settle(candidate.link, true);
}

/** What the log's book does for pages. */
export const work = {
  history: async () => history(seat.pinned().log),
  mayWrite,
  sign,
  candidates: async () => (await import("./joining")).candidates(),
  ahead: async () => standing(seat.pinned().log),
  mayApprove: async () => (await approversKey(seat.pinned().log)) !== undefined,
};
