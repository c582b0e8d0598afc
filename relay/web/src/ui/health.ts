// What a server's page Health says of a run: how bad, in which order, in whose language. Pure but for the texts.
import { oneLine } from "../lib/errors";
import type { CheckRun, Difference, Finding, RunLine, Waiver, Words } from "../lib/facade";
import { bytes, span } from "./times.svelte";
import { language, type TextId, t } from "./words.svelte";

/** As a person sorts them: advice is its own kind. */
export type Severity = "critical" | "warning" | "advice" | "unknown" | "ok";

export const SEVERITIES: readonly Severity[] = ["critical", "warning", "advice", "unknown", "ok"];
/** Longest text of a server that is shown. */
const CHARS_MAX = 4000;

const NAMES: Record<Severity, TextId> = {
  critical: "severity-critical",
  warning: "severity-warning",
  advice: "severity-advice",
  unknown: "unknown",
  ok: "severity-ok",
};

const CHANGES: Record<Difference["change"], TextId> = {
  new: "change-new",
  gone: "change-gone",
  worse: "change-worse",
  better: "change-better",
};

const GROUPS: ReadonlyMap<string, TextId> = new Map([
  ["lb", "group-lb"],
  ["nginx", "group-nginx"],
  ["haproxy", "group-haproxy"],
  ["web", "group-web"],
  ["cpu", "group-cpu"],
  ["memory", "group-memory"],
  ["disk", "group-disk"],
  ["net", "group-net"],
  ["kernel", "group-kernel"],
  ["hardware", "group-hardware"],
  ["process", "group-process"],
  ["service", "group-service"],
  ["time", "group-time"],
  ["dns", "group-dns"],
  ["tls", "group-tls"],
  ["security", "group-security"],
  ["db", "group-db"],
  ["container", "group-container"],
  ["log", "group-log"],
  ["backup", "group-backup"],
  ["cloud", "group-cloud"],
]);

export function severityOf({ status, note }: Pick<Finding, "status" | "note">): Severity {
  return note && status === "ok" ? "advice" : status;
}

export function severityName(severity: Severity): string {
  return t(NAMES[severity]);
}

export function groupOf(check: string): string {
  return check.split(".", 1)[0] ?? "";
}

/** Its heading; a newer agent's group keeps its own name. */
export function groupName(group: string): string {
  const id = GROUPS.get(group);
  return id === undefined ? oneLine(group, 60) : t(id);
}

/** The reader's half of a text, in one line, with what takes no place or turns the direction made visible. */
export function inOneLine({ en, zh }: Words): string {
  const [first, second] = language() === "zh-CN" ? [zh, en] : [en, zh];
  return oneLine(first || second, CHARS_MAX);
}

/**
 * Words that may begin a sentence and name nothing: only these get a capital letter in a headline. What is not here may be
 * a program, a unit, a file or an option, whose letters are its own.
 */
const OPENERS = new Set(
  `a account accounts all an any backends both certificates checks connections container containers disks each every
  everybody files for from in it its many most neither no nobody none nothing of on only packages probes processes
  requests reports security services several slow some that the there these they this those too two updates users what
  when where while with without workers`.split(/\s+/),
);

/** A finding's summary as a headline. */
export function headline(summary: Words): string {
  const line = inOneLine(summary);
  const [first = ""] = line.split(" ", 1);
  return OPENERS.has(first) ? line.charAt(0).toUpperCase() + line.slice(1) : line;
}

/** Evidence as it stood there: lines and tabs stay, whatever else moves or hides is made visible. */
export function asItStood(text: string): string {
  const cut = text.length > CHARS_MAX ? `${text.slice(0, CHARS_MAX)}…` : text;
  return cut
    .split(/([\n\t])/)
    .map((piece) => (piece === "\n" || piece === "\t" ? piece : oneLine(piece, CHARS_MAX + 1)))
    .join("");
}

