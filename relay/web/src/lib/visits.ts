// What one can do about visits: end them, and look at others' shells.
//
// Another's shell is watched, and ended, over a channel of one's own that the server lets nobody type into. Never: a visit
// that was opened for a shell, used to look.

import { hex } from "./bytes";
import { ConsoleError } from "./errors";
import type { EndReason, Server, Shell, ShellState, ShellView, Visits, VisitView, Waiting } from "./facade";
import type { LivingShell } from "./look";
import { kept, type Look, type LookWish, lookers, openLook } from "./looking";
import { ofThisWindow } from "./own";
import * as seat from "./seat";
import * as store from "./store";
import { bindingOn } from "./visit";
import { heard, outdated, pastVisits, running } from "./visits_list";
import { View } from "./watch";
import { hold } from "./window";

/** How long one looks by one grant. */
const SECONDS = 3600;
/** A shell's first word, or its last: it comes at once or not soon. */
const WORD_MS = 5_000;
/** A shell whose user nobody knows is most likely root's. */
const USER = "root";
/** What a shell ends with that was ended as it was wished. */
const ENDED: readonly (EndReason | undefined)[] = ["ended", "closed", "exited"];

interface Place {
  readonly server: { readonly id: string; readonly name: string };
  readonly visit: VisitView | undefined;
  readonly shell: Pick<ShellView, "id" | "user">;
}

/** Views that this window has, by shell. */
const views = new Map<string, View>();

type Resume = (server: { readonly id: string }) => Promise<readonly Shell[]>;

/** Resolves with the first state that fits, or with what there is after a while. */
function stateWithin(
  of: { readonly state: ShellState; onState(listen: (state: ShellState) => void): () => void },
  fits: (state: ShellState) => boolean,
): Promise<ShellState> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(late);
      stop();
      resolve(of.state);
    };
    const late = setTimeout(done, WORD_MS);
    const stop = of.onState((state) => {
      if (fits(state)) done();
    });
    if (fits(of.state)) done();
  });
}

function endOf(state: ShellState): EndReason | undefined {
  return state.kind === "ended" ? state.reason : undefined;
}

/** Ends shells of one's own that this window has or can take up. Whether all of them ended. */
async function endOwn(own: readonly store.StoredShell[], resume: Resume): Promise<boolean> {
  const servers = new Set(own.map(({ server }) => server));
  await Promise.all([...servers].map((id) => resume({ id })));
  const ended = own.map(async ({ id }) => {
    const shell = ofThisWindow(id);
    if (shell === undefined) return false;
    shell.end();
    return (await stateWithin(shell, ({ kind }) => kind === "ended")).kind === "ended";
  });
  return (await Promise.all(ended)).every((one) => one);
}

/** A look at the shells of a user, and those that it sees. */
interface Seen {
  readonly look: Look;
  readonly shells: readonly LivingShell[];
}

/** Takes a look that is open, or opens one. */
async function lookAt(wish: LookWish, fresh: boolean): Promise<Seen> {
  const known = fresh ? undefined : await kept(wish.server.id, wish.user, wish.approver);
  if (known !== undefined) {
    try {
      return { look: known, shells: await known.shells() };
    } catch (error) {
      if (!(error instanceof ConsoleError && error.id === "refusal_no_visit")) throw error;
    }
  }
  const { look, answer } = await openLook(wish, { shells: {} });
  if (!("shells" in answer)) throw new ConsoleError("out_of_turn", "answer");
  return { look, shells: answer.shells.shells };
}

/** The view that this window has of a shell by this look. */
function viewBefore({ look }: Seen, shell: string): View | undefined {
  const view = views.get(shell);
  return view !== undefined && hex(view.look) === look.kept.id ? view : undefined;
}

/** A view of a shell, from where it was left if this browser has looked at it before. */
async function viewOn(seen: Seen, place: Place): Promise<View> {
  const { look, shells } = seen;
  const { id } = place.shell;
  const living = shells.find((one) => hex(one.channel) === id);
  if (living === undefined) throw new ConsoleError("refusal_no_channel");
  viewBefore(seen, id)?.leave();
  const release = await hold(`watch-${look.kept.id}-${id}`);
  // Another window looks with it: two must never use one secret.
  if (release === undefined) throw new ConsoleError("refusal_no_channel");
  const now = (await store.looks()).find((one) => one.id === look.kept.id);
  const { secret, unanswered = [] } = now?.views[id] ?? {};
  const { ground, endsAt } = look.kept;
  const { server, visit, ours, theirs } = ground;
  const request = { user: living.user, attach: true, abandoned: [], term: "", lang: "", argv: [] };
  const binding = bindingOn(ground, "watch", living.channel);
  const view = new View({
    passage: { server, visit, binding, ours, theirs, request },
    user: living.user,
    endsInSecs: Math.max(0, Math.ceil((endsAt - Date.now()) / 1000)),
    unanswered,
    ...(secret === undefined ? {} : { secret }),
    release,
    engineer: living.person,
    of: place.visit?.id ?? id,
    names: () => watchersOf(id),
  });
  views.set(id, view);
  view.onState(({ kind }) => {
    if (kind === "ended" && views.get(id) === view) views.delete(id);
  });
  const state = await stateWithin(view, ({ kind }) => kind !== "reconnecting");
  if (state.kind === "ended" && state.error !== undefined) throw state.error;
  return view;
}

