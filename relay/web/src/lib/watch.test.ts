// A view of another's shell: what it says and what it may hear, over links that break.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ConsoleError } from "./errors";
import type { ShellState } from "./facade";
import { Cut, Link, type Passage } from "./link";
import type { Handed } from "./noise";
import type { ToClient, ToHolder, Welcome } from "./session";
import type * as store from "./store";
import { View } from "./watch";

const kept: store.StoredView[] = [];
vi.mock("./store", () => ({
  keepView: async (_look: string, _channel: string, view: store.StoredView) => {
    kept.push(view);
  },
}));

/** A link as the library has it, driven by the test. */
class Wire {
  static all: Wire[] = [];
  readonly said: ToHolder[] = [];
  private readonly queue: (ToClient | Cut)[] = [];
  private heard: () => void = () => undefined;
  left = false;

  readonly stream = {
    listen: (heard: () => void) => {
      this.heard = heard;
    },
    leave: () => {
      this.left = true;
    },
    hasRoom: () => true,
  };

  constructor(readonly resume: Handed | undefined) {
    Wire.all.push(this);
  }

  say(said: ToHolder): void {
    this.said.push(said);
  }

  take(): ToClient | undefined {
    const found = this.queue.shift();
    if (found instanceof Cut) throw found;
    return found;
  }

  hears(...said: (ToClient | Cut)[]): void {
    this.queue.push(...said);
    this.heard();
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  Wire.all = [];
  kept.length = 0;
  vi.spyOn(Link, "dial").mockImplementation(async (_, resume, __, noted) => {
    await noted(new Uint8Array(32));
    const handed = { index: (resume?.index ?? 0) + 1, secret: new Uint8Array(32) };
    return { link: new Wire(resume) as unknown as Link, handed };
  });
});

afterEach(() => {
  vi.useRealTimers();
});

const passage = {
  server: "ab",
  visit: new Uint8Array(16),
  binding: { channel: Uint8Array.of(1, 2), kind: "watch" },
} as unknown as Passage;

const welcome = (out_end: number): ToClient => ({
  type: "welcome",
  welcome: { pid: 1, input_applied: 0, out_end, err_end: 0, ends_in_secs: 60, notice: null } as Welcome,
});
const output = (offset: number, text: string): ToClient => ({
  type: "output",
  stream: "out",
  offset,
  data: new TextEncoder().encode(text),
});

async function watching(): Promise<{ view: View; wire: Wire; states: ShellState[]; drawn: () => string }> {
  const view = new View({
    passage,
    user: "root",
    endsInSecs: 60,
    unanswered: [],
    release: () => undefined,
    engineer: "eve",
    of: "visit",
    names: async () => ["carl", "bob"],
  });
  const states: ShellState[] = [];
  view.onState((state) => states.push(state));
  let text = "";
  view.onOutput((bytes, done, past) => {
    text += (past ? "<" : "") + new TextDecoder().decode(bytes);
    done();
  });
  await vi.advanceTimersByTimeAsync(0);
  const [wire] = Wire.all;
  if (wire === undefined) throw new Error("not dialled");
  return { view, wire, states, drawn: () => text };
}

test("it looks first, draws the last of what was there and then what comes, at the writer's size", async () => {
  const { view, wire, states, drawn } = await watching();
  expect(wire.said[0]).toEqual({ type: "look", from: 0, last: 256 << 10 });
  // Nothing is believed to be kept later: the secret was kept before the first record.
  expect(kept.at(-1)?.secret?.index).toBe(1);
  const sizes: unknown[] = [];
  view.onSize((size) => sizes.push(size));
  wire.hears(
    welcome(1003),
    { type: "size", cols: 100, rows: 30 },
    { type: "skipped", stream: "out", from: 0, to: 1000 },
    output(1000, "old"),
    output(1003, "new"),
    { type: "watchers", people: ["carl"] },
    { type: "unknown", tag: 0xd0 },
  );
  expect(drawn()).toBe("<oldnew");
  expect(sizes).toEqual([{ cols: 100, rows: 30 }]);
  // What is older than the view is no loss; what a slow watcher misses later is.
  expect(states.some(({ kind }) => kind === "skipped")).toBe(false);
  wire.hears({ type: "skipped", stream: "out", from: 1006, to: 2006 });
  expect(states).toContainEqual({ kind: "skipped", bytes: 1000 });
  await vi.advanceTimersByTimeAsync(1000);
  expect(wire.said).toContainEqual({ type: "ack", out: 2006, err: 0 });
  const names: unknown[] = [];
  view.onWatchers((people) => names.push(people));
  expect(names).toEqual([["carl", "bob"]]);
  const types = new Set(wire.said.map(({ type }) => type));
  for (const type of types) expect(["look", "ack", "ping", "bye", "end"]).toContain(type);
});

test("it comes back where it was, with the newest secret, and ends with the shell", async () => {
  const { view, wire, drawn } = await watching();
  wire.hears(welcome(0), output(0, "one"));
  wire.hears(new Cut(true, new ConsoleError("stream_lost")));
  expect(view.state.kind).toBe("reconnecting");
  await vi.advanceTimersByTimeAsync(1000);
  const again = Wire.all[1];
  expect(again?.resume?.index).toBe(1);
  expect(again?.said[0]).toEqual({ type: "look", from: 3, last: 256 << 10 });
  again?.hears(welcome(6), output(3, "two"), { type: "exit", status: { code: 3 } });
  expect(drawn()).toBe("onetwo");
  expect(again?.said.at(-1)).toEqual({ type: "bye" });
  again?.hears({ type: "fin", reason: "ended" });
  expect(view.state).toEqual({ kind: "ended", reason: "ended", exit: { code: 3 } });
  await vi.advanceTimersByTimeAsync(0);
  expect(kept.at(-1)?.secret).toBeUndefined();
});

test("it ends a shell once it is welcome, and leaves without a word", async () => {
  const { view, wire } = await watching();
  view.end();
  expect(wire.said.map(({ type }) => type)).toEqual(["look"]);
  wire.hears(welcome(0));
  expect(wire.said.filter(({ type }) => type === "end")).toHaveLength(1);
  view.leave();
  expect([wire.left, view.state]).toEqual([true, { kind: "ended", reason: "left" }]);
  expect(wire.said.at(-1)?.type).not.toBe("bye");
});

test("what a watcher is never told ends the view", async () => {
  const rows: ToClient[] = [{ type: "input-ack", offset: 1 }, output(7, "x")];
  for (const row of rows) {
    Wire.all = [];
    const { view, wire } = await watching();
    wire.hears(welcome(0), row);
    expect(view.state).toMatchObject({ kind: "ended", error: { id: "channel_integrity" } });
  }
});