/** `1800 s (30 min)`, `93.1 %`, `6.9 GB`. */
export function measure(value: number, unit: string): string {
  const number = String(Math.round(value * 100) / 100);
  if (unit === "B") return bytes(value);
  if (unit === "s" && value >= 120) return `${number} s (${span(value * 1000)})`;
  return unit === "" ? number : `${number} ${oneLine(unit, 20)}`;
}

/** `2.3 s`, `45 s`, `3 min`. */
export function duration(milliseconds: number): string {
  return milliseconds < 10_000 ? `${Math.round(milliseconds / 100) / 10} s` : span(milliseconds);
}

type Named = { readonly check: string; readonly subject: string };

/** What two runs, a change and a waiver mean by the same finding. */
export function nameOf({ check, subject }: Named): string {
  return JSON.stringify([check, subject]);
}

/** A finding with what people and the run before say about it. */
export interface Told {
  readonly key: string;
  readonly finding: Finding;
  readonly severity: Severity;
  readonly change?: Difference;
  readonly waiver?: Waiver;
}

/** What hurts most comes first; within that, the report's own order. */
export function toldOf(run: CheckRun, waivers: readonly Waiver[], now: number): readonly Told[] {
  const changed = new Map(run.changes.map((one) => [nameOf(one), one]));
  const waived = new Map(waivers.filter(({ until }) => until > now).map((one) => [nameOf(one), one]));
  const all = run.findings.map((finding, at): Told => {
    const [severity, name] = [severityOf(finding), nameOf(finding)];
    const [change, waiver] = [changed.get(name), waived.get(name)];
    const hurts = severity === "critical" || severity === "warning";
    return {
      key: `${at} ${name}`,
      finding,
      severity,
      ...(change === undefined ? {} : { change }),
      ...(waiver === undefined || !hurts ? {} : { waiver }),
    };
  });
  return SEVERITIES.flatMap((severity) => all.filter((one) => one.severity === severity));
}

/** How many of each; what was waived counts apart. */
export type Counts = Readonly<Record<Severity | "waived", number>>;

export function countsOf(all: readonly Told[]): Counts {
  const counts = { critical: 0, warning: 0, advice: 0, unknown: 0, ok: 0, waived: 0 };
  for (const { severity, waiver } of all) counts[waiver ? "waived" : severity] += 1;
  return counts;
}

/** `1 critical, 2 warnings, 3 unknown, 1 waived`. */
export function verdict(counts: Omit<Counts, "advice" | "ok">): string {
  const { critical, warning, unknown, waived } = counts;
  const warnings = warning === 1 ? t("health-warning") : t("health-warnings", { n: warning });
  return [
    critical + warning === 0 ? t("health-fine") : "",
    critical > 0 ? t("health-critical", { n: critical }) : "",
    warning > 0 ? warnings : "",
    unknown > 0 ? t("health-unknowns", { n: unknown }) : "",
    waived > 0 ? t("health-waived-some", { n: waived }) : "",
  ]
    .filter((part) => part !== "")
    .join(t("list-comma"));
}

/** The worst of a run, and how many are that bad. */
export function worstOf(line: Pick<RunLine, "critical" | "warning" | "unknown">): {
  readonly severity: Exclude<Severity, "advice">;
  readonly n: number;
} {
  const worst = (["critical", "warning", "unknown"] as const).find((severity) => line[severity] > 0);
  return worst === undefined ? { severity: "ok", n: 0 } : { severity: worst, n: line[worst] };
}

/** `worse · was warning`. */
export function changeWords({ change, before, now }: Difference, withNow = false): string {
  const parts = [t(CHANGES[change])];
  if (before !== undefined) parts.push(t("health-was", { before: severityName(before) }));
  if (withNow && now !== undefined) parts.push(t("health-is", { now: severityName(now) }));
  return parts.join(" · ");
}

/** Whether a finding has all the words, in either language. */
export function fits({ check, subject, summary }: Named & { summary?: Words }, words: string): boolean {
  const text = [check, subject, summary?.en, summary?.zh].join(" ").toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
