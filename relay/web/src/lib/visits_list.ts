// Which visits run and which have ended: the relay's streams, joined with what signed grants, own shells and open looks know.
//
// The relay sees sealed bytes: what it lists is who, where and when. Never: a user or a reason that is guessed.

import { openStreams, pastStreams, type StreamLine } from "./api_visits";
import { hex } from "./bytes";
import type { ShellView, VisitView } from "./facade";
import { type SeenGrant, seenGrants } from "./grants_seen";
import type { LivingShell } from "./look";
import { type Look, looks } from "./looking";
import * as seat from "./seat";
import * as store from "./store";

/** Visits in one answer. */
const PAGE = 100;
/** Pages of streams that are fetched for one answer. */
const PAGES_MAX = 5;
/** How old an answer of a server about its shells may be. */
const ASKED_MS = 5_000;
/** Streams that only look are no visit of anybody's. */
const LOOKING: readonly string[] = ["watch", "ask"];
const TYPING: readonly string[] = ["shell", "attach", "exec"];

/** A shell of somebody that a server named to a look of ours. */
interface Living {
  readonly server: string;
  readonly shell: LivingShell;
  readonly at: number;
}

/** What is known of visits besides their streams. */
interface Known {
  readonly account: string;
  readonly own: readonly store.StoredShell[];
  readonly living: readonly Living[];
  readonly grants: readonly SeenGrant[];
}

const answers = new Map<string, { readonly at: number; readonly shells: readonly Living[] }>();

async function livingOf(look: Look): Promise<readonly Living[]> {
  const { id, ground, user } = look.kept;
  if (user === undefined) return [];
  const known = answers.get(id);
  if (known !== undefined && Date.now() - known.at < ASKED_MS) return known.shells;
  const at = Date.now();
  // A server that is away, or a look that is over, tells nothing. Pages show lists by a timer.
  const found = await look.shells(true).catch(() => []);
  return heard(id, ground.server, found, at);
}

/** Notes what a server has just named. */
export function heard(
  look: string,
  server: string,
  found: readonly LivingShell[],
  at = Date.now(),
): readonly Living[] {
  const shells = found.map((shell) => ({ server, shell, at }));
  answers.set(look, { at, shells });
  return shells;
}

/** Something ended: what servers named before is old. */
export function outdated(): void {
  answers.clear();
}

async function ownShells(): Promise<readonly store.StoredShell[]> {
  const tenant = hex(seat.pinned().log.tenant);
  const all = await store.shells();
  return all.filter((one) => one.tenant === tenant && one.account === seat.account());
}

/** A stream's visit: what its client said, else what is known of its channel or of a grant that was asked for on it. */
function visitOf(
  line: StreamLine,
  ofChannel: ReadonlyMap<string, string>,
  grants: readonly SeenGrant[],
): string {
  const said = line.visit ?? (line.channel === undefined ? undefined : ofChannel.get(line.channel));
  if (said !== undefined) return said;
  const { server, account, openedAt, closedAt = Number.POSITIVE_INFINITY } = line;
  const asked = grants.filter(
    (one) =>
      one.server === server && one.account === account && one.askedAt >= openedAt && one.askedAt <= closedAt,
  );
  return asked.at(-1)?.visit ?? line.channel ?? line.stream;
}

function channelsOf(lines: readonly StreamLine[], own: readonly store.StoredShell[]): Map<string, string> {
  const pairs = lines.flatMap(({ channel, visit }) =>
    channel === undefined || visit === undefined ? [] : [[channel, visit] as const],
  );
  return new Map([...pairs, ...own.map((one) => [one.id, hex(one.visit)] as const)]);
}

function serverOf(id: string): VisitView["server"] {
  return { id, name: seat.pinnedIfAny()?.log.agents.get(id)?.name ?? id.slice(0, 12) };
}

function unique(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values)].filter((one) => one !== undefined && one !== "") as string[];
}

/** What is seen of one visit. */
interface Group {
  readonly id: string;
  readonly lines: StreamLine[];
  readonly own: store.StoredShell[];
  readonly living: Living[];
}

function groups(lines: readonly StreamLine[], known: Known, channels: ReadonlyMap<string, string>): Group[] {
  const all = new Map<string, Group>();
  const group = (id: string): Group => {
    const there = all.get(id) ?? { id, lines: [], own: [], living: [] };
    all.set(id, there);
    return there;
  };
  for (const line of lines) group(visitOf(line, channels, known.grants)).lines.push(line);
  for (const shell of known.own) group(hex(shell.visit)).own.push(shell);
  for (const one of known.living) {
    const channel = hex(one.shell.channel);
    group(channels.get(channel) ?? channel).living.push(one);
  }
  return [...all.values()];
}

function shellsOf(
  group: Group,
  known: Known,
  watching: readonly StreamLine[],
  users: readonly string[],
): ShellView[] {
  const ids = unique([
    ...group.lines.filter(({ purpose }) => TYPING.includes(purpose)).map(({ channel }) => channel),
    ...group.own.map(({ id }) => id),
    ...group.living.map(({ shell }) => hex(shell.channel)),
  ]);
  return ids.map((id) => {
    const lines = group.lines.filter(({ channel }) => channel === id);
    const own = known.own.find((one) => one.id === id);
    const living = group.living.find(({ shell }) => hex(shell.channel) === id);
    const began = living && living.at - living.shell.age_secs * 1000;
    const [only, more] = users;
    return {
      id,
      kind: lines.some(({ purpose }) => purpose === "exec") ? "exec" : "shell",
      user: own?.user ?? living?.shell.user ?? (more === undefined ? only : undefined) ?? "",
      since: Math.min(...lines.map(({ openedAt }) => openedAt), began ?? Date.now()),
      watchers: unique(watching.filter(({ channel }) => channel === id).map(({ account }) => account)),
    };
  });
}

