// @vitest-environment jsdom
// WEB-06: a table of pages and of the fields of strangers that each shows. Every one of the sixty texts goes through
// every field, and stands on the page as text.
import { type Component, flushSync, mount, unmount } from "svelte";
import { afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { oneLine } from "../lib/errors";
import type { Column, Facade } from "../lib/facade";
import { facade, useFacade } from "./facade";
import { fake, someWorld, type World } from "./fake";
import { HOSTILE } from "./hostile";
import type { Look } from "./metrics/look.svelte";

// Nothing here is about waiting.
vi.mock("./fake/world", async (load) => ({
  ...(await load<typeof import("./fake/world")>()),
  soon: async () => {},
}));

const SERVER = `#/servers/${"01".repeat(32)}`;
/** Looks often, since there is much to look at. */
const SOON = { interval: 5, timeout: 20_000 };
/** Sixty pages one after the other, on a machine that does other things too. */
const SIXTY_MS = 180_000;
/** Lengths at which pages cut what is too long for a line. */
const CUTS = [40, 60, 80, 100, 200, 300, 400];
const NOT_OURS =
  "script, img, iframe, object, embed, link, meta, base, video, audio, marquee, math, noscript";

interface Row {
  readonly page: string;
  readonly at: string;
  readonly load: () => Promise<{ default: Component<Record<string, never>> }>;
  /** What is there once the page has its answers. */
  readonly wait: string;
  /** Fields of the answers that the page shows; of series, keys of attributes. */
  readonly fields: readonly string[];
  /** The page shows one of a kind: each text has the page to itself. Else its lists are made sixty long. */
  readonly alone?: true;
  /** Only this part of the facade has strange answers. */
  readonly part?: "metrics";
  readonly world?: (world: World) => void;
  readonly steps?: () => Promise<void> | void;
}

function click(selector: string) {
  document.querySelector<HTMLElement>(selector)?.click();
}

const settings = (part: string, wait: string, fields: readonly string[]): Row => ({
  page: `settings, ${part}`,
  at: `#/settings/${part}`,
  load: () => import("./pages/Settings.svelte"),
  wait,
  fields,
});

const metrics = (page: string, fields: readonly string[]): Row => ({
  page,
  at: `${SERVER}/metrics`,
  load: () => import("./pages/Metrics.svelte"),
  wait: "ol .package",
  part: "metrics",
  fields,
  steps: () => click("section.stack .head button"),
});

const ROWS: readonly Row[] = [
  {
    page: "servers",
    at: "#/servers",
    load: () => import("./pages/Servers.svelte"),
    wait: "a.line",
    fields: ["name", "hostname", "os", "labels", "account"],
  },
  {
    page: "about a server",
    at: `${SERVER}/about`,
    load: () => import("./pages/About.svelte"),
    wait: ".changes input",
    fields: ["name", "hostname", "os", "kernel", "arch", "build", "address", "labels", "account"],
    alone: true,
  },
  {
    page: "trust",
    at: "#/trust",
    load: () => import("./pages/Trust.svelte"),
    wait: "article",
    fields: ["name", "customer", "note", "before", "labels", "secondFor", "never", "account"],
    alone: true,
    world: (world) => {
      const key = { key: "SHA256:N", kind: "passkey", words: "a b c d e f", role: "engineer" } as const;
      world.candidates = [{ account: "peggy", since: Date.now(), ...key }];
    },
  },
  settings("signin", ".part .lines", ["label"]),
  settings("keys", ".part .lines", ["label"]),
  settings("sessions", ".part .lines", ["client", "address"]),
  settings("people", ".part .lines", ["name", "account"]),
  settings("tokens", ".part .lines", ["label", "by"]),
  settings("activity", ".part .lines", ["account", "address", "action", "subject"]),
  {
    page: "approvals",
    at: "#/approvals",
    load: () => import("./pages/Approvals.svelte"),
    wait: "section .lines",
    fields: ["engineer", "name", "reason", "ticket", "user", "answeredBy", "sentence", "note", "by"],
    // The frame asks for them.
    steps: async () => {
      const { approvals } = await import("./approvals.svelte");
      approvals().value = await facade().approvals.list();
    },
    alone: true,
  },
  {
    page: "visits",
    at: "#/visits",
    load: () => import("./pages/Visits.svelte"),
    wait: ".running",
    fields: ["name", "account", "users", "reason", "ticket", "second", "user", "watchers"],
  },
  {
    page: "scans",
    at: "#/scans",
    load: () => import("./pages/Scans.svelte"),
    wait: ".finding",
    fields: ["plan", "labels", "checks", "check", "name", "subject", "en", "by"],
    alone: true,
  },
  {
    page: "a server's audit",
    at: `${SERVER}/audit`,
    load: () => import("./pages/Audit.svelte"),
    wait: "button.primary:enabled",
    fields: ["engineer", "second", "scopes", "reason", "ticket", "claimed-account", "claimed-client"],
    steps: () => click("button.primary"),
    world: ({ audit }) => {
      const opened = audit.entries.filter(({ event }) => event === "visit-opened");
      Object.assign(audit, { entries: opened });
    },
  },
  {
    page: "a server's audit by a newer agent",
    at: `${SERVER}/audit`,
    load: () => import("./pages/Audit.svelte"),
    wait: "button.primary:enabled",
    fields: ["event", "detail", "argv"],
    steps: () => click("button.primary"),
    world: ({ audit }) => {
      const [one] = audit.entries;
      Object.assign(audit, { entries: [{ ...one, fields: { detail: "", argv: "" } }] });
    },
  },
  {
    page: "an invitation",
    at: "#/join/T0ken",
    load: () => import("./pages/Join.svelte"),
    wait: "form",
    fields: ["customer", "by", "account"],
    alone: true,
    world: (world) => {
      world.signedIn = false;
    },
  },
  {
    page: "sign-in",
    at: "#/servers",
    load: () => import("./pages/SignIn.svelte"),
    wait: "form",
    fields: ["name", "inside"],
    alone: true,
    world: (world) => {
      Object.assign(world, { inside: "chat", passkeys: false });
    },
  },
  metrics("what happened and processes", ["name", "user", "unit"]),
  // What happened is cut as a whole.
  metrics("what there was before", ["before"]),
  metrics("what there is since", ["after"]),
];

/** Which of the fields a value holds, at any depth. */
function held(value: unknown, fields: readonly string[]): Set<string> {
  const found = new Set<string>();
  JSON.stringify(value, (key, one) => {
    if (fields.includes(key)) found.add(key);
    return one;
  });
  return found;
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** The same with a stranger's text in these fields, which says in which. */
function strange(value: unknown, fields: readonly string[], text: string): unknown {
  if (Array.isArray(value)) return value.map((one) => strange(one, fields, text));
  if (!isPlain(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      if (!fields.includes(key)) return [key, strange(one, fields, text)];
      if (typeof one === "string") return [key, `${key} ${text}`];
      if (Array.isArray(one) && one.every((each) => typeof each === "string"))
        return [key, [`${key} ${text}`]];
      return [key, strange(one, fields, text)];
    }),
  );
}

/** The same with its lists made sixty long, out of the entry that shows most, each with another text. */
function sixty(value: unknown, fields: readonly string[]): unknown {
  if (isPlain(value))
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, sixty(one, fields)]));
  if (!Array.isArray(value) || !isPlain(value[0])) return value;
  // Of equals the last one, which is the newest where they are events.
  const most = [...value].sort((a, b) => held(a, fields).size - held(b, fields).size).at(-1);
  if (held(most, fields).size === 0) return value;
  return HOSTILE.map((text, at) => {
    const one = strange(most, fields, text) as Record<string, unknown>;
    const ids = ["id", "seq", "pid"].filter((key) => key in one);
    return {
      ...one,
      ...Object.fromEntries(ids.map((key) => [key, key === "id" ? at.toString(16).padStart(64, "0") : at])),
    };
  });
}

