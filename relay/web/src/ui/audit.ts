// A host's audit in plain words, as agent/src/cli/events.rs says it on the server: a sentence where the event has what the
// sentence names, its bare name else, and everything that the sentence left out as it stands. Never: a field that is lost.
import type { AuditEntry } from "../lib/facade";
import { type TextId, t, type Values } from "./words.svelte";

/** Sentences, and the fields that they name. */
const SENTENCES: Record<string, readonly [TextId, ...string[]]> = {
  "guard-started": ["audit-guard-started", "build"],
  "audit-repaired": ["audit-audit-repaired"],
  counted: ["audit-counted", "what", "more"],
  "transport-key-bound": ["audit-transport-key-bound"],
  "trust-log-grew": ["audit-trust-log-grew", "from", "to"],
  "trust-log-refused": ["audit-trust-log-refused"],
  "trust-log-fork-proved": ["audit-trust-log-fork-proved"],
  "visit-opened": ["audit-visit-opened", "engineer", "scopes", "minutes"],
  "visit-ended": ["audit-visit-ended", "engineer", "reason"],
  "second-signature-needed": ["audit-second-signature-needed", "engineer", "scopes"],
  "second-signature-missing": ["audit-second-signature-missing", "engineer"],
  refused: ["audit-refused", "what", "code"],
  "channel-opening": ["audit-channel-opening", "engineer", "kind", "user"],
  "channel-began": ["audit-channel-began", "user"],
  "channel-not-started": ["audit-channel-not-started", "why"],
  "channel-attached": ["audit-channel-attached"],
  "channel-detached": ["audit-channel-detached"],
  "channel-taken-over": ["audit-channel-taken-over"],
  "channel-ended": ["audit-channel-ended", "reason"],
  "channel-found": ["audit-channel-found", "engineer", "user"],
  "watch-opening": ["audit-watch-opening", "person", "engineer", "user"],
  "watcher-came": ["audit-watcher-came", "person"],
  "watcher-went": ["audit-watcher-went", "person"],
  "channel-ended-by-watcher": ["audit-channel-ended-by-watcher", "person", "reason"],
  "audit-read": ["audit-audit-read", "person"],
  "checks-reported": ["audit-checks-reported", "findings", "critical"],
  "metrics-shown": ["audit-metrics-shown"],
  "metrics-ended": ["audit-metrics-ended"],
  "holder-died": ["audit-holder-died"],
  "holder-not-believed": ["audit-holder-not-believed"],
  "integrity-failure": ["audit-integrity-failure"],
  "view-misbehaved": ["audit-view-misbehaved"],
  "dead-secret-used": ["audit-dead-secret-used"],
  "handshake-replayed": ["audit-handshake-replayed"],
  lockdown: ["audit-lockdown"],
  "lockdown-undone": ["audit-lockdown-undone"],
  unenrolled: ["audit-unenrolled"],
};

/** What only a verifier needs. */
const UNSHOWN = new Set(["grant", "key", "identity", "agent", "boot", "head", "holder-at"]);
const ALARMS = new Set([
  "trust-log-fork-proved",
  "holder-died",
  "holder-not-believed",
  "integrity-failure",
  "dead-secret-used",
  "lockdown",
]);
const WARNINGS = new Set([
  "refused",
  "second-signature-missing",
  "trust-log-refused",
  "channel-not-started",
  "view-misbehaved",
  "handshake-replayed",
  "audit-repaired",
]);

export function weight(event: string): "ok" | "warning" | "critical" {
  return ALARMS.has(event) ? "critical" : WARNINGS.has(event) ? "warning" : "ok";
}

/** Lists in lists that are read; an honest agent has none. */
const DEPTH_MAX = 4;

/** A field as one reads it; long ids are cut, and what a lying agent nested without end. */
function plain(value: unknown, depth = 0): string {
  if (typeof value === "string") return value.replaceAll(/\b[0-9a-f]{32,}\b/g, (id) => id.slice(0, 12));
  if (Array.isArray(value))
    return depth < DEPTH_MAX ? value.map((one) => plain(one, depth + 1)).join(" ") : "…";
  if (value === null || value === undefined || value === false) return "";
  if (typeof value !== "object") return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return "…";
  }
}

/** The sentence of an entry; `undefined`: an event of a newer agent, which is shown by its name. */
export function auditSaying({ event, fields }: AuditEntry): { id: TextId; values: Values } | undefined {
  const [id, ...needed] = Object.hasOwn(SENTENCES, event) ? (SENTENCES[event] ?? []) : [];
  if (id === undefined) return undefined;
  const values = needed.map((name) => [name, plain(fields[name]) || "—"] as const);
  return { id, values: Object.fromEntries(values) };
}

/** What the sentence does not say. */
export function rest({ event, fields }: AuditEntry): readonly (readonly [string, string])[] {
  const [, ...said] = Object.hasOwn(SENTENCES, event) ? (SENTENCES[event] ?? []) : [];
  const told = Object.entries(fields).filter(([name]) => !UNSHOWN.has(name) && !said.includes(name));
  return told.map(([name, value]) => [name, plain(value)] as const).filter(([, value]) => value !== "");
}

/** All that stands on an entry's line, for a filter. */
export function searched(entry: AuditEntry): string {
  const saying = auditSaying(entry);
  const words = saying ? t(saying.id, saying.values) : entry.event;
  return `${words} ${entry.event} ${rest(entry).flat().join(" ")}`.toLowerCase();
}
