// Schedules in words: each sentence says exactly what its line does, or there is none.
import { expect, test } from "vitest";
import { fieldsOf, timesOf, workdays } from "./cron";

test("what has a short sentence", () => {
  const check = (line: string, expected: unknown) => expect(timesOf(line), line).toEqual(expected);
  check("30 2 * * *", { kind: "daily", times: ["02:30"] });
  check("  5   14 * * * ", { kind: "daily", times: ["14:05"] });
  check("0 3,15 * * *", { kind: "daily", times: ["03:00", "15:00"] });
  check("30 2 * * 1-5", { kind: "daily", times: ["02:30"], weekdays: [1, 2, 3, 4, 5] });
  check("30 2 * * mon-FRI", { kind: "daily", times: ["02:30"], weekdays: [1, 2, 3, 4, 5] });
  check("0 6 * * 0", { kind: "daily", times: ["06:00"], weekdays: [0] });
  check("0 6 * * 7", { kind: "daily", times: ["06:00"], weekdays: [0] });
  check("0 6 * * 6,7", { kind: "daily", times: ["06:00"], weekdays: [0, 6] });
  check("0 4 1,15 * *", { kind: "daily", times: ["04:00"], days: [1, 15] });
  check("*/15 * * * *", { kind: "minutes", every: 15 });
  check("0,30 * * * *", { kind: "minutes", every: 30 });
  check("7 * * * *", { kind: "hours", every: 1, minute: "07" });
  check("0 */4 * * *", { kind: "hours", every: 4, minute: "00" });
  check("0 */6 * * *", { kind: "daily", times: ["00:00", "06:00", "12:00", "18:00"] });
  expect(workdays([1, 2, 3, 4, 5])).toBe(true);
});

test("what has none is shown as it is", () => {
  for (const line of [
    "",
    "30 2 * *",
    "30 2 * * * *",
    "60 2 * * *",
    "0 24 * * *",
    "0 5 0 * *",
    "0 5 * * 8",
    // Not even: the last step of an hour, of a day is shorter.
    "*/25 * * * *",
    "0 */5 * * *",
    // Either of two days.
    "0 5 1 * 1",
    "0 5 * 6 *",
    "0 5 L * *",
    "0 5 * * 1#2",
    "5/10 * * * *",
    "5,10 * * * *",
    "0 1-9 * * *",
    "0 5 5-1 * *",
    "* * * * *x",
    "1-2-3 * * * *",
    "*/0 * * * *",
    "@daily",
  ])
    expect(timesOf(line), line).toBeUndefined();
  expect(fieldsOf("a b c d")).toBeUndefined();
});
