// biome-ignore-all lint/suspicious/noControlCharactersInRegex: controls are what a terminal is about.
// A terminal as a person uses it, in a real Chromium: a link that fills the form, sizes, letters, full-screen programs, copy
// and paste, hostile output, much output, several shells, leaving and coming back. Driven by tests/tests/console.rs.
import { existsSync } from "node:fs";
import { end, letIn, openShell, shown, signIn, start, toServer, type, waitFor, walk } from "./console.mjs";

const [url, account, password, words, folder, catBytes, endlessBytes] = process.argv.slice(2);
const it = await start();
const { page, context } = it;
await context.grantPermissions(["clipboard-write"]);

const PANE = ".panel-of-tab.shown";
const pane = (selector) => page.locator(`${PANE} ${selector}`);
const has = (wanted) => (text) => text.includes(wanted);

function must(what, holds) {
  if (!holds) throw new Error(what);
}

let asked = 0;

/** Types a line and waits for its end on an empty screen; returns what a line of it is like. */
async function answered(line, pattern) {
  asked += 1;
  await type(page, `clear; ${line}; echo en''d-${asked}`);
  const end = new RegExp(`^end-${asked}$`, "m");
  const text = await waitFor(page, `the end of ${line}`, (all) => end.test(all));
  const found = pattern.exec(text);
  must(`${line}: ${text}`, found);
  return found;
}

async function plainPrompt() {
  await type(page, "PS1='rea''dy> '; clear");
  await waitFor(page, "the prompt", (text) => text.startsWith("ready>"));
}

const copied = (text) => page.evaluate((value) => navigator.clipboard.writeText(value), text);

/** What the clipboard holds: pasted where one searches, because pages may not read it. */
async function clipboard() {
  await page.keyboard.press("Control+Shift+F");
  const field = pane(".find input:focus");
  await field.fill("");
  await page.keyboard.press("Control+V");
  const text = await field.inputValue();
  await page.keyboard.press("Escape");
  await pane(".xterm-helper-textarea:focus").waitFor();
  return text;
}

const size = () => answered("stty size", /^(\d+) (\d+)$/m);

/** The mouse on the start of the row that shows this. */
async function point(text, act) {
  const box = await page.locator(`${PANE} .xterm-rows > div`, { hasText: text }).last().boundingBox();
  const [x, y] = [box.x + 20, box.y + box.height / 2];
  await page.mouse.move(x, y);
  // The terminal looks for links a moment later.
  await page.waitForTimeout(100);
  await page.mouse[act](x, y);
}

/** A link opens the right server with everything filled in, and does not put the finger on the button. */
async function deepLink() {
  await toServer(page, url, { user: "root", reason: "INC-7: the site is slow" });
  must("the link fills the form", (await page.locator("#user").inputValue()) === "root");
  const focused = await page.evaluate(() => document.activeElement?.id);
  must(`the finger is on ${focused}`, focused === "reason");
  await openShell(page);
  await plainPrompt();
}

async function sizes() {
  const [, rows, cols] = await size();
  const drawn = await pane(".xterm-rows > div").count();
  must(`${drawn} rows are drawn, the shell has ${rows}`, drawn === Number(rows));
  await page.setViewportSize({ width: 900, height: 600 });
  await waitFor(page, "fewer rows", (text) => text.split("\n").length < drawn);
  const [, lower, narrower] = await size();
  must("the shell knows the new size", Number(lower) < Number(rows) && Number(narrower) < Number(cols));
  await pane("footer button[title*='arger']").click();
  await pane(".xterm-helper-textarea").focus();
  const [, , larger] = await size();
  must("larger letters are fewer", Number(larger) < Number(narrower));
  await pane("footer button[title*='maller']").click();
  await page.setViewportSize({ width: 1280, height: 800 });
  await waitFor(page, "all rows", (text) => text.split("\n").length === drawn);
}

/** Where the last bar of the screen is drawn, in cells. */
const barAt = () =>
  page.evaluate((rows) => {
    const row = [...document.querySelectorAll(rows)].find((one) => one.textContent.includes("|"));
    const nodes = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
    let place;
    while (nodes.nextNode()) {
      const at = nodes.currentNode.data.indexOf("|");
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(nodes.currentNode, at);
      range.setEnd(nodes.currentNode, at + 1);
      place = range.getBoundingClientRect();
    }
    return (place.left - row.getBoundingClientRect().left) / place.width;
  }, `${PANE} .xterm-rows > div`);

