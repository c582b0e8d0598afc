// Everything by keyboard, in both languages: sign in, find the server, open a shell, type, end it, sign out. Driven by
// tests/tests/console/first_run.rs.
import { ask, shown, start, waitFor, walk } from "./console.mjs";
import { Hand } from "./hand.mjs";
import { focused, tabTo } from "./keyboard.mjs";
import { account, file, look } from "./owner.mjs";
import { authenticator } from "./passkeys.mjs";

const [link, password, folder] = process.argv.slice(2);
const url = link.slice(0, link.indexOf("/#"));
const it = await start();
const { page } = it;
const passkeys = await authenticator(page);
const keys = page.keyboard;

/** The page in each language: what tells it from the other one. */
const LANGUAGES = [
  { lang: "en", state: "ended · exit 3" },
  { lang: "zh-CN", state: "已结束" },
];

async function enter(text) {
  await keys.type(text);
  await keys.press("Enter");
}

async function signIn(lang) {
  await focused(page, "#account");
  if ((await page.evaluate(() => document.documentElement.lang)) !== lang) {
    await tabTo(page, "input[type=radio]", "Shift+Tab");
    await keys.press("ArrowRight");
    await page.waitForFunction((wanted) => document.documentElement.lang === wanted, lang);
    await tabTo(page, "#account");
  }
  await look(page, `sign-in in ${lang}`);
  await keys.type("olga");
  await keys.press("Tab");
  await focused(page, "#password");
  await enter(password);
  await page.locator("header nav").waitFor();
}

async function openShell(lang) {
  await keys.press("g");
  await keys.press("s");
  await page.locator("a.line").first().waitFor();
  await look(page, `servers in ${lang}`);
  await keys.press("/");
  await focused(page, "input[type=search]");
  await enter("web");
  await page.locator("#user").waitFor();
  // The user of the last time is there; the reason is not.
  await page.waitForFunction(() => ["user", "reason"].includes(document.activeElement?.id));
  if (await page.evaluate(() => document.activeElement.id === "user")) {
    await keys.type("root");
    await tabTo(page, "#reason");
  }
  await enter("hands on keys");
  await focused(page, "dialog button.primary");
  await look(page, `the question in ${lang}`);
  await keys.press("Enter");
  await page.locator(".xterm-helper-textarea:focus").waitFor();
  await waitFor(page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
}

async function useShell({ lang, state }) {
  await enter("PS1='rea''dy> '; clear; echo $((6*7))-$(id -un)");
  await waitFor(page, "a command's output", (text) => text.includes("42-root"));
  await look(page, `the terminal in ${lang}`);
  // Out of the terminal and into it again.
  await keys.press("Control+Shift+E");
  await focused(page, "[role=tab]");
  await keys.press("Enter");
  await page.locator(".xterm-helper-textarea:focus").waitFor();
  await enter("exit 3");
  await page.locator(".panel-of-tab.shown footer .words", { hasText: state }).waitFor();
  if (!(await shown(page)).includes("42-root")) throw new Error("what it showed is gone");
  await keys.press("Control+Shift+E");
  await focused(page, "[role=tab]");
  await tabTo(page, "footer .tools button:last-child");
  await keys.press("Enter");
  await page.locator("[role=tab]").waitFor({ state: "detached" });
}

async function signOut() {
  await tabTo(page, "header nav a[href='#/settings']", "Shift+Tab");
  await keys.press("Enter");
  await page.locator("#font").waitFor();
  await look(page, "settings");
  await tabTo(page, "main section:last-of-type .row button");
  await keys.press("Enter");
  await page.locator("#account").waitFor();
}

await walk(it, async () => {
  const hand = new Hand(passkeys);
  await account(page, hand, { link, way: "password", kind: "passkey", password });
  await file(page, hand, { folder });
  await ask("install", await page.locator(".command code").textContent());
  await page.locator(".waits button").waitFor({ timeout: 20_000 });
  await page.context().clearCookies();
  await page.goto("about:blank");
  await page.goto(url);
  for (const language of LANGUAGES) {
    const begun = Date.now();
    await signIn(language.lang);
    await openShell(language.lang);
    await useShell(language);
    await signOut();
    process.stderr.write(`by keyboard in ${language.lang}: ${Date.now() - begun} ms\n`);
  }
});
