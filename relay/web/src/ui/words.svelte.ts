// Texts in two languages: a table of one language at a time, filled here. i18next does the same with plurals and
// nesting, which these texts do without, for 16 kB of what a first visit fetches. What only the later rooms say comes
// with the first of them. Never: a sentence in code, or HTML.
import { ConsoleError, type Sentence, say } from "../lib/errors";

export type TextId =
  | keyof typeof import("../i18n/english")["default"]
  | keyof typeof import("../i18n/english.rooms")["default"];
export type Value = string | number;
export type Values = Readonly<Record<string | number, Value>>;
export type Language = "en" | "zh-CN";
type Table = Readonly<Record<string, string>>;

const KEPT = "cloud-doctor.language";
const FIRST = { en: () => import("../i18n/english"), "zh-CN": () => import("../i18n/chinese") };
const ROOMS = { en: () => import("../i18n/english.rooms"), "zh-CN": () => import("../i18n/chinese.rooms") };

function wanted(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "zh-CN") return kept;
  return navigator.languages.find((tag) => /^(zh|en)\b/i.test(tag))?.startsWith("zh") ? "zh-CN" : "en";
}

const start: { language: Language; table: Table } = { language: wanted(), table: {} };
let shown = $state.raw(start);
let all = false;

export function language(): Language {
  return shown.language;
}

/** Fetches the texts of the reader's language; awaited once before anything is drawn. */
export async function words(): Promise<void> {
  await fetchWords(shown.language);
}

/** Fetches the texts of the later rooms as well; awaited before one is drawn. */
export async function roomWords(): Promise<void> {
  if (all) return;
  const fetched: Table = (await ROOMS[shown.language]()).default;
  all = true;
  shown = { language: shown.language, table: { ...shown.table, ...fetched } };
}

export async function setLanguage(language: Language): Promise<void> {
  await fetchWords(language);
  localStorage.setItem(KEPT, language);
}

async function fetchWords(language: Language): Promise<void> {
  const [first, rooms] = await Promise.all([FIRST[language](), all ? ROOMS[language]() : undefined]);
  shown = { language, table: { ...first.default, ...rooms?.default } };
}

/** The text in the reader's language; whoever reads it in a template sees it change with the language. */
export function t(id: TextId, values: Values = {}): string {
  return pieces(id, values)
    .map(({ text }) => text)
    .join("");
}

/** The same in pieces: what was filled in, which may be a stranger's text, apart from what is ours. */
export function pieces(id: TextId, values: Values): readonly { text: string; filled: boolean }[] {
  // One pass: a value that looks like a place to fill stays what it is.
  const parts = (shown.table[id] ?? id).split(/\{(\w+)\}/g);
  return parts.map((part, at) => {
    if (at % 2 === 0) return { text: part, filled: false };
    const filled = Object.hasOwn(values, part);
    return { text: filled ? String(values[part]) : `{${part}}`, filled };
  });
}

/** A sentence of the library. */
export function told(sentence: Sentence): string {
  return say(sentence, shown.table);
}

/** The sentence of whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ConsoleError) return told(error);
  return t("unexpected", { detail: error instanceof Error ? error.message : String(error) });
}

export function isError(error: unknown, ...ids: string[]): boolean {
  return error instanceof ConsoleError && ids.includes(error.id);
}
