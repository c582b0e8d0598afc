// A page may die between any two messages: the next one comes back to its shell, and the server never takes it for a thief.

import "fake-indexeddb/auto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Facade, Server, Shell } from "../src/lib/facade";
import { ACCOUNT, PASSWORD, Road, USER, until } from "./road";

let road: Road;

type Listen = (event: unknown) => unknown;

/** One load of the page, with modules of its own; what the browser keeps is shared. */
class Page {
  /** Messages of the socket so far, both ways. */
  messages = 0;
  private dead = false;
  private readonly sockets: WebSocket[] = [];

  private constructor(
    readonly facade: Facade,
    private diesAt: number,
  ) {}

  static async load(diesAt = Number.POSITIVE_INFINITY): Promise<Page> {
    vi.resetModules();
    const { outside } = await import("../src/lib/outside");
    const { connect } = await import("../src/lib/console");
    road.open(outside);
    const { fetch, socket } = outside;
    const page = new Page(await connect(), diesAt);
    const never = new Promise<never>(() => undefined);
    outside.fetch = (input, init) => (page.dead ? never : fetch(input, init));
    outside.socket = (url, protocols) => page.watch(socket(url, protocols));
    if ((await page.facade.api.me().catch(() => undefined)) === undefined) {
      await page.facade.api.login(ACCOUNT, PASSWORD);
      await page.facade.api.me();
    }
    return page;
  }

  private watch(socket: WebSocket): WebSocket {
    this.sockets.push(socket);
    const send = socket.send.bind(socket);
    socket.send = (data) => {
      if (this.counts()) send(data);
    };
    return new Proxy(socket, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
      set: (target, name, value: unknown) => {
        const listen = typeof value === "function" ? this.heard(name, value as Listen) : value;
        return Reflect.set(target, name, listen, target);
      },
    });
  }

  private heard(name: string | symbol, listen: Listen): Listen {
    return (event) => {
      if (this.dead || (name === "onmessage" && !this.counts())) return undefined;
      return listen(event);
    };
  }

  /** Counts a message; whether the page still lives after it. */
  private counts(): boolean {
    if (this.dead) return false;
    this.messages += 1;
    if (this.messages < this.diesAt) return true;
    this.die();
    return false;
  }

  private die(): void {
    this.dead = true;
    this.cut();
  }

  get isDead(): boolean {
    return this.dead;
  }

  /** Cuts the connection, as a network does. */
  cut(): void {
    for (const socket of this.sockets.splice(0)) (socket as unknown as { terminate(): void }).terminate();
  }

  async server(): Promise<Server> {
    const [only] = await this.facade.api.servers();
    if (only === undefined) throw new Error("no server");
    return only;
  }
}

function screen(shell: Shell): { text: string } {
  const seen = { text: "" };
  shell.onOutput((bytes, drawn) => {
    seen.text += new TextDecoder().decode(bytes);
    drawn();
  });
  return seen;
}

const connected = (shell: Shell): boolean => shell.state.kind === "connected";

beforeAll(async () => {
  road = await Road.build();
  const page = await Page.load();
  await page.facade.trust.pin(road.tenant.words);
  const file = join(road.folder, "device.pub");
  writeFileSync(file, `${(await page.facade.keys.makeDevice()).openssh} browser\n`);
  road.client("tenant", "engineer", "add", file, "--name", "demo", "--device");
});

afterEach(() => {
  vi.useRealTimers();
});

afterAll(async () => {
  await road?.close();
});

/** Opens a shell and has it come back twice, until the page dies. */
async function live(page: Page, server: Server): Promise<void> {
  const wish = { server, user: USER, seconds: 600, reason: "test", ticket: "", cols: 80, rows: 24 };
  const shell = await page.facade.openShell(wish);
  screen(shell);
  for (let round = 0; round < 2; round++) {
    await until("connected", () => page.isDead || connected(shell));
    if (page.isDead) return;
    shell.input(new TextEncoder().encode(`echo round-${round}\n`));
    page.cut();
    await until("cut", () => page.isDead || !connected(shell));
  }
  await until("connected", () => page.isDead || connected(shell));
}

test("a page that dies at any message comes back", async () => {
  let shells = 0;
  for (let diesAt = 3; diesAt < 40; diesAt++) {
    // What a dead page would do later it does not do: its pulse stands still.
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const first = await Page.load(diesAt);
    const server = await first.server();
    const died = until("the page dies", () => first.isDead, 60_000);
    void live(first, server).then(
      () => first.cut(),
      () => first.cut(),
    );
    const done = await Promise.race([
      died.then(() => true),
      new Promise((late) => setTimeout(late, 3_000, false)),
    ]);
    vi.useRealTimers();
    if (done !== true) break;
    const second = await Page.load();
    const [shell] = await second.facade.resumeShells(server);
    if (shell === undefined) continue;
    shells += 1;
    const seen = screen(shell);
    await until(`connected after message ${diesAt}: ${JSON.stringify(shell.state)}`, () => connected(shell));
    shell.input(new TextEncoder().encode("echo back-$((6*7))\n"));
    await until(`an answer after message ${diesAt}`, () => /back-42/.test(seen.text));
    shell.end();
    await until("ended", () => shell.state.kind === "ended");
    expect(shell.state).toMatchObject({ reason: "closed" });
  }
  expect(shells).toBeGreaterThan(8);
}, 300_000);
