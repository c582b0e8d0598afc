// What grants that went through the relay for a second signature say about visits: as whom, why, until when.
//
// Their bytes are shown, not believed: what may be signed is checked in approvals.ts. Never: asked for more than now and then.

import * as relay from "./api_approvals";
import { hex } from "./bytes";
import { type Grant, grantHash, readGrant, scopeOf } from "./grant";
import { visitOf } from "./ids";
import { PackError } from "./pack";

/** How old the copy may be when something in it is missed. */
const OLD_MS = 15_000;
/** Requests that are looked through. */
const REQUESTS = 100;

/** A grant that was signed by two. */
export interface SeenGrant {
  /** Visit in hexadecimal. */
  readonly visit: string;
  readonly server: string;
  readonly account: string;
  readonly users: readonly string[];
  readonly reason: string;
  readonly ticket: string;
  readonly askedAt: number;
  readonly endsAt: number;
  readonly second: string | undefined;
}

let copy: readonly SeenGrant[] = [];
let copiedAt = Number.NEGATIVE_INFINITY;

/** Reads a grant's bytes; `undefined` when they are none. */
export function grantOf(bytes: Uint8Array<ArrayBuffer>): Grant | undefined {
  try {
    return readGrant(bytes);
  } catch (error) {
    if (error instanceof PackError) return undefined;
    throw error;
  }
}

function seen(request: relay.Request): SeenGrant | undefined {
  const grant = request.state === "signed" ? grantOf(request.grant) : undefined;
  if (grant === undefined) return undefined;
  const users = grant.scopes.flatMap((scope) => scopeOf(scope).user ?? []);
  return {
    visit: hex(visitOf(grantHash(request.grant))),
    server: request.server,
    account: request.account,
    users: [...new Set(users)],
    reason: grant.reason,
    ticket: grant.ticket,
    askedAt: request.askedAt,
    endsAt: (request.endedAt ?? request.askedAt) + grant.ttl_secs * 1000,
    second: request.by,
  };
}

/** The newest ones. `missed`: something is not in the copy that we have. */
export async function seenGrants(
  missed: (copy: readonly SeenGrant[]) => boolean,
): Promise<readonly SeenGrant[]> {
  if (missed(copy) && performance.now() - copiedAt > OLD_MS) {
    copiedAt = performance.now();
    copy = (await relay.past(REQUESTS)).flatMap((request) => seen(request) ?? []);
  }
  return copy;
}
