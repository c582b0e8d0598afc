// @vitest-environment jsdom
import { readFileSync } from "node:fs";
import { beforeAll, expect, test, vi } from "vitest";
import type { AuditEntry } from "../lib/facade";

let audit: typeof import("./audit");
let words: typeof import("./words.svelte");

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  words = await import("./words.svelte");
  audit = await import("./audit");
  await words.words();
  await words.roomWords();
});

const entry = (event: string, fields: Record<string, unknown>): AuditEntry => ({
  seq: 1,
  at: 0,
  bootMs: 0,
  event,
  fields,
});

function said(one: AuditEntry): string {
  const saying = audit.auditSaying(one);
  return saying ? words.t(saying.id, saying.values) : "";
}

test("an entry is a sentence, and what it leaves out stands beside it", () => {
  const opened = entry("visit-opened", {
    visit: "ab".repeat(16),
    grant: "c".repeat(64),
    engineer: "eve@example.com",
    scopes: "shell root",
    minutes: 60,
    reason: "site is slow",
    second: "",
    ticket: "",
  });
  expect(said(opened)).toBe("eve@example.com opened a visit: shell root, 60 min");
  expect(audit.rest(opened)).toEqual([
    ["visit", "abababababab"],
    ["reason", "site is slow"],
  ]);
  expect(audit.weight("dead-secret-used")).toBe("critical");
  expect(audit.searched(opened)).toContain("site is slow");
});

test("an event of a newer agent, and fields of another shape, lose nothing", () => {
  const newer = entry("moon-phase", { full: true, list: ["a", 1], deep: { x: [1] } });
  expect(audit.auditSaying(newer)).toBeUndefined();
  expect(audit.rest(newer)).toEqual([
    ["full", "true"],
    ["list", "a 1"],
    ["deep", '{"x":[1]}'],
  ]);
  expect(said(entry("visit-opened", { engineer: ["eve"] }))).toBe("eve opened a visit: —, — min");
  expect(audit.auditSaying(entry("constructor", {}))).toBeUndefined();
});

test("every event that the agent has words for has words here", () => {
  const source = readFileSync("../../agent/src/cli/events.rs", "utf8");
  const table = source.slice(source.indexOf("words! {"), source.indexOf("/// An event on one line."));
  const known = [...table.matchAll(/^ {4}"([a-z-]+)", "/gm)].map(([, id]) => id ?? "");
  expect(known.length).toBeGreaterThan(20);
  for (const id of known) expect([id, audit.auditSaying(entry(id, {}))]).not.toEqual([id, undefined]);
});
