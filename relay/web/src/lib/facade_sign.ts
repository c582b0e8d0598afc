// What pages use for signing: one's keys, the question before a touch, the customer's log of keys, approvals. Types only.

import type { Sentence } from "./errors";

/** `passkey` signs with a touch and a check of the person; `device` is a browser's key, without a touch. */
export type KeyKind = "ssh" | "device" | "passkey";

/** A key as others see it. */
export interface KeyView {
  /** Who holds it. */
  readonly name: string;
  /** `SHA256:…` */
  readonly fingerprint: string;
  readonly kind: KeyKind;
}

/** A signing key of the account that is signed in. Never one for signing in. */
export interface OwnKey {
  /** Key id. */
  readonly id: string;
  readonly kind: KeyKind;
  /** What its owner calls it. */
  readonly label: string;
  readonly fingerprint: string;
  /** One line for `tenant engineer add`, where a root works on the command line. */
  readonly openssh: string;
  /** Six words for it, to compare when somebody lets it in. */
  readonly words: string;
  /** It can sign in this browser now. Passkeys that are synchronised are here everywhere. */
  readonly here: boolean;
  readonly madeAt?: number;
  /** What the log trusts it for: last moments; `root`: may change the log. */
  readonly trusted: { readonly engineer?: number; readonly approver?: number; readonly root: boolean };
}

export interface SigningKeys {
  /** Those of this account, the one that would sign first. */
  list(): Promise<readonly OwnKey[]>;
  /** Throws `passkey_missing` (not in this browser), `passkey_cancelled`. */
  makePasskey(label: string): Promise<OwnKey>;
  /** This browser's own key; the one that is there if there is one. */
  makeDevice(): Promise<OwnKey>;
  /** Forgets a key here and at the relay. The log may still trust it: that is `Book.sign`. */
  forget(id: string): Promise<void>;
}

/** A text for the person to keep; the page saves it as a file. */
export interface SavedFile {
  readonly name: string;
  readonly text: string;
}

/** What a touch will sign. Every value is what will really be signed, never what the relay says about it. */
export type TouchWhat =
  | {
      readonly kind: "visit";
      readonly user: string;
      readonly seconds: number;
      readonly reason: string;
      readonly ticket: string;
    }
  | {
      readonly kind: "approve";
      /** Who will work there: the name in the log. */
      readonly engineer: string;
      /** Of all scopes, with commas. */
      readonly user: string;
      readonly seconds: number;
      /** What may be done there: a shell, a command, or only a look. */
      readonly scopes?: Approval["scopes"];
      readonly reason: string;
      readonly ticket: string;
      readonly words: string;
    }
  | { readonly kind: "watch"; readonly engineer: string; readonly user: string; readonly seconds: number }
  | { readonly kind: "end"; readonly engineer: string; readonly user: string; readonly reason: string }
  | { readonly kind: "audit"; readonly seconds: number; readonly reason: string }
  | { readonly kind: "log"; readonly entry: EntryWhat };

/** A signature by passkey that is about to be asked for. */
export interface Touch {
  readonly what: TouchWhat;
  readonly customer: string;
  /** Missing: it is about no single server. */
  readonly server?: { readonly id: string; readonly name: string };
  /** Which key will sign. */
  readonly key: { readonly label: string; readonly fingerprint: string };
  /** Settles, never fails, when the signature is made or given up: the dialogue goes then. */
  readonly over: Promise<unknown>;
}

/**
 * The one question before a passkey signs. `true`: ask the browser at once, without waiting for anything else in between,
 * since browsers want the click fresh. `false`: the caller throws `touch_declined`. One at a time; the library queues.
 * Never called for device keys.
 */
export type TouchHook = (touch: Touch) => Promise<boolean>;

/** Rules of the customer for all servers; the stricter of these and a server's ceiling wins. */
export interface Policy {
  /** Longest visit; missing: the ceilings decide. */
  readonly seconds?: number;
  /** Users whose shells need a second signature everywhere. */
  readonly secondFor: readonly string[];
  /** Users that nobody becomes anywhere. */
  readonly never: readonly string[];
}

/** What an entry of the log says, in plain values; the page makes the sentence. */
export type EntryWhat =
  | {
      readonly kind: "genesis";
      readonly customer: string;
      readonly roots: readonly KeyView[];
      readonly recovery: KeyView;
    }
  | { readonly kind: "add-root"; readonly key: KeyView }
  | { readonly kind: "remove-root"; readonly key: KeyView }
  | { readonly kind: "replace-roots"; readonly roots: readonly KeyView[] }
  | {
      readonly kind: "add-person";
      readonly key: KeyView;
      readonly role: "engineer" | "approver";
      readonly until: number;
      /** The key is listed as a person's already, and was not removed. */
      readonly renewed: boolean;
    }
  | { readonly kind: "remove-person"; readonly key: KeyView }
  | { readonly kind: "enrol-batch"; readonly note: string; readonly until: number; readonly uses: number }
  | { readonly kind: "add-server"; readonly name: string; readonly id: string }
  | { readonly kind: "remove-server"; readonly name: string; readonly id: string }
  | { readonly kind: "rename-server"; readonly name: string; readonly before: string; readonly id: string }
  | {
      readonly kind: "label-server";
      readonly name: string;
      readonly labels: readonly string[];
      readonly id: string;
    }
  | ({ readonly kind: "sign-ahead" } & AheadView)
  /** Missing: the log does not have it any more. */
  | { readonly kind: "end-ahead"; readonly seq: number; readonly what?: AheadView }
  | { readonly kind: "set-policy"; readonly policy: Policy };

