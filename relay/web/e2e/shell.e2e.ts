// The whole road from this library: a browser's key opens a shell on a real server, and neither a relay that is killed nor
// a reload costs a byte.

import "fake-indexeddb/auto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { connect } from "../src/lib/console";
import { ConsoleError, say } from "../src/lib/errors";
import type { Facade, Second, Server, Shell, ShellState } from "../src/lib/facade";
import { Decoder, encode, Kind } from "../src/lib/frame";
import { outside } from "../src/lib/outside";
import { ACCOUNT, PASSWORD, Road, USER, until } from "./road";

let road: Road;
let facade: Facade;

/** A screen that keeps everything and is honest about what it drew. */
class Screen {
  text = "";
  past = 0;
  readonly states: ShellState[] = [];
  private readonly decoder = new TextDecoder();

  constructor(readonly shell: Shell) {
    shell.onState((state) => this.states.push(state));
    shell.onOutput((bytes, drawn, past) => {
      this.text += this.decoder.decode(bytes, { stream: true });
      if (past) this.past += bytes.length;
      setTimeout(drawn, 1);
    });
  }

  type(text: string): void {
    this.shell.input(new TextEncoder().encode(text));
  }

  async sees(pattern: RegExp, waitMs = 20_000): Promise<void> {
    await until(
      `${pattern} in ${JSON.stringify(this.text.slice(-300))}`,
      () => pattern.test(this.text),
      waitMs,
    );
  }
}

async function server(): Promise<Server> {
  const [only] = await facade.api.servers();
  if (only === undefined) throw new Error("no server");
  return only;
}

function wish(of: Server) {
  return { server: of, user: USER, seconds: 600, reason: "test", ticket: "T-1", cols: 80, rows: 24 };
}

function refusedWith(error: unknown): string {
  return error instanceof ConsoleError ? error.id : String(error);
}

beforeAll(async () => {
  road = await Road.build();
  road.open(outside);
  facade = await connect();
});

afterAll(async () => {
  await road?.close();
});

test("signing in, pinning, and a key that is let in", async () => {
  expect(await facade.api.me().catch(refusedWith)).toBe("signed_out");
  expect(await facade.api.login(ACCOUNT, "not the password").catch(refusedWith)).toBe("sign_in_refused");
  await facade.api.login(ACCOUNT, PASSWORD);
  expect(await facade.api.me()).toMatchObject({
    account: ACCOUNT,
    admin: true,
    tenant: { id: road.tenant.id },
  });
  expect(facade.trust.state()).toBe("none");
  expect((await server()).trusted).toBe(false);
  const other = road.tenant.words.split(" ").toReversed().join(" ");
  expect(await facade.trust.pin(other).catch(refusedWith)).toBe("six_words_differ");
  expect(await facade.trust.pin("six of the words are wrong").catch(refusedWith)).toBe("six_words_wrong");
  await facade.trust.pin(road.tenant.words);
  expect(await facade.trust.words()).toBe(road.tenant.words);
  expect(await server()).toMatchObject({ name: "web-1", trusted: true });
  const before = await facade.keys.makeDevice();
  expect(before.trusted).toEqual({ root: false });
  expect(await facade.openShell(wish(await server())).catch(refusedWith)).toBe("device_not_trusted");
  const file = join(road.folder, "device.pub");
  writeFileSync(file, `${before.openssh} browser\n`);
  road.client("tenant", "engineer", "add", file, "--name", "demo", "--device");
  await facade.trust.refresh();
  const engineer = expect.any(Number);
  expect(await facade.keys.makeDevice()).toEqual({ ...before, trusted: { root: false, engineer } });
  expect(facade.trust.log().people).toContainEqual(
    expect.objectContaining({ name: "demo", kind: "device", fingerprint: before.fingerprint }),
  );
});

test("a shell takes input, sizes and says how it ended", async () => {
  const tooLong = { ...wish(await server()), seconds: 8 * 86_400 };
  expect(await facade.openShell(tooLong).catch(refusedWith)).toBe("refusal_too_long");
  const nobody = new Screen(await facade.openShell({ ...wish(await server()), user: "nobody-here" }));
  await until("not started", () => nobody.shell.state.kind === "ended");
  const { state } = nobody.shell;
  if (state.kind !== "ended" || state.exit === undefined || !("notStarted" in state.exit))
    throw new Error(state.kind);
  expect(say(state.exit.notStarted, (id, args) => [id, ...args].join(" "))).toMatch(/nobody-here/);
  const screen = new Screen(await facade.openShell(wish(await server())));
  await until("connected", () => screen.shell.state.kind === "connected");
  screen.type("echo a$((6*7))b\n");
  await screen.sees(/a42b/);
  screen.shell.resize(101, 33);
  screen.type("stty size\n");
  await screen.sees(/33 101/);
  await until("a round trip was measured", () =>
    screen.states.some((one) => one.kind === "connected" && "rttMs" in one),
  );
  screen.type("exit 7\n");
  await until("ended", () => screen.shell.state.kind === "ended");
  expect(screen.shell.state).toEqual({ kind: "ended", reason: "exited", exit: { code: 7 } });
  expect(await facade.resumeShells(await server())).toEqual([]);
});

