// A link from one browser to another and the key that comes back by it, over a relay that may lie.

import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import { type Bytes, base64url, hex, random, unbase64url, unhex } from "./bytes";
import { decode, entryHash } from "./entry";
import { ConsoleError } from "./errors";
import { linkId } from "./join_link";
import { candidates, joining, settle } from "./joining";
import { deviceKey } from "./keys";
import { work } from "./log_write";
import { outside } from "./outside";
import { people } from "./people";
import * as seat from "./seat";
import { ed25519Blob, fingerprint, openssh } from "./ssh";
import * as store from "./store";
import vectors from "./vectors.json";

type Json = Record<string, unknown>;

const bytes = (text: string): Bytes => unhex(text) ?? new Uint8Array(0);
const genesis = bytes(vectors.log.genesis);
const tenant = bytes(vectors.log.tenant);
const other = bytes(vectors.log.steps.find((step) => step.verdict === "ok")?.bytes ?? "");
const PASSWORD = "four words that differ";

/** A relay in a few lines: accounts, one log, links. */
class FakeRelay {
  signedIn = "root";
  first = genesis;
  readonly passwords = new Map<string, string>();
  readonly links: Json[] = [];
  readonly asked: string[] = [];

  answer(method: string, path: string, body: Json): [number, Json | null] {
    const [route = ""] = path.split("?");
    this.asked.push(`${method} ${route}`);
    const link = this.links.find((one) => one.account === this.signedIn);
    switch (`${method} ${route}`) {
      case "GET /me":
        return [200, { account: this.signedIn, role: "admin", tenant: { name: "x", id: hex(tenant) } }];
      case "GET /trust-log":
        return [
          200,
          { head: { seq: 0, hash: hex(entryHash(decode(this.first, 0).signed)) }, entries: this.page(path) },
        ];
      case "POST /login":
        if (this.passwords.get(String(body.account)) !== body.password) return [401, { code: "wrong-login" }];
        this.signedIn = String(body.account);
        return [200, {}];
      case "POST /joins":
        return this.make(body);
      case "GET /joins":
        return [200, { joins: this.links }];
      case "POST /join/look":
        return this.look(body);
      case "POST /join":
        return this.enter(body);
      case "GET /join":
        return link === undefined ? [404, { code: "unknown" }] : [200, link];
      case "POST /join/key":
        return this.take(link, body);
      default:
        return this.end(method, route, body);
    }
  }

  private page(path: string): string[] {
    return path.endsWith("from=0") ? [base64url(this.first)] : [];
  }

  private look(body: Json): [number, Json] {
    const id = hex(linkId(unbase64url(String(body.token)) ?? new Uint8Array(0)));
    const link = this.links.find((one) => one.id === id && one.state === "open");
    if (link === undefined) return [403, { code: "join" }];
    return [200, { ...link, customer: "ACME", by: link.created_by }];
  }

  private make(body: Json): [number, Json] {
    const token = random(16);
    const id = hex(linkId(token));
    const times = { created_at: 1000, expires_at: 1000 + Number(body.valid_secs) };
    this.links.push({ ...body, ...times, id, created_by: "root", state: "open", account: null, key: null });
    return [201, { id, token: base64url(token), ...times }];
  }

  private enter(body: Json): [number, Json] {
    const id = hex(linkId(unbase64url(String(body.token)) ?? tenant));
    const link = this.links.find((one) => one.state === "open" && one.id === id);
    if (link === undefined) return [403, { code: "join" }];
    Object.assign(link, { state: "joined", account: body.account });
    this.passwords.set(String(body.account), String(body.password));
    return [201, link];
  }

  private take(link: Json | undefined, body: Json): [number, Json | null] {
    if (link === undefined) return [404, { code: "unknown" }];
    if (link.key !== null && JSON.stringify(link.key) !== JSON.stringify(body))
      return [409, { code: "join-over" }];
    Object.assign(link, { state: "key", key: body });
    return [204, null];
  }

