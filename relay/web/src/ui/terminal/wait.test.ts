// Output and what it waits for: nothing overtakes, and what hangs is waited for once.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Queue, Wait } from "./wait";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test("what hangs is waited for once, in all terminals together", async () => {
  const wait = new Wait(new Promise(() => {}), 3000);
  const [one, other] = [new Queue(wait), new Queue(wait)];
  const written: string[] = [];
  const push = (queue: Queue, text: string, waits: boolean) => queue.push(waits, () => written.push(text));
  push(one, "a", false);
  push(one, "\u{1f980}", true);
  push(one, "b", false);
  expect(written).toEqual(["a"]);
  await vi.advanceTimersByTimeAsync(2000);
  push(other, "\u4e16", true);
  push(one, "c", true);
  await vi.advanceTimersByTimeAsync(999);
  expect(written).toEqual(["a"]);
  await vi.advanceTimersByTimeAsync(1);
  expect(written).toEqual(["a", "\u{1f980}", "b", "c", "\u4e16"]);
  push(one, "d", true);
  push(other, "e", true);
  expect(written.slice(5)).toEqual(["d", "e"]);
});

test("what has come ends the wait", async () => {
  let come = () => {};
  const queue = new Queue(
    new Wait(
      new Promise<void>((resolve) => {
        come = resolve;
      }),
      3000,
    ),
  );
  const written: number[] = [];
  queue.push(true, () => written.push(1));
  queue.push(false, () => written.push(2));
  await vi.advanceTimersByTimeAsync(10);
  expect(written).toEqual([]);
  come();
  await vi.advanceTimersByTimeAsync(0);
  queue.push(false, () => written.push(3));
  expect(written).toEqual([1, 2, 3]);
});
