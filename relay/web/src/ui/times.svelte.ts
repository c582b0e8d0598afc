// Times as people read them, and one clock for all that counts seconds.
import { dateOf, timeFormat } from "./formats";
import { language, t } from "./words.svelte";

const clock = $state({ now: Date.now() });
let readers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** Milliseconds since 1970, changing each second. */
export function now(): number {
  return clock.now;
}

/** Keeps the clock going while somebody looks; for `$effect`. */
export function ticking(): () => void {
  clock.now = Date.now();
  readers += 1;
  timer ??= setInterval(() => {
    clock.now = Date.now();
  }, 1000);
  return () => {
    readers -= 1;
    if (readers === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

/** `45 s`, `12 min`, `3 h`, `5 d`. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return t("span-seconds", { n: seconds });
  if (seconds < 3600) return t("span-minutes", { n: Math.floor(seconds / 60) });
  if (seconds < 48 * 3600) return t("span-hours", { n: Math.floor(seconds / 3600) });
  return t("span-days", { n: Math.floor(seconds / 86_400) });
}

/** `23 ms`, as engineers write it. */
export function roundTrip(milliseconds: number): string {
  return milliseconds < 1 ? "<1 ms" : `${Math.round(milliseconds)} ms`;
}

/** `14:02` today, with the day otherwise. */
export function clockTime(milliseconds: number): string {
  const at = dateOf(milliseconds);
  const today = at.toDateString() === new Date(clock.now).toDateString();
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  const day = { month: "short", day: "numeric" } as const;
  return timeFormat(language(), today ? time : { ...day, ...time }).format(at);
}

/** `26 Nov 2026`, for things that last long. */
export function day(milliseconds: number): string {
  return timeFormat(language(), { dateStyle: "medium" }).format(dateOf(milliseconds));
}

/** The whole of it, for hovering. */
export function exactTime(milliseconds: number): string {
  const at = dateOf(milliseconds);
  const local = timeFormat(language(), { dateStyle: "full", timeStyle: "long" }).format(at);
  return `${local} · ${at.toISOString().slice(0, 19)}Z`;
}

/** `16 GB`, `980 MB`: as engineers write it, in thousands. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, count)) / 3)));
  const value = count / 1000 ** at;
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}
