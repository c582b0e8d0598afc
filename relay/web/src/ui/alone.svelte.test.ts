// @vitest-environment jsdom
// When an owner counts as alone: by keys and not by names, and only once everything that was asked has said so.
import { flushSync } from "svelte";
import { beforeEach, expect, test, vi } from "vitest";
import type { KeyView, PersonView } from "../lib/facade";
import { useFacade } from "./facade";
import { fake, someWorld, type World } from "./fake";
import { ME, print } from "./fake/world";

vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));

const key = (letter: string, kind: KeyView["kind"], name = ME): KeyView => ({
  name,
  fingerprint: print(letter),
  kind,
});
const person = (one: KeyView): PersonView => ({ ...one, role: "engineer", until: Date.now() + 1e9 });
const PASSKEY = key("E", "passkey");

let world: World;
let calls: number;
let stop = () => {};

beforeEach(() => {
  stop();
  const now = Date.now();
  world = { ...someWorld(now), roots: [PASSKEY], people: [person(PASSKEY)], invitations: [], candidates: [] };
  world.accounts = world.accounts.slice(0, 1);
  world.keys = world.keys.slice(0, 1);
  calls = 0;
});

/** What the pages say after the first looks, and after each further one. */
async function looking(change: (made: ReturnType<typeof fake>["facade"]) => void = () => {}) {
  const { begin } = await import("./session.svelte");
  const { alone, lookForOthers } = await import("./alone.svelte");
  const { facade } = fake(world);
  const { accounts } = facade.people;
  facade.people.accounts = () => {
    calls += 1;
    return accounts();
  };
  change(facade);
  useFacade(facade);
  await begin();
  vi.useFakeTimers();
  const said: boolean[] = [];
  const end = $effect.root(() => {
    $effect(() => {
      said.push(alone());
    });
    $effect(() => lookForOthers());
  });
  stop = () => {
    end();
    vi.useRealTimers();
  };
  const settle = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(ms);
    flushSync();
    return said.at(-1);
  };
  flushSync();
  return { said, settle };
}

// The first, since what was once answered stays.
test("an owner whose question got no answer is not called alone", async () => {
  const { settle } = await looking((facade) => {
    facade.people.accounts = async () => {
      throw new Error("away");
    };
  });
  expect(await settle(10)).toBe(false);
});

test("whoever the log has brings the pages for people back, without a reload", async () => {
  const { said, settle } = await looking();
  // Nobody is called alone before the answers are there.
  expect(said).toEqual([false]);
  expect(await settle(10)).toBe(true);
  expect(calls).toBe(1);
  // The relay shows neither an account nor a link, and the key bears the owner's own name.
  world.people = [person(PASSKEY), person(key("X", "ssh"))];
  expect(await settle(20_000)).toBe(false);
  await settle(100_000);
  expect(calls).toBe(1);
});

test("a log as set-up leaves it is one person's, and with any key more it is not", async () => {
  const { isAsSetUp } = await import("./alone.svelte");
  const [file, device] = [key("F", "ssh"), key("D", "device")];
  const more = key("X", "ssh");
  for (const [roots, people] of [
    [[PASSKEY], [person(PASSKEY)]],
    [[PASSKEY], []],
    [[file], [person(device)]],
  ] as const) {
    expect(isAsSetUp({ roots, people })).toBe(true);
    expect(isAsSetUp({ roots: [...roots, more], people })).toBe(false);
    expect(isAsSetUp({ roots, people: [person(PASSKEY), person(more)] })).toBe(false);
  }
  for (const stranger of [key("X", "device", "eve"), more, key("X", "passkey")])
    expect(isAsSetUp({ roots: [file], people: [person(stranger)] })).toBe(false);
  expect(isAsSetUp({ roots: [PASSKEY], people: [person(device)] })).toBe(false);
});
