// What pages use of this library, and all that they use. Never: a key, a secret or a socket in a page's hands.
//
// Names of servers, people and customers are strangers' texts: show them as text. Every function that fails throws a
// `ConsoleError` whose id is a key of messages.en.json and messages.zh.json; `{0}`, `{1}` … there are its `args`.
// All times are milliseconds since 1970.

import { ConsoleError, type MessageId } from "./errors";

export { ConsoleError, type MessageId };

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
  /** This browser's own key; made at the first call. `trusted`: the log lets it sign now. */
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
  /** It never ran; why. A stranger's text. */
  | { readonly notStarted: string };

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
  /** Called with every new state. Returns how to stop. */
  onState(listen: (state: ShellState) => void): () => void;
  /**
   * Output in order, each byte once. Call `drawn` when xterm.js has really drawn it (its write callback): the server
   * sends on only then. One listener; what came before it is kept for it. Returns how to stop.
   */
  onOutput(listen: (bytes: Uint8Array, drawn: () => void) => void): () => void;
  /** Kept until the server has applied it, also while the connection is cut. Throws `input_full` beyond 256 KiB. */
  input(bytes: Uint8Array): void;
  resize(cols: number, rows: number): void;
  /** Leaves the shell running; `resumeShells` takes it up again. */
  detach(): void;
  /** Ends the shell. */
  end(): void;
}

function later(): never {
  throw new ConsoleError("signed_out");
}

export const api: Api = { me: later, login: later, logout: later, servers: later };

export const trust: Trust = {
  state: () => "none",
  words: later,
  pin: later,
  refresh: later,
  log: later,
  deviceKey: later,
};

/** Opens a visit and a shell in it. */
export function openShell(_wish: OpenShell): Promise<Shell> {
  return later();
}

/** Takes up again the shells that this browser has open on a server, after a reload. Output starts where it ended. */
export function resumeShells(_server: Server): Promise<Shell[]> {
  return later();
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
  return { api, trust, openShell, resumeShells };
}
