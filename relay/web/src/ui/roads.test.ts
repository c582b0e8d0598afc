// @vitest-environment jsdom
// Pages on the way to the first terminal: nothing happens for somebody who has left, before it is known what this browser
// can, or while the words that two people compare cannot be shown.
import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { ConsoleError } from "../lib/errors";
import type { OpenShell, OwnKey } from "../lib/facade";
import { useFacade } from "./facade";
import { fake, type Made, someWorld, type World } from "./fake";
import { firstVisit } from "./first_visit";
import { replace } from "./route.svelte";

const SERVER = "01".repeat(32);
let world: World;
let made: Made;
let shown: Record<string, unknown> | undefined;
const wishes: OpenShell[] = [];

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  const { words, roomWords } = await import("./words.svelte");
  await words();
  await roomWords();
});

beforeEach(() => {
  document.body.innerHTML = "";
  localStorage.clear();
  replace("#/servers");
  wishes.length = 0;
  world = someWorld(Date.now());
  made = fake(world);
  made.facade.openShell = async (wish) => {
    wishes.push(wish);
    throw new ConsoleError("touch_declined");
  };
  useFacade(made.facade);
});

afterEach(async () => {
  await leave();
});

async function leave(): Promise<void> {
  if (shown) await unmount(shown);
  shown = undefined;
}

async function form(): Promise<void> {
  const { default: StartForm } = await import("./parts/StartForm.svelte");
  const [server] = world.servers;
  if (!server) throw new Error("the made-up world has servers");
  const props = { server, size: () => ({ cols: 80, rows: 24 }), onopened: () => {}, oncancel: undefined };
  shown = mount(StartForm, { target: document.body, props });
  flushSync();
}

const pressed = () =>
  document.querySelector("form")?.dispatchEvent(new Event("submit", { cancelable: true }));
const quiet = () => new Promise((resolve) => setTimeout(resolve, 50));

/** Keys that are told when the test says so. */
function lateKeys(): () => void {
  let tell: (keys: readonly OwnKey[]) => void = () => {};
  const keys = new Promise<readonly OwnKey[]>((resolve) => {
    tell = resolve;
  });
  Object.assign(made.facade.keys, { list: () => keys });
  return () => tell(world.keys);
}

test("the question comes by itself, and not for a page that was left", async () => {
  firstVisit(SERVER, { user: "root", reason: "First look" });
  await form();
  await vi.waitFor(() => expect(wishes.map(({ user }) => user)).toEqual(["root"]));
  await leave();
  const tell = lateKeys();
  firstVisit(SERVER, { user: "root", reason: "First look" });
  await form();
  await leave();
  tell();
  await quiet();
  expect(wishes.length).toBe(1);
});

test("a user that was kept from before raises no question", async () => {
  localStorage.setItem("cloud-doctor.user", "root");
  firstVisit(SERVER, { user: "", reason: "First look" });
  await form();
  expect(document.querySelector<HTMLInputElement>("#user")?.value).toBe("root");
  await quiet();
  expect(wishes).toEqual([]);
});

test("without the words that two people compare, nothing is asked for any more", async () => {
  vi.doMock("./parts/Waiting.svelte", () => {
    throw new Error("no such file");
  });
  try {
    made.facade.openShell = (wish) =>
      new Promise((_, reject) => {
        wish.signal?.addEventListener("abort", () => reject(new ConsoleError("cancelled")));
        wish.onSecond?.({
          words: "a b c d e f",
          expiresAt: Date.now() + 60_000,
          approvers: [],
          local: false,
        });
      });
    replace(`#/servers/${SERVER}?user=deploy&reason=slow`);
    await form();
    pressed();
    // It failed, not: somebody cancelled.
    await vi.waitFor(() => expect(document.querySelector("[role=alert]")?.textContent).toMatch(/happened/));
    expect(document.querySelector("form")?.getAttribute("aria-busy")).toBe("false");
  } finally {
    vi.doUnmock("./parts/Waiting.svelte");
  }
});

test("Enter before it is known whether there are passkeys chooses no key", async () => {
  const { default: WayForm } = await import("./parts/WayForm.svelte");
  let can: (can: boolean) => void = () => {};
  made.facade.access.passkeys = () =>
    new Promise((resolve) => {
      can = resolve;
    });
  const begun: unknown[] = [];
  const begin = async ({ signs }: { signs: unknown }) => {
    begun.push(signs);
  };
  const props = { name: "eve", deviceAllowed: true, submitText: "join-begin" as const, begin };
  shown = mount(WayForm, { target: document.body, props });
  flushSync();
  const password = document.querySelector<HTMLInputElement>("#password");
  if (!password) throw new Error("no password");
  password.value = "filled in by the browser";
  password.dispatchEvent(new Event("input", { bubbles: true }));
  pressed();
  await vi.waitFor(() => expect(begun).toEqual([undefined]));
  can(false);
  await quiet();
  pressed();
  await vi.waitFor(() => expect(begun).toEqual([undefined, "device"]));
});

test("whoever left the page to join is not fetched back when let in", async () => {
  const { default: Join } = await import("./pages/Join.svelte");
  for (const leaves of [false, true]) {
    document.body.innerHTML = "";
    Object.assign(world, { letsIn: true, keys: [], servers: someWorld(Date.now()).servers.slice(0, 1) });
    made = fake(world);
    useFacade(made.facade);
    let tell = () => {};
    const asked = new Promise<void>((resolve) => {
      made.facade.api.servers = () => {
        resolve();
        return new Promise((list) => {
          tell = () => list(world.servers);
        });
      };
    });
    await arrive(Join);
    await asked;
    if (leaves) {
      await leave();
      replace("#/settings");
    }
    tell();
    await quiet();
    expect(location.hash.startsWith(leaves ? "#/settings" : `#/servers/${SERVER}`)).toBe(true);
    await leave();
  }
});

/** Signed in already, and with a key that is let in at once. */
async function arrive(Join: typeof import("./pages/Join.svelte").default): Promise<void> {
  const { begin } = await import("./session.svelte");
  replace("#/join/T0ken?user=deploy");
  await begin();
  shown = mount(Join, { target: document.body });
  const button = await vi.waitFor(() => {
    flushSync();
    const found = document.querySelector<HTMLButtonElement>("button.primary");
    if (!found) throw new Error(document.body.textContent ?? "");
    return found;
  });
  button.click();
}
