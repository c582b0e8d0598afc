// How often a lost connection is tried again: quickly at first, never so often that an account can open nothing else.

import { expect, test } from "vitest";
import { waitMs } from "./again";

/** When the tries are, in milliseconds since the cut, if each fails at once. */
function tries(untilMs: number, chance: number): number[] {
  const all: number[] = [];
  for (let at = 0; ; ) {
    at += waitMs(all.length + 1, at, false, chance);
    if (at > untilMs) return all;
    all.push(at);
  }
}

test("a short outage is over soon after it is", () => {
  const all = tries(8_000, 1);
  expect(all[0]).toBeLessThanOrEqual(100);
  for (const [at, time] of all.entries()) {
    const before = all[at - 1] ?? 0;
    expect(time - before).toBeLessThanOrEqual(Math.max(1_000, before / 3) + 1);
  }
});

test("a server that stays away leaves most of what an account may open to other servers", () => {
  // A relay lets an account open 30 streams at once, and 30 more each minute.
  const all = tries(600_000, 0);
  const minute = (number: number) => all.filter((at) => Math.floor(at / 60_000) === number).length;
  expect(minute(0)).toBeLessThanOrEqual(30);
  for (let number = 1; number < 10; number += 1) expect(minute(number)).toBeLessThanOrEqual(8);
});

test("whoever opened too many streams waits longer at once", () => {
  expect(waitMs(1, 0, true, 0)).toBe(7_500);
  expect(waitMs(100, 1e9, true, 1)).toBe(15_000);
});
