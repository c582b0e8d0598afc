// @vitest-environment jsdom
// WEB-06: what strangers call things is text wherever it is shown.
import { flushSync, mount, unmount } from "svelte";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { ConsoleError } from "../lib/errors";
import { useFacade } from "./facade";
import { FakeShell, fake, someWorld } from "./fake";
import { HOSTILE } from "./hostile";

beforeAll(async () => {
  // jsdom has neither.
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  HTMLDialogElement.prototype.showModal ??= () => {};
  const { words } = await import("./words.svelte");
  await words();
});

let shown: Record<string, unknown> | undefined;

beforeEach(() => {
  document.body.innerHTML = "";
});

afterEach(async () => {
  if (shown) await unmount(shown);
  shown = undefined;
});

const NOT_OURS =
  "script, img, iframe, object, embed, link, meta, base, video, audio, marquee, math, noscript";

/** The text stands there as it is, and nothing came to life. */
function isText(text: string): void {
  flushSync();
  const all = document.body.textContent ?? "";
  expect(all.includes(text) || all.replace(/\s+/g, " ").includes(text.replace(/\s+/g, " "))).toBe(true);
  expect(document.body.querySelector(NOT_OURS)).toBeNull();
  for (const element of document.body.querySelectorAll("*")) {
    for (const name of element.getAttributeNames()) expect(name.startsWith("on")).toBe(false);
    expect(element.getAttribute("href") ?? "#").toMatch(/^#/);
  }
}

test("there are sixty of them", () => {
  expect(new Set(HOSTILE).size).toBe(60);
});

test.each(HOSTILE)("WEB-06 a server's names in the list and on its page: %j", async (text) => {
  const world = someWorld(Date.now());
  const first = world.servers[0];
  if (!first) throw new Error("the made-up world has servers");
  world.servers = [
    { ...first, name: text, hostname: `host ${text}`, os: `os ${text}`, build: `build ${text}` },
  ];
  useFacade(fake(world).facade);
  const { default: Servers } = await import("./pages/Servers.svelte");
  shown = mount(Servers, { target: document.body });
  await vi.waitFor(() => {
    flushSync();
    expect(document.querySelector("a.line")).not.toBeNull();
  });
  for (const part of [text, `host ${text}`, `os ${text}`]) isText(part);
  await unmount(shown);
  const { default: Facts } = await import("./parts/Facts.svelte");
  shown = mount(Facts, {
    target: document.body,
    props: { server: world.servers[0], missing: false, stale: false, id: first.id },
  });
  for (const part of [text, `host ${text}`, `os ${text}`, `build ${text}`]) isText(part);
});

test.each(HOSTILE)("WEB-06 customer, user, title, error: %j", async (text) => {
  const world = someWorld(Date.now());
  useFacade(fake(world).facade);
  const { Tab } = await import("./shells.svelte");
  const tab = new Tab(new FakeShell("01", "02", text, Date.now() + 60_000));
  const { default: TrustStrip } = await import("./parts/TrustStrip.svelte");
  shown = mount(TrustStrip, { target: document.body, props: { customer: `of ${text}`, server: text, tab } });
  isText(text);
  isText(`of ${text}`);
  await unmount(shown);
  tab.title = `title ${text}`;
  const { default: Tabs } = await import("./parts/Tabs.svelte");
  const props = { tabs: [tab], active: tab, onpick() {}, onnew() {} };
  shown = mount(Tabs, { target: document.body, props });
  isText(`title ${text}`);
  await unmount(shown);
  const error = new ConsoleError("relay_says_no", text);
  const { default: Problem } = await import("./parts/Problem.svelte");
  shown = mount(Problem, { target: document.body, props: { error } });
  // The library shows hidden characters by their numbers and cuts what is too long.
  isText(String(error.args[0]));
});

test.each(HOSTILE)("WEB-06 people in the customer's list: %j", async (text) => {
  const world = { ...someWorld(Date.now()), customer: text };
  useFacade(fake(world).facade);
  const { checkTrust } = await import("./session.svelte");
  checkTrust();
  const { default: Trust } = await import("./pages/Trust.svelte");
  shown = mount(Trust, { target: document.body });
  await vi.waitFor(() => {
    flushSync();
    expect(document.querySelector("dl")).not.toBeNull();
  });
  isText(text);
});
