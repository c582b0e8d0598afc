// Formatters of times, each made once: making one costs a hundred times what using it does, and pages that count seconds
// use dozens each second. Never: more of them than there are kinds of times in two languages.

/** Furthest from 1970 that a date can be, in milliseconds. */
const FURTHEST_MS = 8.64e15;

/** A moment, whatever number a server tells: formatting what is no date would throw. */
export function dateOf(milliseconds: number): Date {
  const inRange = Math.max(-FURTHEST_MS, Math.min(FURTHEST_MS, milliseconds));
  return new Date(Number.isNaN(inRange) ? 0 : inRange);
}

const made = new Map<string, Intl.DateTimeFormat>();

export function timeFormat(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${JSON.stringify(options)}`;
  const known = made.get(key) ?? new Intl.DateTimeFormat(language, options);
  made.set(key, known);
  return known;
}