/** A facade whose answers are changed; what is no plain value stays. */
function changed<T extends object>(facade: T, change: (answer: unknown) => unknown): T {
  return new Proxy(facade, {
    get(target, key) {
      const part = Reflect.get(target, key) as unknown;
      if (isPlain(part)) return changed(part, change);
      if (typeof part !== "function" || key === "onTouch") return part;
      return (...args: unknown[]) => {
        const answer: unknown = part.apply(target, args);
        return answer instanceof Promise ? answer.then(change) : change(answer);
      };
    },
  });
}

let shown: Record<string, unknown> | undefined;

beforeAll(async () => {
  // jsdom has none of these, and nobody looks at it.
  vi.spyOn(document, "hidden", "get").mockReturnValue(false);
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  const nothing = { observe() {}, unobserve() {}, disconnect() {} };
  for (const name of ["IntersectionObserver", "ResizeObserver"])
    vi.stubGlobal(name, function observer() {
      return nothing;
    });
  HTMLDialogElement.prototype.showModal ??= () => {};
  const { words, roomWords } = await import("./words.svelte");
  await words();
  await roomWords();
});

beforeEach(() => {
  document.body.innerHTML = "";
});

afterEach(close);

async function close() {
  if (shown) await unmount(shown);
  shown = undefined;
}

/** Shows a row's page over a world whose answers are changed so. */
async function open(
  { at, load, wait, world: prepare, part, steps }: Row,
  change: (answer: unknown) => unknown,
) {
  const world = someWorld(Date.now());
  world.metrics.still = true;
  prepare?.(world);
  const { facade } = fake(world);
  facade.onTouch(async () => true);
  useFacade(part ? { ...facade, [part]: changed(facade[part], change) } : changed<Facade>(facade, change));
  location.hash = at;
  const { parseRoute, route } = await import("./route.svelte");
  await vi.waitFor(() => expect(route()).toEqual(parseRoute(at)));
  await (await import("./session.svelte")).begin();
  shown = mount((await load()).default, { target: document.body });
  await vi.waitFor(() => {
    flushSync();
    expect(document.querySelector(wait)).not.toBeNull();
  }, SOON);
  await steps?.();
}