  private end(method: string, route: string, body: Json): [number, Json | null] {
    const link = this.links.find((one) => route === `/joins/${one.id}/end`);
    if (method !== "POST" || link === undefined) throw new Error(`${method} ${route}`);
    link.state = body.accepted === true ? "accepted" : "refused";
    return [204, null];
  }

  async signIn(account: string): Promise<void> {
    this.signedIn = account;
    await seat.look();
  }
}

let relay: FakeRelay;
const failure = (error: unknown): string => (error instanceof ConsoleError ? error.id : String(error));

beforeEach(async () => {
  relay = new FakeRelay();
  outside.origin = () => "https://relay.example";
  outside.page = () => "https://console.example";
  outside.language = () => "en";
  outside.fetch = async (url, init) => {
    const path = url.replace("https://relay.example/api/v1", "");
    const body = typeof init.body === "string" ? JSON.parse(init.body) : {};
    const [status, answer] = relay.answer(init.method ?? "", path, body);
    return new Response(answer === null ? null : JSON.stringify(answer), { status });
  };
  for (const account of ["root", "new", "else"])
    for (const { id } of await store.joins(account)) await store.forgetJoin(account, id);
  await relay.signIn("root");
  await seat.pin(genesis, tenant);
});

/** A link by `root`, and what stands in it behind `#/join/`. */
async function invite(): Promise<string> {
  const { link, expiresAt } = await people.invite({ account: "New", role: "engineer", seconds: 3600 });
  expect(expiresAt).toBe(4_600_000);
  const [before, text = ""] = link.split("#/join/");
  expect(before).toBe("https://console.example/");
  return text;
}

/** `new` comes by it and shows the key of its browser. */
async function join(text: string, account = "new"): Promise<string> {
  seat.leave();
  await joining.begin(text, { account, way: { password: PASSWORD } });
  const key = await deviceKey(account);
  await joining.offer(hex(key.id));
  return openssh(key.blob);
}

test("a key that came by a link is vouched for by the secret of the browser that made it", async () => {
  const text = await invite();
  expect(await people.invitations()).toEqual([
    { id: relay.links[0]?.id, account: "New", role: "engineer", by: "root", expiresAt: 4_600_000 },
  ]);
  expect(JSON.stringify(relay.links)).not.toContain(text.split(".")[1]);
  await join(text);
  // Showing it again is quiet and asks nobody.
  const asked = relay.asked.length;
  await joining.offer(hex((await deviceKey("new")).id));
  expect(relay.asked.length).toBe(asked);

  await relay.signIn("root");
  const [found, more] = await candidates();
  expect(more).toBeUndefined();
  expect(found).toMatchObject({
    account: "new",
    name: "New",
    kind: "device",
    role: "engineer",
    proof: "link",
  });
  expect(found?.words.split(" ").length).toBe(6);
  await settle(found?.link ?? "", true);
  expect(await candidates()).toEqual([]);
  expect(await store.joins("root")).toEqual([]);
});

test("a key that the relay has swapped is broken, and one by another browser's link has its words alone", async () => {
  await join(await invite());
  await relay.signIn("root");
  const [line = {}] = relay.links;
  const key = line.key as Json;
  const evil = openssh(ed25519Blob(tenant));
  for (const changed of [
    { ...key, key: evil },
    { ...key, kind: "webauthn" },
    { ...key, mac: base64url(tenant) },
  ]) {
    line.key = changed;
    expect((await candidates()).map(({ proof }) => proof)).toEqual(["broken"]);
  }
  // A browser's key that says it was a file's.
  line.key = { ...key, kind: "sshsig" };
  expect(await candidates()).toEqual([]);
  line.key = key;
  expect((await candidates()).map(({ proof }) => proof)).toEqual(["link"]);
  await relay.signIn("else");
  await seat.pin(genesis, tenant);
  expect((await candidates()).map(({ proof }) => proof)).toEqual(["words"]);
});

