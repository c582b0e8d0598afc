// Waiting for another person: every way in which that may end, with a relay that stops and starts.

import { beforeEach, expect, test, vi } from "vitest";
import { type Bytes, base64url, random } from "./bytes";
import { ConsoleError } from "./errors";
import { type Frame, Kind, message } from "./frame";
import { keyOf } from "./ids";
import { outside } from "./outside";
import { pack } from "./pack";
import { second } from "./second";
import { NAMESPACE_SECOND, p256Blob, signP256 } from "./ssh";
import type { FrameStream } from "./stream";
import type { Asked, Hands, VisitWish } from "./visit";
import { refused } from "./wire";

const grant = random(100);
const asked = {
  ground: { grant: random(32) },
  grant,
  signature: random(100),
  challenge: random(100),
} as unknown as Asked;
const person = (role: string, name: string) => ({ role, key: { person: name } });
const people = new Map([
  ["00", person("engineer", "eve")],
  ["01", person("approver", "bob")],
  ["02", person("approver", "eve")],
]);
const hands = { trust: { log: { people } }, key: { id: Uint8Array.of(0) } } as unknown as Hands;
const need = { visit: random(16), within_secs: 600, remote: true, local: false };

/** A server that answers when told to. */
class Guard {
  readonly sent: Uint8Array[] = [];
  says: (frame: Frame) => void = () => undefined;
  breaks: (error: unknown) => void = () => undefined;
  private readonly answer = new Promise<Frame>((resolve, reject) => {
    this.says = resolve;
    this.breaks = reject;
  });

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
    this.says({ kind: Kind.VisitOpened, body: new Uint8Array(0) });
  }

  next(): Promise<Frame> {
    return this.answer;
  }
}

let guard: Guard;
let calls: string[] = [];
/** What the relay answers to the request, one after the other; the last one stays. */
let answers: (Record<string, unknown> | "down" | "held")[] = [];

beforeEach(() => {
  guard = new Guard();
  calls = [];
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async (input, init) => {
    calls.push(`${init.method} ${new URL(input).pathname.replace("/api/v1", "")}`);
    if (init.method === "POST") return new Response(JSON.stringify({ id: "a1" }), { status: 201 });
    if (init.method === "DELETE") return new Response(null, { status: 204 });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer === "down") throw new TypeError("no connection");
    if (answer === "held" || answer === undefined) return new Promise(() => undefined);
    const { signature, challenge } = asked;
    const all = { grant, signature, challenge };
    const bytes = Object.fromEntries(Object.entries(all).map(([name, value]) => [name, base64url(value)]));
    const times = { created_at: 1, expires_at: 2 };
    return new Response(
      JSON.stringify({ id: "a1", server: "ab", account: "a", ...bytes, ...times, ...answer }),
    );
  };
});

function waits(wish: Partial<VisitWish> = {}, needs = need): Promise<Frame> {
  const whole = { server: { id: "ab", name: "web-1" }, ...wish } as VisitWish;
  return second(guard as unknown as FrameStream, hands, whole, asked, needs);
}

const fault = (error: unknown): unknown =>
  error instanceof ConsoleError ? [error.id, ...error.args] : error;

async function signature(): Promise<{ key: Bytes; sshsig: Bytes }> {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
  const blob = p256Blob(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)));
  return { key: keyOf(blob), sshsig: await signP256(pair.privateKey, blob, NAMESPACE_SECOND, grant) };
}

test("a signature is brought to the server, which has the word; nothing is taken back then", async () => {
  const { key, sshsig } = await signature();
  answers = [{ state: "waiting" }, "down", { state: "signed", second: base64url(sshsig), by: "bob" }];
  let told: unknown;
  const opened = await waits({
    onSecond: (found) => {
      told = found;
    },
  });
  expect(opened.kind).toBe(Kind.VisitOpened);
  expect(told).toMatchObject({ approvers: ["bob"], local: false });
  const { second: codec } = await import("./wire");
  expect(guard.sent).toEqual([message(Kind.Second, codec, { second: { key, sshsig } })]);
  expect(calls.filter((call) => call.startsWith("POST")).length).toBe(1);
  expect(calls.some((call) => call.startsWith("DELETE"))).toBe(false);
});

test("a no says whose, and why when that was said", async () => {
  answers = [{ state: "denied", by: "bob", why: "not now" }];
  expect(await waits().catch(fault)).toEqual(["second_denied", "bob", "not now"]);
  answers = [{ state: "denied", by: "bob", why: null }];
  guard = new Guard();
  expect(await waits().catch(fault)).toEqual(["second_denied_silent", "bob"]);
  expect(calls.some((call) => call.startsWith("DELETE"))).toBe(false);
});

test("nobody in time, by the relay's clock or the server's", async () => {
  answers = [{ state: "expired" }];
  expect(await waits().catch(fault)).toEqual(["nobody_signed"]);
  guard = new Guard();
  answers = ["held"];
  const waiting = waits().catch(fault);
  guard.says({ kind: Kind.Refused, body: pack(refused, { code: "no-answer", detail: "", told: null }) });
  expect(await waiting).toEqual(["nobody_signed"]);
});

test("whoever takes a request back leaves nothing at the relay", async () => {
  answers = ["held"];
  const over = new AbortController();
  const waiting = waits({ signal: over.signal }).catch(fault);
  await vi.waitFor(() => expect(calls).toContain("GET /approvals/a1"));
  over.abort();
  expect(await waiting).toEqual(["cancelled"]);
  await vi.waitFor(() => expect(calls).toContain("DELETE /approvals/a1"));
  guard = new Guard();
  answers = [{ state: "withdrawn", by: "admin" }];
  expect(await waits().catch(fault)).toEqual(["cancelled"]);
});

test("root on the server may say yes when nobody else can, and while the relay is away", async () => {
  answers = ["down"];
  const both = { ...need, local: true };
  const waiting = waits({}, both);
  await vi.waitFor(() => expect(calls).toContain("GET /approvals/a1"));
  guard.says({ kind: Kind.VisitOpened, body: new Uint8Array(0) });
  expect((await waiting).kind).toBe(Kind.VisitOpened);
  guard = new Guard();
  calls = [];
  const alone = waits({}, { ...both, remote: false });
  guard.says({ kind: Kind.VisitOpened, body: new Uint8Array(0) });
  expect((await alone).kind).toBe(Kind.VisitOpened);
  expect(calls).toEqual([]);
});

test("a stream that ends with the relay ends the wait, with its own words", async () => {
  answers = ["down"];
  const waiting = waits().catch(fault);
  guard.breaks(new ConsoleError("stream_lost"));
  expect(await waiting).toEqual(["stream_lost"]);
});