/** What stands behind wide and composed letters stands in the cell where the program thinks that it does. */
async function cells() {
  for (const [letters, width] of [
    ["中文字符", 8],
    ["e\u0301a\u0308", 2],
    ["😀🚀", 4],
    ["👩‍💻", 2],
    ["ｱ한", 3],
    ["┌─┐", 3],
  ]) {
    const bytes = [...new TextEncoder().encode(letters)].map((byte) => `\\x${byte.toString(16)}`).join("");
    const ask = `printf '${bytes}'; IFS=';' read -rsdR -p $'\\e[6n' _ col; printf '\\x7c at %s.\\n' $col`;
    const [, col] = await answered(ask, /\| at (\d+)\./);
    must(`${letters}: the cursor is at ${col}`, Number(col) === width + 1);
    const at = await barAt();
    must(`${letters}: what follows is drawn at ${at}`, Math.abs(at - width) < 0.2);
  }
}

/** All of a terminal's colours, under a policy that forbids style attributes. */
async function colours() {
  await answered("printf '\\e[38;2;200;120;40;48;2;0;40;0mtrue-colour\\e[0m\\n'", /^true-colour$/m);
  const [ink, ground] = await page
    .locator(`${PANE} .xterm-rows span`, { hasText: /^true-colour$/ })
    .evaluate((letter) => [getComputedStyle(letter).color, getComputedStyle(letter).backgroundColor]);
  must(`drawn in ${ink} on ${ground}`, ink === "rgb(200, 120, 40)" && ground === "rgb(0, 40, 0)");
}

async function find() {
  await type(page, "clear; seq 1 300; echo nee''dle-17; seq 1 300; echo la''st");
  await waitFor(page, "the last", (text) => /^last$/m.test(text));
  must("it is far above", !(await shown(page)).includes("needle"));
  await page.keyboard.press("Control+Shift+F");
  await page.keyboard.type("needle-17");
  await page.keyboard.press("Enter");
  await waitFor(page, "what was sought", has("needle-17"));
  await page.keyboard.press("Escape");
  await pane(".xterm-helper-textarea:focus").waitFor();
}

async function programs() {
  await type(page, `clear; vim -u NONE '${folder}/note'`);
  await waitFor(page, "vim", (text) => /^~/m.test(text));
  await page.keyboard.type("ifrom a browser");
  await page.keyboard.press("Escape");
  await page.keyboard.type(":wq");
  await page.keyboard.press("Enter");
  await waitFor(page, "the shell behind it", (text) => text.includes("ready>") && !/^~/m.test(text));
  await answered(`cat '${folder}/note'`, /^from a browser$/m);
  await type(page, "seq 1 5000 | less");
  await waitFor(page, "less", (text) => text.startsWith("1\n2\n"));
  await page.keyboard.type("/^4321$");
  await page.keyboard.press("Enter");
  await waitFor(page, "what was sought", (text) => text.startsWith("4321"));
  await page.keyboard.press("q");
  await waitFor(page, "the shell behind it", (text) => text.includes("ready>"));
  await type(page, `clear; PS1='$ ' tmux -S '${folder}/tmux' -f /dev/null new -s work`);
  await waitFor(page, "tmux", (text) => /\[work\]/.test(text));
  await page.keyboard.press("Control+B");
  await page.keyboard.press('"');
  await waitFor(page, "two panes", (text) => /─{40}/.test(text));
  await type(page, "tmux kill-server");
  await waitFor(page, "the shell behind it", (text) => text.includes("ready>"));
}

