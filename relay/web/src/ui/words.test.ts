// Every text is there in both languages, is used, and names the same values.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import english from "../i18n/en.json";
import englishRooms from "../i18n/en.rooms.json";
import chinese from "../i18n/zh-CN.json";
import chineseRooms from "../i18n/zh-CN.rooms.json";
import libraryEnglish from "../lib/messages.en.json";
import roomsEnglish from "../lib/messages.rooms.en.json";
import roomsChinese from "../lib/messages.rooms.zh.json";
import libraryChinese from "../lib/messages.zh.json";

const values = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map(([whole]) => whole).sort();

test.each([
  ["pages", english, chinese],
  ["later rooms", englishRooms, chineseRooms],
  ["library", libraryEnglish, libraryChinese],
  ["library's later rooms", roomsEnglish, roomsChinese],
])("the %s have both languages", (_name, first, second) => {
  const [en, zh]: Record<string, string>[] = [first, second];
  expect(Object.keys(zh ?? {}).sort()).toEqual(Object.keys(en ?? {}).sort());
  for (const [id, text] of Object.entries(en ?? {})) {
    expect(text, id).not.toBe("");
    expect(values(zh?.[id] ?? ""), id).toEqual(values(text));
  }
});

test("one id means one text", () => {
  const tables = [english, englishRooms, libraryEnglish, roomsEnglish].map((table) => Object.keys(table));
  expect(new Set(tables.flat()).size).toBe(tables.flat().length);
});

test("no text is left over", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" });
  const sources = files.filter((file) => /\.(svelte|ts)$/.test(file) && !file.endsWith(".test.ts"));
  const all = sources.map((file) => readFileSync(join("src", file), "utf8")).join("\n");
  const made =
    /^(nav-(servers|approvals|visits|trust|settings)|role-(engineer|approver|root)|by-(root|recovery|token)|request-(shell|exec|watch|audit)|scope-(watch|audit)|join-what-(engineer|approver|admin))$/;
  const unused = Object.keys({ ...english, ...englishRooms }).filter(
    (id) => !made.test(id) && !all.includes(`"${id}"`),
  );
  expect(unused).toEqual([]);
});
