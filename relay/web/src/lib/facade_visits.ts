// What pages use of servers and of what happens on them: the list, facts, shells, visits, the live view, the host's
// audit. Types only.

import type { ConsoleError, Sentence } from "./errors";

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
  /** What the customer's people call it by: words and `key=value`. The relay's. */
  readonly labels?: readonly string[];
  /** Who is there now, as far as the relay can know. */
  readonly here?: readonly Here[];
}

/** Somebody who is on a server now. */
export interface Here {
  readonly account: string;
  readonly since: number;
  readonly watching: boolean;
}

/** What one wants to know of a machine. Whatever is unknown is missing. */
export interface ServerFacts {
  readonly os?: string;
  readonly kernel?: string;
  readonly arch?: string;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly bootedAt?: number;
  readonly build?: string;
  readonly enrolledAt?: number;
  /** The address that its tunnel comes from. */
  readonly address?: string;
  readonly rttMs?: number;
}

/** How a server gets in. */
export interface InstallCommand {
  /** Id of the token in it. */
  readonly token: string;
  /** All in one line, with pins and six words: enrols and starts. */
  readonly command: string;
  readonly uses: number;
  readonly expiresAt: number;
}

/** An install token, without its secret. */
export interface InstallToken {
  readonly id: string;
  readonly label: string;
  readonly by: string;
  readonly madeAt: number;
  readonly expiresAt: number;
  readonly uses: number;
  readonly used: number;
}

export interface Fleet {
  facts(server: string): Promise<ServerFacts>;
  /**
   * Makes an install token: half of it at the relay, half an entry of the log (by passkey: the touch). Throws `not_root`,
   * `not_admin`, `touch_declined`, `passkey_cancelled`.
   */
  install(wish: {
    label: string;
    uses: number;
    seconds: number;
    preset: "own" | "vendor" | "checks-only";
  }): Promise<InstallCommand>;
  /** Newest first. For admins. */
  tokens(): Promise<readonly InstallToken[]>;
  /** Nothing can be enrolled with it any more. */
  revoke(token: string): Promise<void>;
  /** What the relay wrote down about this customer, newest first; with a number, what came before that event. */
  activity(before?: number): Promise<readonly RelayEvent[]>;
}

/** Something that the relay wrote down. All of it is the relay's word. */
export interface RelayEvent {
  /** Its number: the customer's first is 1, and there are no gaps. */
  readonly seq: number;
  readonly at: number;
  /** Who; "" for the relay itself and for servers. */
  readonly account: string;
  readonly address: string;
  /** What, by its id. */
  readonly action: string;
  /** To whom or what. */
  readonly subject: string;
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
  /** Id of the key to sign with; missing: the best that is trusted. */
  readonly key?: string;
  /** Another person must sign. The promise waits on. */
  readonly onSecond?: (second: Second) => void;
  /** Takes the request back: the promise fails with `cancelled`. */
  readonly signal?: AbortSignal;
}

/** How one waits for another person's signature, where one's own is not enough. */
export interface Waiting {
  /** Another person must sign. The promise waits on. */
  readonly onSecond?: (second: Second) => void;
  /** Takes the request back: the promise fails with `cancelled`. */
  readonly signal?: AbortSignal;
}

/** What the asker sees while another person must sign. */
export interface Second {
  /** Six words that both see. */
  readonly words: string;
  /** When nobody waits any more. */
  readonly expiresAt: number;
  /** Approvers by name, from the log; none: only root on the server. */
  readonly approvers: readonly string[];
  /** Root on the server may say yes as well, with `cloud-doctor-agent approve`. */
  readonly local: boolean;
}

/** How a shell or its process ended. */
export type Exit =
  | { readonly code: number }
  | { readonly signal: number }
  /** It never ran; why. */
  | { readonly notStarted: Sentence };

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

/** What does not answer: this computer's network, the relay, or the server behind it. */
export type Broke = "network" | "relay" | "server";

export type ShellState =
  | { readonly kind: "connected"; readonly rttMs?: number }
  /** `broke`: known once a try failed. `again`: when the next one is. Both times in milliseconds since 1970. */
  | {
      readonly kind: "reconnecting";
      readonly since: number;
      readonly broke?: Broke;
      readonly again?: number;
    }
  | {
      readonly kind: "ended";
      readonly reason: EndReason;
      readonly exit?: Exit;
      readonly error?: ConsoleError;
    }
  /** Told once; `connected` follows. */
  | { readonly kind: "skipped"; readonly bytes: number };

/** What a terminal is drawn from: a shell of one's own, or one that is watched. */
export interface Screen {
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
   * sends on only then. `past`: it was there before this page was loaded, and is only drawn again. One listener; what
   * came before it is kept for it. Returns how to stop.
   */
  onOutput(listen: (bytes: Uint8Array, drawn: () => void, past: boolean) => void): () => void;
}