/** PTY-09: what is pasted is looked at; brackets are honoured. */
async function pasting() {
  await type(page, "clear; echo copy''-me-please");
  await waitFor(page, "the word", (text) => /^copy-me-please$/m.test(text));
  await point(/^copy-me-please$/, "dblclick");
  await page.keyboard.press("Control+Shift+C");
  must("it was copied", (await clipboard()).includes("copy-me-please"));
  await copied("echo one-li''ne");
  await page.keyboard.press("Control+Shift+V");
  await waitFor(page, "the pasted line", has("echo one-li''ne"));
  await page.keyboard.press("Enter");
  await waitFor(page, "its result", (text) => /^one-line$/m.test(text));
  await copied("echo fir''st\necho sec''ond\x1b[201~\u202e\n");
  await page.keyboard.press("Control+Shift+V");
  const dialog = page.locator("dialog[open]");
  await dialog.waitFor();
  const asked = await dialog.textContent();
  must(`the question shows what is hidden: ${asked}`, /U\+001B/.test(asked) && /U\+202E/.test(asked));
  await dialog.getByText("Cancel").click();
  must("nothing was pasted", !(await shown(page)).includes("fir''st"));
  await page.keyboard.press("Control+Shift+V");
  await dialog.locator("button.primary, button").first().click();
  await waitFor(page, "both lines, not run", (text) => text.includes("sec''ond") && !/^first$/m.test(text));
  await page.keyboard.press("Control+C");
}

/** PTY-05, PTY-07, PTY-08: what a file prints types nothing of its choosing, copies nothing, names nothing. */
async function hostile() {
  await copied("mine");
  await type(
    page,
    `clear; cat '${folder}/hostile'; read -rs -t 1 -d '' typed; printf 'ty''ped=%q.\\n' "$typed"`,
  );
  // An answer that comes before `read` has begun is echoed in front of it.
  const text = await waitFor(page, "what was typed", (all) => /typed=.*\.$/m.test(all));
  const typed = /typed=(.*)\.$/m.exec(text)[1];
  const allowed = /^\$'(\\E\[(0n|\d+;\d+R|\?1;2c|>0;276;0c))*'$/;
  must(`the terminal typed ${typed}`, allowed.test(typed));
  must("the clipboard is ours", (await clipboard()) === "mine");
  const title = await page.locator("[role=tab][aria-selected=true] .label").textContent();
  must(`the title is text: ${title}`, title.includes("<img src=x onerror=alert(1)>"));
  // A link to the web asks; one to a script is text.
  await point(/^good-link$/, "click");
  const dialog = page.locator("dialog[open]");
  await dialog.waitFor();
  must("the address is shown", (await dialog.textContent()).includes("https://example.com/path"));
  await dialog.getByText("Cancel").click();
  await point(/^evil-link$/, "click");
  must("a script is no link", (await dialog.count()) === 0);
  await type(
    page,
    `clear; printf '\\x1b]2;'; head -c ${endlessBytes} /dev/zero | tr '\\0' x; printf '\\x18'; echo sti''ll`,
  );
  await waitFor(page, "the end of an endless title", (all) => /still/.test(all), 120_000);
}

/** `yes` stops when it is told to, and the page lives meanwhile. One clock has all times. */
async function interrupt() {
  await page.evaluate(() => {
    const pressed = ({ code, timeStamp }) => {
      if (code === "KeyC") globalThis.pressedAt = performance.timeOrigin + timeStamp;
    };
    addEventListener("keydown", pressed, true);
  });
  const took = [];
  for (let time = 0; time < 3; time++) {
    await type(page, "clear; (trap 'date +at-%s%3N; exit' INT; yes)");
    await waitFor(page, "much output", (text) => text.startsWith("y\ny\ny\ny"));
    await page.waitForTimeout(700);
    await page.keyboard.press("Control+C");
    const text = await waitFor(page, "its end", (all) => /^(y?\^C)?at-\d+$/m.test(all));
    const at = Number(/at-(\d+)$/m.exec(text)[1]);
    took.push(Math.round(at - (await page.evaluate(() => globalThis.pressedAt))));
    await answered("echo ali''ve", /^alive$/m);
  }
  const state = await pane("footer .words").textContent();
  process.stderr.write(`Ctrl-C during yes took effect after ${took.join(", ")} ms; ${state}\n`);
  // PTY-01. Behind the output that was under way it would be much later, on a busy machine too.
  must(`Ctrl-C took ${took.join(", ")} ms`, Math.min(...took) <= 500);
}

