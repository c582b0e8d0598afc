// The keys of the log by the people who hold them: two keys of one person have the same name.
import type { KeyView, TrustView } from "../lib/facade";
import { type TextId, t } from "./words.svelte";

/** One thing that a key may do. */
export interface Right {
  readonly role: "root" | "engineer" | "approver";
  readonly key: KeyView;
  /** Last moment; a root has none. */
  readonly until?: number;
}

export interface Holder {
  readonly name: string;
  readonly rights: readonly Right[];
}

/** Everybody who may do something, in the order of their names. */
export function grouped(log: TrustView): Holder[] {
  const holders = new Map<string, Right[]>();
  const add = (right: Right) => holders.set(right.key.name, [...(holders.get(right.key.name) ?? []), right]);
  for (const key of log.roots) add({ role: "root", key });
  for (const person of log.people) add({ role: person.role, key: person, until: person.until });
  return [...holders]
    .map(([name, rights]) => ({ name, rights }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

const ROLES: Record<Right["role"], TextId> = {
  root: "can-root",
  engineer: "can-engineer",
  approver: "can-approver",
};

/** What a person can do now, as one sentence without a subject. */
export function abilities(holder: Holder, now: number): string {
  const valid = holder.rights.filter((right) => (right.until ?? now) >= now);
  const roles = (["engineer", "approver", "root"] as const).filter((role) =>
    valid.some((right) => right.role === role),
  );
  return roles.length === 0
    ? t("can-nothing")
    : roles.map((role) => t(ROLES[role])).join(t("list-semicolon"));
}