/** A shell that outlives its connections. */
export interface Shell extends Screen {
  /** Something that the server tells, for example that there is no home directory. There once it is `connected`. */
  readonly notice: Sentence | undefined;
  /** Kept until the server has applied it, also while the connection is cut. Throws `input_full` beyond 256 KiB. */
  input(bytes: Uint8Array): void;
  /** How many bytes of it are kept: 0 once all is applied. */
  readonly unapplied: number;
  resize(cols: number, rows: number): void;
  /** Leaves the shell running; `resumeShells` takes it up again. */
  detach(): void;
  /** Ends the shell. */
  end(): void;
  /** Who watches, by their names in the log: at once, and with every change. Returns how to stop. Missing: nobody can. */
  onWatchers?(listen: (names: readonly string[]) => void): () => void;
}

/** Another person's shell, to look at. Nothing that is typed here goes anywhere. */
export interface Watched extends Screen {
  /** Who types there. */
  readonly engineer: string;
  /** The visit that it belongs to, for `Visits.end`. */
  readonly visit: string;
  /** The size of the writer's terminal: at once, and with every change. Returns how to stop. */
  onSize(listen: (size: { readonly cols: number; readonly rows: number }) => void): () => void;
  /** Everybody who watches, this one too. Returns how to stop. */
  onWatchers(listen: (names: readonly string[]) => void): () => void;
  /** Stops watching; the shell goes on. */
  leave(): void;
}

/** A shell of a running visit. */
export interface ShellView {
  /** Channel id. */
  readonly id: string;
  readonly kind: "shell" | "exec";
  /** "": sealed, so nobody in between knows. */
  readonly user: string;
  readonly since: number;
  readonly watchers: readonly string[];
}

/** A visit, as far as the relay and this account's rights let one see it. */
export interface VisitView {
  readonly id: string;
  readonly server: { readonly id: string; readonly name: string };
  /** Who: the account, as the relay has it. */
  readonly account: string;
  readonly users: readonly string[];
  readonly reason: string;
  readonly ticket: string;
  readonly startedAt: number;
  /** When its grant ends. */
  readonly endsAt?: number;
  /** Missing: it runs. */
  readonly endedAt?: number;
  /** How it ended. */
  readonly end?: EndReason;
  /** Who signed second. */
  readonly second?: string;
  readonly mine: boolean;
  /** Those that run; each can be watched where the server's ceiling allows it. */
  readonly shells: readonly ShellView[];
}

export interface Visits {
  /** Running ones, newest first. */
  running(): Promise<readonly VisitView[]>;
  /** Ended ones, newest first, at most 100; `before` is the last one's `startedAt`. */
  past(before?: number): Promise<readonly VisitView[]>;
  /**
   * Ends a visit and all that it started. One's own: at once; another's needs an approver's or root's key (by passkey: the
   * touch). Throws `not_allowed_to_end`, `refusal_no_visit`, `touch_declined`.
   */
  end(visit: string): Promise<void>;
  /**
   * Opens a view of somebody's shell by a grant of one's own (by passkey: the touch). A shell whose user is not known
   * (`ShellView.user` is "") is looked for as `how.user`, else as root's. Throws `refusal_ceiling`, `device_not_trusted`,
   * `refusal_no_channel`, `watch_other_user`, `refusal_watched`, `touch_declined`, `passkey_cancelled`, and what opening a
   * visit throws.
   */
  watch(server: Server, shell: string, how?: Waiting & { readonly user?: string }): Promise<Watched>;
}

/** A line of a host's audit whose signature and place in the chain were checked here. */
export interface AuditEntry {
  readonly seq: number;
  /** By the server's wall clock. */
  readonly at: number;
  /** Milliseconds since its boot. */
  readonly bootMs: number;
  /** `visit-opened` and so on, as proto/src/audit.rs; newer agents may have others. */
  readonly event: string;
  /** As they stand in the line. Strangers' texts. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What was read of an audit, up to the first line that is wrong. */
export interface AuditCopy {
  readonly server: { readonly id: string; readonly name: string };
  /** In order. All of them verify. */
  readonly entries: readonly AuditEntry[];
  /** Number of the oldest line that the server still has; older ones were deleted as they may be. */
  readonly first: number;
  /** The first line that does not verify: its number by count, and which check. Nothing after it is believed or shown. */
  readonly fault?: { readonly seq: number; readonly kind: "malformed" | "signature" | "chain" };
  /** The server has more, older than these: `read` with `before`. */
  readonly more: boolean;
}

/** The log that a server keeps by itself, which nobody but root there can touch. */
export interface AuditLog {
  /**
   * The newest lines, or those before one, over the sealed road by a grant of one's own (by passkey: the touch; once for
   * 15 minutes). Throws `refusal_ceiling`, `device_not_trusted`, `touch_declined`, `passkey_cancelled`.
   */
  read(server: Server, before?: number, how?: Waiting): Promise<AuditCopy>;
  /**
   * A file from a server's audit directory, verified with the identity that the log names for this server. Nothing leaves
   * the browser. Throws `audit_not_a_log` when no line is one.
   */
  verify(server: string, file: Blob): Promise<AuditCopy>;
}
