// Sentences: places, sentences in sentences, and strangers' texts that draw nothing.

import { expect, test } from "vitest";
import { ConsoleError, chars, isHidden, oneLine, say, type Texts } from "./errors";
import { refusal } from "./link";
import english from "./messages.en.json";
import chinese from "./messages.zh.json";

/** Places filled as pages fill them. */
const by =
  (table: Readonly<Record<string, string>>): Texts =>
  (id, args) =>
    table[id]?.replace(/\{(\d)\}/g, (_, at) => args[at] ?? "");

test("a refusal's own words are in the reader's language", () => {
  const error = new ConsoleError("refusal_not_started", new ConsoleError("told_no_user", "bob"));
  expect(say(error, by(english))).toBe(
    "The server could not start the shell: user bob does not exist on this server.",
  );
  expect(say(error, by(chinese))).toBe("服务器无法启动会话：此服务器上没有用户 bob。");
});

test("what a newer server says has words too", () => {
  const newer = (code: string) =>
    refusal({ code, detail: "", told: { code: "moon-phase", values: ["full"] } });
  expect(newer("moonlight").id).toBe("refusal_moonlight");
  expect(say(newer("moonlight"), by(english))).toMatch(/reason that this client does not know/);
  expect(say(newer("not-started"), by(english))).toMatch(
    /could not start the shell: a reason that this client does not know/,
  );
});

test("values are not filled again, and missing ones leave no place", () => {
  expect(say(new ConsoleError("told_host_file", "{1}", "x"), by(english))).toBe("{1} cannot be read: x");
  expect(say(new ConsoleError("refusal_no_user"), by(english))).toBe("The server has no user .");
  expect(say(new ConsoleError("refusal_malformed", ""), by(english))).not.toMatch(/ $/);
});

test("strangers' texts cannot draw on the screen", () => {
  expect(oneLine("a\u001b[31m\r\n\u202eb")).toBe("a\\u{1b}[31m\\u{d}\\u{a}\\u{202e}b");
  expect(new ConsoleError("relay_says_no", "a\u2028b").args).toEqual(["a\\u{2028}b"]);
  expect(oneLine("héllo 世界", 5)).toBe("héllo");
  expect(oneLine("x".repeat(9000)).length).toBe(300);
  expect([isHidden("a b 世"), isHidden("a\u200bb"), isHidden("\u0007"), isHidden("\u0085")]).toEqual([
    false,
    true,
    true,
    true,
  ]);
  expect(chars("🦀a")).toBe(2);
});
