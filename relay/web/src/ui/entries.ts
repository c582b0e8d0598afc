// What the log of keys says, as sentences: an id and values for `Say`.
import type { AheadView, Approval, EntryWhat, KeyView, Policy } from "../lib/facade";
import { clockTime, day, span } from "./times.svelte";
import { type TextId, t, type Values } from "./words.svelte";

export interface Saying {
  readonly id: TextId;
  readonly values: Values;
}

const names = (keys: readonly KeyView[]) => keys.map(({ name }) => name).join(t("list-comma"));

/** What an entry means. */
export function saying(what: EntryWhat): Saying {
  switch (what.kind) {
    case "genesis":
      return {
        id: "entry-genesis",
        values: { customer: what.customer, roots: names(what.roots), recovery: what.recovery.name },
      };
    case "add-root":
      return { id: "entry-add-root", values: { name: what.key.name } };
    case "remove-root":
      return { id: "entry-remove-root", values: { name: what.key.name } };
    case "replace-roots":
      return { id: "entry-replace-roots", values: { roots: names(what.roots) } };
    case "add-person":
      return { id: personId(what.role, what.renewed), values: { name: what.key.name, day: day(what.until) } };
    case "remove-person":
      return { id: "entry-remove-person", values: { name: what.key.name } };
    case "enrol-batch":
      return {
        id: what.uses === 1 ? "entry-enrol-one" : "entry-enrol-batch",
        values: { n: what.uses, day: day(what.until), note: what.note || "—" },
      };
    case "add-server":
      return { id: "entry-add-server", values: { name: what.name } };
    case "remove-server":
      return { id: "entry-remove-server", values: { name: what.name } };
    case "rename-server":
      return { id: "entry-rename-server", values: { name: what.name, before: what.before } };
    case "label-server":
      return what.labels.length === 0
        ? { id: "entry-unlabel-server", values: { name: what.name } }
        : {
            id: "entry-label-server",
            values: { name: what.name, labels: what.labels.join(t("list-comma")) },
          };
    case "sign-ahead":
      return { id: "entry-sign-ahead", values: aheadValues(what) };
    case "end-ahead":
      return what.what
        ? { id: "entry-end-ahead", values: aheadValues(what.what) }
        : { id: "entry-end-ahead-gone", values: { n: what.seq } };
    case "set-policy":
      return {
        id: "entry-set-policy",
        values: { policy: policyWords(what.policy).join(" ") || t("policy-none") },
      };
  }
}

function aheadValues({ engineer, server, scopes, from, until }: AheadView): Values {
  const hours = { from: clockTime(from), until: clockTime(until) };
  return { name: engineer.name, server: server.name, what: scopeWords(scopes), ...hours };
}

/** What one may do, as which users: `terminals as root; commands as deploy`. */
export function scopeWords(scopes: Approval["scopes"]): string {
  const kinds = [...new Set(scopes.map(({ kind }) => kind))];
  const words = kinds.map((kind) => {
    const users = scopes.filter((one) => one.kind === kind && one.user).map(({ user }) => user);
    const scope = t(`scope-${kind}`);
    return users.length === 0 ? scope : t("rule-as", { scope, users: users.join(t("list-comma")) });
  });
  return words.join(t("list-semicolon"));
}

function personId(role: "engineer" | "approver", renewed: boolean): TextId {
  if (role === "engineer") return renewed ? "entry-renew-engineer" : "entry-add-engineer";
  return renewed ? "entry-renew-approver" : "entry-add-approver";
}

/** A customer's rules, one sentence each. */
export function policyWords(policy: Policy): string[] {
  const said: string[] = [];
  if (policy.seconds !== undefined) said.push(t("policy-longest", { span: span(policy.seconds * 1000) }));
  if (policy.secondFor.length > 0)
    said.push(t("policy-second", { users: policy.secondFor.join(t("list-comma")) }));
  if (policy.never.length > 0) said.push(t("policy-never", { users: policy.never.join(t("list-comma")) }));
  return said;
}
