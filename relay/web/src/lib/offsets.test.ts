// Input exactly once, output without a gap, acknowledgements of what was drawn.

import { expect, test } from "vitest";
import { INPUT_BUFFER_BYTES, RECORD_DATA_BYTES_MAX } from "./limits";
import { Input, Output } from "./offsets";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const piece = (input: Input): [number, string] | undefined => {
  const next = input.next();
  return next && [next.offset, new TextDecoder().decode(next.data)];
};

test("input is sent again from the last applied byte", () => {
  const input = new Input();
  input.push(bytes("hello world"));
  expect(piece(input)).toEqual([0, "hello world"]);
  expect(piece(input)).toBeUndefined();
  input.applied(5);
  input.rewind();
  expect(piece(input)).toEqual([5, " world"]);
  expect(() => input.applied(12)).toThrow();
  expect(() => input.applied(4)).toThrow();
  input.applied(11);
  expect(input.room()).toBe(INPUT_BUFFER_BYTES);
});

test("what was typed before the welcome begins where the shell is", () => {
  const input = new Input();
  input.push(bytes("early"));
  input.beginAt(100);
  expect(piece(input)).toEqual([100, "early"]);
  input.applied(105);
});

test("input is cut into records", () => {
  const input = new Input();
  input.push(new Uint8Array(INPUT_BUFFER_BYTES));
  expect(input.room()).toBe(0);
  let total = 0;
  for (let next = input.next(); next !== undefined; next = input.next()) {
    expect(next.offset).toBe(total);
    expect(next.data.length).toBeLessThanOrEqual(RECORD_DATA_BYTES_MAX);
    total += next.data.length;
  }
  expect(total).toBe(INPUT_BUFFER_BYTES);
});

test("output has no gap and nothing twice", () => {
  const output = new Output();
  output.arrived("out", 0, 10);
  output.arrived("err", 0, 3);
  expect(() => output.arrived("out", 9, 1)).toThrow();
  expect(() => output.arrived("out", 11, 1)).toThrow();
  output.skipped("out", 10, 20);
  expect(() => output.skipped("out", 19, 25)).toThrow();
  expect(() => output.skipped("out", 20, 19)).toThrow();
  output.arrived("out", 20, 1);
  expect(output.wanted()).toEqual({ out: 21, err: 3 });
  expect(new Output(7).wanted()).toEqual({ out: 7, err: 0 });
});

test("acknowledgements name what was drawn and are few", () => {
  const output = new Output();
  output.arrived("out", 0, 1 << 20);
  expect(output.dueAck(true)).toBeUndefined();
  output.took("out", 1000);
  expect(output.dueAck(false)).toBeUndefined();
  expect(output.dueAck(true)).toEqual({ out: 1000, err: 0 });
  output.took("out", 300_000);
  expect(output.dueAck(false)).toEqual({ out: 301_000, err: 0 });
  output.rewind();
  expect(output.dueAck(false)).toEqual({ out: 301_000, err: 0 });
  output.took("out", 5 << 20);
  expect(output.dueAck(true)).toEqual({ out: 1 << 20, err: 0 });
});
