// A shell that loses its connection: who may still say something for it, and how often it is tried again.

import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { RelayError } from "./api";
import { Channel } from "./channel";
import { ConsoleError } from "./errors";
import type { ShellState } from "./facade";
import { OUTPUT_WINDOW_BYTES, RECORD_DATA_BYTES_MAX } from "./limits";
import { Cut, Link } from "./link";
import { type ExchangePair, exchangePair } from "./noise";
import type { ToClient, ToHolder, Welcome } from "./session";
import type * as store from "./store";
import { FrameStream, StreamError } from "./stream";

const kept: store.StoredShell[] = [];
vi.mock("./store", () => ({
  keepShell: async (shell: store.StoredShell) => {
    kept.push(shell);
  },
  forgetShell: async () => undefined,
}));

/** A stream of which only the doings matter; nobody answers on it. */
class Silent {
  readonly sent: Uint8Array[] = [];
  abandoned = false;
  left = false;
  private refuse: (error: Error) => void = () => undefined;

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
  }

  next(): Promise<never> {
    return new Promise((_, reject) => {
      this.refuse = reject;
    });
  }

  abandon(): void {
    this.abandoned = true;
    this.refuse(new Error("abandoned"));
  }

  leave(): void {
    this.left = true;
  }
}

let ours: ExchangePair;
let theirs: ExchangePair;

beforeAll(async () => {
  ours = await exchangePair();
  theirs = await exchangePair();
});

