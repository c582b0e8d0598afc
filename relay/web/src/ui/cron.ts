// When a plan's scans begin, in words: `30 2 * * 1-5` is "on weekdays at 02:30 UTC". Pure. Only what can be said in a short
// sentence is; anything else is shown as the line itself. Never: a sentence that says less than the line, or another time.

/** In words, for a text of each kind. */
export type Times =
  | { readonly kind: "minutes"; readonly every: number }
  | { readonly kind: "hours"; readonly every: number; readonly minute: string }
  /** Clock times, on all days, on these weekdays (0 is Sunday), or on these days of the month. */
  | {
      readonly kind: "daily";
      readonly times: readonly string[];
      readonly weekdays?: readonly number[];
      readonly days?: readonly number[];
    };

/** More clock times than that are no sentence. */
const TIMES_MAX = 4;
const NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** A line has five fields; what they may say the relay knows. */
export function fieldsOf(line: string): readonly string[] | undefined {
  const fields = line.trim().split(/\s+/);
  return fields.length === 5 ? fields : undefined;
}

/** `*`, `5`, `1-5`, `*` or `1-9` with `/2`, and several of them; `undefined`: something else. */
function valuesOf(field: string, low: number, high: number, names: readonly string[] = []) {
  const found = new Set<number>();
  const number = (text: string) => {
    const named = names.indexOf(text.toLowerCase());
    return named >= 0 ? named : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  };
  for (const part of field.split(",")) {
    const [range = "", step = "1", more] = part.split("/");
    const [from = "", to = from, rest] = range === "*" ? [String(low), String(high)] : range.split("-");
    const [first, last, by] = [number(from), number(to), Number(step)];
    const steps = part.includes("/");
    if (more !== undefined || rest !== undefined || !/^\d{1,2}$/.test(step) || by < 1) return undefined;
    // `5/10` means other things in other programs.
    if (steps && range !== "*" && !range.includes("-")) return undefined;
    if (!(first >= low && last <= high && first <= last)) return undefined;
    for (let value = first; value <= last; value += by) found.add(value);
  }
  return [...found].sort((a, b) => a - b);
}

/** By how much they go on, all around: 24 hours for `0,6,12,18` are 6. */
function even(values: readonly number[], all: number): number | undefined {
  const step = all / values.length;
  const regular = values.every((value, at) => value === (values[0] ?? 0) + at * step);
  return Number.isInteger(step) && (values[0] ?? 0) < step && regular ? step : undefined;
}

const two = (value: number) => String(value).padStart(2, "0");

/** `undefined`: no short sentence says it. */
export function timesOf(line: string): Times | undefined {
  const fields = fieldsOf(line);
  if (!fields) return undefined;
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  const minutes = valuesOf(minute, 0, 59);
  const hours = valuesOf(hour, 0, 23);
  const days = valuesOf(day, 1, 31);
  const sundays = valuesOf(weekday, 0, 7, NAMES);
  if (!minutes || !hours || !days || !sundays || month !== "*") return undefined;
  const weekdays = [...new Set(sundays.map((one) => one % 7))].sort((a, b) => a - b);
  const everyDay = days.length === 31;
  const allWeek = weekdays.length === 7;
  // With both the line means either, which is no short sentence.
  if (!everyDay && !allWeek) return undefined;
  if (everyDay && allWeek) {
    const apart = even(minutes, 60);
    if (hours.length === 24 && minutes.length > 1)
      return apart && minutes[0] === 0 ? { kind: "minutes", every: apart } : undefined;
    const step = even(hours, 24);
    if (minutes.length === 1 && hours.length > TIMES_MAX && step && hours[0] === 0)
      return { kind: "hours", every: step, minute: two(minutes[0] ?? 0) };
  }
  const times = hours.flatMap((one) => minutes.map((at) => `${two(one)}:${two(at)}`));
  if (times.length > TIMES_MAX) return undefined;
  return {
    kind: "daily",
    times,
    ...(allWeek ? {} : { weekdays }),
    ...(everyDay ? {} : { days }),
  };
}

/** Monday to Friday. */
export function workdays(weekdays: readonly number[]): boolean {
  return weekdays.join() === "1,2,3,4,5";
}
