// `make bench`'s browser: keys, a large text and first prompts in a real Chromium, on our pages and on those of the peer
// (peer.mjs) in turn. One driver and one clock for both: the page's own, from the event to the change in the terminal's
// rows. Says what was measured, in milliseconds, as one line of JSON. Never: a number that was not measured.
import { readFileSync } from "node:fs";
import { letIn, openShell, signIn, start, toServer, type, waitFor } from "./console.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
/** Between two keys: a fast typist's time, never in step with the screen's frames. */
const paceMs = (number) => 20 + ((number * 7) % 17);
const WARM_UP_KEYS = 20;
const READING_MS = 2_000;
/** Buffers on the way are full by then. */
const FLOOD_MS = 1_000;

/** Runs in every page: watches what is drawn. */
function watch() {
  const screen = () =>
    [...document.querySelectorAll(".xterm-rows > div")]
      .map((row) => row.textContent.trimEnd())
      .filter((text) => text !== "");
  /** What is drawn where the cursor is and not answered yet. */
  const predicted = () => document.querySelector(".predicted:not([hidden])")?.textContent.trimEnd() ?? "";
  const REACHED = {
    text: (text, lines) => (lines.join("") + predicted()).endsWith(text),
    line: (text, lines) => lines.includes(text),
    prompt: (_, lines) => /[$#]$/.test(lines.at(-1) ?? ""),
  };
  let goal;
  const beat = (now) => {
    if (!goal) return;
    goal.gapMs = Math.max(goal.gapMs, now - goal.last);
    goal.last = now;
    requestAnimationFrame(beat);
  };
  const seen = () => {
    const now = performance.now();
    if (!goal || !REACHED[goal.kind](goal.text, screen())) return;
    goal.done({ ms: now - goal.begun, gapMs: goal.gapMs });
    goal = undefined;
  };
  new MutationObserver(seen).observe(document, { subtree: true, childList: true, characterData: true });
  /** `timed`: from the next event of this kind until this is drawn; of a line, the longest time without a frame meanwhile. */
  globalThis.timeFrom = ([event, kind, text]) => {
    globalThis.timed = new Promise((done) => {
      const begin = ({ timeStamp }) => {
        goal = { begun: timeStamp, last: timeStamp, gapMs: 0, kind, text, done };
        // Only for floods: frames that we ask for are work beside which a key's own frame waits.
        if (kind === "line") requestAnimationFrame(beat);
      };
      addEventListener(event, begin, { capture: true, once: true });
    });
  };
}

/** What happens between an event that `act` causes and what it has drawn. */
async function timed(page, event, kind, text, act) {
  await page.evaluate((what) => globalThis.timeFrom(what), [event, kind, text]);
  await act();
  return page.evaluate(() => globalThis.timed);
}

/** A side: a page, how its terminal comes to a prompt from a click, and what says that its shell is over. */
async function side(prepare, click, ended) {
  const { browser, context, page } = await start();
  await context.addInitScript(watch);
  const wait = () => page.locator(ended).waitFor();
  return {
    browser,
    page,
    prepare: () => prepare(page),
    click: () => page.locator(click).click(),
    ended: wait,
  };
}

/** Runs something in a fresh shell of each side in turn, so often; returns what it returned. */
async function inTurn(times, run) {
  const all = { ours: [], peer: [] };
  for (let time = 0; time < times; time++) {
    for (const [name, it] of Object.entries(sides)) {
      await it.prepare();
      // The terminal's code is fetched while a person still reads. The network is never idle: pages wait for news.
      await it.page.waitForTimeout(READING_MS);
      const opened = await timed(it.page, "click", "prompt", "", it.click);
      all[name].push(await run(it.page, opened));
      await it.page.keyboard.press("Control+D");
      await it.ended();
    }
  }
  return all;
}

/** Types keys and times each to its letter on the screen. */
async function keys(page) {
  await page.keyboard.insertText(`clear; exec '${plan.echo}' rawecho`);
  await timed(page, "keydown", "line", "READY", () => page.keyboard.press("Enter"));
  const took = [];
  let typed = "";
  for (let number = 0; number < WARM_UP_KEYS + plan.keys; number++) {
    const key = String.fromCharCode(97 + (number % 26));
    typed = (typed + key).slice(-8);
    const { ms } = await timed(page, "keydown", "text", typed, () => page.keyboard.press(key));
    took.push(ms);
    await page.waitForTimeout(paceMs(number));
  }
  return took.slice(WARM_UP_KEYS);
}

const MEASURES = {
  /** Keys as everybody has them: drawn where the server has just been echoing, before it answers. */
  echo: () => inTurn(plan.echoRuns, keys),
  /** Keys that wait for the server's echo, as on a page whose person wants that. */
  answered: async () => {
    await ours.page.evaluate(() => localStorage.setItem("cloud-doctor.predicts", "no"));
    const all = await inTurn(plan.echoRuns, keys);
    await ours.page.evaluate(() => localStorage.removeItem("cloud-doctor.predicts"));
    return all;
  },
  /** A large text, to its last line on the screen. */
  cat: () =>
    inTurn(plan.catRuns, async (page) => {
      await page.keyboard.insertText(`cat '${plan.text}'`);
      return timed(page, "keydown", "line", plan.mark, () => page.keyboard.press("Enter"));
    }),
  /** Ctrl-C while the screen floods, until the program is told: from the key to what it says, by the machine's one clock. */
  interrupt: () =>
    inTurn(plan.promptRuns, async (page) => {
      await page.keyboard.insertText("clear; (trap 'date +at-%s%3N; exit' INT; yes)");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() =>
        [...document.querySelectorAll(".xterm-rows > div")].every((row) => row.textContent.trim() === "y"),
      );
      await page.waitForTimeout(FLOOD_MS);
      await page.evaluate(() => {
        addEventListener(
          "keydown",
          function pressed({ code, timeStamp }) {
            if (code !== "KeyC") return;
            removeEventListener("keydown", pressed, true);
            globalThis.pressedAt = performance.timeOrigin + timeStamp;
          },
          true,
        );
      });
      await page.keyboard.press("Control+C");
      const said = await page.waitForFunction(() => {
        const rows = [...document.querySelectorAll(".xterm-rows > div")].map((row) =>
          row.textContent.trimEnd(),
        );
        const at = rows.map((row) => /at-(\d{13})$/.exec(row)?.[1]).find((time) => time !== undefined);
        return at && Number(at) - globalThis.pressedAt;
      });
      return said.jsonValue();
    }),
  /** From the click to the prompt. */
  prompt: () => inTurn(plan.promptRuns, (_, opened) => opened.ms),
};

const ours = await side(
  (page) => toServer(page, plan.url, plan),
  "button[type=submit]",
  "footer .words:has-text('exit')",
);
const sides = { ours };

try {
  await signIn(ours.page, plan);
  await letIn(ours.page, plan.url);
  await ours.prepare();
  await openShell(ours.page);
  await type(ours.page, "stty size; sleep 1; exit");
  const [, rows, cols] = /^(\d+) (\d+)$/m.exec(
    await waitFor(ours.page, "a size", (text) => /^\d+ \d+$/m.test(text)),
  );
  await ours.ended();
  const address = `${plan.peer}/?cols=${cols}&rows=${rows}`;
  const prepare = async (page) => {
    await page.goto("about:blank");
    await page.goto(address);
  };
  sides.peer = await side(prepare, "#open", "#terminal[data-over]");
  const measured = {};
  for (const what of plan.figures) measured[what] = await MEASURES[what]();
  process.stdout.write(
    `measured ${JSON.stringify({ ...measured, cols: Number(cols), rows: Number(rows) })}\n`,
  );
} finally {
  for (const { browser } of Object.values(sides)) await browser.close();
  process.stdin.destroy();
}