/** A second signature that was given ahead: for one key, on one server, from when to when. */
export interface AheadView {
  readonly server: { readonly id: string; readonly name: string };
  readonly engineer: KeyView;
  readonly scopes: Approval["scopes"];
  readonly from: number;
  readonly until: number;
  readonly note: string;
}

/** One that still counts, or will. */
export interface StandingAhead extends AheadView {
  /** Number of its entry. */
  readonly seq: number;
  /** Who signed it, by the name in the log. */
  readonly by: string;
}

/** A verified entry. */
export interface EntryView {
  readonly seq: number;
  /** By its signer's clock. */
  readonly at: number;
  /** Short hash. */
  readonly hash: string;
  /** Who signed: a root, the recovery key, or an install token (its note is the name). */
  readonly by: { readonly kind: "root" | "recovery" | "token"; readonly name: string };
  readonly what: EntryWhat;
}

/** A change of the log that a page wishes for. */
export type Change =
  | { readonly kind: "rename-server"; readonly server: string; readonly name: string }
  /** All of its labels; at most 16, each 1 to 64 characters without blanks or commas. */
  | { readonly kind: "label-server"; readonly server: string; readonly labels: readonly string[] }
  | { readonly kind: "remove-server"; readonly server: string }
  /** Lets a candidate's key in, or renews a listed one (`key` is its fingerprint). */
  | {
      readonly kind: "add-person";
      readonly key: string;
      readonly name: string;
      readonly role: "engineer" | "approver";
      readonly until: number;
    }
  | { readonly kind: "remove-person"; readonly key: string }
  /** By an approver's or root's key: a visit as these users needs no second signature within these hours. */
  | {
      readonly kind: "sign-ahead";
      readonly server: string;
      /** Fingerprint of the engineer's key. */
      readonly engineer: string;
      readonly users: readonly string[];
      readonly from: number;
      readonly until: number;
      readonly note: string;
    }
  | { readonly kind: "end-ahead"; readonly seq: number }
  | { readonly kind: "set-policy"; readonly policy: Policy };

/** Somebody whose account has a key that the log does not know yet. */
export interface Candidate {
  readonly account: string;
  /** Fingerprint. */
  readonly key: string;
  readonly kind: KeyKind;
  /** Six words for the key: both compare them, since the relay could show another key. */
  readonly words: string;
  readonly role: "engineer" | "approver";
  readonly since: number;
}

/** The customer's log, for reading it and, with a root key, changing it. */
export interface Book {
  /** The verified entries, newest first. Throws `trust_none`. */
  history(): Promise<readonly EntryView[]>;
  /** Whether a root key of this account can sign in this browser. Where not, pages show `command`. */
  mayWrite(): Promise<boolean>;
  /** The command line that does the same on a computer that has a root key. `{0}` never stands in it. */
  command(change: Change): string;
  /**
   * Signs a change and delivers it (by passkey: the touch with its entry). Throws `touch_declined`, `passkey_cancelled`,
   * `not_root`, `log_moved` (somebody else changed the log meanwhile: look and try again), `rule_…`.
   */
  sign(change: Change): Promise<void>;
  candidates(): Promise<readonly Candidate[]>;
  /** Second signatures given ahead that have not ended, soonest first. */
  ahead(): Promise<readonly StandingAhead[]>;
  /** Whether a key of this account in this browser may sign ahead: an approver's or a root's. */
  mayApprove(): Promise<boolean>;
}

/** Where a request for a second signature stands. */
export type ApprovalState = "waiting" | "approved" | "denied" | "expired" | "withdrawn";

/**
 * A request for a second signature. Who, what and where come from the signed grant, never from the relay; of one that is
 * answered the signature is not kept at hand, so there it is the relay's word.
 */
export interface Approval {
  readonly id: string;
  readonly state: ApprovalState;
  /** The engineer's name in the log. */
  readonly engineer: string;
  /** Whose account asked, as the relay has it. */
  readonly account: string;
  readonly server: { readonly id: string; readonly name: string };
  /** The audit belongs to no user: "". */
  readonly scopes: readonly {
    readonly kind: "shell" | "exec" | "watch" | "audit";
    readonly user: string;
  }[];
  readonly seconds: number;
  readonly reason: string;
  readonly ticket: string;
  /** Hash of the grant, in hexadecimal: what of all this is signed. */
  readonly grant: string;
  /** The same six words that the engineer sees. */
  readonly words: string;
  readonly askedAt: number;
  /** When nobody waits any more. */
  readonly expiresAt: number;
  /** It was asked by this account. */
  readonly mine: boolean;
  /** Why this account cannot approve it; missing: it can. `approval_own`, `approval_no_key`, `approval_not_yours`. */
  readonly hindrance?: Sentence;
  /** The request itself does not hold (signature, server, customer): said, and never to be approved. */
  readonly fault?: Sentence;
  readonly answeredBy?: string;
  readonly answeredAt?: number;
  /** What whoever denied it wrote. */
  readonly sentence?: string;
  /** The visit that it became and that still runs. */
  readonly visit?: string;
}

export interface Approvals {
  /** Waiting ones first, oldest first; then answered and expired ones, newest first, at most 100. */
  list(): Promise<readonly Approval[]>;
  /** Comes back when something changed since the last `list`, or after about 25 s. Ends quietly with the signal. */
  changed(signal: AbortSignal): Promise<void>;
  /**
   * Signs the grant that was shown (by passkey: the touch). Throws `touch_declined`, `passkey_cancelled`, `approval_over`,
   * `approval_changed` (the relay has another one under this id now), `not_second`.
   */
  approve(id: string, grant: string): Promise<void>;
  /** `sentence` is what the engineer reads; it may be "". Throws `approval_over`. */
  deny(id: string, sentence: string): Promise<void>;
  /** Takes one's own request back. Throws `approval_over`. */
  withdraw(id: string): Promise<void>;
}
