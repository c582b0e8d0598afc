// Texts in two languages. Never: a sentence in code, or a text that is read as HTML.
import i18next from "i18next";
import english from "../i18n/en.json";
import chinese from "../i18n/zh-CN.json";
import { ConsoleError, type Sentence, say } from "../lib/errors";
import libraryEnglish from "../lib/messages.en.json";
import libraryChinese from "../lib/messages.zh.json";

export type TextId = keyof typeof english | keyof typeof libraryEnglish;
export type Values = Readonly<Record<string | number, string | number>>;
export type Language = "en" | "zh-CN";

const KEPT = "cloud-doctor.language";

function wanted(): Language {
  const kept = localStorage.getItem(KEPT);
  if (kept === "en" || kept === "zh-CN") return kept;
  return navigator.languages.find((tag) => /^(zh|en)\b/i.test(tag))?.startsWith("zh") ? "zh-CN" : "en";
}

void i18next.init({
  lng: "en",
  fallbackLng: false,
  resources: {
    en: { translation: { ...libraryEnglish, ...english } },
    "zh-CN": { translation: { ...libraryChinese, ...chinese } },
  },
  keySeparator: false,
  nsSeparator: false,
  // Svelte writes text, not HTML.
  interpolation: { escapeValue: false, prefix: "{", suffix: "}", skipOnVariables: true },
});

const state = $state({ language: wanted() });

export function language(): Language {
  return state.language;
}

export function setLanguage(language: Language): void {
  state.language = language;
  localStorage.setItem(KEPT, language);
}

/** The text in the reader's language; whoever reads it in a template sees it change with the language. */
export function t(id: TextId, values: Values = {}): string {
  return i18next.t(id, { ...values, lng: state.language });
}

/** A sentence of the library. */
export function told(sentence: Sentence): string {
  return say(sentence, state.language === "en" ? libraryEnglish : libraryChinese);
}

/** The sentence of whatever was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ConsoleError) return told(error);
  return t("unexpected", { detail: error instanceof Error ? error.message : String(error) });
}

export function isError(error: unknown, ...ids: string[]): boolean {
  return error instanceof ConsoleError && ids.includes(error.id);
}
