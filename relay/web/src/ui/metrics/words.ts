// Names of resources, kinds and states, and the one sentence that says what is wrong. Pure but for the texts.
import { severityName } from "../health";
import { type TextId, t } from "../words.svelte";
import type { Chart } from "./charts";
import { told } from "./format";
import type { Kind, Limit, Measure, Resource, Row, State } from "./use";

const RESOURCE_NAMES: Record<Resource | "services", TextId> = {
  cpu: "resource-cpu",
  memory: "resource-memory",
  disk: "resource-disk",
  filesystem: "resource-filesystem",
  network: "resource-network",
  tcp: "resource-tcp",
  limits: "resource-limits",
  services: "resource-services",
};

const KIND_NAMES: Record<Kind, TextId> = {
  errors: "use-errors",
  saturation: "use-saturation",
  utilisation: "use-utilisation",
};

export function resourceName(resource: Chart["resource"]): string {
  return t(RESOURCE_NAMES[resource]);
}

export function kindName(kind: Kind): string {
  return t(KIND_NAMES[kind]);
}

export function stateName(state: State): string {
  return severityName(state);
}

/** `critical: Disks; warning: TCP`. */
export function answerOf(rows: readonly Row[]): string {
  const names = (state: State) =>
    rows.filter((row) => row.state === state).map(({ resource }) => resourceName(resource));
  const [critical, warning] = [names("critical"), names("warning")];
  const join = (all: readonly string[]) => all.join(t("list-comma"));
  if (critical.length > 0 && warning.length > 0)
    return t("metrics-both", { critical: join(critical), warning: join(warning) });
  if (critical.length > 0) return t("metrics-critical", { what: join(critical) });
  if (warning.length > 0) return t("metrics-warning", { what: join(warning) });
  return rows.every(({ state }) => state === "unknown") ? t("metrics-nothing") : t("metrics-fine");
}

export function worstOf(rows: readonly Row[]): State {
  const states: readonly State[] = ["critical", "warning", "ok"];
  return states.find((state) => rows.some((row) => row.state === state)) ?? "unknown";
}

/** `from 20 %, critical from 50 %`. */
export function limitWords(limit: Limit, { unit }: Pick<Measure, "unit">): string {
  const { warning, critical } = limit;
  const from = told(warning, unit);
  if (critical === undefined) return t("limit-warning", { warning: from });
  if (critical === warning) return t("limit-critical", { critical: from });
  return t("limit-both", { warning: from, critical: told(critical, unit) });
}
