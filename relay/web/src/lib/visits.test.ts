// What may be watched and ended, and which grant it takes: one for a while, none for one's own, an approver's for others'.

import { beforeEach, expect, test, vi } from "vitest";
import { hex } from "./bytes";
import { ConsoleError } from "./errors";
import type { Server, Shell, ShellState, VisitView } from "./facade";
import type { LookWish } from "./looking";
import * as own from "./own";
import { visits } from "./visits";

const CHANNEL = "01".repeat(16);
const server = { id: "ab", name: "web-1" } as Server;

let visit: VisitView;
let shells: Record<string, unknown>[] = [];
let keptLook: unknown;
let approver = true;
let opened: LookWish[] = [];
/** How each new view goes on. */
let fates: ShellState[] = [];
let ownShells: Record<string, unknown>[] = [];
let endedBy: string[] = [];
let made = 0;

/** The look that was opened as this one. */
const look = (number: number) => {
  const visit = new Uint8Array(16).fill(number);
  return {
    kept: { id: hex(visit), ground: { server: "ab", visit }, endsAt: Date.now() + 60_000 },
    shells: async () => shells,
  };
};

vi.mock("./looking", () => ({
  kept: async () => keptLook,
  lookers: async () => [{ approver }],
  openLook: async (wish: LookWish) => {
    opened.push(wish);
    return { look: look(opened.length), answer: { shells: { shells } } };
  },
}));
vi.mock("./visits_list", () => ({
  running: async () => [visit],
  pastVisits: async () => [],
  heard: () => [],
  outdated: () => undefined,
}));
vi.mock("./seat", () => ({ account: () => "me", pinned: () => ({}) }));
vi.mock("./store", () => ({ shells: async () => ownShells, looks: async () => [] }));
vi.mock("./watch", () => ({
  View: class {
    state: ShellState = fates.shift() ?? { kind: "connected" };
    readonly engineer: string;
    readonly look: Uint8Array;
    constructor(start: { engineer: string; passage: { visit: Uint8Array } }) {
      this.engineer = start.engineer;
      this.look = start.passage.visit;
      made += 1;
    }
    onState = () => () => undefined;
    leave(): void {
      this.state = { kind: "ended", reason: "left" };
    }
    end(): void {
      endedBy.push("look");
      this.state = { kind: "ended", reason: "ended" };
    }
  },
}));

const failure = (error: unknown): string => (error instanceof ConsoleError ? error.id : String(error));
const gone: ShellState = {
  kind: "ended",
  reason: "error",
  error: new ConsoleError("refusal_no_channel"),
};

beforeEach(() => {
  const shell = { id: CHANNEL, kind: "shell", user: "deploy", since: 1, watchers: [] } as const;
  visit = {
    id: "v1",
    server: { id: "ab", name: "web-1" },
    account: "eve",
    users: ["deploy"],
    reason: "slow site",
    ticket: "",
    startedAt: 1,
    mine: false,
    shells: [shell],
  };
  shells = [{ channel: new Uint8Array(16).fill(1), user: "deploy", person: "eve", may_end: true }];
  [keptLook, approver, opened, fates, ownShells, endedBy, made] = [undefined, true, [], [], [], [], 0];
});

const all = visits(async () => []);

test("watching takes one grant, for the shell's own user, and none while that counts", async () => {
  const view = await all.watch(server, CHANNEL);
  expect(view.engineer).toBe("eve");
  expect(opened).toMatchObject([
    {
      user: "deploy",
      seconds: 3600,
      approver: false,
      what: { kind: "watch", engineer: "eve", user: "deploy" },
    },
  ]);
  keptLook = look(77);
  await all.watch(server, CHANNEL);
  expect(opened.length).toBe(1);
  // The secret of the view was lost: only a new visit can look.
  fates = [gone, { kind: "connected" }];
  await all.watch(server, CHANNEL);
  expect(opened.length).toBe(2);
});

test("a shell whose user nobody knows is looked for as one is told, else as root's", async () => {
  visit = { ...visit, shells: [{ id: CHANNEL, kind: "shell", user: "", since: 1, watchers: [] }] };
  shells = [];
  expect(await all.watch(server, CHANNEL).catch(failure)).toBe("watch_other_user");
  expect(await all.watch(server, CHANNEL, { user: "web" }).catch(failure)).toBe("watch_other_user");
  expect(opened.map(({ user }) => user)).toEqual(["root", "web"]);
  visit = { ...visit, shells: [{ id: CHANNEL, kind: "shell", user: "web", since: 1, watchers: [] }] };
  expect(await all.watch(server, CHANNEL).catch(failure)).toBe("refusal_no_channel");
});

test("another's visit takes an approver's grant that says so, and nothing is signed without one", async () => {
  await all.end("v1");
  expect(opened).toMatchObject([
    { approver: true, what: { kind: "end", engineer: "eve", user: "deploy", reason: "slow site" } },
  ]);
  expect(endedBy).toEqual(["look"]);
  approver = false;
  expect(await all.end("v1").catch(failure)).toBe("not_allowed_to_end");
  expect(await all.end("v2").catch(failure)).toBe("refusal_no_visit");
  expect(opened.length).toBe(1);
  approver = true;
  shells = shells.map((one) => ({ ...one, may_end: false }));
  expect(await all.end("v1").catch(failure)).toBe("not_allowed_to_end");
  expect(endedBy).toEqual(["look"]);
});

test("what a page watches it ends by that view, which is told how it ended", async () => {
  const view = await all.watch(server, CHANNEL);
  keptLook = look(1);
  await all.end("v1");
  expect([endedBy, opened.length, made]).toEqual([["look"], 1, 1]);
  expect(view.state).toEqual({ kind: "ended", reason: "ended" });
  // By another grant: the page's own view stays, and the server tells it.
  keptLook = undefined;
  const other = await all.watch(server, CHANNEL);
  await all.end("v1");
  expect([endedBy, opened.length, made]).toEqual([["look", "look"], 3, 3]);
  expect(other.state).toEqual({ kind: "connected" });
});

test("one's own ends in this window without a grant", async () => {
  ownShells = [{ id: CHANNEL, account: "me", server: "ab", visit: new Uint8Array(16) }];
  const listeners = new Set<(state: ShellState) => void>();
  const shell = {
    id: CHANNEL,
    state: { kind: "connected" } as ShellState,
    onState(listen: (state: ShellState) => void) {
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    end() {
      endedBy.push("writer");
      this.state = { kind: "ended", reason: "closed" };
      for (const listen of listeners) listen(this.state);
    },
  };
  own.mark(shell as unknown as Shell);
  await all.end("00".repeat(16));
  expect([endedBy, opened]).toEqual([["writer"], []]);
  // Another window has it: then over a look, which takes one's own grant.
  visit = { ...visit, id: "00".repeat(16), mine: true };
  approver = false;
  await all.end("00".repeat(16));
  expect([endedBy, opened.length]).toEqual([["writer", "look"], 1]);
});
