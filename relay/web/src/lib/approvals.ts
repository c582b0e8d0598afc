// Requests for a second signature, as a person decides about them: everything is read from the exact bytes that are signed,
// which the engineer and the server must have signed before, as relay/cli/src/commands/approve.rs does it.
//
// The relay brings them; it cannot make them mean anything else. Never: a signature under bytes that do not hold, or under
// others than were shown.

import * as relay from "./api_approvals";
import { type Bytes, equal, hex } from "./bytes";
import { ConsoleError, type MessageId, oneLine, type Sentence } from "./errors";
import type { Approval, ApprovalState, Approvals } from "./facade";
import { broken, challengeHash, type Grant, grantHash, readChallenge, scopeOf } from "./grant";
import { grantOf } from "./grants_seen";
import { visitOf } from "./ids";
import { type Signer, signers } from "./keys";
import { wallSecs } from "./outside";
import { verifyBy } from "./passkey";
import * as seat from "./seat";
import { fingerprintOf, NAMESPACE_GRANT, NAMESPACE_SECOND, SignerError } from "./ssh";
import type { TrustLog } from "./trust";
import { running as runningVisits } from "./visits_list";
import { words } from "./words";

/** Requests of the past in the list. */
const PAST_MAX = 100;
/** Longest sentence of somebody who says no. */
const WHY_CHARS_MAX = 200;
/** An answer without news that comes sooner than this was not waited for: then the relay is asked this often. */
const SOON_MS = 1_000;
const ASK_MS = 3_000;

const STATES: Readonly<Record<relay.Request["state"], ApprovalState>> = {
  waiting: "waiting",
  signed: "approved",
  denied: "denied",
  withdrawn: "withdrawn",
  expired: "expired",
};

/** What the relay's list of waiting requests was known by when it was shown. */
let seen: string | undefined;
/** Six words of grants that were shown: they take a while to compute. */
const sixWords = new Map<string, string>();

function sentence(id: MessageId): Sentence {
  return { id, args: [] };
}

async function signedByEngineer(log: TrustLog, grant: Grant, request: relay.Request): Promise<boolean> {
  const person = log.person(grant.engineer, "engineer");
  if (person === undefined || request.signature === undefined) return false;
  try {
    await verifyBy(person.key, NAMESPACE_GRANT, request.grant, request.signature);
    return true;
  } catch (error) {
    if (error instanceof SignerError) return false;
    throw error;
  }
}

/**
 * Whether the challenge is the one that the engineer signed for, and of that server. Its signature does not travel with it:
 * the engineer's program has verified that, and the server knows what it asked.
 */
function isChallengeOf(log: TrustLog, grant: Grant, bytes: Bytes | undefined): boolean {
  if (bytes === undefined || !equal(challengeHash(bytes), grant.challenge)) return false;
  const asked = readChallenge(bytes);
  const identity = log.agents.get(hex(grant.agent))?.identity;
  return asked !== undefined && identity !== undefined && equal(asked.identity, identity);
}

/** Why a request does not hold; `undefined`: it does. */
async function faultOf(
  log: TrustLog,
  grant: Grant | undefined,
  request: relay.Request,
): Promise<Sentence | undefined> {
  if (grant === undefined || broken(grant) !== undefined) return sentence("approval_fault_form");
  if (!equal(grant.tenant, log.tenant)) return sentence("approval_fault_customer");
  if (!(await signedByEngineer(log, grant, request))) return sentence("approval_fault_engineer");
  const server = hex(grant.agent);
  if (!log.agents.has(server) || server !== request.server) return sentence("approval_fault_server");
  if (!isChallengeOf(log, grant, request.challenge)) return sentence("approval_fault_challenge");
  return undefined;
}

/** The keys here that the log lets sign second now. */
async function secondSigners(
  log: TrustLog,
): Promise<{ readonly all: number; readonly able: readonly Signer[] }> {
  const now = Math.max(wallSecs(), log.newestClaim());
  const all = await signers(seat.account());
  const able = all.filter(({ id }) => (log.person(id, "approver")?.until ?? 0) >= now);
  return { all: all.length, able };
}

/** Those of them that are another person's than the engineer's. */
function others(log: TrustLog, grant: Grant, able: readonly Signer[]): readonly Signer[] {
  const engineer = log.people.get(hex(grant.engineer))?.key.person;
  return able.filter(({ id }) => log.people.get(hex(id))?.key.person !== engineer);
}

function hindranceOf(
  log: TrustLog,
  grant: Grant,
  request: relay.Request,
  mine: Awaited<ReturnType<typeof secondSigners>>,
): Sentence | undefined {
  if (request.account === seat.account()) return sentence("approval_own");
  if (mine.all === 0) return sentence("approval_no_key");
  if (mine.able.length === 0) return sentence("approval_not_yours");
  return others(log, grant, mine.able).length === 0 ? sentence("approval_own") : undefined;
}

async function wordsOf(hash: Bytes): Promise<string> {
  const known = sixWords.get(hex(hash)) ?? (await words(hash));
  sixWords.set(hex(hash), known);
  return known;
}

