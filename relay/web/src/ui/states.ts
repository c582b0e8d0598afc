// What a shell is doing, in words and as a shape.
import type { EndReason, ShellState } from "../lib/facade";
import { clockTime, roundTrip, span } from "./times.svelte";
import { sentence, type TextId, t, told } from "./words.svelte";

/** From then on it is the server that cannot be reached, not the line that hiccups. */
const UNREACHABLE_MS = 60_000;

const ENDS: Record<EndReason, TextId> = {
  exited: "end-exited",
  closed: "end-closed",
  expired: "end-expired",
  detached: "end-detached",
  idle: "end-idle",
  ended: "end-ended",
  revoked: "end-revoked",
  "taken-over": "end-taken-over",
  compromised: "end-compromised",
  unknown: "end-unknown",
  left: "end-left",
  error: "end-error",
};

/** How a shell or a visit ended, for reasons that need nothing else. */
export function endOf(reason: EndReason): string {
  return t(ENDS[reason]);
}

export function stateWords(state: ShellState, now: number): string {
  switch (state.kind) {
    case "connected":
      return state.rttMs === undefined
        ? t("state-connected")
        : `${t("state-connected")} · ${roundTrip(state.rttMs)}`;
    case "reconnecting":
      return now - state.since > UNREACHABLE_MS
        ? t("state-unreachable", { time: clockTime(state.since) })
        : `${t("state-reconnecting")} · ${span(now - state.since)}`;
    case "skipped":
      return t("state-connected");
    case "ended":
      return `${t("state-ended")} · ${endWords(state)}`;
  }
}

function endWords(state: Extract<ShellState, { kind: "ended" }>): string {
  if (state.error) return sentence(state.error);
  // What is ended from outside dies of a signal, which says less than why.
  if (state.reason !== "exited") return endOf(state.reason);
  if (state.exit && "code" in state.exit) return t("exit-code", { code: state.exit.code });
  if (state.exit && "signal" in state.exit) return t("exit-signal", { signal: state.exit.signal });
  if (state.exit) return t("exit-not-started", { why: told(state.exit.notStarted) });
  return endOf(state.reason);
}

export function stateMark(state: ShellState, now: number): "ok" | "warning" | "critical" | "unknown" {
  switch (state.kind) {
    case "connected":
    case "skipped":
      return "ok";
    case "reconnecting":
      return now - state.since > UNREACHABLE_MS ? "critical" : "warning";
    case "ended":
      return "unknown";
  }
}
