// What pages use for accounts at the relay: signing in, the first run, joining by invitation, one's own account, other
// people's. Types only. An account sees servers; it gives no power on any of them: that is facade_sign.ts.

import type { SavedFile } from "./facade_sign";
import type { InstallCommand } from "./facade_visits";

/** The ways in that this relay and this browser have. */
export interface Ways {
  readonly password: boolean;
  /** The relay takes passkeys from this page; whether this browser can is `passkeys`. */
  readonly passkey: boolean;
  /** Providers by the names that the operator gave them. */
  readonly providers: readonly Provider[];
  /** Nobody has an account yet: the link in the relay's log begins the first. */
  readonly setupOpen: boolean;
  /** The place where passkeys are missing is a page inside another application: its name if known, else "". */
  readonly inside?: string;
}

export interface Provider {
  readonly id: string;
  /** A stranger's text. */
  readonly name: string;
}

/** Signing in, for whoever is not signed in. `Api.login` is the way by password. */
export interface Access {
  ways(): Promise<Ways>;
  /** Whether this browser can use passkeys at all (WebAuthn with user verification). Never throws. */
  passkeys(): Promise<boolean>;
  /** Signs in by passkey. Throws `passkey_cancelled`, `passkey_unknown`, `account_gone`. */
  passkey(): Promise<void>;
  /**
   * Goes to a provider; the page is left. It comes back to `#/servers`, or to the hash that was there before. Throws
   * `oidc_away` when the provider cannot be reached.
   */
  provider(id: string): Promise<void>;
  /**
   * Why a way through a provider that just came back did not work, once: `oidc_refused`, `oidc_no_account`,
   * `oidc_stale`. `undefined`: there was none, or it worked.
   */
  returned(): Error | undefined;
}

/** How an account will sign in. */
export type Way = { readonly passkey: true } | { readonly password: string };

/** What a one-time link of a fresh relay allows. */
export interface SetupOffer {
  /** How the relay calls itself. */
  readonly relay: string;
  /** A device key may be the owner's signing key, for a trial. */
  readonly deviceAllowed: boolean;
}

/**
 * The first run of a relay, for its owner: `look` → `begin` → `makeKey` → the person saves the file → `finish`, which
 * brings the install command. After `begin` somebody is signed in whose `me().tenant` is `null`, so a reload goes on at
 * `makeKey`; after `finish` there is a customer without servers, and a reload makes another command (`Fleet.install`).
 */
export interface Setup {
  /**
   * Throws `setup_wrong` (no such code), `setup_used` (it was used, or is too old). Uses nothing up. "": the set-up that
   * the signed-in account began and has not finished.
   */
  look(code: string): Promise<SetupOffer>;
  /**
   * Uses the code up: the owner's account, named `account`, and the customer at the relay, and signs in. A passkey asks
   * the browser. Throws `setup_used`, `passkey_cancelled`, `passkey_missing`, `name_taken`, `password_weak`.
   */
  begin(code: string, wish: { account: string; customer: string; way: Way }): Promise<void>;
  /**
   * Makes the owner's signing key and a recovery key. Nothing is signed or sent. The recovery key's private half is in
   * the file and, until `finish` or a reload, in memory; nowhere else. Called again: a new recovery key, and the signing
   * key of before if it is of the same kind. Throws `passkey_cancelled`, `passkey_missing`.
   */
  makeKey(kind: "passkey" | "device"): Promise<SavedFile>;
  /**
   * Delivers and pins the log's first entry, which trusts the key of `makeKey` as root, engineer and approver and holds an
   * install token. Signed by the recovery key, which is in memory still, or by the new key (by passkey: the touch, `what`
   * is `genesis`). May be called again: it sends the same entry. After a reload nothing is sent unasked: an entry that
   * stands at the relay is pinned by `me()`, and otherwise the set-up begins at `makeKey`. Throws `touch_declined`,
   * `passkey_cancelled`, `log_moved` (somebody else has begun a log), `setup_earlier` (an entry of an earlier try stands
   * there and is pinned; its file counts).
   */
  finish(token: { label: string; uses: number; seconds: number }): Promise<InstallCommand>;
}

/** What an invitation says. The customer comes from the link itself, not from the relay. */
export interface Invitation {
  readonly customer: string;
  /** Who invites, as the relay has it. */
  readonly by: string;
  /** The account's name that was proposed, or "". */
  readonly account: string;
  /** What the person is meant to do. */
  readonly role: "engineer" | "approver" | "admin";
  readonly expiresAt: number;
  readonly deviceAllowed: boolean;
}

