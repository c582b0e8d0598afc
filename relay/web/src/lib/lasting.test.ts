// A shell that loses its connection: who may still say something for it, and how often it is tried again.

import { beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Channel } from "./channel";
import { type ExchangePair, exchangePair } from "./noise";
import type * as store from "./store";
import { FrameStream } from "./stream";

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
