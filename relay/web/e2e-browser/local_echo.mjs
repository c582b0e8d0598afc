// Typed letters before their echoes, in a real Chromium: drawn while the relay is silent, as the terminal draws its own and in
// the same place, underlined after a while; a password never; nothing where somebody does not want it. Driven by
// tests/tests/console.rs.
import {
  ask,
  end,
  letIn,
  openShell,
  PATIENCE_MS,
  signIn,
  start,
  toServer,
  type,
  waitFor,
  walk,
} from "./console.mjs";

const [url, account, password, words, drawing] = process.argv.slice(2);
/** What WebGL draws cannot be read as text, only compared. */
const webgl = drawing === "webgl";
const it = await start({ webgl });
const { page } = it;
const PANE = ".panel-of-tab.shown";
const predicted = page.locator(`${PANE} .predicted`);

function must(what, holds) {
  if (!holds) throw new Error(what);
}

/** Does something while nothing comes from the server. */
async function silent(act) {
  await ask("silence-relay");
  try {
    return await act();
  } finally {
    await ask("wake-relay");
  }
}

/** The letters that are drawn and not answered. */
const letters = async () => ((await predicted.textContent()) ?? "").trimEnd();

async function untilPredicted(text) {
  await page.waitForFunction(
    ([selector, wanted]) => document.querySelector(selector)?.textContent.trimEnd() === wanted,
    [`${PANE} .predicted`, text],
    { timeout: PATIENCE_MS },
  );
}

const untilAnswered = () => predicted.waitFor({ state: "hidden" });

/** Types as somebody does who looks at the screen. */
async function typeSeen(text) {
  await page.keyboard.type(text, { delay: 40 });
  await untilAnswered();
}

/** The picture of the terminal. */
async function picture(name) {
  const path = process.env.SHOT && `${process.env.SHOT}.${name}.png`;
  const bytes = await page.locator(`${PANE} .xterm-screen`).screenshot({ path });
  return bytes.toString("base64");
}

/** How many points of two pictures differ, by more than letters do that begin within the same point. */
const difference = (one, other) =>
  page.evaluate(
    async (pictures) => {
      const [a, b] = await Promise.all(
        pictures.map(async (base64) => {
          const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
          const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
          const drawing = new OffscreenCanvas(image.width, image.height).getContext("2d");
          drawing.drawImage(image, 0, 0);
          return drawing.getImageData(0, 0, image.width, image.height).data;
        }),
      );
      let points = 0;
      for (let at = 0; at < a.length; at += 4)
        if (Math.abs(a[at] - b[at]) + Math.abs(a[at + 1] - b[at + 1]) + Math.abs(a[at + 2] - b[at + 2]) > 250)
          points += 1;
      return points;
    },
    [one, other],
  );

async function atOnce() {
  await typeSeen("echo g");
  const [bare, underlined] = await silent(async () => {
    await page.keyboard.type("uess");
    await untilPredicted("uess");
    // The underline comes by an animation, which is off for a while, however slow a picture is.
    await page.emulateMedia({ reducedMotion: "reduce" });
    const bare = await picture("bare");
    await page.emulateMedia({ reducedMotion: "no-preference" });
    await page.waitForTimeout(400);
    return [bare, await picture("underlined")];
  });
  await untilAnswered();
  const answered = await picture("answered");
  const [moved, marked] = [await difference(bare, answered), await difference(underlined, answered)];
  must(`${moved} points move when the answer comes`, moved === 0);
  must(`${marked} points say that the server is silent`, marked > 20);
  await silent(async () => {
    await page.keyboard.press("Backspace");
    await page.keyboard.press("Backspace");
    await page.keyboard.type("sed");
    await untilPredicted("ed");
  });
}

/** What is not echoed is in no element of the page, whatever was echoed before it. */
async function secret() {
  await type(page, "read -rsp 'Password: ' secret");
  await waitFor(page, "the question", (text) => /^Password:\s*$/m.test(text));
  for (const letter of "hunter2") {
    await page.keyboard.press(letter);
    await page.waitForTimeout(20);
    must("a letter of a password is drawn", (await letters()) === "");
  }
  await silent(async () => {
    await page.keyboard.type("zz");
    await page.waitForTimeout(300);
    must("a letter of a password is drawn", (await letters()) === "");
  });
  await page.keyboard.press("Enter");
  await type(page, "clear; wc -c <<<$secret");
  await waitFor(page, "how long it is", (text) => /^10$/m.test(text));
}

/** Whoever does not want it waits for the server. */
async function unwanted() {
  await page.goto(`${url}/#/settings/browser`);
  await page.getByRole("radio", { name: "Wait for the server" }).check();
  await page.goBack();
  await page.locator(`${PANE} .xterm-helper-textarea`).focus();
  await typeSeen("echo g");
  await silent(async () => {
    await page.keyboard.type("uess");
    await page.waitForTimeout(300);
    must("it is drawn all the same", (await letters()) === "");
  });
  await page.keyboard.press("Control+C");
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  await toServer(page, url, { user: "root" });
  if (webgl) await page.locator("button[type=submit]").click();
  else await openShell(page);
  await predicted.waitFor({ state: "attached" });
  await type(page, "PS1='rea''dy> '; clear");
  if (webgl) await page.waitForTimeout(500);
  else await waitFor(page, "the prompt", (text) => text.startsWith("ready>"));
  await atOnce();
  await page.keyboard.press("Enter");
  if (!webgl) {
    await waitFor(page, "what the shell got", (text) => /^guesed$/m.test(text));
    await secret();
    await unwanted();
  }
  await end(page);
});
