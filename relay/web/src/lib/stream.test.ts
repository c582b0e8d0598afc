// A relay that says what it likes: nothing is believed, nothing grows without a bound, and every end has a name.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ConsoleError } from "./errors";
import { encode, Kind } from "./frame";
import { outside } from "./outside";
import { FrameStream, StreamError } from "./stream";

/** A socket as a browser has it, driven by the test. */
class Fake {
  static last: Fake;
  readonly OPEN = 1;
  readyState = 0;
  binaryType = "";
  bufferedAmount = 0;
  protocol = "cloud-doctor.v1";
  readonly sent: Uint8Array[] = [];
  onopen: (() => void) | undefined;
  onmessage: ((event: { data: unknown }) => void) | undefined;
  onclose: ((event: { code: number }) => void) | undefined;
  onerror: (() => void) | undefined;
  closed: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    Fake.last = this;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  says(data: Uint8Array | string): void {
    this.onmessage?.({ data: typeof data === "string" ? data : data.slice().buffer });
  }

  send(data: Uint8Array): void {
    this.sent.push(data);
  }

  close(code: number): void {
    this.closed = code;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  outside.origin = () => "https://relay.example:8443";
  outside.language = () => "en";
  outside.fetch = async () => new Response(JSON.stringify({ ticket: "abc_-1" }), { status: 201 });
  outside.socket = (url, protocols) => new Fake(url, protocols) as unknown as WebSocket;
});

afterEach(() => {
  vi.useRealTimers();
});

const note = { purpose: "shell", channel: "0123" } as const;

async function opened(): Promise<[FrameStream, Fake]> {
  const opening = FrameStream.open("ab/../cd", note);
  await vi.advanceTimersByTimeAsync(0);
  const socket = Fake.last;
  socket.open();
  return [await opening, socket];
}

const fault = (error: unknown): unknown =>
  error instanceof ConsoleError ? [error.id, ...error.args] : error;

test("the ticket stands among the subprotocols, never in the address", async () => {
  const [, socket] = await opened();
  expect(socket.url).toBe(
    "wss://relay.example:8443/api/v1/servers/ab%2F..%2Fcd/stream?purpose=shell&channel=0123",
  );
  expect(socket.protocols).toEqual(["cloud-doctor.v1", "ticket.abc_-1"]);
  outside.fetch = async () => new Response(JSON.stringify({ ticket: "a, b" }), { status: 201 });
  expect(await FrameStream.open("s", note).catch(fault)).toEqual(["relay_odd", "ticket"]);
});

test("frames come in any pieces; text is nothing", async () => {
  const [stream, socket] = await opened();
  const frames = [encode(Kind.Challenge, Uint8Array.of(1, 2)), encode(Kind.Record, new Uint8Array(9))];
  socket.says("hello");
  for (const frame of frames) for (const byte of frame) socket.says(Uint8Array.of(byte));
  expect(await stream.next(1000)).toEqual({ kind: Kind.Challenge, body: Uint8Array.of(1, 2) });
  expect(stream.take()?.kind).toBe(Kind.Record);
  expect(stream.take()).toBeUndefined();
});

test("part of a frame, or one that is skipped, is waited on with, and not beyond the time", async () => {
  const [stream, socket] = await opened();
  const page = encode(Kind.ChannelReply, new Uint8Array(48 << 10).fill(7));
  const next = stream.next(1000).catch(fault);
  // Of a newer server: kind 0x7fff, one byte, need not be understood.
  socket.says(Uint8Array.of(0, 0, 0, 1, 0x7f, 0xff, 0, 9));
  await vi.advanceTimersByTimeAsync(400);
  socket.says(page.slice(0, 32 << 10));
  await vi.advanceTimersByTimeAsync(400);
  socket.says(page.slice(32 << 10));
  expect(await next).toMatchObject({ kind: Kind.ChannelReply, body: { length: 48 << 10 } });
  const silent = stream.next(1000).catch(fault);
  await vi.advanceTimersByTimeAsync(900);
  socket.says(page.slice(0, 32 << 10));
  await vi.advanceTimersByTimeAsync(101);
  expect(await silent).toEqual(["stream_lost", { id: "lost_silent", args: [] }]);
});

