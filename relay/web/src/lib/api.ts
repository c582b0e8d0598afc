// The relay's HTTP API, by cookie: who is signed in, which servers are reachable, the trust log.
//
// What comes back is parsed at this edge. Never: believed about a key, a grant or a server's identity; those come from
// the trust log alone.

import { type Bytes, unbase64url } from "./bytes";
import { ConsoleError, type MessageId, oneLine } from "./errors";
import { parseId } from "./ids";
import { outside } from "./outside";
import type { Head } from "./trust";

const CALL_MS = 20_000;
/** Longest time that the relay holds a call that waits for news. */
export const WAIT_SECS = 25;
const SAID_CHARS_MAX = 800;

/** A call that did not work. `mayPass`: the same one may work a moment later. */
export class RelayError extends ConsoleError {
  /** The relay's own code, if it gave one. */
  readonly code: string = "";
  /** Its whole answer: some codes come with values. */
  readonly problem: Json = {};

  constructor(
    readonly mayPass: boolean,
    ...said: ConstructorParameters<typeof ConsoleError>
  ) {
    super(...said);
  }

  /** The same with the relay's code and answer. */
  coded(code: string, problem: Json): RelayError {
    return Object.assign(this, { code, problem });
  }
}

export type Json = Readonly<Record<string, unknown>>;

export function odd(what: string): never {
  throw new RelayError(false, "relay_odd", what);
}

export function object(value: unknown, what: string): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : odd(what);
}

export function array(value: unknown, what: string): readonly unknown[] {
  return Array.isArray(value) ? value : odd(what);
}

export function string(value: unknown, what: string): string {
  return typeof value === "string" ? value : odd(what);
}

export function number(value: unknown, what: string): number {
  return typeof value === "number" && Number.isSafeInteger(value) ? value : odd(what);
}

export function bytes(value: unknown, what: string): Bytes {
  return unbase64url(string(value, what)) ?? odd(what);
}