/** All that can be read: text, and what stands in fields. */
function read(): string {
  flushSync();
  const fields = [...document.querySelectorAll("input, textarea")] as HTMLInputElement[];
  return [document.body.textContent, ...fields.map(({ value }) => value)].join("\n");
}

const flat = (text: string) => text.replace(/\s+/g, " ");

/** These texts of these fields stand there as they are, and nothing came to life. */
function areText(texts: readonly string[], fields: readonly string[]) {
  return stand(texts.flatMap((text) => fields.map((field) => `${field} ${text}`)));
}

async function stand(texts: readonly string[]) {
  await vi.waitFor(() => {
    const all = read();
    const even = flat(all);
    const missing = texts
      .filter((one) => !all.includes(one) && !even.includes(flat(one)))
      .filter((one) => !CUTS.some((cut) => even.includes(flat(oneLine(one, cut)))));
    expect(missing).toEqual([]);
  }, SOON);
  expect(document.body.querySelector(NOT_OURS)).toBeNull();
  for (const element of document.body.querySelectorAll("*")) {
    for (const name of element.getAttributeNames()) expect(name.startsWith("on")).toBe(false);
    expect(element.getAttribute("href") ?? "#").toMatch(/^#/);
  }
}

test.each(ROWS.map((row) => [row.page, row] as const))(
  "WEB-06 sixty texts on the page: %s",
  async (_, row) => {
    if (!row.alone) {
      await open(row, (answer) => sixty(answer, row.fields));
      return areText(HOSTILE, row.fields);
    }
    for (const text of HOSTILE) {
      await open(row, (answer) => strange(answer, row.fields, text));
      await areText([text], row.fields);
      await close();
      document.body.innerHTML = "";
    }
  },
  SIXTY_MS,
);

/** A server's series, of which each names what is measured. */
const SERIES: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ["system.filesystem.utilization", { device: "sda", mountpoint: "", type: "ext4" }],
  ["system.network.io", { device: "", direction: "receive" }],
  ["system.disk.io", { device: "", direction: "read" }],
  ["system.linux.service.memory.usage", { service: "" }],
];

function columnsOf(text: string) {
  return SERIES.map(([name, attributes]): Column => {
    const named = Object.entries(attributes).map(
      ([key, value]) => [key, value === "" ? `${key} ${text}` : value] as const,
    );
    const series = { name, unit: "1", kind: "gauge" as const, attributes: named };
    return { series, values: Float32Array.of(1, 2) };
  });
}

test.each(HOSTILE)("WEB-06 disks, networks and services in charts and their table: %j", async (text) => {
  const { CHARTS, drawn } = await import("./metrics/charts");
  const { Chooser, Lookup } = await import("./metrics/lookup");
  const times = Float64Array.of(1000, 2000);
  const lookup = new Lookup({ times, columns: columnsOf(text), dropped: 0 });
  const charts = CHARTS.map((chart) => drawn(chart, lookup, new Chooser(), 2000));
  const look = { cursor: undefined, times, newest: 2000, charts } as unknown as Look;
  const { default: Values } = await import("./metrics/Values.svelte");
  shown = mount(Values, { target: document.body, props: { look } });
  const details = document.querySelector("details");
  if (details) details.open = true;
  details?.dispatchEvent(new Event("toggle"));
  await stand(["mountpoint", "device", "service"].map((key) => `${key} ${text}`));
  await close();
  const { default: Chart } = await import("./metrics/Chart.svelte");
  for (const one of charts.filter(({ lines }) => lines.length > 0)) {
    const props = { look, drawn: one, events: [], height: 100 };
    const chart = mount(Chart, { target: document.body, props });
    await stand(one.lines.map(({ label }) => label));
    await unmount(chart);
  }
});

test.each(HOSTILE)("WEB-06 approvers, and a file that is looked at: %j", async (text) => {
  const { default: Waiting } = await import("./parts/Waiting.svelte");
  const second = {
    words: "a b c d e f",
    expiresAt: Date.now(),
    approvers: [`approver ${text}`],
    local: true,
  };
  shown = mount(Waiting, { target: document.body, props: { second, oncancel() {} } });
  await stand([`approver ${text}`]);
  await close();
  const load = () => import("./pages/Audit.svelte");
  const wait = "input[type=file]";
  await open({ page: "audit", at: `${SERVER}/audit`, load, wait, fields: [] }, (answer) => answer);
  const chooser = document.querySelector<HTMLInputElement>(wait);
  // jsdom's files have no text.
  const file = Object.assign(new File([], `file ${text}`), { text: async () => "{}" });
  if (chooser) Object.defineProperty(chooser, "files", { value: [file] });
  chooser?.dispatchEvent(new Event("change", { bubbles: true }));
  await stand([`file ${text}`]);
});