async function watchersOf(shell: string): Promise<readonly string[]> {
  const all = (await running()).flatMap((visit) => visit.shells);
  return all.find(({ id }) => id === shell)?.watchers ?? [];
}

/** A view by a look that is open; where that cannot bring one back, by a new one. `shared`: a page may be looking by it. */
async function viewBy(
  wish: LookWish,
  place: Place,
  fits: (living: LivingShell) => void,
  shared = false,
): Promise<View> {
  for (let fresh = false; ; fresh = true) {
    const seen = await lookAt(wish, fresh);
    heard(seen.look.kept.id, wish.server.id, seen.shells);
    const living = seen.shells.find((one) => hex(one.channel) === place.shell.id);
    if (living !== undefined) fits(living);
    const before = shared ? viewBefore(seen, place.shell.id) : undefined;
    if (before !== undefined) return before;
    try {
      return await viewOn(seen, place);
    } catch (error) {
      const lost = error instanceof ConsoleError && error.id === "refusal_no_channel";
      if (fresh || living === undefined || !lost) throw error;
    }
  }
}

async function placeOf(shell: string, server: Server): Promise<Place> {
  const visit = (await running()).find(({ shells }) => shells.some(({ id }) => id === shell));
  const found = visit?.shells.find(({ id }) => id === shell);
  return { server, visit, shell: found ?? { id: shell, user: "" } };
}

async function watch(server: Server, shell: string, how: Waiting & { user?: string } = {}): Promise<View> {
  const place = await placeOf(shell, server);
  const user = how.user ?? (place.shell.user === "" ? USER : place.shell.user);
  const engineer = place.visit?.account ?? "";
  const what = { kind: "watch", engineer, user, seconds: SECONDS } as const;
  const wish = { ...how, server, user, seconds: SECONDS, what, approver: false };
  try {
    return await viewBy(wish, place, () => undefined);
  } catch (error) {
    const unseen = error instanceof ConsoleError && error.id === "refusal_no_channel";
    throw unseen && place.shell.user === "" ? new ConsoleError("watch_other_user", user) : error;
  }
}

/** Ends another's shell, and with it, by an approver's key, the whole visit. */
async function endOther(visit: VisitView): Promise<void> {
  const shell = visit.shells.find(({ kind }) => kind === "shell");
  const able = await lookers(seat.pinned());
  const approver = !visit.mine;
  if (approver && !able.some((one) => one.approver)) throw new ConsoleError("not_allowed_to_end");
  if (shell === undefined) throw new ConsoleError("refusal_no_channel");
  const user = shell.user === "" ? USER : shell.user;
  const what = { kind: "end", engineer: visit.account, user, reason: visit.reason } as const;
  const wish = { server: visit.server, user, seconds: SECONDS, what, approver };
  const place = { server: visit.server, visit, shell };
  const mayEnd = ({ may_end }: LivingShell): void => {
    if (!may_end) throw new ConsoleError("not_allowed_to_end");
  };
  const before = views.get(shell.id);
  // Whoever looks at it here is told by the server how it ended.
  const view = await viewBy(wish, place, mayEnd, true);
  view.end();
  const state = await stateWithin(view, ({ kind }) => kind === "ended");
  outdated();
  if (ENDED.includes(endOf(state))) return;
  if (view !== before) view.leave();
  throw state.kind === "ended" && state.error !== undefined
    ? state.error
    : new ConsoleError("not_allowed_to_end");
}

/** What pages do about visits. `resume` takes up shells of one's own on a server. */
export function visits(resume: Resume): Visits {
  return {
    running,
    past: pastVisits,
    watch,
    async end(id) {
      const all = await store.shells();
      const own = all.filter(
        (one) => one.account === seat.account() && (one.id === id || hex(one.visit) === id),
      );
      if (own.length > 0 && (await endOwn(own, resume))) return;
      const visit = (await running()).find(
        (one) => one.id === id || one.shells.some((shell) => shell.id === id),
      );
      if (visit === undefined) throw new ConsoleError("refusal_no_visit");
      await endOther(visit);
    },
  };
}
