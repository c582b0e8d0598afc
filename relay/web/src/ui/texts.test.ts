// @vitest-environment jsdom
// Texts as pages have them, through i18next: every one in both languages, and strangers' values that stay what they are.
import { beforeAll, expect, test } from "vitest";
import english from "../i18n/english";
import englishRooms from "../i18n/english.rooms";
import { ConsoleError } from "../lib/errors";
import { pieces, roomWords, sentence, setLanguage, type TextId, t, told } from "./words.svelte";

const CHINESE = [import("../i18n/chinese"), import("../i18n/chinese.rooms")];

beforeAll(async () => {
  await setLanguage("en");
  await roomWords();
});

/** What would be read by whoever fills in twice, nests, formats or takes ids for paths. */
const HOSTILE = [
  "{n}",
  "{0}",
  "{{n}}",
  "$t(sign-in)",
  "\u0001n\u0001",
  "$&",
  "<b>",
  "{-n}",
  "{n, number}",
  "a.b:c",
];

test("every text is said as it is written, with its values in their places", async () => {
  const [chinese, chineseRooms] = await Promise.all(CHINESE);
  const tables = {
    en: { ...english, ...englishRooms },
    "zh-CN": { ...chinese?.default, ...chineseRooms?.default },
  } as const;
  for (const language of ["en", "zh-CN"] as const) {
    await setLanguage(language);
    const table: Readonly<Record<string, string>> = tables[language];
    for (const [id, text] of Object.entries(table)) {
      for (const value of ["7", ...HOSTILE]) {
        const names = [...text.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
        const values = Object.fromEntries(names.map((name) => [name, `${name}=${value}`]));
        const said = text.split(/\{(\w+)\}/).map((part, at) => (at % 2 === 0 ? part : `${part}=${value}`));
        expect(t(id as TextId, values)).toBe(said.join(""));
      }
    }
    expect(Object.keys(table).length).toBeGreaterThan(700);
  }
  await setLanguage("en");
});

test("what is filled in stands apart, and what is missing shows its place", () => {
  expect(pieces("join-title", { customer: "$t(sign-in)" })).toEqual([
    { text: "Join ", filled: false },
    { text: "$t(sign-in)", filled: true },
    { text: "", filled: false },
  ]);
  expect(t("join-title")).toBe("Join {customer}");
});

test("sentences of the library, newer ones and errors have words", async () => {
  const inner = new ConsoleError("told_no_user", "$t(sign-in) {0}");
  const error = new ConsoleError("refusal_not_started", inner);
  expect(told(error)).toBe(
    "The server could not start the shell: user $t(sign-in) {0} does not exist on this server.",
  );
  expect(told({ id: "refusal_moonlight" as "refusal_no_user", args: [] })).toMatch(/does not know/);
  // What every object has is no text.
  for (const id of ["constructor", "__proto__", "toString"]) {
    expect(told({ id: id as "refusal_no_user", args: [] })).toBe(id);
    expect(told({ id: `refusal_${id}` as "refusal_no_user", args: [] })).toMatch(/does not know/);
  }
  expect(told(new ConsoleError("refusal_no_user"))).toBe("The server has no user .");
  expect(sentence(new Error("{detail}"))).toContain("happened: {detail}.");
  await setLanguage("zh-CN");
  expect(told(error)).toMatch(/此服务器上没有用户 \$t\(sign-in\) \{0\}/);
  await setLanguage("en");
});
