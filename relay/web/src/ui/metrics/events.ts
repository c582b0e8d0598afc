// What happened on a server: what the console knows anyway (runs of checks, visits, its start, the moment that somebody
// marked), kills for want of memory out of the values, and what the server tells out of its own logs.
import type {
  HappenedKind,
  HappenedList,
  HappenedSource,
  HappenedView,
  RunLine,
  ServerFacts,
  VisitView,
} from "../../lib/facade";
import { EVENTS_SECS_MAX } from "../../lib/limits";
import { facade } from "../facade";
import { verdict } from "../health";
import { type TextId, t } from "../words.svelte";
import type { Mark } from "./marks";
import type { Event } from "./plot";

export interface Happened extends Event {
  readonly text: string;
  /** A stranger's part of it. */
  readonly who?: string;
  readonly href?: string;
}

/** Drawn at once; more would hide the lines. */
export const DRAWN_MAX = 60;
/** What the console knows is asked for again so often, and the server for what happened. */
const AGAIN_MS = 60_000;
/** A server that somebody else asked a moment ago: so soon or up to twice that, once. */
const SOON_MS = 5_000;
/** The server's clock may be ahead. */
const AHEAD_MS = 3_600_000;
/** A kill that values tell of too: they come each second, the recorder's each 5 s. */
const SAME_KILL_MS = 15_000;
/** The server's start as its agent said it once, and as it tells it now. */
const SAME_START_MS = 120_000;

const TOLD: Record<HappenedKind, readonly [Mark, TextId]> = {
  installed: ["package", "event-installed"],
  upgraded: ["package", "event-upgraded"],
  downgraded: ["package", "event-downgraded"],
  removed: ["package", "event-removed"],
  booted: ["restart", "event-restart"],
  "shut-down": ["restart", "event-shut-down"],
  started: ["service", "event-started"],
  restarted: ["service", "event-restarted"],
  failed: ["failed", "event-failed"],
  killed: ["kill", "event-kill"],
};

const SOURCES: Record<HappenedSource, TextId> = {
  packages: "events-of-packages",
  starts: "events-of-starts",
  services: "events-of-services",
  kernel: "events-of-kernel",
};

export interface Known {
  readonly runs: readonly RunLine[];
  readonly visits: readonly VisitView[];
  readonly bootedAt?: number;
}

/** Asks for all of it; what one does not get is left out. */
async function known(server: string): Promise<Known> {
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

/** For `$effect`: what is known, at once and again and again. */
export function followKnown(server: string, heard: (known: Known) => void): () => void {
  return again(async () => {
    heard(await known(server));
    return AGAIN_MS;
  });
}

/** For `$effect`: what the server tells. One that tells nothing now keeps what it told before. */
export function followTold(server: string, heard: (told: HappenedList) => void): () => void {
  let tried = false;
  return again(async () => {
    // It reads its logs for this: not for a page that nobody sees.
    if (document.hidden) return AGAIN_MS;
    try {
      const now = Date.now();
      heard(await facade().metrics.happened(server, now - EVENTS_SECS_MAX * 1000 - AHEAD_MS, now + AHEAD_MS));
    } catch (error) {
      tried = !tried && (error as { id?: string }).id === "refusal_events_too_often";
      if (tried) return SOON_MS * (1 + Math.random());
    }
    tried = false;
    return AGAIN_MS;
  });
}

function again(work: () => Promise<number>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  const turn = async () => {
    const wait = await work();
    if (!over) timer = setTimeout(turn, wait);
  };
  void turn();
  return () => {
    over = true;
    clearTimeout(timer);
  };
}

/** Those of a part of the time, oldest first. */
export function happened(
  server: string,
  { runs, visits, bootedAt }: Known,
  told: HappenedList | undefined,
  kills: readonly number[],
  mark: number | undefined,
  { from, to }: { readonly from: number; readonly to: number },
): readonly Happened[] {
  const events = told?.events ?? [];
  const near = (kind: HappenedKind, at: number, within: number) =>
    events.some((event) => event.kind === kind && Math.abs(event.at - at) <= within);
  const shown = ({ at }: { readonly at: number }) => at >= from && at <= to;
  // A point of a long time stands for some of it.
  const point = Math.max(SAME_KILL_MS, (to - from) / 300);
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
    // A live page does this each second: words are made for what is shown alone.
    ...events.filter(shown).map(sentence),
    ...(bootedAt === undefined || near("booted", bootedAt, SAME_START_MS)
      ? []
      : [{ at: bootedAt, kind: "restart", text: t("event-restart") } as const]),
    ...kills
      .filter((at) => !near("killed", at, point))
      .map((at): Happened => ({ at, kind: "kill", text: t("event-kill") })),
    ...(mark === undefined ? [] : [{ at: mark, kind: "mark", text: t("event-mark") } as const]),
  ];
  return all.filter(shown).sort((a, b) => a.at - b.at);
}

/** `Packages upgraded: 2`, and `nginx 1.22.1-8 → 1.22.1-9, libx 1 → 2`. */
function sentence({ at, kind, count, names, unit, guessed }: HappenedView): Happened {
  const [mark, text] = TOLD[kind];
  const ofPackages = mark === "package";
  const named = names.map(({ name, before, after }) =>
    [name, [before, after].filter((version) => version !== "").join(" → ")]
      .filter((part) => part !== "")
      .join(" "),
  );
  if (ofPackages && count > names.length) named.push("…");
  const parts = [...named, ...(unit === "" ? [] : [unit])];
  const often = !ofPackages && count > 1 ? t("event-often", { n: count }) : "";
  const who = parts.join(t("list-comma"));
  return {
    at,
    kind: mark,
    text: `${t(text, { n: count })}${often}${guessed ? t("event-guessed") : ""}`,
    ...(who === "" ? {} : { who }),
  };
}

/** What must not be concluded from silence; nothing when all of that time was looked at. */
export function silence(told: HappenedList | undefined, from: number): readonly string[] {
  if (told === undefined) return [];
  const { since, leftOut, blind } = told;
  return [
    ...(from < since ? [t("events-since", { n: EVENTS_SECS_MAX / 86_400 })] : []),
    ...(leftOut > 0 ? [t("events-left-out", { n: leftOut })] : []),
    ...(blind.length > 0
      ? [t("events-blind", { what: blind.map((source) => t(SOURCES[source])).join(t("list-comma")) })]
      : []),
  ];
}
