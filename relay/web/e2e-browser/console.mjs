// What every script here does in a real Chromium: start it, sign in, pin, open shells, type, read the screen. A test in Rust
// runs relay, agent and customer around it; it is asked by a line on standard output and answers with one on input.
// Never: a shortcut that a person does not have.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

export const PATIENCE_MS = 20_000;
/** What hangs is ended, and says where. */
const WALK_MS = Number(process.env.WALK_MS ?? 600_000);

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the test do something; returns when it is done, with what it answered. */
export async function ask(what, value = "") {
  process.stdout.write(`${what} ${value}\n`);
  const { value: answer, done } = await answers.next();
  if (done || !answer.startsWith("done")) throw new Error(`${what}: ${answer ?? "nobody answers"}`);
  return answer.slice("done ".length);
}

/** What a relay that is away makes the browser itself say. */
const AWAY = /Failed to load resource|WebSocket connection|net::ERR/;

/** A browser with one page. Without WebGL the terminal draws with rows of text, which can be read. */
export async function start({ webgl = false } = {}) {
  const drawing = webgl
    ? ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    : ["--disable-gpu", "--disable-3d-apis"];
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...drawing],
  });
  /** What pages or their policy complained about. */
  const complaints = [];
  return { browser, complaints, ...(await person({ browser, complaints })) };
}

/** A further person: cookies, keys and a page of their own. */
export async function person({ browser, complaints }) {
  const context = await browser.newContext({
    locale: "en",
    viewport: { width: 1280, height: 800 },
    ignoreHTTPSErrors: true,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() === "error" && !AWAY.test(message.text())) complaints.push(message.text());
  });
  return { context, page };
}

/** Signs in and pins the customer whose six words these are. */
export async function signIn(page, { url, account, password, words }) {
  await page.goto(url);
  await page.locator("#account").fill(account);
  await page.locator("#password").fill(password);
  await page.keyboard.press("Enter");
  await page.locator("#words").fill(words);
  await page.locator("#words").press("Enter");
}

/** Makes this browser's own key and has the customer let it in. */
export async function letIn(page, url) {
  await page.goto(`${url}/#/settings/keys`);
  await page.getByRole("button", { name: "Use this browser's key (trial)" }).click();
  const line = page.locator("li.key");
  await line.locator("summary").click();
  const key = line.locator("code", { hasText: /^(ecdsa-sha2-nistp256|ssh-ed25519) / });
  await ask("key", (await key.textContent()).trim());
  await line.getByText(/opens visits until/).waitFor({ timeout: 2 * PATIENCE_MS });
}

/** Goes to the page of the only server, by a link that fills the form. */
export async function toServer(page, url, { user, reason = "to see that it works" }) {
  await page.goto(`${url}/#/servers`);
  const line = page.locator("a.line").first();
  const place = await line.getAttribute("href");
  await page.goto("about:blank");
  await page.goto(`${url}/${place}?${new URLSearchParams({ user, reason })}`);
  await page.locator("button[type=submit]").waitFor();
}

/** The pane of the tab that is shown. */
const PANE = ".panel-of-tab.shown";

/** Opens a shell from the form that is there and waits for its prompt. */
export async function openShell(page) {
  await page.locator("button[type=submit]").click();
  await page.locator(`${PANE} .xterm-screen`).waitFor();
  await waitFor(page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
}

/** Everything that the shown terminal shows, as text. */
export const shown = (page) =>
  page.evaluate(
    (rows) => [...document.querySelectorAll(rows)].map((row) => row.textContent).join("\n"),
    `${PANE} .xterm-rows > div`,
  );

/** Waits until the shown terminal's text is as wanted; returns it. */
export async function waitFor(page, what, found, waitMs = 3 * PATIENCE_MS) {
  const until = Date.now() + waitMs;
  for (;;) {
    const text = await shown(page);
    if (found(text)) return text;
    if (Date.now() > until) throw new Error(`not shown: ${what}\n${text}`);
    await page.waitForTimeout(30);
  }
}

/** Types a line into the shown terminal. */
export async function type(page, text) {
  await page.locator(`${PANE} .xterm-helper-textarea`).focus();
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
}

/** Ends the shown shell and sees it end. */
export async function end(page, status = 0) {
  await type(page, `history -c; exit ${status}`);
  await page.locator(`${PANE} footer .words`, { hasText: `exit ${status}` }).waitFor();
}

/** Walks a road to its end: says `walked`, or what went wrong, and leaves nothing running. */
export async function walk({ browser, complaints }, road) {
  const late = setTimeout(() => browser.close(), WALK_MS);
  try {
    await road();
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    process.stdout.write("walked\n");
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    for (const [at, one] of process.env.SHOT ? pages.entries() : [])
      await one.screenshot({ path: `${process.env.SHOT}.failed-${at}.png` });
    process.stderr.write(`${error.stack ?? error}\n${complaints.join("\n")}\n`);
    process.exitCode = 1;
  } finally {
    clearTimeout(late);
    await browser.close();
    process.stdin.destroy();
  }
}
