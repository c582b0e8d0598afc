// @vitest-environment jsdom
// WEB-06: what strangers call things is text wherever it is shown.
import { type Component, flushSync, mount, unmount } from "svelte";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { ConsoleError } from "../lib/errors";
import type { TouchHook } from "../lib/facade";
import { useFacade } from "./facade";
import { FakeShell, fake, someWorld } from "./fake";
import { HOSTILE } from "./hostile";

beforeAll(async () => {
  // jsdom has neither.
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  HTMLDialogElement.prototype.showModal ??= () => {};
  const { words, roomWords } = await import("./words.svelte");
  await words();
  await roomWords();
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
    props: { server: world.servers[0], missing: false, stale: false, id: first.id, beside: { shown: false } },
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

/** Shows a page over a world, and waits for something on it. */
async function open(page: Component, selector: string): Promise<void> {
  shown = mount(page, { target: document.body });
  await vi.waitFor(() => {
    flushSync();
    expect(document.querySelector(selector)).not.toBeNull();
  });
}

test.each(HOSTILE)("WEB-06 requests, visits and a host's audit: %j", async (text) => {
  const world = someWorld(Date.now());
  const [request, visit, entry] = [world.approvals[0], world.running[0], world.audit.entries[0]];
  if (!request || !visit || !entry) throw new Error("the made-up world has all three");
  const server = { id: "01", name: `server ${text}` };
  const both = { server, reason: `reason ${text}`, ticket: `ticket ${text}` };
  world.approvals = [
    { ...request, ...both, engineer: text, scopes: [{ kind: "shell", user: `user ${text}` }] },
  ];
  const [ahead] = world.ahead;
  if (!ahead) throw new Error("the made-up world has something signed ahead");
  const scopes = [{ kind: "shell" as const, user: `ahead ${text}` }];
  const engineer = { ...ahead.engineer, name: `engineer ${text}` };
  world.ahead = [{ ...ahead, server, engineer, scopes, note: `note ${text}`, by: `by ${text}` }];
  world.running = [{ ...visit, ...both, account: text, users: [`user ${text}`], second: `second ${text}` }];
  const fields = { engineer: text, scopes: `scopes ${text}`, detail: `detail ${text}` };
  world.audit = { ...world.audit, entries: [{ ...entry, event: "visit-opened", fields }] };
  const { facade } = fake(world);
  facade.onTouch(async () => true);
  useFacade(facade);
  const { approvals, followApprovals } = await import("./approvals.svelte");
  const stop = followApprovals();
  await vi.waitFor(() => expect(approvals().value).toBe(world.approvals));
  await open((await import("./pages/Approvals.svelte")).default, "article");
  for (const part of [text, server.name, both.reason, both.ticket, `user ${text}`]) isText(part);
  await vi.waitFor(() => isText(`note ${text}`));
  for (const part of [`ahead ${text}`, engineer.name, `by ${text}`]) isText(part);
  stop();
  await unmount(shown ?? {});
  await open((await import("./pages/Visits.svelte")).default, ".running");
  for (const part of [text, server.name, both.reason, both.ticket, `second ${text}`]) isText(part);
  await unmount(shown ?? {});
  const { auditSaying } = await import("./audit");
  const { default: Say } = await import("./parts/Say.svelte");
  const said = auditSaying(world.audit.entries[0] ?? entry);
  if (!said) throw new Error("a visit has a sentence");
  shown = mount(Say, { target: document.body, props: said });
  isText(text);
});

test.each(HOSTILE)("WEB-06 what a server found about itself: %j", async (text) => {
  const world = someWorld(Date.now());
  const [run] = world.checks.runs;
  const [finding] = run?.findings ?? [];
  if (!run || !finding) throw new Error("the made-up world has both");
  const both = (name: string) => ({ en: `${name} ${text}`, zh: `${name} ${text}` });
  const said = { subject: `subject ${text}`, unit: text, details: [[text, `value ${text}`] as const] };
  const bad = {
    ...finding,
    ...said,
    check: `check ${text}`,
    summary: both("summary"),
    impact: both("impact"),
    remedy: both("remedy"),
    evidence: [{ source: `source ${text}`, text: `seen ${text}` }],
  };
  const unknown = { ...bad, status: "unknown" as const, summary: both("untold") };
  const waiver = {
    ...bad,
    id: "w9",
    reason: `reason ${text}`,
    owner: `owner ${text}`,
    until: Date.now() + 1e7,
  };
  world.checks.runs = [
    {
      ...run,
      findings: [bad, unknown],
      absent: [{ check: `absent ${text}`, why: both("why") }],
      refused: [`refused ${text}`],
      sandboxOpen: [`open ${text}`],
      version: text,
      by: `by ${text}`,
      changes: [{ check: bad.check, subject: `gone ${text}`, change: "gone" }],
    },
  ];
  world.checks.waivers = [{ ...waiver, subject: `waived ${text}` }];
  useFacade(fake(world).facade);
  location.hash = `#/servers/${"01".repeat(32)}/health`;
  await vi.waitFor(async () => expect((await import("./route.svelte")).route().page).toBe("health"));
  await open((await import("./pages/Health.svelte")).default, "article");
  const { asItStood, inOneLine } = await import("./health");
  const { oneLine } = await import("../lib/errors");
  for (const name of ["summary", "impact", "remedy", "untold", "why"]) isText(inOneLine(both(name)));
  for (const name of ["source", "seen"]) isText(asItStood(`${name} ${text}`));
  for (const name of ["check", "subject", "value", "absent", "refused", "open", "gone", "waived"])
    isText(oneLine(`${name} ${text}`));
  for (const name of ["by", "reason", "owner"]) isText(`${name} ${text}`);
});

test("a report that its server did not sign shows nothing of it", async () => {
  const world = someWorld(Date.now());
  world.checks.unsigned = true;
  useFacade(fake(world).facade);
  location.hash = `#/servers/${"01".repeat(32)}/health`;
  await vi.waitFor(async () => expect((await import("./route.svelte")).route().page).toBe("health"));
  await open((await import("./pages/Health.svelte")).default, "[role=alert]");
  isText("This report is not to be believed");
  isText("is not signed by that server");
  expect(document.querySelector("article, ol, select, details")).toBeNull();
});

test("a touch says what will be signed, as text, and no is no", async () => {
  const { default: TouchDialog } = await import("./parts/TouchDialog.svelte");
  const { askBeforeTouches } = await import("./touch.svelte");
  const text = HOSTILE[0] ?? "";
  let ask: TouchHook | undefined;
  const { facade } = fake(someWorld(Date.now()));
  useFacade({
    ...facade,
    onTouch: (hook) => {
      ask = hook;
    },
  });
  askBeforeTouches();
  const what = { kind: "visit", user: "root", seconds: 1800, reason: text, ticket: "T-1" } as const;
  const key = { label: "laptop", fingerprint: "SHA256:x" };
  const touch = {
    what,
    customer: "ACME",
    server: { id: "01", name: "web-1" },
    key,
    over: new Promise(() => {}),
  };
  const answer = ask?.(touch);
  shown = mount(TouchDialog, { target: document.body });
  await vi.waitFor(() => {
    flushSync();
    expect(document.querySelector("dialog")).not.toBeNull();
  });
  for (const part of [text, "web-1", "root", "30 min", "T-1", "ACME", "laptop"]) isText(part);
  document.querySelector<HTMLButtonElement>("dialog button:not(.primary)")?.click();
  expect(await answer).toBe(false);
});

test.each(HOSTILE)(
  "WEB-06 whom and what one may choose for a signature ahead, and its touch: %j",
  async (text) => {
    const world = someWorld(Date.now());
    const [server, person] = [world.servers[0], world.people[2]];
    if (!server || !person) throw new Error("the made-up world has both");
    world.servers = [{ ...server, name: text }];
    world.people = [{ ...person, name: `engineer ${text}`, until: Date.now() + 60_000 }];
    const { facade } = fake(world);
    useFacade(facade);
    const { default: AheadForm } = await import("./parts/AheadForm.svelte");
    const props = { log: facade.trust.log(), may: true, own: new Set<string>(), ondone() {} };
    shown = mount(AheadForm, { target: document.body, props });
    for (const part of [text, `engineer ${text}`]) isText(part);
    await unmount(shown);
    const { saying } = await import("./entries");
    const { default: Say } = await import("./parts/Say.svelte");
    const [ahead] = world.ahead;
    if (!ahead) throw new Error("the made-up world has something signed ahead");
    const what = { ...ahead, server: { id: "01", name: text } };
    for (const said of [
      saying({ kind: "sign-ahead", ...what }),
      saying({ kind: "end-ahead", seq: 3, what }),
    ]) {
      shown = mount(Say, { target: document.body, props: said });
      isText(text);
      await unmount(shown);
    }
    shown = undefined;
  },
);
