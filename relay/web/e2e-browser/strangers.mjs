// WEB-06, H-01: what strangers say is text and nothing else, in a real Chromium: a server whose host name is markup, sixty
// hostile texts as titles, file names and log lines, and a page into which somebody wrote a script. Driven by
// tests/tests/console.rs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import {
  end,
  letIn,
  openShell,
  PATIENCE_MS,
  shown,
  signIn,
  start,
  toServer,
  type,
  waitFor,
  walk,
} from "./console.mjs";
import { injectedDoesNotRun } from "./injected.mjs";

const [url, account, password, words, folder, hostName] = process.argv.slice(2);
const source = readFileSync("src/ui/hostile.ts", "utf8").replace(": readonly string[]", "");
const { HOSTILE } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const it = await start();
const { page, context } = it;
const STRANGE =
  "script, img, iframe, object, embed, link, meta, base, video, audio, svg, style, form, input, template";

/** What of the page could come from markup, counted; icons and forms of our own are there before. */
const elements = () =>
  page.evaluate((all) => {
    const counts = {};
    for (const { localName, href } of document.querySelectorAll(all)) {
      // Parts of the page that come later bring their own files along.
      if (localName === "link" && href.startsWith(`${location.origin}/assets/`)) continue;
      counts[localName] = (counts[localName] ?? 0) + 1;
    }
    const handlers = [...document.querySelectorAll("*")].some((one) =>
      one.getAttributeNames().some((name) => name.startsWith("on")),
    );
    return JSON.stringify({ counts, handlers });
  }, STRANGE);

/** What the page is made of is as before. Its own marks may change for a moment; what came to life would stay. */
async function unchanged(before, what) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const after = await elements();
    if (after === before) return;
    if (Date.now() > until) throw new Error(`${what}: something came to life: ${before} became ${after}`);
    await page.waitForTimeout(100);
  }
}

/** Files whose names and lines are the sixty texts, and a program that makes titles of them. */
function writeFiles() {
  const names = `${folder}/names`;
  mkdirSync(names, { recursive: true });
  for (const [number, text] of HOSTILE.entries()) {
    const name = `${number}-${text}`.replaceAll("/", "\u2215").replaceAll("\0", "");
    writeFileSync(`${names}/${[...name].slice(0, 40).join("")}`, "");
  }
  writeFileSync(`${folder}/lines`, HOSTILE.map((text) => `${text}\n`).join(""));
  const titles = HOSTILE.map((text) => `\x1b]2;${text}\x07\x1b]8;;${text}\x07link\x1b]8;;\x07`).join("\n");
  writeFileSync(`${folder}/titles`, `${titles}\n`);
  return names;
}

async function hostNameIsText() {
  await page.goto(`${url}/#/servers`);
  const line = page.locator("a.line").first();
  await line.getByText(hostName).waitFor();
  await toServer(page, url, { user: "root" });
  await page.locator("bdi", { hasText: hostName }).first().waitFor();
}

async function outputIsText() {
  const names = writeFiles();
  await openShell(page);
  await type(page, "PS1='rea''dy> '; clear");
  await waitFor(page, "the prompt", (text) => text.startsWith("ready>"));
  const before = await elements();
  for (const what of [
    `cat '${folder}/lines'`,
    `ls -N1 '${names}'`,
    `ls '${names}'`,
    `cat '${folder}/titles'`,
  ]) {
    await type(page, `clear; ${what}; echo sho''wn`);
    await waitFor(page, what, (text) => /^shown$/m.test(text));
    await unchanged(before, what);
  }
  // Titles one after the other, each looked at: those that stay as they are, which is all that can be printed.
  await type(page, `n() { cat '${folder}/title'; }`);
  for (const text of HOSTILE.filter((one) => /^[\x20-\x7e]{1,128}$/.test(one))) {
    writeFileSync(`${folder}/title`, `\x1b]2;${text}\x07`);
    await type(page, "n");
    await page.waitForFunction(
      (wanted) => document.querySelector("[role=tab][aria-selected=true] .label").textContent === wanted,
      text,
    );
    if (!(await page.title()).startsWith(text))
      throw new Error(`${text}: the window is ${await page.title()}`);
  }
  await type(page, `clear; head -n 12 '${folder}/lines'`);
  const text = await waitFor(page, "the first lines", (all) => all.includes(HOSTILE[11]));
  for (const line of HOSTILE.slice(0, 12)) {
    if (!text.split("\n").includes(line)) throw new Error(`not as it was: ${line}`);
  }
  await unchanged(before, "in the end");
  if (/[\u202a-\u202e\u2066-\u2069]/.test(await page.title())) throw new Error("a title that turns around");
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  await hostNameIsText();
  await outputIsText();
  await injectedDoesNotRun(context, url);
  if ((await shown(page)) === "") throw new Error("the page is gone");
  await end(page);
});
