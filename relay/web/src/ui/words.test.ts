// Every text is there in both languages, is used, and names the same values.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import english from "../i18n/en.json";
import chinese from "../i18n/zh-CN.json";
import libraryEnglish from "../lib/messages.en.json";
import libraryChinese from "../lib/messages.zh.json";

const values = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([whole]) => whole).sort();

test.each([
  ["pages", english, chinese],
  ["library", libraryEnglish, libraryChinese],
])("the %s have both languages", (_name, first, second) => {
  const [en, zh]: Record<string, string>[] = [first, second];
  expect(Object.keys(zh ?? {}).sort()).toEqual(Object.keys(en ?? {}).sort());
  for (const [id, text] of Object.entries(en ?? {})) {
    expect(text, id).not.toBe("");
    expect(values(zh?.[id] ?? ""), id).toEqual(values(text));
  }
});

test("one id means one text", () => {
  const both = Object.keys(english).filter((id) => id in libraryEnglish);
  expect(both).toEqual([]);
});

test("no text is left over", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" });
  const sources = files.filter((file) => /\.(svelte|ts)$/.test(file) && !file.endsWith(".test.ts"));
  const all = sources.map((file) => readFileSync(join("src", file), "utf8")).join("\n");
  const made = /^(nav-(servers|trust|settings)|role-(engineer|approver|root))$/;
  const unused = Object.keys(english).filter((id) => !made.test(id) && !all.includes(`"${id}"`));
  expect(unused).toEqual([]);
});
