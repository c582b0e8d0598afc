// A server's ceiling in plain words: one sentence for each rule, in the order in which they are read.
import type { CeilingRule } from "../lib/facade";
import { span } from "./times.svelte";
import { type TextId, t } from "./words.svelte";

const SCOPES: Record<CeilingRule["scope"], TextId> = {
  shell: "scope-shell",
  exec: "scope-exec",
  "files-read": "scope-files-read",
  "files-write": "scope-files-write",
  checks: "scope-checks",
  metrics: "scope-metrics",
  remedy: "scope-remedy",
  watch: "scope-watch",
};

const MODES: Record<CeilingRule["mode"], TextId> = {
  never: "mode-never",
  ask: "mode-ask",
  allow: "mode-allow",
};

const SIGNERS: Record<CeilingRule["signers"][number], TextId> = {
  sshsig: "signer-sshsig",
  webauthn: "signer-webauthn",
  device: "signer-device",
  local: "signer-local",
};

function users(rule: CeilingRule): string {
  if (rule.users.length === 0 || (rule.users.length === 1 && rule.users[0] === "*")) return t("users-any");
  const named = rule.users.filter((user) => user !== "*");
  return [...named, ...(rule.users.includes("*") ? [t("users-any-other")] : [])].join(t("list-comma"));
}

const kinds = (list: readonly CeilingRule["signers"][number][]) =>
  list.map((one) => t(SIGNERS[one])).join(t("list-or"));

/** What a rule lets people do, and what it wants for that. */
export function ruleWords(rule: CeilingRule): {
  readonly what: string;
  readonly how: string;
  readonly with: string;
} {
  const acts = ["shell", "exec", "files-read", "files-write"].includes(rule.scope);
  const wants: string[] = [];
  if (rule.mode !== "never") {
    wants.push(t("rule-signed", { kinds: kinds(rule.signers) }));
    if (rule.mode === "ask") wants.push(t("rule-second", { kinds: kinds(rule.second) }));
    if (rule.hours.length > 0) wants.push(t("rule-hours", { hours: rule.hours.join(t("list-comma")) }));
    if (rule.seconds !== undefined) wants.push(t("rule-longest", { span: span(rule.seconds * 1000) }));
  }
  const what = acts
    ? t("rule-as", { scope: t(SCOPES[rule.scope]), users: users(rule) })
    : t(SCOPES[rule.scope]);
  return { what, how: t(MODES[rule.mode]), with: wants.join(t("list-semicolon")) };
}