/** What of a request is the same whether it holds or not. */
function frameOf(log: TrustLog, request: relay.Request) {
  const { id, account, askedAt, expiresAt, by, endedAt, why } = request;
  const name = log.agents.get(request.server)?.name ?? request.server.slice(0, 12);
  return {
    id,
    state: STATES[request.state],
    account,
    server: { id: request.server, name },
    askedAt,
    expiresAt,
    mine: account === seat.account(),
    ...(by === undefined ? {} : { answeredBy: by }),
    ...(endedAt === undefined ? {} : { answeredAt: endedAt }),
    ...(why === undefined || why === "" ? {} : { sentence: why }),
  };
}

async function viewOf(
  log: TrustLog,
  request: relay.Request,
  mine: Awaited<ReturnType<typeof secondSigners>>,
  running: ReadonlySet<string>,
): Promise<Approval> {
  const grant = grantOf(request.grant);
  const hash = grantHash(request.grant);
  const waits = request.state === "waiting";
  const fault = waits ? await faultOf(log, grant, request) : undefined;
  const hindrance = waits && grant !== undefined ? hindranceOf(log, grant, request, mine) : undefined;
  const visit = hex(visitOf(hash));
  return {
    ...frameOf(log, request),
    ...(grant === undefined
      ? { engineer: "", scopes: [], seconds: 0, reason: "", ticket: "" }
      : saidBy(log, grant)),
    grant: hex(hash),
    // Nobody compares words of what is over.
    words: waits && fault === undefined ? await wordsOf(hash) : "",
    ...(hindrance === undefined ? {} : { hindrance }),
    ...(fault === undefined ? {} : { fault }),
    ...(request.state === "signed" && running.has(visit) ? { visit } : {}),
  };
}

/** What the grant's bytes say, with the log's name for the key that they name. */
function saidBy(log: TrustLog, grant: Grant) {
  return {
    engineer: log.people.get(hex(grant.engineer))?.key.person ?? fingerprintOf(grant.engineer),
    scopes: grant.scopes.map((one) => {
      const { kind, user = "" } = scopeOf(one);
      return { kind, user };
    }),
    seconds: grant.ttl_secs,
    reason: grant.reason,
    ticket: grant.ticket,
  };
}

/** Visits of which a stream is open, where a request could have become one. */
async function runningOf(requests: readonly relay.Request[]): Promise<ReadonlySet<string>> {
  const recent = requests.some(({ state, grant, endedAt = 0 }) => {
    const secs = state === "signed" ? grantOf(grant)?.ttl_secs : undefined;
    return secs !== undefined && endedAt + secs * 1000 > Date.now();
  });
  if (!recent) return new Set();
  return new Set((await runningVisits()).map(({ id }) => id));
}

async function list(): Promise<readonly Approval[]> {
  const { log } = seat.pinned();
  const [now, past, mine] = await Promise.all([relay.waiting(), relay.past(PAST_MAX), secondSigners(log)]);
  seen = now.seen;
  const running = await runningOf(past);
  return Promise.all([...now.requests, ...past].map((request) => viewOf(log, request, mine, running)));
}

async function changed(signal: AbortSignal): Promise<void> {
  const gone = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const known = seen;
  const news = async (): Promise<void> => {
    const asked = performance.now();
    const found = known === undefined ? undefined : await relay.waiting(known);
    // A relay that holds too many calls already, or none, answers at once.
    const early = performance.now() - asked < SOON_MS;
    if (found?.seen === known && early) await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  };
  await Promise.race([news(), gone]);
}

async function approve(id: string, shown: string): Promise<void> {
  const trust = seat.pinned();
  // An approver or a server that was added since this copy was fetched.
  await trust.sync();
  const { log } = trust;
  const request = await relay.request(id);
  if (request.state !== "waiting") throw new ConsoleError("approval_over");
  const hash = grantHash(request.grant);
  // Another grant under the same id may hold as well: what a person has read is what counts.
  if (hex(hash) !== shown) throw new ConsoleError("approval_changed");
  const grant = grantOf(request.grant);
  const fault = await faultOf(log, grant, request);
  if (fault !== undefined || grant === undefined) throw new ConsoleError(fault?.id ?? "approval_fault_form");
  const mine = await secondSigners(log);
  const hindrance = hindranceOf(log, grant, request, mine);
  const [key] = others(log, grant, mine.able);
  if (hindrance !== undefined || key === undefined) throw new ConsoleError(hindrance?.id ?? "approval_own");
  const { engineer, scopes, seconds, reason, ticket } = saidBy(log, grant);
  const user = [...new Set(scopes.map((one) => one.user))].filter((one) => one !== "").join(", ");
  const six = await wordsOf(hash);
  const signature = await key.sign(NAMESPACE_SECOND, request.grant, {
    what: { kind: "approve", engineer, user, scopes, seconds, reason, ticket, words: six },
    customer: log.name,
    server: frameOf(log, request).server,
  });
  await relay.sign(id, signature);
}

export const approvals: Approvals = {
  list,
  changed,
  approve,
  async deny(id, why) {
    const line = oneLine(why.replace(/\s+/g, " ").trim(), WHY_CHARS_MAX);
    await relay.deny(id, Array.from(line).slice(0, WHY_CHARS_MAX).join(""));
  },
  withdraw: (id) => relay.withdraw(id),
};