/** Much text, while the page goes on answering. */
async function muchText() {
  await page.evaluate(() => {
    globalThis.beat = { last: performance.now(), longest: 0, beats: 0 };
    const beat = (now) => {
      const { last, longest, beats } = globalThis.beat;
      globalThis.beat = { last: now, longest: Math.max(longest, now - last), beats: beats + 1 };
      requestAnimationFrame(beat);
    };
    requestAnimationFrame(beat);
  });
  const begun = Date.now();
  await type(page, `clear; base64 -w 99 /dev/urandom | head -c ${catBytes}; echo; echo al''l-of-it`);
  await waitFor(page, "the end of the text", (text) => /^all-of-it$/m.test(text), 120_000);
  const { longest, beats } = await page.evaluate(() => globalThis.beat);
  process.stderr.write(
    `${catBytes} bytes in ${Date.now() - begun} ms; ${beats} frames, the longest gap ${Math.round(longest)} ms\n`,
  );
  must("the page drew meanwhile", beats > 3);
}

/** While text comes without end, the page does what it is asked to. */
async function endlessText() {
  await type(page, "clear; base64 -w 99 /dev/urandom");
  await waitFor(page, "much text", (text) => /^[A-Za-z0-9+/]{99}$/m.test(text));
  const begun = Date.now();
  await page.keyboard.press("Control+Shift+F");
  await pane(".find input:focus").waitFor();
  await page.keyboard.type("+/");
  must("it was typed there", (await pane(".find input").inputValue()) === "+/");
  await page.keyboard.press("Escape");
  await pane(".xterm-helper-textarea:focus").waitFor();
  process.stderr.write(`a search was opened, typed and closed meanwhile in ${Date.now() - begun} ms\n`);
  await page.keyboard.press("Control+C");
  await answered("echo ali''ve", /^alive$/m);
}

/** PTY-02: bytes that mean nothing and everything; the shell is whole after `reset`. */
async function rawBytes() {
  const over = `${folder}/raw-bytes-are-over`;
  await type(page, `clear; head -c ${catBytes} /dev/urandom; touch '${over}'`);
  const begun = Date.now();
  // Nothing is drawn as slowly: each few of them begin a sequence. How long it may take, the whole walk's limit says.
  while (!existsSync(over)) await page.waitForTimeout(50);
  process.stderr.write(`${catBytes} bytes that mean nothing in ${Date.now() - begun} ms\n`);
  // What the terminal answered to them stands on the line as if it had been typed.
  await page.keyboard.press("Control+C");
  await type(page, "reset");
  await plainPrompt();
  await answered("echo ali''ve", /^alive$/m);
}

/** Several shells of one server, leaving one and finding it again. */
async function several() {
  const [, first] = await answered("tty", /^\/dev\/(pts\/\d+)$/m);
  await page.locator("button.new").click();
  await page.locator("#reason").fill("a second look");
  await openShell(page);
  await plainPrompt();
  const [, second] = await answered("kept=of-the-second; tty", /^\/dev\/(pts\/\d+)$/m);
  must("two shells", first !== second && (await page.locator("[role=tab]").count()) === 2);
  await page.keyboard.press("Control+Shift+ArrowLeft");
  await waitFor(page, "the first one's screen", has(first));
  await page.keyboard.press("Control+Shift+ArrowRight");
  await waitFor(page, "the second one's screen", has(second));
  await pane("footer button:has-text('Leave running')").click();
  await page.waitForFunction(() => document.querySelectorAll("[role=tab]").length === 1);
  await page.goto(`${url}/#/servers`);
  await page.locator("a.line").first().click();
  await page.waitForFunction(() => document.querySelectorAll("[role=tab]").length === 2);
  await page.locator("[role=tab]").last().click();
  await waitFor(page, "its old screen", has(second));
  await answered("echo $kept", /^of-the-second$/m);
  for (const left of [1, 0]) {
    await end(page, 3);
    await pane("footer button:has-text('Close tab')").click();
    await page.waitForFunction((n) => document.querySelectorAll("[role=tab]").length === n, left);
  }
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  for (const look of [
    deepLink,
    sizes,
    cells,
    colours,
    find,
    programs,
    pasting,
    hostile,
    interrupt,
    muchText,
    endlessText,
    rawBytes,
    several,
  ]) {
    const begun = Date.now();
    await look();
    process.stderr.write(`${look.name} ${Date.now() - begun} ms\n`);
  }
});
