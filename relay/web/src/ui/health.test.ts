// @vitest-environment jsdom
// What the page Health says of a run: the verdict, the order, what was waived, and texts that would hide something.
import { beforeAll, expect, test, vi } from "vitest";
import type { CheckRun, Finding, Waiver } from "../lib/facade";
import { someRun } from "./fake/findings";

let health: typeof import("./health");
const NOW = 1_800_000_000_000;

beforeAll(async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  const { words, roomWords } = await import("./words.svelte");
  await words();
  await roomWords();
  health = await import("./health");
});

const run = (): CheckRun => someRun(1, NOW, 0);

function waiver(of: Pick<Finding, "check" | "subject">, until = NOW + 1000): Waiver {
  return { id: "w", check: of.check, subject: of.subject, reason: "r", owner: "o", until };
}

test("the verdict counts what is wrong, and what was waived apart", () => {
  const counts = (waivers: readonly Waiver[]) => health.countsOf(health.toldOf(run(), waivers, NOW));
  expect(counts([])).toEqual({ critical: 1, warning: 3, advice: 2, unknown: 3, ok: 60, waived: 0 });
  const ssh = { check: "security.ssh-root-login", subject: "sshd" };
  expect(health.verdict(counts([waiver(ssh)]))).toBe("1 critical, 2 warnings, 3 unknown, 1 waived");
  // Over, of another subject, of something that is well.
  for (const other of [
    waiver(ssh, NOW),
    waiver({ ...ssh, subject: "" }),
    waiver({ check: "cpu.load", subject: "" }),
  ])
    expect(counts([other]).waived).toBe(0);
  const none = { critical: 0, warning: 0, unknown: 0, waived: 0 };
  expect(health.verdict(none)).toBe("Nothing wrong found");
  expect(health.verdict({ ...none, warning: 1 })).toBe("1 warning");
  expect(health.verdict({ ...none, waived: 2 })).toBe("Nothing wrong found, 2 waived");
});

test("what hurts most comes first, with what changed", () => {
  const told = health.toldOf(run(), [], NOW);
  const order = told.map(({ severity }) => severity);
  expect(order).toEqual(
    [...order].sort((a, b) => health.SEVERITIES.indexOf(a) - health.SEVERITIES.indexOf(b)),
  );
  const words = (check: string) => {
    const change = told.find(({ finding }) => finding.check === check)?.change;
    return change && health.changeWords(change, true);
  };
  expect(words("lb.detection-time")).toBe("new · now critical");
  expect(words("tls.certificate-expiry")).toBe("worse · was ok · now warning");
  expect(words("cpu.load")).toBeUndefined();
});

test("numbers are written as engineers write them", () => {
  const check = (value: number, unit: string, expected: string) =>
    expect(health.measure(value, unit)).toBe(expected);
  check(1800, "s", "1800 s (30 min)");
  check(12.5, "s", "12.5 s");
  check(93.123, "%", "93.12 %");
  check(6.9e9, "B", "6.9 GB");
  check(12, "", "12");
  check(0.333, "/s", "0.33 /s");
  check(Number.NaN, "%", "NaN %");
});

test("a run's worst is a shape and a number", () => {
  const line = { critical: 0, warning: 2, unknown: 3 };
  expect(health.worstOf(line)).toEqual({ severity: "warning", n: 2 });
  expect(health.worstOf({ ...line, critical: 1 })).toEqual({ severity: "critical", n: 1 });
  expect(health.worstOf({ ...line, warning: 0 })).toEqual({ severity: "unknown", n: 3 });
  expect(health.worstOf({ critical: 0, warning: 0, unknown: 0 })).toEqual({ severity: "ok", n: 0 });
});

test("evidence keeps its lines and tabs, and shows what would hide or turn", () => {
  expect(health.asItStood("a\tb\nc")).toBe("a\tb\nc");
  expect(health.asItStood("a\u202eb\r\u001b[2K")).toBe("a\\u{202e}b\\u{d}\\u{1b}[2K");
  expect(health.asItStood("x".repeat(9000))).toBe(`${"x".repeat(4000)}…`);
  expect(health.inOneLine({ en: "a\nb", zh: "" })).toBe("a\\u{a}b");
  expect(health.inOneLine({ en: "", zh: "只有中文" })).toBe("只有中文");
});

test("a headline begins with a capital letter, unless it begins with a name", () => {
  for (const [summary, shown] of [
    ["the disk is full", "The disk is full"],
    ["a certificate ends in 3 days", "A certificate ends in 3 days"],
    ["no", "No"],
    ["nginx has one worker", "nginx has one worker"],
    ["sshd lets root in", "sshd lets root in"],
    ["/var is full", "/var is full"],
    ["it's late", "it's late"],
    ["theatre.service has failed", "theatre.service has failed"],
    ["the\u202ereal", "the\\u{202e}real"],
    ["", ""],
  ] as const)
    expect(health.headline({ en: summary, zh: "" })).toBe(shown);
});

test("the filter looks at check, subject and both languages", () => {
  const [late] = run().findings;
  if (!late) throw new Error("there is one");
  for (const words of ["", "haproxy web1", "LB.DETECTION", "挂起", "hangs 30"])
    expect(health.fits(late, words), words).toBe(true);
  expect(health.fits(late, "haproxy nginx")).toBe(false);
});

test("groups that a newer agent has keep their own name", () => {
  expect([health.groupName("lb"), health.groupName("moon"), health.groupName("a\u202e")]).toEqual([
    "Load balancers",
    "moon",
    "a\\u{202e}",
  ]);
  expect(health.groupOf("disk.space")).toBe("disk");
  expect(health.severityOf({ status: "critical", note: true })).toBe("critical");
});
