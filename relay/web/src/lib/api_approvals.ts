// The relay's calls about second signatures: who asks, who answered. What a request means stands in its signed bytes and is
// read in approvals.ts. Never: a state that is believed about a signature.

import {
  array,
  bytes,
  call,
  type Json,
  number,
  object,
  odd,
  RelayError,
  said,
  string,
  WAIT_SECS,
} from "./api";
import { type Bytes, base64url } from "./bytes";
import { ConsoleError, type MessageId } from "./errors";

const STATES = ["waiting", "signed", "denied", "withdrawn", "expired"] as const;

/** A request as the relay has it. Times are milliseconds since 1970. */
export interface Request {
  readonly id: string;
  readonly server: string;
  readonly account: string;
  readonly grant: Bytes;
  /** Missing in lists of what is over. */
  readonly signature: Bytes | undefined;
  readonly challenge: Bytes | undefined;
  readonly askedAt: number;
  readonly expiresAt: number;
  readonly state: (typeof STATES)[number];
  readonly second: Bytes | undefined;
  /** The account that signed, denied or withdrew it. */
  readonly by: string | undefined;
  readonly endedAt: number | undefined;
  /** Why it was denied. */
  readonly why: string | undefined;
}

/** What is asked for. */
export interface Wish {
  readonly server: string;
  readonly grant: Bytes;
  readonly signature: Bytes;
  readonly challenge: Bytes;
  readonly validSecs: number;
}

/** A field that is absent, `null`, or something. */
function maybe<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === null || value === undefined ? undefined : read(value);
}

function requestOf(found: unknown): Request {
  const line = object(found, "approval");
  const second = maybe(line.second, (value) => bytes(value, "signature"));
  return {
    id: string(line.id, "approval id"),
    server: string(line.server, "server id").toLowerCase(),
    account: said(line.account),
    grant: bytes(line.grant, "grant"),
    signature: maybe(line.signature, (value) => bytes(value, "signature")),
    challenge: maybe(line.challenge, (value) => bytes(value, "challenge")),
    askedAt: number(line.created_at, "created_at") * 1000,
    expiresAt: number(line.expires_at, "expires_at") * 1000,
    state: stateOf(line, second),
    second,
    by: maybe(line.by ?? line.second_by, (value) => string(value, "by")),
    endedAt: maybe(line.ended_at, (value) => number(value, "ended_at") * 1000),
    why: maybe(line.why, (value) => string(value, "why")),
  };
}

function stateOf({ state }: Json, second: Bytes | undefined): Request["state"] {
  // An older relay says no state: what has no signature there waits.
  if (state === undefined) return second === undefined ? "waiting" : "signed";
  return STATES.find((one) => one === state) ?? odd("approval state");
}

/** Asks for a second signature; returns the request's id. */
export async function ask(wish: Wish): Promise<string> {
  const answer = await call("POST", "/api/v1/approvals", {
    server: wish.server,
    grant: base64url(wish.grant),
    signature: base64url(wish.signature),
    challenge: base64url(wish.challenge),
    valid_secs: wish.validSecs,
  });
  return string(object(answer, "approval").id, "approval id");
}

function path(id: string, rest = ""): string {
  return `/api/v1/approvals/${encodeURIComponent(id)}${rest}`;
}

/** A request as it stands; with `wait`, once it waits no more, or after a while. */
export async function request(id: string, wait = false): Promise<Request> {
  const held = wait ? { byItself: true, heldSecs: WAIT_SECS } : {};
  return requestOf(await call("GET", path(id, wait ? `?wait=${WAIT_SECS}` : ""), undefined, held));
}

/** Requests that wait, and what this list is known by. */
export interface WaitingList {
  readonly requests: readonly Request[];
  /** Missing: an older relay holds no call. */
  readonly seen: string | undefined;
}

/** Those that wait, oldest first; with `seen`, once the list differs from that one, or after a while. */
export async function waiting(seen?: string): Promise<WaitingList> {
  const query = seen === undefined ? "" : `?wait=${WAIT_SECS}&seen=${encodeURIComponent(seen)}`;
  const manner = { byItself: true, heldSecs: seen === undefined ? 0 : WAIT_SECS };
  const answer = object(await call("GET", `/api/v1/approvals${query}`, undefined, manner), "approvals");
  return {
    requests: array(answer.approvals, "approvals").map(requestOf),
    seen: maybe(answer.seen, (value) => string(value, "seen")),
  };
}

/** Those that are over, newest first, at most `count`. */
export async function past(count: number): Promise<Request[]> {
  const all: Request[] = [];
  for (let more = true; more && all.length < count; ) {
    const last = all.at(-1)?.id;
    const query = last === undefined ? "" : `?before=${encodeURIComponent(last)}`;
    const found = await call("GET", `/api/v1/approvals/past${query}`, undefined, { byItself: true });
    const answer = object(found, "approvals");
    const page = array(answer.approvals, "approvals").map(requestOf);
    all.push(...page);
    more = answer.more === true && page.length > 0;
  }
  return all.slice(0, count);
}

/** The relay's refusals that have sentences here. */
const PROBLEMS: ReadonlyMap<string, MessageId> = new Map([
  ["approval-over", "approval_over"],
  ["unknown", "approval_over"],
  ["not-second", "not_second"],
]);

async function answering(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const id = error instanceof RelayError ? PROBLEMS.get(error.code) : undefined;
    throw id === undefined ? error : new ConsoleError(id);
  }
}

/** Delivers a second signature. Throws `approval_over`, `not_second`. */
export function sign(id: string, signature: Bytes): Promise<void> {
  return answering(call("POST", path(id, "/signature"), { signature: base64url(signature) }));
}

/** Says no. Throws `approval_over`. */
export function deny(id: string, why: string): Promise<void> {
  return answering(call("POST", path(id, "/denial"), why === "" ? {} : { why }));
}

/** Takes a request back. Throws `approval_over`. */
export function withdraw(id: string): Promise<void> {
  return answering(call("DELETE", path(id)));
}