/** Joining a customer by somebody's link, for whoever has no account yet. */
export interface Joining {
  /** Throws `invitation_wrong`, `invitation_over` (used, withdrawn or too old). Uses nothing up. */
  look(token: string): Promise<Invitation>;
  /**
   * Uses the link up: makes the account, signs in, and pins the customer whose hash is in the link. Throws
   * `invitation_over`, `name_taken`, `password_weak`, `passkey_cancelled`, `passkey_missing`, `six_words_differ` (the
   * relay shows another customer than the link: nothing was pinned).
   */
  begin(token: string, wish: { account: string; way: Way }): Promise<void>;
  /** Shows a key of this account to whoever may let it in; `Candidate` at their side. Repeating it changes nothing. */
  offer(key: string): Promise<void>;
}

/** A way in again by a link that `People.reset` made, for whoever has none. Keys that sign on servers stay as they are. */
export interface Resetting {
  /** Whose account it is, and whether a passkey can be the way. Throws `reset_over`. Uses nothing up. */
  look(code: string): Promise<{ readonly account: string; readonly passkey: boolean }>;
  /**
   * Uses the link up: this is the account's one way in from now on, and it is signed in here. `account`: as `look` said.
   * Throws `reset_over` (used, replaced or too old), `reset_perhaps` (an answer was lost, or this page has used it),
   * `password_weak`, `passkey_cancelled`, `passkey_missing`. Called again once the password is set: it only signs in.
   */
  finish(code: string, wish: { account: string; way: Way }): Promise<void>;
}

/** A passkey for signing in. It never signs anything on a server. */
export interface SignInKey {
  readonly id: string;
  readonly label: string;
  readonly madeAt: number;
  readonly usedAt?: number;
}

/** A sign-in of this account that still counts. */
export interface SignedIn {
  readonly id: string;
  /** This very one. */
  readonly current: boolean;
  /** What the browser or program calls itself, cut: a stranger's text. */
  readonly client: string;
  readonly address: string;
  readonly since: number;
  readonly seenAt: number;
}

/** One's own account at the relay. */
export interface OwnAccount {
  passkeys(): Promise<readonly SignInKey[]>;
  /** Throws `passkey_cancelled`, `passkey_missing`. */
  addPasskey(label: string): Promise<void>;
  /** Throws `last_way` when nobody could sign in any more. */
  removePasskey(id: string): Promise<void>;
  /** Whether there is a password, and whether its second step is on. */
  password(): Promise<{ readonly set: boolean; readonly totp: boolean; readonly codesLeft: number }>;
  /** `current` is "" where there is none yet. Ends all other sign-ins. Throws `sign_in_refused`, `password_weak`. */
  changePassword(current: string, next: string): Promise<void>;
  /** A secret to put into an authenticator: Base32, and the same as `otpauth:` address. Counts only after `finishTotp`. */
  beginTotp(): Promise<{ readonly secret: string; readonly address: string }>;
  /** Turns it on. Returns recovery codes, which are shown this once. Throws `code_refused`. */
  finishTotp(code: string): Promise<readonly string[]>;
  /** Throws `code_refused`. */
  endTotp(second: string): Promise<void>;
  /** Newest first. */
  signIns(): Promise<readonly SignedIn[]>;
  endSignIn(id: string): Promise<void>;
  /** All but this one. */
  endOtherSignIns(): Promise<void>;
}

/** An account at the relay. */
export interface AccountView {
  readonly name: string;
  readonly admin: boolean;
  readonly ways: readonly ("password" | "totp" | "passkey" | "provider")[];
  readonly madeAt: number;
  readonly seenAt?: number;
}

/** A link that nobody has used yet. */
export interface InvitationView {
  readonly id: string;
  readonly account: string;
  readonly role: Invitation["role"];
  readonly by: string;
  readonly expiresAt: number;
}

/** Accounts at the relay, for admins; others get `not_admin`. */
export interface People {
  accounts(): Promise<readonly AccountView[]>;
  /** The account and its sign-ins end at once. What its keys may sign is the log's affair. Throws `last_admin`. */
  remove(name: string): Promise<void>;
  /**
   * Takes every way in from an account and ends its sign-ins. Returns the whole link, `#/reset/…`, shown this once: whoever
   * opens it first gives the account a way in.
   */
  reset(name: string): Promise<{ readonly link: string; readonly expiresAt: number }>;
  invitations(): Promise<readonly InvitationView[]>;
  /** Returns the whole link, `#/join/…`, shown this once; the customer's hash is in it. */
  invite(wish: {
    account: string;
    role: Invitation["role"];
    seconds: number;
  }): Promise<{ readonly link: string; readonly expiresAt: number }>;
  withdraw(invitation: string): Promise<void>;
}
