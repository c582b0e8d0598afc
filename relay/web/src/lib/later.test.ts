// A part that comes later: fetched when it is asked, and never taken for a promise.

import { expect, test } from "vitest";
import { later } from "./later";

interface Part {
  twice(value: number): Promise<number>;
  fail(): Promise<void>;
}

const PART: Part = {
  twice: async (value) => 2 * value,
  fail: () => Promise.reject(new Error("its own")),
};

test("it is fetched when somebody asks, and answers as itself", async () => {
  let fetched = 0;
  const part = later<Part>(async () => {
    fetched += 1;
    return PART;
  });
  expect(await part).toBe(part);
  expect(fetched).toBe(0);
  expect(await part.twice(21)).toBe(42);
  await expect(part.fail()).rejects.toThrow("its own");
});

test("a part that cannot be fetched says that the relay is away", async () => {
  const part = later<Part>(() => Promise.reject(new TypeError("Failed to fetch")));
  await expect(part.twice(1)).rejects.toMatchObject({ id: "relay_unreachable" });
});
