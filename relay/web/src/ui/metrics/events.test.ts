// @vitest-environment jsdom
// What stands on the time axis: each thing once, in words, and what must not be concluded from silence.
import { beforeAll, expect, test, vi } from "vitest";
import type { HappenedList, HappenedView } from "../../lib/facade";
import type * as EventsModule from "./events";
import { SHAPES } from "./marks";

const AT = 1_800_000_000_000;
const SPAN = { from: AT - 300_000, to: AT };
const NONE = { runs: [], visits: [] };
let events: typeof EventsModule;

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  const table = await import("../words.svelte");
  await table.words();
  await table.roomWords();
  events = await import("./events");
});

function event(before: number, more: Partial<HappenedView> & Pick<HappenedView, "kind">): HappenedView {
  return { at: AT - before * 1000, count: 1, names: [], unit: "", guessed: false, ...more };
}

function told(...list: HappenedView[]): HappenedList {
  return { since: AT - 7 * 86_400_000, events: list, leftOut: 0, blind: [] };
}

const shown = (list: HappenedList, kills: number[] = [], bootedAt?: number) =>
  events
    .happened(
      "01",
      { ...NONE, ...(bootedAt === undefined ? {} : { bootedAt }) },
      list,
      kills,
      undefined,
      SPAN,
    )
    .map(({ kind, text, who }) => [kind, text, who ?? ""]);

test("what a server tells is a sentence with names beside it, oldest first", () => {
  const nginx = { name: "nginx", before: "1.22.1-8", after: "1.22.1-9" };
  const list = told(
    event(10, { kind: "killed", unit: "shop.service", names: [{ name: "java", before: "", after: "" }] }),
    event(200, { kind: "upgraded", count: 14, names: [nginx] }),
    event(190, { kind: "removed", guessed: true, names: [{ name: "x", before: "0.9", after: "" }] }),
    event(100, { kind: "restarted", count: 3, unit: "shop.service" }),
    event(90, { kind: "failed", unit: "shop.service" }),
    event(400, { kind: "booted" }),
  );
  expect(shown(list)).toEqual([
    ["package", "Packages upgraded: 14", "nginx 1.22.1-8 → 1.22.1-9, …"],
    ["package", "Packages removed: 1 (time uncertain)", "x 0.9"],
    ["service", "systemd started a service again, 3 times within minutes", "shop.service"],
    ["failed", "A service failed", "shop.service"],
    ["kill", "The kernel killed a process for want of memory", "java, shop.service"],
  ]);
});

test("a kill and a start that are known twice are shown once", () => {
  const list = told(event(100, { kind: "killed" }), event(200, { kind: "booted" }));
  expect(shown(list, [AT - 95_000, AT - 30_000], AT - 201_000).map(([kind]) => kind)).toEqual([
    "restart",
    "kill",
    "kill",
  ]);
  expect(shown(told(), [AT - 95_000], AT - 201_000).map(([kind]) => kind)).toEqual(["restart", "kill"]);
});

test("silence is said where a server could not look, or not so far back", () => {
  expect(events.silence(undefined, AT)).toEqual([]);
  expect(events.silence(told(), AT - 1000)).toEqual([]);
  expect(events.silence(told(), AT - 8 * 86_400_000)).toHaveLength(1);
  const blind = events.silence({ ...told(), leftOut: 3, blind: ["kernel", "services"] }, AT - 1000);
  expect(blind[0]).toContain("3 older events");
  expect(blind[1]).toContain("the kernel's log, systemd's journal");
});

test("a server that was asked a moment ago is asked again soon, and one that says no later", async () => {
  vi.useFakeTimers();
  const { ConsoleError } = await import("../../lib/errors");
  const { useFacade } = await import("../facade");
  const answers = [
    new ConsoleError("refusal_events_too_often", "4"),
    new ConsoleError("refusal_events_too_often", "4"),
    told(event(1, { kind: "booted" })),
    new ConsoleError("relay_says_no", "x"),
  ];
  let asked = 0;
  const happened = async () => {
    const answer = answers[asked++];
    if (answer instanceof Error || answer === undefined) throw answer;
    return answer;
  };
  useFacade({ metrics: { happened } } as never);
  const heard: HappenedList[] = [];
  const stop = events.followTold("01", (list) => heard.push(list));
  await vi.advanceTimersByTimeAsync(4_900);
  expect([asked, heard.length]).toEqual([1, 0]);
  await vi.advanceTimersByTimeAsync(5_200);
  expect([asked, heard.length]).toEqual([2, 0]);
  await vi.advanceTimersByTimeAsync(20_000);
  expect([asked, heard.length], "many who look at once do not storm it").toEqual([2, 0]);
  await vi.advanceTimersByTimeAsync(41_000);
  expect([asked, heard.length]).toEqual([3, 1]);
  await vi.advanceTimersByTimeAsync(61_000);
  expect([asked, heard.length]).toEqual([4, 1]);
  stop();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(asked).toBe(4);
  vi.useRealTimers();
});

test("each kind has a shape of its own", () => {
  expect(new Set(Object.values(SHAPES)).size).toBe(Object.keys(SHAPES).length);
});
