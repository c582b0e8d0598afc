// @vitest-environment jsdom
// The relay's own log in plain words: a sentence for everything that the relay can write, and nothing lost besides.
import { readFileSync } from "node:fs";
import { beforeAll, expect, test, vi } from "vitest";
import type { RelayEvent } from "../lib/facade";

let activity: typeof import("./activity");
let words: typeof import("./words.svelte");

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  words = await import("./words.svelte");
  await words.words();
  await words.roomWords();
  activity = await import("./activity");
});

const WEB = "0a".repeat(32);
const names = new Map([[WEB, "web-1"]]);
const event = (action: string, subject = "", more: Partial<RelayEvent> = {}): RelayEvent => ({
  seq: 1,
  at: 0,
  account: "eve",
  address: "198.51.100.4",
  action,
  subject,
  ...more,
});

test("everything that the relay can write down has a sentence here", () => {
  const source = readFileSync("../src/store/audit.rs", "utf8");
  const [, table = ""] = source.match(/\nactions! \{\n([^}]*)\n\}/) ?? [];
  const known = [...table.matchAll(/^ {4}[A-Z][A-Za-z]* "([a-z-]+)";$/gm)].map(([, id]) => id ?? "");
  expect(known.length).toBe(table.match(/;/g)?.length);
  expect(known).toContain("finding-waived");
  for (const id of known) expect([id, activity.eventSaying(id)]).toEqual([id, `event-${id}`]);
});

test("servers have their names, other ids are cut, and times are words", () => {
  const about = (action: string, subject: string) => activity.eventAbout(event(action, subject), names);
  expect(about("stream-opened", WEB)).toBe("web-1");
  expect(about("server-enrolled", `${WEB} web-1`)).toBe("web-1");
  expect(about("server-enrolled", `${WEB} web-2`)).toBe("web-1 web-2");
  expect(about("server-removed", "0b".repeat(32))).toBe("0b0b0b0b0b0b");
  expect(about("finding-waived", `${WEB} disk.space /var\u202e`)).toBe("web-1 disk.space /var\\u{202e}");
  expect(about("checks-scheduled", `${WEB} 3600`)).toBe("web-1 every 1 h");
  expect(about("checks-scheduled", `${WEB} 0`)).toBe("web-1 never");
});

test("an event of a newer relay keeps its name, and the filter looks at everything", () => {
  expect(activity.eventWords(event("moon-phase"))).toBe("moon-phase");
  expect(activity.eventSaying("constructor")).toBeUndefined();
  const waived = event("finding-waived", `${WEB} disk.space /var`);
  for (const words of ["", "waived web-1", "EVE 198.51", "finding-waived", "/var"])
    expect(activity.eventFits(waived, names, words), words).toBe(true);
  expect(activity.eventFits(waived, names, "waived ann")).toBe(false);
});
