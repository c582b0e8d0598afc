// Formatters of times, each made once: making one costs a hundred times what using it does, and pages that count seconds
// use dozens each second. Never: more of them than there are kinds of times in two languages.
const made = new Map<string, Intl.DateTimeFormat>();

export function timeFormat(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${JSON.stringify(options)}`;
  const known = made.get(key) ?? new Intl.DateTimeFormat(language, options);
  made.set(key, known);
  return known;
}
