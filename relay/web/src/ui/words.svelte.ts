// Texts in two languages, by i18next: the tables of the reader's language at a time. What only the later rooms say comes
// with the first of them.
//
// i18next looks texts up and says where a value goes; the values are filled in here, so that nothing that a stranger wrote is
// ever read for places, nesting or formats of its own. Never: a sentence in code, or HTML.
import { createInstance } from "i18next";
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

/** Stands around the name of a value until the value takes its place; no text holds one. */
const MARK = "\u0001";
const NAMESPACE = "texts";

const tables = createInstance();
void tables.init({
  // Nothing is fetched by it.
  initAsync: false,
  resources: {},
  ns: NAMESPACE,
  defaultNS: NAMESPACE,
  // Both languages have every text, or the build fails.
  fallbackLng: false,
  // Ids are plain words: nothing in one means anything.
  keySeparator: false,
  nsSeparator: false,
  interpolation: { prefix: "{", suffix: "}", escapeValue: false },
  missingInterpolationHandler: (_text: string, [, name]: RegExpExecArray) => MARK + name + MARK,
});

const start: { language: Language } = { language: wanted() };
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
  const { language } = shown;
  add(language, (await ROOMS[language]()).default);
  all = true;
  show(shown.language);
}

export async function setLanguage(language: Language): Promise<void> {
  await fetchWords(language);
  localStorage.setItem(KEPT, language);
}

async function fetchWords(language: Language): Promise<void> {
  const [first, rooms] = await Promise.all([FIRST[language](), all ? ROOMS[language]() : undefined]);
  add(language, { ...first.default, ...rooms?.default });
  show(language);
}

function add(language: Language, table: Table): void {
  tables.addResourceBundle(language, NAMESPACE, table);
}

/** Whoever has read a text in a template reads it again. */
function show(language: Language): void {
  shown = { language };
}

/** The text in the reader's language; whoever reads it in a template sees it change with the language. */
export function t(id: TextId, values: Values = {}): string {
  return joined(pieces(id, values));
}

interface Piece {
  readonly text: string;
  readonly filled: boolean;
}

function joined(all: readonly Piece[]): string {
  return all.map(({ text }) => text).join("");
}

/** The same in pieces: what was filled in, which may be a stranger's text, apart from what is ours. */
export function pieces(id: string, values: Values | readonly Value[]): readonly Piece[] {
  const { language } = shown;
  const parts = tables.t(id, { lng: language, replace: {}, nest: false }).split(MARK);
  return parts.map((part, at) => {
    if (at % 2 === 0) return { text: part, filled: false };
    const filled = Object.hasOwn(values, part);
    return { text: filled ? String((values as Values)[part]) : `{${part}}`, filled };
  });
}

/** A sentence of the library. */
export function told(sentence: Sentence): string {
  const { language } = shown;
  return say(sentence, (id, args) =>
    tables.exists(id, { lng: language }) ? joined(pieces(id, args)) : undefined,
  );
}

/** The sentence of whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ConsoleError) return told(error);
  return t("unexpected", { detail: error instanceof Error ? error.message : String(error) });
}

export function isError(error: unknown, ...ids: string[]): boolean {
  return error instanceof ConsoleError && ids.includes(error.id);
}
