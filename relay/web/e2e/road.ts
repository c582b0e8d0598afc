// A real relay and a real agent of this machine for one test: throw-away keys, one folder, loopback only.
//
// PROGRAMS says where the programs are (else target/debug). Ends only what it started. Never: a fake part of the road.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { WebSocket as NodeSocket } from "ws";
import type { Outside } from "../src/lib/outside";

// Node.js 20 has none, a browser always has.
if (!("navigator" in globalThis)) Object.defineProperty(globalThis, "navigator", { value: {} });

const PROGRAMS = resolve(process.env.PROGRAMS ?? "../../target/debug");
export const ACCOUNT = "demo";
export const PASSWORD = "a password of the test";
export const USER = userInfo().username;

/** Waits for a condition, with a deadline. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  waitMs = 20_000,
): Promise<void> {
  const late = Date.now() + waitMs;
  while (!(await holds())) {
    if (Date.now() > late) throw new Error(`not within ${waitMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export class Road {
  readonly folder = mkdtempSync(join(tmpdir(), "cd-web."));
  private readonly started: ChildProcess[] = [];
  private relay: ChildProcess | undefined;
  private cookie = "";
  tenant = { id: "", words: "" };

  private constructor(
    private readonly port: number,
    private readonly admin: number,
  ) {}

  static async build(): Promise<Road> {
    const road = new Road(await freePort(), await freePort());
    try {
      await road.startRelay();
      road.makeCustomer();
      await road.startAgent();
    } catch (error) {
      await road.close();
      throw error;
    }
    return road;
  }

  get url(): string {
    return `http://localhost:${this.port}`;
  }

  private run(program: string, args: string[], name: string): ChildProcess {
    const log = openSync(join(this.folder, `${name}.log`), "a");
    const env = { ...process.env, LC_ALL: "C.UTF-8" };
    const child = spawn(join(PROGRAMS, program), args, { stdio: ["ignore", log, log], env });
    this.started.push(child);
    return child;
  }

  private said(name: string): string {
    return readFileSync(join(this.folder, `${name}.log`), "utf8");
  }

  async startRelay(): Promise<void> {
    const data = join(this.folder, "relay");
    mkdirSync(data, { mode: 0o700, recursive: true });
    const at = `127.0.0.1:${this.port}`;
    const config = `[agents]\nlisten = "${at}"\n[clients]\nlisten = "${at}"\ncertificate = "none"\n[admin]\nlisten = "127.0.0.1:${this.admin}"\n`;
    writeFileSync(join(data, "relay.toml"), config);
    writeFileSync(join(this.folder, "relay.log"), "");
    this.relay = this.run("cloud-doctor-relay", ["serve", "--data-dir", data], "relay");
    await until("the relay is ready", () => /^ready/m.test(this.said("relay")));
  }

  /** As a machine that loses its power. */
  async killRelay(): Promise<void> {
    const relay = this.relay;
    if (relay === undefined) return;
    const gone = new Promise((done) => relay.once("exit", done));
    relay.kill("SIGKILL");
    await gone;
  }

  /** The command line client, as the customer's owner. */
  client(...args: string[]): string {
    return this.clientWith("key", ...args);
  }

  /** The same with another key of this folder. */
  clientWith(key: string, ...args: string[]): string {
    const env = { ...process.env, CLOUD_DOCTOR_HOME: join(this.folder, "home"), LC_ALL: "C.UTF-8" };
    const all = [...args, "--key", join(this.folder, key)];
    return execFileSync(join(PROGRAMS, "cloud-doctor"), all, {
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** The command line client at work. */
  spawn(...args: string[]): ChildProcess {
    const env = { ...process.env, CLOUD_DOCTOR_HOME: join(this.folder, "home"), LC_ALL: "C.UTF-8" };
    const all = ["--key", join(this.folder, "key"), ...args];
    const stdio = ["ignore", "pipe", "pipe"] as const;
    const child = spawn(join(PROGRAMS, "cloud-doctor"), all, { env, stdio: [...stdio] });
    this.started.push(child);
    return child;
  }

  /** Lets keys of these kinds sign second, and no others. */
  allowSecond(...kinds: string[]): void {
    const ceiling = join(this.folder, "a/etc/ceiling.toml");
    const second = `second = ${JSON.stringify(kinds)}`;
    writeFileSync(ceiling, readFileSync(ceiling, "utf8").replace(/^signers = .*/gm, `$&\n${second}`));
  }

  private secret(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    return path;
  }

  /** A new SSH key in this folder. */
  makeKey(name: string): void {
    const file = join(this.folder, name);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file]);
  }

  private makeCustomer(): void {
    this.makeKey("key");
    const code = /^set-up.*?([A-Z2-7]{6}(-[A-Z2-7]{6})+)/m.exec(this.said("relay"))?.[1] ?? "";
    const files = [
      "--code-file",
      this.secret("code", code),
      "--password-file",
      this.secret("password", PASSWORD),
    ];
    this.client("setup", `http://127.0.0.1:${this.port}`, "--account", ACCOUNT, "--tenant", "Demo", ...files);
    const recovery = ["--recovery-out", join(this.folder, "recovery"), "--json"];
    const made = this.client("tenant", "init", "Demo", "--root", join(this.folder, "key"), ...recovery);
    const said = (name: string): string => new RegExp(`"${name}": *"([^"]*)"`).exec(made)?.[1] ?? "";
    this.tenant = { id: said("id"), words: said("words") };
  }

  private async startAgent(): Promise<void> {
    const relay = this.said("relay");
    const agents = /quic:\/\/[^ \n]*/.exec(relay)?.[0] ?? "";
    const pin = /quic:\/\/.*?(sha256:[0-9a-f]+)/.exec(relay)?.[1] ?? "";
    const token = join(this.folder, "token");
    this.client("tenant", "token", "--out", token, "--relay-address", agents, "--relay-pin", pin);
    const state = ["--state-dir", join(this.folder, "a")];
    const pins = ["--relay", agents, "--relay-pin", pin, "--trust", this.tenant.id, "--token-file", token];
    const enrol = [...state, "enrol", "--yes", "--name", "web-1", "--preset", "own", ...pins];
    execFileSync(join(PROGRAMS, "cloud-doctor-agent"), enrol, { stdio: ["ignore", "ignore", "pipe"] });
    const ceiling = join(this.folder, "a/etc/ceiling.toml");
    const allowed = readFileSync(ceiling, "utf8").replace(
      /^signers = .*/gm,
      'signers = ["sshsig", "webauthn", "device"]',
    );
    writeFileSync(ceiling, allowed);
    this.run("cloud-doctor-agent", [...state, "run", "--standalone"], "agent");
    await until("the agent is online", () => /"connected": ?true/.test(this.client("servers", "--json")));
  }

  /** Makes the library's outside this road: cookies, origin and sockets as a browser has them. */
  open(outside: Outside): void {
    outside.origin = () => this.url;
    outside.page = () => this.url;
    outside.language = () => "en";
    outside.fetch = async (input, init) => {
      const headers = new Headers(init.headers);
      headers.set("Origin", this.url);
      headers.set("Sec-Fetch-Site", "same-origin");
      if (this.cookie !== "") headers.set("Cookie", this.cookie);
      const answer = await fetch(input, { ...init, headers });
      const [set] = answer.headers.getSetCookie();
      if (set !== undefined) this.cookie = set.split(";")[0] ?? "";
      return answer;
    };
    outside.socket = (url, protocols) => {
      const headers = { Origin: this.url, Cookie: this.cookie };
      return new NodeSocket(url, protocols, { headers }) as unknown as WebSocket;
    };
  }

  async close(): Promise<void> {
    for (const child of this.started.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((done) => child.once("exit", done));
      child.kill("SIGINT");
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await gone;
      clearTimeout(late);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
