// What pages use of scans: the same checks on many servers. Numbers and lists are the relay's reading of what servers
// signed; what a server itself says is on its own page. Types only.

import type { Difference, Status, Words } from "./facade_checks";

/** Where a server of a scan stands; a newer relay may have others. */
export type ScanState =
  | "pending"
  | "asked"
  | "report"
  | "refused"
  | "absent"
  | "silent"
  | "dropped"
  | "broke"
  | "failed"
  | "cancelled";

export interface ScanLine {
  readonly id: string;
  /** The plan that began it; "": somebody did. */
  readonly plan: string;
  readonly by: string;
  readonly startedAt: number;
  /** Missing: it runs. */
  readonly endedAt?: number;
  readonly cancelled: boolean;
  /** None: all servers. */
  readonly labels: readonly string[];
  /** None: all that each ceiling allows. */
  readonly checks: readonly string[];
  /** How many were selected. */
  readonly servers: number;
  /** How many are in which state. */
  readonly states: Readonly<Partial<Record<ScanState, number>>>;
  /** How many have which as the worst that nobody answers for. */
  readonly worst: Readonly<Partial<Record<Status, number>>>;
}

/** Since another scan; `unsure`: one of the two has not looked there. */
export type ScanChange = Difference["change"] | "unsure";

/** Findings of one check, counted. */
export interface CheckCount {
  readonly check: string;
  /** `ok`: it was bad, and is not any more. */
  readonly status: Status;
  readonly waived: boolean;
  /** Since the scan that it is compared with. */
  readonly change?: ScanChange;
  readonly findings: number;
  readonly servers: number;
}

export interface ScanGlance extends ScanLine {
  /** What it is compared with. */
  readonly before?: string;
  /** The worst first, then what most servers have. */
  readonly found: readonly CheckCount[];
}

export interface ScanFinding {
  readonly server: string;
  readonly name: string;
  readonly check: string;
  readonly subject: string;
  readonly status: Status;
  readonly waived: boolean;
  readonly change?: ScanChange;
  readonly summary: Words;
}

export interface ScanServer {
  readonly id: string;
  readonly name: string;
  readonly state: ScanState | undefined;
}

export interface FindingFilter {
  readonly status?: Status;
  readonly check?: string;
  readonly change?: ScanChange;
}

/** Scans by the clock. */
export interface ScanPlan {
  readonly id: string;
  readonly name: string;
  /** Minute, hour, day of the month, month, weekday, in UTC. */
  readonly cron: string;
  /** None: all servers. */
  readonly labels: readonly string[];
  /** None: all that each ceiling allows. */
  readonly checks: readonly string[];
  readonly by: string;
  readonly nextAt: number;
  /** None begins until somebody lets it go on. */
  readonly paused: boolean;
  /** The newest scan that it began. */
  readonly last?: { readonly scan: string; readonly at: number };
}

export type PlanWish = Pick<ScanPlan, "name" | "cron" | "labels" | "checks">;

export interface Scans {
  /** Newest first: the newest ones, or those before one. */
  list(before?: string): Promise<{ readonly scans: readonly ScanLine[]; readonly more: boolean }>;
  /** `since`: compared with that scan instead of the last one of the same servers. */
  glance(id: string, since?: string): Promise<ScanGlance>;
  /** The worst first; `after` is an answer's `next`. */
  findings(
    id: string,
    filter: FindingFilter,
    after?: string,
    since?: string,
  ): Promise<{ readonly findings: readonly ScanFinding[]; readonly next?: string }>;
  /** Servers that gave no report, of one state; `after` is the last one of an answer. */
  servers(
    id: string,
    state: ScanState,
    after?: string,
  ): Promise<{ readonly servers: readonly ScanServer[]; readonly more: boolean }>;
  /** Of servers with all these labels; none: of all. For admins; others get `not_admin`. */
  start(labels: readonly string[]): Promise<ScanLine>;
  /** For admins. */
  cancel(id: string): Promise<void>;
  /** By name. */
  plans(): Promise<readonly ScanPlan[]>;
  /** For admins, as all that follow. A relay that takes no such schedule says why. */
  addPlan(wish: PlanWish): Promise<ScanPlan>;
  /** No scan begins until it is let go on; times that pass meanwhile are not made up for. */
  pausePlan(id: string, pause: boolean): Promise<void>;
  /** Scans that it began stay. */
  removePlan(id: string): Promise<void>;
}
