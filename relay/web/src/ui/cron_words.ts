// A schedule as a sentence in the reader's language. Times are UTC, as the line has them: the next run beside it is shown
// in the reader's zone. Never: another reading than that of cron.ts.
import { timesOf, workdays } from "./cron";
import { language, t } from "./words.svelte";

/** Sundays and so on: 4 January 1970 was one. */
export function weekdayName(weekday: number): string {
  const at = new Date(Date.UTC(1970, 0, 4 + weekday));
  return new Intl.DateTimeFormat(language(), { weekday: "long", timeZone: "UTC" }).format(at);
}

export function cronWords(line: string): string {
  const found = timesOf(line);
  if (!found) return t("cron-line", { line: line.slice(0, 100) });
  if (found.kind === "minutes") return t("cron-minutes", { n: found.every });
  if (found.kind === "hours") {
    const { every, minute } = found;
    return every === 1 ? t("cron-hourly", { minute }) : t("cron-hours", { n: every, minute });
  }
  const comma = t("list-comma");
  const times = found.times.join(comma);
  if (found.days) return t("cron-days", { days: found.days.join(comma), times });
  if (!found.weekdays) return t("cron-daily", { times });
  if (workdays(found.weekdays)) return t("cron-workdays", { times });
  // A week begins on Monday.
  const days = [...found.weekdays].sort((a, b) => ((a + 6) % 7) - ((b + 6) % 7));
  return t("cron-weekly", { days: days.map(weekdayName).join(comma), times });
}
