// The whole road as a person walks it, in a real Chromium: sign in, compare six words, have this browser's key added,
// open a terminal, work, reload, and find everything as it was. `SHOTS` keeps pictures.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ACCOUNT, PASSWORD, Road, USER } from "./road";

let road: Road;
let browser: Browser;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  road = await Road.build();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 800 }, locale: "en" });
  page.setDefaultTimeout(15_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    const expected = /401|net::ERR_(INTERNET_DISCONNECTED|CONNECTION|NETWORK)|WebSocket/.test(message.text());
    if (message.type() === "error" && !expected) complaints.push(message.text());
  });
});

afterAll(async () => {
  await browser?.close();
  await road?.close();
});

async function shot(name: string): Promise<void> {
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `real-${name}.png`) });
}

/** As on a slow line: the terminal's code comes last, and whoever then reads "connected" may type at once. */
async function slowTerminal(): Promise<void> {
  await page.route(/assets\/view-.*\.js$/, async (file) => {
    await new Promise((done) => setTimeout(done, 2000));
    await file.continue();
  });
}

test("a person signs in, trusts, opens a terminal, reloads and goes on", async () => {
  await page.goto(road.url);
  await page.fill("#account", ACCOUNT);
  await page.fill("#password", PASSWORD);
  await page.keyboard.press("Enter");
  await page.fill("#words", "abandon ability able about above absent");
  await page.keyboard.press("Enter");
  await page.locator("[role=alert]").waitFor();
  await page.fill("#words", road.tenant.words);
  await page.keyboard.press("Enter");
  await page.locator("a.line").waitFor();
  await shot("servers");

  await page.goto(`${road.url}/#/settings/keys`);
  await page.getByRole("button", { name: "Use this browser's key (trial)" }).click();
  const key = page.locator("li.key");
  await key.locator("summary").click();
  const line = await key.locator("code", { hasText: /^ecdsa-sha2-nistp256 / }).textContent();
  const file = join(road.folder, "device.pub");
  writeFileSync(file, `${line}\n`);
  await shot("keys-waiting");
  road.client("tenant", "engineer", "add", file, "--name", "demo", "--device");
  await key.getByText(/opens visits until/).waitFor();
  await shot("keys");

  await slowTerminal();
  await page.goto(`${road.url}/#/servers`);
  await page.locator("a.line").click();
  await page.fill("#user", USER);
  await page.fill("#reason", "the site is slow");
  await page.keyboard.press("Enter");
  await page.getByText(/connected · <?\d+ ms/).waitFor();
  await page.keyboard.type(
    "printf '\\033]2;%s\\007' title-$((40+2)); echo $COLUMNS columns; for i in 1 2 3; do echo line $i; done",
  );
  await page.keyboard.press("Enter");
  await page.getByRole("tab", { name: "title-42" }).waitFor();
  await shot("terminal");

  await page.reload();
  await page.getByText(/connected · <?\d+ ms/).waitFor();
  await page.getByRole("tab", { name: "title-42" }).waitFor();
  await page.keyboard.type("printf '\\033]2;%s\\007' again-$((40+3))");
  await page.keyboard.press("Enter");
  await page.getByRole("tab", { name: "again-43" }).waitFor();
  await shot("terminal-reloaded");

  await page.context().setOffline(true);
  await page.getByText(/reconnecting · \d+ s/).waitFor({ timeout: 40_000 });
  await shot("terminal-offline");
  await page.context().setOffline(false);
  await page.getByText(/connected · <?\d+ ms/).waitFor({ timeout: 30_000 });

  await page.locator(".xterm-helper-textarea").focus();
  await page.keyboard.type("exit 7");
  await page.keyboard.press("Enter");
  await page.getByText("ended · exit 7").waitFor();
  await shot("terminal-ended");
  expect(complaints).toEqual([]);
});