function viewOf(group: Group, known: Known, watching: readonly StreamLine[], ended: boolean): VisitView {
  const grant = known.grants.find(({ visit }) => visit === group.id);
  const [line] = group.lines;
  const [own] = group.own;
  const [living] = group.living;
  const began = group.living.map(({ shell, at }) => at - shell.age_secs * 1000);
  const startedAt = Math.min(...group.lines.map(({ openedAt }) => openedAt), ...began, Date.now());
  const ends = living && living.at + living.shell.ends_in_secs * 1000;
  const endsAt = own?.endsAt ?? ends ?? grant?.endsAt;
  const account = line?.account ?? (own === undefined ? living?.shell.person : known.account) ?? "";
  const users = unique([
    ...group.own.map(({ user }) => user),
    ...group.living.map(({ shell }) => shell.user),
    ...(grant?.users ?? []),
  ]);
  const closed = group.lines.map((one) => one.closedAt ?? startedAt);
  return {
    id: group.id,
    server: serverOf(line?.server ?? own?.server ?? living?.server ?? ""),
    account,
    users,
    reason: grant?.reason ?? living?.shell.reason ?? "",
    ticket: grant?.ticket ?? living?.shell.ticket ?? "",
    startedAt,
    ...(endsAt === undefined || ended ? {} : { endsAt }),
    ...(ended ? { endedAt: Math.max(startedAt, ...closed) } : {}),
    ...(grant?.second === undefined ? {} : { second: grant.second }),
    mine: account === known.account,
    shells: ended ? [] : shellsOf(group, known, watching, users),
  };
}

/** Whether an earlier copy of the grants lacks what some of these streams may be about. */
function lacks(lines: readonly StreamLine[]) {
  return (copy: readonly SeenGrant[]): boolean =>
    lines.some(({ visit }) => visit === undefined || !copy.some((one) => one.visit === visit));
}

async function knownOf(lines: readonly StreamLine[], withLiving: boolean): Promise<Known> {
  const own = (await ownShells()).filter(({ endsAt }) => endsAt > Date.now());
  const living = withLiving ? (await Promise.all((await looks()).map(livingOf))).flat() : [];
  const grants = await seenGrants(lacks(lines));
  return { account: seat.account(), own: withLiving ? own : [], living: once(living), grants };
}

/** Two looks may see the same shell. */
function once(living: readonly Living[]): readonly Living[] {
  return [...new Map(living.map((one) => [hex(one.shell.channel), one])).values()];
}

/** Running ones, newest first. */
export async function running(): Promise<readonly VisitView[]> {
  const all = await openStreams();
  const lines = all.filter(({ purpose }) => !LOOKING.includes(purpose));
  const watching = all.filter(({ purpose }) => purpose === "watch");
  const known = await knownOf(lines, true);
  const views = groups(lines, known, channelsOf([...lines, ...past.values()], known.own)).map((group) =>
    viewOf(group, known, watching, false),
  );
  return views.sort((a, b) => b.startedAt - a.startedAt);
}

/** Ended streams that were fetched, by their ids. */
const past = new Map<string, StreamLine>();
/** The oldest one that was fetched in one go with the newest; `undefined`: there are no more. */
let deepest: string | undefined;
/** When visits began that an answer has named, by their ids: none is named twice. */
const named = new Map<string, number>();

/** Fetches the newest ended streams, and those before what is known when `deeper`. */
async function fetchPast(deeper: boolean): Promise<boolean> {
  if (deeper && deepest === undefined) return false;
  const { streams, more } = await pastStreams(deeper ? deepest : undefined);
  // So many ended since the last time that some in between were never seen.
  if (!deeper && !streams.some(({ stream }) => past.has(stream))) past.clear();
  if (deeper || past.size === 0) deepest = more ? streams.at(-1)?.stream : undefined;
  for (const line of streams) past.set(line.stream, line);
  return streams.length > 0;
}

/** Ended ones, newest first; `before` is when the last one that is known began. */
export async function pastVisits(before?: number): Promise<readonly VisitView[]> {
  await fetchPast(false);
  const alive = new Set((await running()).map(({ id }) => id));
  for (let page = 0; ; page++) {
    const found = (await endedVisits(alive)).filter(
      ({ id, startedAt }) => before === undefined || (startedAt < before && (named.get(id) ?? 0) < before),
    );
    if (found.length < PAGE && page < PAGES_MAX && (await fetchPast(true))) continue;
    const answer = found.slice(0, PAGE);
    for (const { id, startedAt } of answer) named.set(id, startedAt);
    return answer;
  }
}

async function endedVisits(alive: ReadonlySet<string>): Promise<VisitView[]> {
  const lines = [...past.values()].filter(({ purpose }) => TYPING.includes(purpose));
  const known = await knownOf(lines, false);
  return (
    groups(lines, known, channelsOf(lines, []))
      .filter(({ id }) => !alive.has(id))
      .map((group) => viewOf(group, known, [], true))
      // The relay tells whole seconds: of two that began in one, the one that ended last is the newer.
      .sort((a, b) => b.startedAt - a.startedAt || (b.endedAt ?? 0) - (a.endedAt ?? 0))
  );
}
