// What a form for a second signature given ahead holds, checked as the log's rules will: users, and hours in the reader's
// own time. Never: a clock of its own.
import { AHEAD_SCOPES_MAX, AHEAD_SECS_MAX, AHEAD_START_SECS_MAX } from "../lib/limits";
import type { TextId } from "./words.svelte";

/** As a field for a date and time has it: the reader's time, to the minute. */
export function inField(at: number): string {
  const shifted = at - new Date(at).getTimezoneOffset() * 60_000;
  return new Date(shifted).toISOString().slice(0, 16);
}

/** What such a field says; `NaN` while it says no time. */
export function fromField(text: string): number {
  return /^\d{4,}-\d\d-\d\dT\d\d:\d\d/.test(text) ? new Date(text).getTime() : Number.NaN;
}

/** The names in a field with blanks or commas between them, each once; missing when they are none or too many. */
export function usersIn(text: string): readonly string[] | undefined {
  const users = [...new Set(text.split(/[\s,]+/).filter(Boolean))];
  return users.length > 0 && users.length <= AHEAD_SCOPES_MAX ? users : undefined;
}

/** Which rule these hours break. */
export function hoursFault(from: number, until: number, now: number): TextId | undefined {
  const seconds = (until - from) / 1000;
  if (!(seconds > 0 && seconds <= AHEAD_SECS_MAX)) return "ahead-hours-day";
  if (from > now + AHEAD_START_SECS_MAX * 1000) return "ahead-hours-week";
  return until > now ? undefined : "ahead-hours-over";
}
