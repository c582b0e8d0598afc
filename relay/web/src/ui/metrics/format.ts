// Numbers as engineers write them, for cells, axes and files.

import { dateOf, timeFormat } from "../formats";
import { bytes } from "../times.svelte";
import { language } from "../words.svelte";

export type Unit = "share" | "bytes" | "bytes/s" | "/s" | "seconds" | "processors" | "count";

function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${plain(value / 1e9)} G`;
  if (size >= 1e6) return `${plain(value / 1e6)} M`;
  if (size >= 1e4) return `${plain(value / 1e3)} k`;
  return plain(value);
}

/** Three digits that count. */
function plain(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** `93 %`, `4.1 MB/s`, `23 ms`; a dash where nothing is known. */
export function told(value: number, unit: Unit): string {
  if (!Number.isFinite(value)) return "–";
  if (unit === "share") return `${plain(value * 100)} %`;
  if (unit === "bytes") return bytes(value);
  if (unit === "bytes/s") return `${bytes(value)}/s`;
  if (unit === "/s") return `${short(value)}/s`;
  if (unit === "seconds") {
    if (value >= 1) return `${plain(value)} s`;
    return value >= 0.001 ? `${plain(value * 1e3)} ms` : `${plain(value * 1e6)} µs`;
  }
  return short(value);
}

/** As a column of a file names it. */
export function unitName(unit: Unit): string {
  const names: Record<Unit, string> = {
    share: "1",
    bytes: "By",
    "bytes/s": "By/s",
    "/s": "1/s",
    seconds: "s",
    processors: "{cpu}",
    count: "1",
  };
  return names[unit];
}

/** `14:02:07`, with the day where it is another. */
export function moment(at: number, now: number): string {
  const today = dateOf(at).toDateString() === new Date(now).toDateString();
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
  const day = { month: "short", day: "numeric" } as const;
  return timeFormat(language(), today ? time : { ...day, ...time }).format(dateOf(at));
}
