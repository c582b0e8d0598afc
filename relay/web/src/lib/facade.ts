// What pages use of this library, and all that they use: types only. Never: a key, a secret or a socket in a page's
// hands, or code.
//
// Names of servers, people and customers, reasons and sentences are strangers' texts: they are shown as text. Every
// function that fails throws a `ConsoleError` whose id is a key of messages.en.json or, where only a later room meets it,
// of messages.rooms.en.json; `say` makes its words. Any function that speaks to the relay may throw `signed_out`,
// `relay_unreachable`, `relay_says_no`, `relay_odd` and `too_many_tries`; only what is special is named at a function.
// All times are milliseconds since 1970, all lengths of time seconds. Ids and hashes are hex in small letters.
//
// In six files: here who is signed in, the pinned customer and the whole; facade_access.ts accounts, set-up, joining;
// facade_checks.ts what servers found in their checks; facade_scans.ts the same of many; facade_metrics.ts what they
// measure; facade_sign.ts keys, the touch, the log and approvals; facade_visits.ts servers, shells, visits, the host's audit.

import type { Access, Joining, OwnAccount, People, Resetting, Setup } from "./facade_access";
import type { Checks } from "./facade_checks";
import type { Metrics } from "./facade_metrics";
import type { Scans } from "./facade_scans";
import type { Approvals, Book, KeyView, Policy, SigningKeys, TouchHook } from "./facade_sign";
import type { AuditLog, Fleet, OpenShell, Server, Shell, Visits } from "./facade_visits";

export type * from "./facade_access";
export type * from "./facade_checks";
export type * from "./facade_metrics";
export type * from "./facade_scans";
export type * from "./facade_sign";
export type * from "./facade_visits";

/** Who is signed in. */
export interface Me {
  readonly account: string;
  /** May invite people, remove accounts and make install tokens. No power on any server. */
  readonly admin: boolean;
  /**
   * `null`: the customer has no trust log yet. An admin goes on with set-up then. The name is the relay's word; the
   * log's own is in `TrustView`.
   */
  readonly tenant: { readonly id: string; readonly name: string } | null;
}

export interface Api {
  /** Throws `signed_out` when nobody is signed in, `setup_earlier` once: see `Setup.finish`. */
  me(): Promise<Me>;
  /**
   * Signs in; `me` is known then. Throws `sign_in_refused` (account or password, never said which), `code_needed` (the
   * password is right and the account has a second step: ask for the code and call again with it), `code_refused` (wrong,
   * used or old), `account_differs`.
   */
  login(account: string, password: string, second?: SecondStep): Promise<void>;
  logout(): Promise<void>;
  /** All of the customer's servers; pages ask every few seconds. */
  servers(): Promise<Server[]>;
}

/** The second step of a sign-in by password: six digits of an authenticator, or one of the codes kept for its loss. */
export type SecondStep = { readonly totp: string } | { readonly recovery: string };

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
  readonly recovery: KeyView;
  readonly policy: Policy;
}

export interface PersonView extends KeyView {
  readonly role: "engineer" | "approver";
  /** Last moment. */
  readonly until: number;
}

export interface Trust {
  /** `none`: nothing is pinned in this browser; nothing can be opened. */
  state(): "none" | "pinned";
  /** The six words of the pinned customer, for showing them. */
  words(): Promise<string>;
  /**
   * Fetches the log, verifies it from its first entry on, and pins it when the words (or the hash in hex) match. Throws
   * `six_words_wrong`, `six_words_count`, `six_words_differ`, `trust_empty`, `trust_refused`.
   */
  pin(sixWords: string): Promise<void>;
  /** Fetches what is new and verifies it. Throws `trust_fork`, `trust_rollback`, `trust_refused`. */
  refresh(): Promise<void>;
  /** Throws `trust_none` before `pin`. */
  log(): TrustView;
}

/**
 * Everything that pages use, so that they can be tried with another one. Who each part is for: `access`, `setup`,
 * `joining` and `resetting` for whoever is not signed in yet; `people` for admins; all else for everybody who is signed in.
 */
export interface Facade {
  readonly api: Api;
  readonly trust: Trust;
  /**
   * Opens a visit and its first shell. Signs with `wish.key`, else with the best key that the log trusts (a passkey
   * before a device key). Throws `device_not_trusted`, `touch_declined`, `passkey_cancelled`, `second_denied`,
   * `nobody_signed`, `cancelled` (by `wish.signal`), `not_that_server`, `refusal_…`. Nothing was started then.
   */
  openShell(wish: OpenShell): Promise<Shell>;
  /** Takes up again the shells that this browser has open on a server, after a reload. */
  resumeShells(server: Server): Promise<Shell[]>;
  readonly access: Access;
  readonly setup: Setup;
  readonly joining: Joining;
  readonly resetting: Resetting;
  readonly account: OwnAccount;
  readonly people: People;
  readonly keys: SigningKeys;
  readonly book: Book;
  readonly approvals: Approvals;
  readonly fleet: Fleet;
  readonly visits: Visits;
  readonly audit: AuditLog;
  readonly checks: Checks;
  readonly metrics: Metrics;
  readonly scans: Scans;
  /** Installs the one question before each signature by passkey; pages do it once, at the start. */
  onTouch(ask: TouchHook): void;
}
