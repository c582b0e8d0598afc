// @vitest-environment jsdom
// What is said of a shell that is not connected: what does not answer, since when, and when the next try is.
import { beforeAll, expect, test, vi } from "vitest";
import type { ShellState } from "../lib/facade";

let states: typeof import("./states");
const NOW = new Date(2027, 0, 15, 14, 3, 1).getTime();

beforeAll(async () => {
  vi.useFakeTimers({ now: NOW, toFake: ["Date"] });
  const { words } = await import("./words.svelte");
  await words();
  states = await import("./states");
});

test("a line that hiccups, then what is away: only the server's absence is critical", () => {
  const rows: [Partial<ShellState & { kind: "reconnecting" }>, string, string][] = [
    [{ since: NOW - 4_000 }, "reconnecting · 4 s", "warning"],
    [{ since: NOW - 4_000, broke: "relay", again: NOW + 400 }, "reconnecting · 4 s", "warning"],
    [
      { since: NOW - 40_000, broke: "server", again: NOW + 9_000 },
      "reconnecting · 40 s · next try in 9 s",
      "warning",
    ],
    [{ broke: "network" }, "your network is away", "warning"],
    [{ broke: "relay", again: NOW + 12_000 }, "the relay does not answer · next try in 12 s", "warning"],
    [{ broke: "relay", again: NOW - 1_000 }, "the relay does not answer", "warning"],
    [{ broke: "server" }, "server unreachable since 14:02", "critical"],
    [{}, "server unreachable since 14:02", "critical"],
  ];
  for (const [row, words, mark] of rows) {
    const state = { kind: "reconnecting", since: NOW - 61_000, ...row } as const;
    expect([states.stateWords(state, NOW), states.stateMark(state, NOW)]).toEqual([words, mark]);
  }
});
