// What happened on a server, out of what the console knows anyway: runs of checks, visits, its start, kills for want of
// memory, and the moment that somebody marked.
import type { RunLine, ServerFacts, VisitView } from "../../lib/facade";
import { facade } from "../facade";
import { verdict } from "../health";
import { t } from "../words.svelte";
import type { Event } from "./plot";

export interface Happened extends Event {
  readonly text: string;
  /** A stranger's part of it. */
  readonly who?: string;
  readonly href?: string;
}

/** Drawn at once; more would hide the lines. */
const MOST = 60;

export interface Known {
  readonly runs: readonly RunLine[];
  readonly visits: readonly VisitView[];
  readonly bootedAt?: number;
}

/** Asks for all of it; what one does not get is left out. */
export async function known(server: string): Promise<Known> {
  const { checks, visits, fleet } = facade();
  const or = <T>(asked: Promise<T>, none: T) => asked.catch(() => none);
  const [runs, running, past, facts] = await Promise.all([
    or(
      checks.runs(server).then((page) => page.runs),
      [],
    ),
    or(visits.running(), []),
    or(visits.past(), []),
    or(fleet.facts(server), {} as ServerFacts),
  ]);
  const own = [...running, ...past].filter((visit) => visit.server.id === server);
  return { runs, visits: own, ...(facts.bootedAt === undefined ? {} : { bootedAt: facts.bootedAt }) };
}

/** Those of a part of the time, oldest first. */
export function happened(
  server: string,
  { runs, visits, bootedAt }: Known,
  kills: readonly number[],
  mark: number | undefined,
  { from, to }: { readonly from: number; readonly to: number },
): readonly Happened[] {
  const all: Happened[] = [
    ...runs.map(
      (run): Happened => ({
        at: run.at,
        kind: "check",
        text: t("event-check", { verdict: verdict({ ...run, waived: 0 }) }),
        href: `#/servers/${server}/health?run=${run.id}`,
      }),
    ),
    ...visits.flatMap(({ account, startedAt, endedAt }): Happened[] => [
      { at: startedAt, kind: "visit", text: t("event-visit"), who: account },
      ...(endedAt === undefined
        ? []
        : [{ at: endedAt, kind: "visit", text: t("event-visit-end"), who: account } as const]),
    ]),
    ...(bootedAt === undefined ? [] : [{ at: bootedAt, kind: "restart", text: t("event-restart") } as const]),
    ...kills.map((at): Happened => ({ at, kind: "kill", text: t("event-kill") })),
    ...(mark === undefined ? [] : [{ at: mark, kind: "mark", text: t("event-mark") } as const]),
  ];
  return all
    .filter(({ at }) => at >= from && at <= to)
    .sort((a, b) => a.at - b.at)
    .slice(-MOST);
}
