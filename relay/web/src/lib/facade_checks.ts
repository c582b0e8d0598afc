// What pages use of checks: what a server found about itself, as its own identity signed it, and what people say about
// that. Types only.

import type { Sentence } from "./errors";

/** How it is, from what asks for attention most. `ok` with `note` is advice about something that works. */
export type Status = "critical" | "warning" | "unknown" | "ok";

/** One text in both languages, as the server wrote it. */
export interface Words {
  readonly en: string;
  readonly zh: string;
}

/** What was read, and where. A stranger's text with any character in it: make it visible before it is shown. */
export interface Evidence {
  /** A file with its line, a socket, a measurement. */
  readonly source: string;
  readonly text: string;
}

/** One result of one check, out of a report that was verified here. All texts are the server's. */
export interface Finding {
  /** `group.what`. */
  readonly check: string;
  /** What it is about. "": the host. */
  readonly subject: string;
  readonly status: Status;
  readonly note: boolean;
  /** Since when runs on that host have found it like this. */
  readonly since?: number;
  readonly value?: number;
  /** `s`, `%`, `B`, `/s`, "" for a count. */
  readonly unit: string;
  readonly evidence: readonly Evidence[];
  readonly summary: Words;
  readonly impact: Words;
  readonly remedy: Words;
  /** More numbers, by name. */
  readonly details: readonly (readonly [string, boolean | number | string])[];
}

/** What is different from the run before, as the relay has compared them. */
export interface Difference {
  readonly check: string;
  readonly subject: string;
  readonly change: "new" | "gone" | "worse" | "better";
  readonly before?: Status;
  readonly now?: Status;
}

/** A finding that somebody answers for until a day. The relay's. */
export interface Waiver {
  readonly id: string;
  readonly check: string;
  readonly subject: string;
  readonly reason: string;
  /** The account that waived it. */
  readonly owner: string;
  readonly until: number;
}

/** A run whose report verifies: the signature is the server's own and covers all but what is said to be the relay's. */
export interface CheckRun {
  readonly id: string;
  /** By the server's clock. */
  readonly at: number;
  /** How long the checks took. */
  readonly millis: number;
  /** The agent's version. */
  readonly version: string;
  /** What the server calls itself. */
  readonly host: string;
  readonly findings: readonly Finding[];
  /** Checks that had nothing to look at. */
  readonly absent: readonly { readonly check: string; readonly why: Words }[];
  /** What was asked for; none: all that the ceiling allows. */
  readonly asked: readonly string[];
  /** Checks that the ceiling does not allow, or that this agent does not have. */
  readonly refused: readonly string[];
  /** Findings that did not fit. */
  readonly leftOut: number;
  /** What of the checker's sandbox the server's kernel does not have. */
  readonly sandboxOpen: readonly string[];
  /** The relay's word: when it came, why it was asked for, and by whom ("": nobody). */
  readonly receivedAt: number;
  readonly why: "asked" | "schedule";
  readonly by: string;
  readonly changes: readonly Difference[];
}

/** A run, or why its report may not be believed: nothing of it is known then. */
export type Checked = { readonly run: CheckRun } | { readonly fault: Sentence };

/** A run in the list, as the relay has counted it. What it holds is believed only once it was opened. */
export interface RunLine {
  readonly id: string;
  /** By the server's clock. */
  readonly at: number;
  readonly why: "asked" | "schedule";
  readonly by: string;
  readonly critical: number;
  readonly warning: number;
  readonly unknown: number;
  readonly ok: number;
  readonly notes: number;
}

export interface RunsPage {
  /** Newest first. */
  readonly runs: readonly RunLine[];
  readonly more: boolean;
}

export interface Health {
  /** Missing: it was never checked. */
  readonly latest?: Checked;
  /** How often the relay asks by itself; 0: never. */
  readonly everySeconds: number;
  readonly waivers: readonly Waiver[];
}

export interface WaiverWish {
  readonly check: string;
  readonly subject: string;
  readonly reason: string;
  readonly until: number;
}

/**
 * Checks of a server. Reports are verified with the identity that the pinned log names for it: whatever reads one throws
 * `nobody_there` when the log does not name the server.
 */
export interface Checks {
  health(server: string): Promise<Health>;
  /**
   * Runs all checks that the server's ceiling lets the relay ask for; takes some seconds. Throws
   * `refusal_checks_not_allowed`, `refusal_checks_too_often`, `refusal_checks_failed`, `refusal_…`.
   */
  run(server: string): Promise<Checked>;
  /** The newest ones, or those before one. */
  runs(server: string, before?: string): Promise<RunsPage>;
  read(server: string, run: string): Promise<Checked>;
  /** 0: never, else 300 to 604800. For admins, as all that follows; others get `not_admin`. */
  schedule(server: string, everySeconds: number): Promise<void>;
  /** In place of an earlier waiver of the same finding. At most 366 days; the reason has at most 300 characters. */
  waive(server: string, wish: WaiverWish): Promise<Waiver>;
  unwaive(server: string, waiver: string): Promise<void>;
}
