// @vitest-environment jsdom
// WEB-10: what a lying server counts and calls things is shown as text, and the page lives on.
import { flushSync, mount, unmount } from "svelte";
import { beforeAll, expect, test, vi } from "vitest";
import type { AuditEntry, Finding } from "../lib/facade";
import type { Told } from "./health";

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  const { words, roomWords } = await import("./words.svelte");
  await words();
  await roomWords();
});

/** As JSON.parse makes it of what a server wrote. */
const FIELDS = `{"__proto__":{"polluted":true},"constructor":1e999,"huge":123456789012345678901234567890,
  "half":"\\ud800x","deep":${"[".repeat(30_000)}1${"]".repeat(30_000)},"map":${'{"a":'.repeat(9_000)}1${"}".repeat(9_000)}}`;

test("WEB-10 a line of a host's audit is read, whatever stands in it", async () => {
  const { auditSaying, rest, searched } = await import("./audit");
  for (const event of ["visit-opened", "counted", "__proto__", "constructor", "\ud800"]) {
    const fields: Record<string, unknown> = { ...JSON.parse(FIELDS), what: JSON.parse(FIELDS) };
    const entry: AuditEntry = { seq: 1, at: 0, bootMs: 0, event, fields };
    expect(typeof searched(entry)).toBe("string");
    expect(rest(entry).every(([, value]) => typeof value === "string")).toBe(true);
    expect(Object.values(auditSaying(entry)?.values ?? {}).every((one) => typeof one === "string")).toBe(
      true,
    );
    const parsed: AuditEntry = { ...entry, fields: JSON.parse(FIELDS) };
    expect(Object.fromEntries(rest(parsed)).constructor).toBe("Infinity");
  }
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

const HUGE = [Number.MAX_SAFE_INTEGER * 1000, Number.MAX_VALUE, Number.POSITIVE_INFINITY, -1e300, Number.NaN];

test("WEB-10 there is a time for every number", async () => {
  const { clockTime, day, exactTime, span, bytes } = await import("./times.svelte");
  const { moment } = await import("./metrics/format");
  for (const number of HUGE) {
    for (const say of [clockTime, day, exactTime, span, bytes, (some: number) => moment(some, number)])
      expect(say(number), `${number}`).not.toBe("");
  }
});

test("WEB-10 a finding with names and numbers that nobody has is shown", async () => {
  const { default: Shown } = await import("./parts/Finding.svelte");
  for (const number of HUGE) {
    const finding: Finding = {
      check: "__proto__",
      subject: "half \ud800 a character",
      status: "critical",
      note: false,
      since: number,
      value: number,
      unit: "toString",
      evidence: [{ source: "constructor", text: "\udfff" }],
      summary: { en: "valueOf", zh: "" },
      impact: { en: "", zh: "" },
      remedy: { en: "", zh: "" },
      details: [
        ["__proto__", number],
        ["constructor", "hasOwnProperty"],
      ],
    };
    const told: Told = { key: "x", finding, severity: "critical" };
    const shown = mount(Shown, { target: document.body, props: { told } });
    flushSync();
    for (const part of ["__proto__", "valueOf", "hasOwnProperty", String(number)])
      expect(document.body.textContent, `${number}`).toContain(part);
    await unmount(shown);
  }
});