test("no byte is lost or doubled when the relay is killed, nor by a reload", async () => {
  const screen = new Screen(await facade.openShell(wish(await server())));
  screen.type("stty -echo; PS1=''; seq -f 'line %.0f' 1 400000; echo all\\ done\n");
  await screen.sees(/line 5000\r/);
  for (let round = 0; round < 2; round++) {
    // In the middle, or it would show nothing.
    expect(screen.text).not.toMatch(/line 400000\r/);
    await road.killRelay();
    screen.type(`echo typed-${round}\n`);
    await until("reconnecting", () => screen.shell.state.kind === "reconnecting");
    await road.startRelay();
    await until("connected again", () => screen.shell.state.kind === "connected", 30_000);
    const seen = screen.text.length;
    await until("output goes on", () => screen.text.length > seen + 10_000);
  }
  await screen.sees(/all done[\s\S]*typed-0\r\n[\s\S]*typed-1/, 60_000);
  expect(screen.text.match(/typed-0/g)?.length).toBe(1);
  const numbers = [...screen.text.matchAll(/line ([0-9]+)\r\n/g)].map(([, number]) => Number(number));
  expect(numbers.length).toBe(400_000);
  expect(numbers.every((number, at) => number === at + 1)).toBe(true);
  screen.type("echo before the reload\n");
  await screen.sees(/before the reload/);

  screen.shell.detach();
  expect(screen.shell.state).toMatchObject({ kind: "ended", reason: "left" });
  const [again, more] = await facade.resumeShells(await server());
  if (again === undefined || more !== undefined) throw new Error("one shell was left");
  expect(await facade.resumeShells(await server())).toEqual([]);
  const second = new Screen(again);
  second.type("echo typed before it was back\n");
  await second.sees(/before the reload\r\n[\s\S]*typed before it was back/);
  expect(second.past).toBeGreaterThan(200_000);
  const last = [...second.text.matchAll(/line ([0-9]+)\r\n/g)].map(([, number]) => Number(number));
  expect(last.at(-1)).toBe(400_000);
  second.shell.end();
  await until("ended", () => second.shell.state.kind === "ended");
  expect(second.shell.state).toMatchObject({ reason: "closed" });
});

/** What a relay may do to one sealed record. Other losses break the framing, which ends a shell by name. */
const MEDDLING: Readonly<Record<string, (frame: Uint8Array) => Uint8Array[]>> = {
  changed: (frame) => [frame.map((byte, at) => (at === 100 ? byte ^ 1 : byte))],
  dropped: () => [],
  doubled: (frame) => [frame, frame],
};

/** A socket that hands on whole frames, and meddles with one record once `armed` says so. */
function meddled(
  socket: WebSocket,
  armed: () => boolean,
  meddle: (frame: Uint8Array) => Uint8Array[],
): WebSocket {
  const decoder = new Decoder();
  const through = (
    event: MessageEvent<ArrayBuffer>,
    listen: (event: { data: ArrayBuffer }) => void,
  ): void => {
    decoder.push(new Uint8Array(event.data));
    for (let found = decoder.next(); found !== undefined; found = decoder.next()) {
      const frame = encode(found.kind, found.body);
      const chosen = found.kind === Kind.Record && frame.length > 300 && armed();
      for (const one of chosen ? meddle(frame) : [frame]) listen({ data: one.slice().buffer });
    }
  };
  return new Proxy(socket, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
    set: (target, name, value) => {
      const listen = (event: MessageEvent<ArrayBuffer>): void => through(event, value);
      return Reflect.set(target, name, name === "onmessage" ? listen : value, target);
    },
  });
}

test("a relay that changes, drops or doubles records changes nothing that is seen", async () => {
  const honest = outside.socket;
  onTestFinished(() => {
    outside.socket = honest;
  });
  for (const [what, meddle] of Object.entries(MEDDLING)) {
    let left = 0;
    const armed = (): boolean => left-- === 1;
    outside.socket = (url, protocols) => meddled(honest(url, protocols), armed, meddle);
    const screen = new Screen(await facade.openShell(wish(await server())));
    await until("connected", () => screen.shell.state.kind === "connected");
    left = 3;
    screen.type("stty -echo; seq -f 'line %.0f' 1 20000; echo all\\ done\n");
    await screen.sees(/all done/);
    const numbers = [...screen.text.matchAll(/line ([0-9]+)\r\n/g)].map(([, number]) => Number(number));
    expect(numbers.length, what).toBe(20_000);
    expect(numbers.every((number, at) => number === at + 1)).toBe(true);
    expect(
      screen.states.some((state) => state.kind === "reconnecting"),
      what,
    ).toBe(true);
    screen.shell.end();
    await until("ended", () => screen.shell.state.kind === "ended");
  }
});

test("where the customer asks for a second person, both see the same six words", async () => {
  road.makeKey("boss");
  road.client("tenant", "approver", "add", join(road.folder, "boss.pub"), "--name", "boss");
  road.client("tenant", "policy", "set", "--second-for", USER);
  let six = "";
  const onSecond = ({ words }: Second): void => {
    six = words;
  };
  const asked = facade.openShell({ ...wish(await server()), onSecond });
  let listed = "";
  await until("the request is listed", () => {
    listed = road.clientWith("boss", "approve", "--json");
    return six !== "" && listed.includes(six);
  });
  const id = /"(?:id|request)": *"([0-9a-f]{12,})"/.exec(listed)?.[1] ?? listed;
  road.clientWith("boss", "approve", id, "--yes");
  const screen = new Screen(await asked);
  screen.type("echo second-$((6*7))\n");
  await screen.sees(/second-42/);
  screen.shell.end();
  await until("ended", () => screen.shell.state.kind === "ended");
});

test("a page that is signed out is told so", async () => {
  await facade.api.logout();
  expect(await facade.api.servers().catch(refusedWith)).toBe("signed_out");
});
