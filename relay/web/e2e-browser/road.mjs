// The whole road in a real Chromium: sign in, pin six words, hand out this browser's key, open a shell, type, reload,
// lose the relay in the middle of output, see its end. Driven by tests/tests/console.rs, which runs relay, agent
// and customer and answers what is asked on standard output, a line each, with a line on standard input.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [url, account, password, words] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const PATIENCE_MS = 10_000;
const complaints = [];

/** Has the test do something; returns when it is done. */
async function ask(what, value = "") {
  process.stdout.write(`${what} ${value}\n`);
  const { value: answer, done } = await answers.next();
  if (done || answer !== "done") throw new Error(`${what}: ${answer ?? "nobody answers"}`);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // Without WebGL the terminal falls back to rows of text, which can be read.
  args: ["--no-sandbox", "--disable-gpu", "--disable-3d-apis"],
});
const page = await (
  await browser.newContext({ locale: "en", viewport: { width: 1280, height: 800 } })
).newPage();
page.setDefaultTimeout(PATIENCE_MS);
page.on("pageerror", (error) => complaints.push(error.message));
page.on("console", (message) => {
  // A relay that is away is told by the browser itself; what the page or its policy complain about is not.
  if (
    message.type() === "error" &&
    !/Failed to load resource|WebSocket connection|net::ERR/.test(message.text())
  ) {
    complaints.push(message.text());
  }
});

/** Everything that the terminal shows, as text. */
const shown = () =>
  page.evaluate(() =>
    [...document.querySelectorAll(".xterm-rows > div")].map((row) => row.textContent).join("\n"),
  );

async function waitFor(what, found) {
  const until = Date.now() + 3 * PATIENCE_MS;
  for (;;) {
    const text = await shown();
    if (found(text)) return;
    if (Date.now() > until) throw new Error(`not shown: ${what}\n${text}`);
    await page.waitForTimeout(50);
  }
}

async function type(text) {
  await page.locator(".xterm-helper-textarea").first().focus();
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

try {
  await page.goto(url);
  await page.locator("#account").fill(account);
  await page.locator("#password").fill(password);
  await page.keyboard.press("Enter");
  await page.locator("#words").fill(words);
  await page.locator("#words").press("Enter");
  const key = page.locator("code", { hasText: /^(ecdsa-sha2-nistp256|ssh-ed25519) / });
  await page.goto(`${url}/#/trust`);
  await key.first().waitFor();
  await ask("key", (await key.first().textContent()).trim());
  await page
    .locator("details summary")
    .first()
    .waitFor({ timeout: 2 * PATIENCE_MS });
  await page.goto(`${url}/#/servers`);
  await page.locator("a.line", { hasText: "web-1" }).click();
  await page.locator("#user").fill("root");
  await page.locator("#reason").fill("to see that it works");
  await page.locator("button[type=submit]").click();
  await page.locator(".xterm-screen:visible").first().waitFor();
  await type("PS1='rea''dy> '; clear; echo $((6*7))-$(id -un)");
  await waitFor("a shell as root", (text) => text.includes("42-root"));
  if (process.env.SHOT) await page.screenshot({ path: process.env.SHOT });
  await page.reload();
  await waitFor("the shell after a reload", (text) => text.includes("42-root"));
  await type("clear; for i in $(seq 1 400); do echo line-$i-; sleep 0.01; done; echo do''ne");
  await waitFor("the first lines", (text) => /line-3\d-/.test(text));
  await ask("kill-relay");
  await waitFor("the last line", (text) => text.includes("done"));
  await type("history -c; exit 3");
  await page.locator("text=/exit 3|status 3/").first().waitFor();
  if (complaints.length > 0) throw new Error(complaints.join("\n"));
  process.stdout.write("walked\n");
} catch (error) {
  if (process.env.SHOT) await page.screenshot({ path: `${process.env.SHOT}.failed.png` });
  process.stderr.write(`${error.stack ?? error}\n${complaints.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.destroy();
}