test("what is cut into nonsense ends the stream for good", async () => {
  for (const nonsense of [
    Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1, 0x0a, 0),
    Uint8Array.of(0, 0, 0, 0, 0x7f, 0xff, 1),
  ]) {
    const [stream, socket] = await opened();
    socket.says(nonsense);
    const error = await stream.next(1000).catch((one: unknown) => one);
    expect(error).toMatchObject({ id: "stream_framing", mayPass: false });
  }
});

test("a flood that nobody takes ends the stream", async () => {
  const [stream, socket] = await opened();
  for (let count = 0; count < 70; count++) socket.says(encode(Kind.Record, new Uint8Array(65_000)));
  let taken = 0;
  expect(() => {
    while (stream.take() !== undefined) taken += 1;
  }).toThrow(StreamError);
  expect(taken).toBeLessThan(66);
});

test("every end has a name, and whether another try may help", async () => {
  const rows: [number, unknown, boolean][] = [
    [4404, { id: "close_4404", args: [] }, true],
    [1012, { id: "close_1012", args: [] }, true],
    [4400, { id: "close_4400", args: [] }, false],
    // Coming back by itself would only undo it.
    [4409, { id: "close_4409", args: [] }, false],
    [1006, { id: "lost_closed", args: ["1006"] }, true],
  ];
  for (const [code, why, mayPass] of rows) {
    const [stream, socket] = await opened();
    socket.says(encode(Kind.Challenge, new Uint8Array(1)));
    socket.onclose?.({ code });
    // What came before the end is still taken.
    expect((await stream.next(1000)).kind).toBe(Kind.Challenge);
    const error = await stream.next(1000).catch((one: unknown) => one);
    expect(error).toMatchObject({ mayPass, args: [why] });
  }
  const [stream, socket] = await opened();
  socket.says(new Uint8Array(0));
  expect(() => stream.take()).toThrow(StreamError);
});

test("silence ends the stream, before and after it is open", async () => {
  const opening = FrameStream.open("s", note).catch(fault);
  await vi.advanceTimersByTimeAsync(10_001);
  expect(await opening).toEqual(["stream_lost", { id: "lost_silent", args: [] }]);
  expect(Fake.last.closed).toBe(1000);
  const [stream] = await opened();
  const next = stream.next(500).catch(fault);
  await vi.advanceTimersByTimeAsync(501);
  expect(await next).toEqual(["stream_lost", { id: "lost_silent", args: [] }]);
});

test("whoever waits for a frame learns at once that the stream was abandoned", async () => {
  const [stream] = await opened();
  const waits = expect(stream.next(60_000)).rejects.toMatchObject({ id: "stream_closed" });
  stream.abandon();
  await waits;
  expect(Fake.last.closed).toBe(1000);
});

test("another subprotocol is another relay", async () => {
  const opening = FrameStream.open("s", note).catch(fault);
  await vi.advanceTimersByTimeAsync(0);
  Fake.last.protocol = "";
  Fake.last.open();
  expect(await opening).toEqual(["stream_framing", "subprotocol"]);
});

test("bulk goes in pieces that the relay takes, and waits when the socket is full", async () => {
  const [stream, socket] = await opened();
  stream.send(new Uint8Array(100_000));
  expect(socket.sent.map((piece) => piece.length)).toEqual([32_768, 32_768, 32_768, 1_696]);
  expect(stream.hasRoom()).toBe(true);
  socket.bufferedAmount = 200_000;
  expect(stream.hasRoom()).toBe(false);
  stream.leave();
  stream.send(new Uint8Array(1));
  expect(socket.sent.length).toBe(4);
});
