// What goes wrong on the way, in a real Chromium: relay, tunnel and guard killed, the line silent, the browser offline and
// the page reloaded in the middle of numbered lines, none of which may be missing or come twice. Driven by
// tests/tests/console.rs.
import {
  ask,
  end,
  letIn,
  openShell,
  shown,
  signIn,
  start,
  toServer,
  type,
  waitFor,
  walk,
} from "./console.mjs";

const [url, account, password, words, lines] = process.argv.slice(2);
const LINES = Number(lines);
const it = await start();
const { page, context } = it;
const state = page.locator(".panel-of-tab.shown footer .words");
/** What the line of state said, in order. */
const said = [];

/** The number of the last line that is shown. */
const last = async () => Number([...(await shown(page)).matchAll(/^line-(\d+)-$/gm)].at(-1)?.[1] ?? 0);

async function cut(what, act) {
  const before = await last();
  if (before >= LINES) throw new Error(`all lines were there before ${what}`);
  await act();
  const words = await state.textContent();
  said.push(`${what}: ${words.trim()}`);
  await waitFor(
    page,
    `lines after ${what}`,
    (text) => Number(/line-(\d+)-\s*$/.exec(text.trimEnd())?.[1]) >= Math.min(before + 20, LINES),
  );
}

/** Looks at every line that can be scrolled back to: each follows the one above it. */
async function everyLine() {
  let above = LINES + 1;
  let text = await shown(page);
  for (let pages = 0; above > 1; pages++) {
    if (pages > LINES) throw new Error(`line ${above - 1} is not there`);
    const numbers = [...text.matchAll(/^line-(\d+)-$/gm)].map(([, number]) => Number(number));
    for (const [at, number] of numbers.entries()) {
      if (at > 0 && number !== numbers[at - 1] + 1)
        throw new Error(`line ${number} follows ${numbers[at - 1]}`);
    }
    // Pages overlap by a line, so that no gap hides between two.
    if (above <= LINES && !numbers.includes(above)) throw new Error(`line ${above} is gone`);
    const first = numbers[0];
    if (first === 1) return;
    above = first;
    await page.keyboard.press("Shift+PageUp");
    text = await waitFor(
      page,
      `what stands above line ${first}`,
      (next) => !next.startsWith(`line-${first}-\n`),
    );
  }
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  await toServer(page, url, { user: "root" });
  await openShell(page);
  await type(
    page,
    `PS1=; stty -echo; clear; for i in $(seq 1 ${LINES}); do echo line-$i-; sleep 0.008; done; echo do''ne`,
  );
  await waitFor(page, "the first lines", (text) => /^line-\d\d-$/m.test(text));
  await cut("the relay was killed", () => ask("kill-relay"));
  // Typed while the shell is busy and the line is about to go: run once, later.
  await type(page, "echo typed-once-$((6*7))-");
  await cut("the tunnel was killed", () => ask("kill-tunnel"));
  await cut("the guard was killed", () => ask("kill-guard"));
  await cut("the line was silent", async () => {
    // As a laptop that leaves its network: nothing is refused, nothing comes.
    await ask("silence-relay");
    await page.locator(".panel-of-tab.shown footer .words:has-text('reconnecting')").waitFor();
    await ask("wake-relay");
  });
  await cut("the browser was offline", async () => {
    await context.setOffline(true);
    await page.locator(".panel-of-tab.shown footer .words:has-text('reconnecting')").waitFor();
    await context.setOffline(false);
  });
  await cut("the page was reloaded", async () => {
    await page.reload();
    await waitFor(page, "the shell after a reload", (text) => /^line-\d+-$/m.test(text));
  });
  await waitFor(page, "what was typed", (text) => /^typed-once-42-$/m.test(text), 60_000);
  const text = await shown(page);
  const once = text.match(/^typed-once-42-$/gm).length === 1 && text.match(/^done$/gm).length === 1;
  if (!once) throw new Error(`not once:\n${text}`);
  await state.locator("text=connected").waitFor();
  await everyLine();
  if (!said.some((words) => words.includes("reconnecting")))
    throw new Error(`never said: ${said.join("; ")}`);
  process.stderr.write(`${said.join("\n")}\n`);
  await end(page);
});
