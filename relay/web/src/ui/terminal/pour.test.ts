// Output and the terminal: what is given when, and that nothing is lost or overtakes.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Shown } from "./filter";
import { APART_MS, FLOOD, PIECE_MAX, Pour } from "./pour";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A terminal that is done when it is told so. */
function terminal() {
  const given: Shown[] = [];
  const works: (() => void)[] = [];
  const pour = new Pour((piece, done) => {
    given.push(piece);
    works.push(done);
  });
  return { pour, given, finish: () => works.shift()?.() };
}

const ofLength = (length: number) => new Uint8Array(length).fill(0x61);

test("what is little is given at once, and what comes meanwhile after it, plain bytes in one piece", () => {
  const { pour, given, finish } = terminal();
  const taken: string[] = [];
  const push = (shown: Shown, name: string) => pour.push(shown, () => taken.push(name));
  push("a", "a");
  push(Uint8Array.of(0x62), "b");
  push("诊", "c");
  expect([given, taken]).toEqual([["a"], []]);
  finish();
  expect([given, taken]).toEqual([["a", Uint8Array.of(0x62), "诊"], ["a"]]);
  finish();
  expect(taken).toEqual(["a", "b"]);
  finish();
  expect(taken).toEqual(["a", "b", "c"]);
  push(Uint8Array.of(0x64), "d");
  push(Uint8Array.of(0x65), "e");
  push(Uint8Array.of(0x66), "f");
  finish();
  expect(given.slice(3)).toEqual([Uint8Array.of(0x64), Uint8Array.of(0x65, 0x66)]);
  finish();
  expect(taken).toEqual(["a", "b", "c", "d", "e", "f"]);
});

test("a flood's pieces are apart, and no longer than they may be", () => {
  const { pour, given, finish } = terminal();
  const lengths = () => given.map(({ length }) => length);
  const push = (length: number) => pour.push(ofLength(length), () => {});
  push(FLOOD);
  vi.advanceTimersByTime(1);
  finish();
  push(5);
  expect(lengths()).toEqual([FLOOD]);
  vi.advanceTimersByTime(APART_MS - 2);
  expect(lengths()).toEqual([FLOOD]);
  vi.advanceTimersByTime(1);
  expect(lengths()).toEqual([FLOOD, 5]);
  push(PIECE_MAX - 1);
  expect(lengths()).toEqual([FLOOD, 5]);
  push(1);
  expect(lengths()).toEqual([FLOOD, 5, PIECE_MAX]);
});

test("a terminal that is slow with a flood gets less of it at a time", () => {
  const { pour, given, finish } = terminal();
  pour.push(ofLength(PIECE_MAX), () => {});
  vi.advanceTimersByTime(1000);
  finish();
  pour.push("x", () => {});
  pour.push(ofLength(FLOOD - 1), () => {});
  expect(given.length).toBe(2);
  pour.push(ofLength(1), () => {});
  expect(given.map(({ length }) => length)).toEqual([PIECE_MAX, 1, FLOOD]);
});

test("what was given early does not give the next too soon", () => {
  const { pour, given, finish } = terminal();
  pour.push(ofLength(FLOOD), () => {});
  finish();
  pour.push(ofLength(PIECE_MAX), () => {});
  expect(given.length).toBe(2);
  vi.advanceTimersByTime(APART_MS);
  pour.push("late", () => {});
  expect(given.length).toBe(2);
  finish();
  vi.advanceTimersByTime(APART_MS);
  expect(given.at(-1)).toBe("late");
});