beforeEach(() => {
  kept.length = 0;
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** A shell from before a reload, which is dialling. */
function resumed(release: () => void): Channel {
  const id = (byte: number, length = 16) => new Uint8Array(length).fill(byte);
  const binding = {
    version: 1,
    challenge: id(1, 32),
    grant: id(2, 32),
    kind: "shell",
    channel: id(3),
  } as const;
  const request = { user: "root", attach: true, abandoned: [], term: "xterm", lang: "", argv: [] };
  return Channel.resume({
    passage: { server: "ab", visit: id(4), binding, ours, theirs: theirs.open, request },
    account: "eve",
    tenant: "cd",
    user: "root",
    size: { cols: 80, rows: 24 },
    endsInSecs: 600,
    unanswered: [],
    release,
    received: 0,
    secret: { index: 7, secret: id(5, 32) },
    joins: true,
  });
}

test("who detaches while a dial is on its way hears no more of it: nothing is sent or kept", async () => {
  const stream = new Silent();
  let open: (stream: FrameStream) => void = () => undefined;
  vi.spyOn(FrameStream, "open").mockReturnValue(
    new Promise((resolve) => {
      open = resolve;
    }),
  );
  const released = vi.fn();
  const shell = resumed(released);
  shell.detach();
  // Another view may have it as soon as everything is kept, however long the network is away.
  await vi.waitFor(() => expect(released).toHaveBeenCalled());
  const before = kept.length;
  open(stream as unknown as FrameStream);
  await vi.waitFor(() => expect(stream.left || stream.sent.length > 0).toBe(true));
  expect([stream.sent.length, kept.length]).toEqual([0, before]);
});

test("who detaches while a handshake is made sends and keeps nothing of it", async () => {
  const stream = new Silent();
  vi.spyOn(FrameStream, "open").mockResolvedValue(stream as unknown as FrameStream);
  const made = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  const shell = resumed(() => undefined);
  vi.spyOn(crypto.subtle, "generateKey").mockImplementationOnce(async () => {
    shell.detach();
    return made;
  });
  await vi.waitFor(() => expect(stream.left || stream.sent.length > 0).toBe(true));
  expect([stream.sent.length, kept.map(({ unanswered }) => unanswered.length)]).toEqual([0, [0]]);
});

test("who detaches while a handshake waits for its answer leaves it at once", async () => {
  const stream = new Silent();
  vi.spyOn(FrameStream, "open").mockResolvedValue(stream as unknown as FrameStream);
  const shell = resumed(() => undefined);
  await vi.waitFor(() => expect(stream.sent.length).toBe(1));
  // Whoever comes back next names it as given up, so that it counts for no thief's.
  expect(kept.at(-1)?.unanswered.length).toBe(1);
  shell.detach();
  expect(stream.abandoned).toBe(true);
});

/** A shell whose dials fail, in a page with its events, after a time in which no wait is short any more. */
async function away(fails: (noted: (ephemeral: Uint8Array<ArrayBuffer>) => Promise<void>) => Promise<never>) {
  vi.useFakeTimers();
  const page = new EventTarget();
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("document", { visibilityState: "visible" });
  const navigator = { onLine: true };
  vi.stubGlobal("navigator", navigator);
  const dial = vi.spyOn(Link, "dial").mockImplementation((_, __, ___, noted) => fails(noted));
  const shell = resumed(() => undefined);
  await vi.advanceTimersByTimeAsync(120_000);
  const waiting = async (): Promise<ShellState & { kind: "reconnecting" }> => {
    // Right after a try, the next one is seconds away.
    const before = dial.mock.calls.length;
    while (dial.mock.calls.length === before) await vi.advanceTimersByTimeAsync(100);
    if (shell.state.kind !== "reconnecting") throw new Error(shell.state.kind);
    return shell.state;
  };
  return { shell, dial, page, navigator, waiting };
}

const behind =
  (code: "close_4404" | "close_4429") => async (noted: (one: Uint8Array<ArrayBuffer>) => Promise<void>) => {
    await noted(new Uint8Array(32));
    throw new Cut(true, new StreamError(true, "stream_closed", { id: code, args: [] }));
  };

test("the state says what does not answer, since when, and when the next try is", async () => {
  const { shell, navigator, waiting } = await away(behind("close_4404"));
  const state = await waiting();
  expect(state.broke).toBe("server");
  expect(Date.now() - state.since).toBeGreaterThan(100_000);
  expect(state.again).toBeGreaterThan(Date.now() + 2_000);
  navigator.onLine = false;
  expect((await waiting()).broke).toBe("network");
  shell.detach();
  const relay = await away(() => Promise.reject(new RelayError(true, "relay_unreachable", "")));
  expect((await relay.waiting()).broke).toBe("relay");
  relay.shell.detach();
});

test("a network that is back is tried at once, and then in short waits again", async () => {
  const { shell, dial, page, waiting } = await away(behind("close_4404"));
  await waiting();
  const before = dial.mock.calls.length;
  page.dispatchEvent(new Event("online"));
  expect(dial.mock.calls.length).toBe(before + 1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(dial.mock.calls.length).toBeGreaterThanOrEqual(before + 4);
  shell.detach();
  const left = dial.mock.calls.length;
  page.dispatchEvent(new Event("online"));
  expect(dial.mock.calls.length).toBe(left);
});

test("whoever types or looks again waits no longer, but does not try with every key", async () => {
  const { shell, dial, page, waiting } = await away(behind("close_4404"));
  const acts = [
    () => shell.input(Uint8Array.of(13)),
    () => page.dispatchEvent(new Event("visibilitychange")),
    () => shell.end(),
  ];
  for (const act of acts) {
    await waiting();
    const before = dial.mock.calls.length;
    act();
    expect(dial.mock.calls.length).toBe(before);
    await vi.advanceTimersByTimeAsync(3_000);
    act();
    act();
    expect(dial.mock.calls.length).toBe(before + 1);
  }
  shell.detach();
});

test("an account that opened too many streams waits at once as long as it ever does", async () => {
  const { shell, dial } = await away(behind("close_4429"));
  // In two minutes.
  expect(dial.mock.calls.length).toBeLessThanOrEqual(17);
  shell.detach();
});

test("a relay that asks to wait has answered: it is not said to be away", async () => {
  const { shell, dial, waiting } = await away(() =>
    Promise.reject(new RelayError(true, "relay_unreachable", "")),
  );
  expect((await waiting()).broke).toBe("relay");
  dial.mockImplementation(() => Promise.reject(new RelayError(true, "too_many_tries")));
  const state = await waiting();
  expect(state.broke).toBe("server");
  expect((state.again ?? 0) - Date.now()).toBeGreaterThan(7_000);
  shell.detach();
});

/** A link that is up, driven by the test. */
class Wire {
  readonly said: ToHolder[] = [];
  private readonly queue: (ToClient | Cut)[] = [];
  private heard: () => void = () => undefined;
  readonly stream = {
    listen: (heard: () => void) => {
      this.heard = heard;
    },
    leave: () => undefined,
    hasRoom: () => true,
  };

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

  /** Output `from..to`, in whole records. */
  prints(from: number, to: number): void {
    for (let offset = from; offset < to; offset += RECORD_DATA_BYTES_MAX) {
      const data = new Uint8Array(RECORD_DATA_BYTES_MAX);
      this.hears({ type: "output", stream: "out", offset, data });
    }
  }
}

/** A shell that is up, and its links. */
async function connected() {
  vi.useFakeTimers();
  const wires: Wire[] = [];
  vi.spyOn(Link, "dial").mockImplementation(async () => {
    const wire = new Wire();
    wires.push(wire);
    const handed = { index: wires.length, secret: new Uint8Array(32) };
    return { link: wire as unknown as Link, handed };
  });
  const shell = resumed(() => undefined);
  await vi.advanceTimersByTimeAsync(0);
  const welcome = { pid: 1, input_applied: 0, out_end: 0, err_end: 0, ends_in_secs: 600, notice: null };
  const up = (number: number): Wire => {
    const wire = wires[number];
    if (wire === undefined) throw new Error("not dialled");
    wire.hears({ type: "welcome", welcome: welcome as Welcome });
    return wire;
  };
  return { shell, wires, up };
}

test("what a server sends beyond its windows is left out and said, and fills no page", async () => {
  const { shell, up } = await connected();
  const wire = up(0);
  const most = 2 * OUTPUT_WINDOW_BYTES;
  const skipped: number[] = [];
  shell.onState((state) => {
    if (state.kind === "skipped") skipped.push(state.bytes);
  });
  wire.prints(0, most);
  expect(skipped).toEqual([]);
  wire.prints(most, most + 2 * RECORD_DATA_BYTES_MAX);
  expect(skipped).toEqual([RECORD_DATA_BYTES_MAX, RECORD_DATA_BYTES_MAX]);
  let bytes = 0;
  shell.onOutput((piece, drawn) => {
    bytes += piece.length;
    drawn();
  });
  expect(bytes).toBe(most);
  expect(shell.state.kind).toBe("connected");
  wire.prints(most + 2 * RECORD_DATA_BYTES_MAX, most + 3 * RECORD_DATA_BYTES_MAX);
  expect(bytes).toBe(most + RECORD_DATA_BYTES_MAX);
  shell.detach();
});

test("a shell comes back only once its screen has room for another window, and loses nothing", async () => {
  const { shell, wires, up } = await connected();
  const cut = new Cut(true, new ConsoleError("stream_lost"));
  up(0).prints(0, OUTPUT_WINDOW_BYTES);
  wires[0]?.hears(cut);
  await vi.advanceTimersByTimeAsync(1_000);
  up(1).prints(OUTPUT_WINDOW_BYTES, 2 * OUTPUT_WINDOW_BYTES);
  wires[1]?.hears(cut);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(wires.length).toBe(2);
  let bytes = 0;
  shell.onOutput((piece, drawn) => {
    bytes += piece.length;
    drawn();
  });
  await vi.advanceTimersByTimeAsync(0);
  expect(wires.length).toBe(3);
  expect(up(2).said[0]).toMatchObject({ type: "begin", begin: { out_from: 2 * OUTPUT_WINDOW_BYTES } });
  expect(bytes).toBe(2 * OUTPUT_WINDOW_BYTES);
  shell.detach();
});

/** How long it takes until the link of this number is dialled, in steps of 50 ms. */
async function until(number: number, wires: readonly Wire[]): Promise<number> {
  const before = Date.now();
  while (wires[number] === undefined) await vi.advanceTimersByTimeAsync(50);
  return Date.now() - before;
}

test("a server that welcomes and cuts at once leaves most of what an account may open", async () => {
  const { shell, wires, up } = await connected();
  const started = Date.now();
  for (let number = 0; Date.now() - started < 180_000; number += 1) {
    await until(number, wires);
    up(number).hears(new Cut(true, new ConsoleError("stream_lost")));
  }
  // A relay lets an account open 30 streams at once, and 30 more each minute.
  expect(wires.length).toBeLessThanOrEqual(60);
  shell.detach();
});

test("a link that lived is made again at once when it is cut, however long the last one was away", async () => {
  const { shell, wires, up } = await connected();
  const cut = new Cut(true, new ConsoleError("stream_lost"));
  for (let number = 0; number < 12; number += 1) {
    await until(number, wires);
    up(number).hears(cut);
  }
  for (let number = 12; number < 15; number += 1) {
    await until(number, wires);
    const wire = up(number);
    for (let at = 0; at < 12; at += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      for (const said of wire.said.splice(0))
        if (said.type === "ping") wire.hears({ type: "pong", number: said.number });
    }
    expect(wires.length).toBe(number + 1);
    wire.hears(cut);
    expect(await until(number + 1, wires)).toBeLessThanOrEqual(100);
  }
  shell.detach();
});
