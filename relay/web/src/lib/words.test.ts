// Words that are kept: computed once, and again after a failure.
import { expect, test, vi } from "vitest";
import { words, wordsKept } from "./words";

const ONE = new Uint8Array(32).fill(7);

test("words are computed once for each hash, and again where that failed", async () => {
  const breath = vi.spyOn(performance, "now").mockImplementationOnce(() => {
    throw new Error("no clock");
  });
  await expect(wordsKept(ONE)).rejects.toThrow("no clock");
  const again = wordsKept(ONE);
  expect(await again).toBe(await words(ONE));
  const asked = breath.mock.calls.length;
  expect(wordsKept(Uint8Array.from(ONE))).toBe(again);
  expect(await wordsKept(ONE.map((byte) => byte + 1))).not.toBe(await again);
  expect(breath.mock.calls.length).toBeGreaterThan(asked);
  breath.mockRestore();
});
