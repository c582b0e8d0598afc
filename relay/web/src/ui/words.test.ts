// Every text is there in both languages, is used, and names the same values.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { missingTexts } from "../../texts";
import english from "../i18n/en.json";
import englishMetrics from "../i18n/en.metrics.json";
import englishRooms from "../i18n/en.rooms.json";
import libraryEnglish from "../lib/messages.en.json";
import roomsEnglish from "../lib/messages.rooms.en.json";

test("both languages have every text, and fill in the same values", () => {
  expect(missingTexts(".")).toEqual([]);
});

test("a text that is missing anywhere is named, so that the build fails", () => {
  const root = mkdtempSync(join(tmpdir(), "texts-"));
  const table = (file: string, texts: Record<string, string>) =>
    writeFileSync(join(root, "src", file), JSON.stringify(texts));
  for (const folder of ["src/i18n", "src/lib"]) mkdirSync(join(root, folder), { recursive: true });
  table("i18n/en.json", { only: "here", both: "{n} of {all}", empty: "x" });
  table("i18n/zh-CN.json", { both: "{n}", empty: "" });
  for (const file of ["i18n/en.rooms", "i18n/zh-CN.rooms", "i18n/en.metrics", "i18n/zh-CN.metrics"])
    table(`${file}.json`, {});
  for (const file of ["en", "zh", "rooms.en", "rooms.zh"]) table(`lib/messages.${file}.json`, {});
  writeFileSync(join(root, "src/Page.svelte"), '{t("both")} {t("nowhere")} <Say id="gone" />');
  expect(missingTexts(root)).toEqual([
    'src/i18n/zh-CN.json lacks "only"',
    'src/i18n/zh-CN.json fills in other values at "both"',
    'src/i18n/zh-CN.json lacks "empty"',
    'src/Page.svelte says "nowhere", which is no text',
    'src/Page.svelte says "gone", which is no text',
  ]);
  rmSync(root, { recursive: true });
});

test("one id means one text", () => {
  const tables = [english, englishRooms, englishMetrics, libraryEnglish, roomsEnglish].map((table) =>
    Object.keys(table),
  );
  expect(new Set(tables.flat()).size).toBe(tables.flat().length);
});

test("no text is left over", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" });
  const sources = files.filter((file) => /\.(svelte|ts)$/.test(file) && !file.endsWith(".test.ts"));
  const all = sources.map((file) => readFileSync(join("src", file), "utf8")).join("\n");
  const made =
    /^(nav-(servers|approvals|visits|trust|settings)|role-(engineer|approver|root)|by-(root|recovery|token)|request-(shell|exec|watch|audit)|scope-(shell|exec|watch|audit)|join-what-(engineer|approver|admin))$/;
  const unused = Object.keys({ ...english, ...englishRooms, ...englishMetrics }).filter(
    (id) => !made.test(id) && !all.includes(`"${id}"`),
  );
  expect(unused).toEqual([]);
});
