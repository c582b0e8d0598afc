// What a shell is doing, in words and as a shape.
import type { EndReason, ShellState } from "../lib/facade";
import { clockTime, roundTrip, span } from "./times.svelte";
import { sentence, type TextId, t, told } from "./words.svelte";

/** From then on something is away, it is not the line that hiccups. */
const AWAY_MS = 60_000;
/** Shorter waits for the next try are not worth a word. */
const WAIT_MS = 1_500;

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
      return reconnectWords(state, now);
    case "skipped":
      return t("state-connected");
    case "ended":
      return `${t("state-ended")} · ${endWords(state)}`;
  }
}

type Reconnecting = Extract<ShellState, { kind: "reconnecting" }>;

function isAway(state: Reconnecting, now: number): boolean {
  return now - state.since > AWAY_MS;
}

function reconnectWords(state: Reconnecting, now: number): string {
  const what = isAway(state, now)
    ? awayWords(state)
    : `${t("state-reconnecting")} · ${span(now - state.since)}`;
  const left = (state.again ?? now) - now;
  return left < WAIT_MS ? what : `${what} · ${t("state-again", { time: span(left) })}`;
}

function awayWords({ since, broke }: Reconnecting): string {
  if (broke === "network") return t("state-offline");
  return broke === "relay" ? t("relay-away") : t("state-unreachable", { time: clockTime(since) });
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
      // Only the server itself is what people come for; the rest says nothing about it.
      return isAway(state, now) && state.broke !== "network" && state.broke !== "relay"
        ? "critical"
        : "warning";
    case "ended":
      return "unknown";
  }
}
