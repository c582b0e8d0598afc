// Texts in two languages: a table of one language at a time, filled here. i18next does the same with plurals and
// nesting, which these texts do without, for 16 kB of what a first visit fetches. Never: a sentence in code, or HTML.
import { ConsoleError, type Sentence, say } from "../lib/errors";

export type TextId = keyof typeof import("../i18n/english")["default"];
export type Values = Readonly<Record<string | number, string | number>>;
export type Language = "en" | "zh-CN";

const KEPT = "cloud-doctor.language";

function wanted(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "zh-CN") return kept;
  return navigator.languages.find((tag) => /^(zh|en)\b/i.test(tag))?.startsWith("zh") ? "zh-CN" : "en";
}

const state = $state({ language: wanted() });
let table: Readonly<Record<string, string>> = {};

export function language(): Language {
  return state.language;
}

/** Fetches the texts of the reader's language; awaited once before anything is drawn. */
export async function words(): Promise<void> {
  await fetchWords(state.language);
}

export async function setLanguage(language: Language): Promise<void> {
  await fetchWords(language);
  state.language = language;
  localStorage.setItem(KEPT, language);
}

async function fetchWords(language: Language): Promise<void> {
  const fetched = await (language === "en" ? import("../i18n/english") : import("../i18n/chinese"));
  table = fetched.default;
}

/** The text in the reader's language; whoever reads it in a template sees it change with the language. */
export function t(id: TextId, values: Values = {}): string {
  const text = state.language ? table[id] : undefined;
  // One pass: a value that looks like a place to fill stays what it is.
  return (text ?? id).replace(/\{(\w+)\}/g, (place, name: string) =>
    String(Object.hasOwn(values, name) ? values[name] : place),
  );
}

/** A sentence of the library. */
export function told(sentence: Sentence): string {
  return state.language ? say(sentence, table) : "";
}

/** The sentence of whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ConsoleError) return told(error);
  return t("unexpected", { detail: error instanceof Error ? error.message : String(error) });
}

export function isError(error: unknown, ...ids: string[]): boolean {
  return error instanceof ConsoleError && ids.includes(error.id);
}