/** Text that an older relay may not send. */
export function said(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** What is special about a call. */
export interface Manner {
  /** The page asks by itself, by a timer: that keeps no sign-in alive that nobody uses. */
  readonly byItself?: boolean;
  /** For how long the relay may hold it until there is news. */
  readonly heldSecs?: number;
}

function headers(manner: Manner = {}): Record<string, string> {
  return {
    Accept: "application/json",
    "Accept-Language": outside.language(),
    "X-Cloud-Doctor": "console",
    ...(manner.byItself ? { "X-Cloud-Doctor-By-Itself": "yes" } : {}),
  };
}

/** Calls the relay. Throws `RelayError`. */
export async function call(method: string, path: string, body?: Json, manner: Manner = {}): Promise<unknown> {
  const init: RequestInit = {
    method,
    headers: headers(manner),
    signal: AbortSignal.timeout(CALL_MS + (manner.heldSecs ?? 0) * 1000),
  };
  if (body !== undefined) {
    init.headers = { ...init.headers, "Content-Type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const [response, text] = await exchange(async () => {
    const found = await outside.fetch(outside.origin() + path, init);
    return [found, await found.text()];
  });
  if (!response.ok) throw problem(response.status, text);
  return text === "" ? null : parse(text);
}

/** Asks for what is no JSON; the caller reads it. Throws `RelayError`. */
export function reach(path: string, heldSecs: number): Promise<Response> {
  const signal = AbortSignal.timeout(CALL_MS + heldSecs * 1000);
  return exchange(() =>
    outside.fetch(outside.origin() + path, { method: "GET", headers: headers(), signal }),
  );
}

async function exchange<T>(made: () => Promise<T>): Promise<T> {
  try {
    return await made();
  } catch {
    // Browsers have one sentence for all of it, and that in English.
    throw new RelayError(true, "relay_unreachable");
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return odd("JSON");
  }
}

/** The relay's codes that have sentences here. */
const PROBLEMS: ReadonlyMap<string, MessageId> = new Map([
  ["wrong-login", "sign_in_refused"],
  ["limited", "too_many_tries"],
  ["code-needed", "code_needed"],
  ["wrong-code", "code_refused"],
  ["wrong-passkey", "passkey_unknown"],
  ["passkey-known", "passkey_known"],
  ["sign-in-again", "sign_in_again"],
  ["last-way-in", "last_way"],
  ["not-admin", "not_admin"],
  ["name-taken", "name_taken"],
  ["weak-password", "password_weak"],
  ["set-up-code", "setup_wrong"],
  ["set-up-closed", "setup_used"],
  ["join", "invitation_over"],
  ["join-over", "key_not_shown"],
]);

/** An RFC 9457 answer as an error. */
export function problem(status: number, text: string): RelayError {
  let told: Json = {};
  try {
    told = object(JSON.parse(text), "problem");
  } catch {
    // A proxy's own page: the status has to do.
  }
  const code = said(told.code);
  const known = PROBLEMS.get(code);
  if (known !== undefined) return new RelayError(status === 429, known).coded(code, told);
  if (status === 401) return new RelayError(false, "signed_out");
  const sentences = [told.title, told.detail, told.remedy].map(said).filter((one) => one !== "");
  const words = oneLine(sentences.join(" ") || String(status), SAID_CHARS_MAX);
  return new RelayError(status >= 500 || status === 429, "relay_says_no", words).coded(code, told);
}

/** Who is signed in, as the relay has it. */
export interface Account {
  readonly account: string;
  readonly admin: boolean;
  readonly tenantName: string;
  /** Hash of the log's first entry, once there is one. */
  readonly tenant: Bytes | undefined;
}

export async function me(): Promise<Account> {
  const answer = object(await call("GET", "/api/v1/me"), "me");
  const tenant = object(answer.tenant, "tenant");
  return {
    account: string(answer.account, "account"),
    admin: answer.role === "admin",
    tenantName: said(tenant.name),
    tenant: typeof tenant.id === "string" ? parseId(tenant.id, 32) : undefined,
  };
}

/** `code`: of the second step, where there is one. */
export async function login(account: string, password: string, code?: string): Promise<void> {
  await call("POST", "/api/v1/login", {
    account,
    password,
    browser: true,
    ...(code === undefined ? {} : { code }),
  });
}

export async function logout(): Promise<void> {
  await call("POST", "/api/v1/logout", {});
}

/** A server as the relay sees it. Names and keys come from the trust log. */
export interface ServerLine {
  readonly id: string;
  readonly hostname: string;
  readonly os: string;
  readonly build: string;
  readonly lastSeenAt: number | undefined;
  readonly online: { readonly since: number; readonly rttMs: number } | undefined;
  readonly labels: readonly string[];
  /** How many accounts are there now. */
  readonly here: number;
}

export async function servers(): Promise<ServerLine[]> {
  const answer = object(await call("GET", "/api/v1/servers", undefined, { byItself: true }), "servers");
  return array(answer.servers, "servers").map((line) => server(object(line, "server")));
}

function server(line: Json): ServerLine {
  const online = line.online;
  const since = typeof online === "object" && online !== null ? object(online, "online") : undefined;
  return {
    id: string(line.id, "server id").toLowerCase(),
    hostname: said(line.hostname),
    os: said(line.os),
    build: said(line.build),
    lastSeenAt: typeof line.last_seen_at === "number" ? line.last_seen_at * 1000 : undefined,
    online: since && {
      since: number(since.since, "since") * 1000,
      rttMs: typeof since.rtt_ms === "number" ? since.rtt_ms : 0,
    },
    labels: Array.isArray(line.labels) ? line.labels.map(said) : [],
    here: typeof line.here === "number" ? line.here : 0,
  };
}

/** A page of the trust log. `head`: the newest entry that the relay has. */
export interface LogPage {
  readonly head: Head | undefined;
  readonly entries: Bytes[];
}

export async function logPage(from: number): Promise<LogPage> {
  // Whoever needs the log does something else with it: fetching it is nobody's use of the page.
  const found = await call("GET", `/api/v1/trust-log?from=${from}`, undefined, { byItself: true });
  const answer = object(found, "trust log");
  const head = answer.head;
  const entries = array(answer.entries ?? [], "entries").map((entry) => bytes(entry, "entry"));
  if (head === null || head === undefined) return { head: undefined, entries };
  const place = object(head, "head");
  const hash = parseId(string(place.hash, "hash"), 32) ?? odd("hash");
  return { head: { seq: number(place.seq, "seq"), hash }, entries };
}

/** A one-time ticket for one stream: a socket carries no header of ours. */
export async function ticket(manner: Manner = {}): Promise<string> {
  const answer = object(await call("POST", "/api/v1/stream-tickets", undefined, manner), "ticket");
  const made = string(answer.ticket, "ticket");
  return /^[A-Za-z0-9_-]{1,128}$/.test(made) ? made : odd("ticket");
}