test("a relay that hides a link, or calls it over, gets its own key refused all the same", async () => {
  await join(await invite());
  await relay.signIn("root");
  const [line = {}] = relay.links;
  const key = line.key as Json;
  relay.links.length = 0;
  expect(await people.invitations()).toEqual([]);
  for (const state of ["expired", "revoked", "refused", "accepted"]) {
    relay.links.splice(0, 1, { ...line, state });
    expect(await people.invitations()).toEqual([]);
  }
  const evil = ed25519Blob(tenant);
  relay.links.splice(0, 1, { ...line, key: { ...key, key: openssh(evil) } });
  expect((await candidates()).map(({ proof }) => proof)).toEqual(["broken"]);
  const change = { name: "New", role: "engineer", until: Date.now() + 86_400_000 } as const;
  const signed = work.sign({ kind: "add-person", key: fingerprint(evil), ...change });
  expect(await signed.catch(failure)).toBe("candidate_broken");
});

test("links that this browser made are forgotten by its own clock alone", async () => {
  await invite();
  const [first] = await store.joins("root");
  const clock = vi.spyOn(Date, "now");
  try {
    const until = first?.until ?? 0;
    expect(until).toBeGreaterThan(Date.now() + 3_600_000);
    clock.mockReturnValue(until);
    await invite();
    expect((await store.joins("root")).length).toBe(2);
    clock.mockReturnValue(until + 1000);
    await invite();
    const left = (await store.joins("root")).map(({ id }) => id);
    expect(left.length).toBe(2);
    expect(left).not.toContain(first?.id);
  } finally {
    clock.mockRestore();
  }
});

test("a relay that shows another customer than the link pins nothing", async () => {
  const text = await invite();
  const [token = "", secret = ""] = text.split(".");
  const wrong = [token, secret, base64url(tenant.map((byte) => byte ^ 1))].join(".");
  seat.leave();
  const wish = { account: "new", way: { password: PASSWORD } };
  expect(await joining.begin(wrong, wish).catch(failure)).toBe("six_words_differ");
  expect(await store.tenants()).toEqual([hex(tenant)]);
  expect(await store.entries(hex(tenant.map((byte) => byte ^ 1)), 0)).toEqual([]);
  // What is no first entry at all is not believed either.
  relay.first = other;
  expect(await joining.begin(wrong, wish).catch(failure)).toBe("six_words_differ");
});

test("a try that failed half-way goes on, and a link that was used says so", async () => {
  const text = await invite();
  seat.leave();
  const wish = { account: "new", way: { password: PASSWORD } };
  const { fetch } = outside;
  outside.fetch = async (url, init) => {
    if (url.endsWith("/login")) throw new TypeError("no network");
    return fetch(url, init);
  };
  expect(await joining.begin(text, wish).catch(failure)).toBe("relay_unreachable");
  outside.fetch = fetch;
  await joining.begin(text, wish);
  expect(seat.account()).toBe("new");
  seat.leave();
  expect(await joining.begin(text, { ...wish, account: "late" }).catch(failure)).toBe("invitation_over");
  expect(await joining.look("x.y.z").catch(failure)).toBe("invitation_wrong");
});

test("a link goes on in another browser of the same person", async () => {
  const text = await invite();
  expect(await joining.look(text)).toMatchObject({ account: "New", customer: "ACME", by: "root" });
  seat.leave();
  await joining.begin(text, { account: "new", way: { password: PASSWORD } });
  await store.forgetJoin("new", String(relay.links[0]?.id));
  // Whoever came by no link shows nothing to anybody, and is told of no error.
  await joining.offer(hex((await deviceKey("new")).id));
  expect(relay.links[0]?.key).toBeNull();
  const found = await joining.look(text);
  expect(found).toMatchObject({ account: "New", role: "engineer", deviceAllowed: false });
  await joining.offer(hex((await deviceKey("new")).id));
  expect(relay.links[0]?.state).toBe("key");
  await joining.offer(hex((await deviceKey("new")).id));
  const second = await deviceKey("else");
  expect(await joining.offer(hex(second.id)).catch(failure)).toBe("no_signing_key");
  Object.assign(relay.links[0] ?? {}, { state: "revoked" });
  expect(await joining.look(text).catch(failure)).toBe("invitation_over");
});
