import { expect, test } from "vitest";
import { fromField, hoursFault, inField, usersIn } from "./ahead";

const NOW = Date.UTC(2026, 10, 25, 12);
const HOUR = 3_600_000;

test.each([
  [0, 4 * HOUR, undefined],
  [0, 24 * HOUR, undefined],
  [0, 24 * HOUR + 60_000, "ahead-hours-day"],
  [HOUR, HOUR, "ahead-hours-day"],
  [HOUR, 0, "ahead-hours-day"],
  [Number.NaN, HOUR, "ahead-hours-day"],
  [0, Number.NaN, "ahead-hours-day"],
  [168 * HOUR, 170 * HOUR, undefined],
  [168 * HOUR + 60_000, 170 * HOUR, "ahead-hours-week"],
  [-2 * HOUR, HOUR, undefined],
  [-2 * HOUR, 0, "ahead-hours-over"],
])("hours from %d to %d: %s", (from, until, fault) => {
  expect(hoursFault(NOW + from, NOW + until, NOW)).toBe(fault);
});

test("a field's time is the reader's, and comes back as it was", () => {
  expect(fromField(inField(NOW))).toBe(NOW);
  expect(inField(NOW)).toMatch(/^2026-11-2\dT\d\d:\d\d$/);
  for (const text of ["", "2026-11-25", "tomorrow"]) expect(fromField(text)).toBeNaN();
});

test("users are told apart by blanks and commas, each once, at most eight", () => {
  expect(usersIn(" root, postgres root ")).toEqual(["root", "postgres"]);
  expect(usersIn(" , ")).toBeUndefined();
  expect(usersIn("a b c d e f g h")).toHaveLength(8);
  expect(usersIn("a b c d e f g h i")).toBeUndefined();
});
