// `npm run e2e:ui`: every page in both languages and themes and several widths, in a real Chromium, under the relay's
// policy: nothing reported by it, no axe-core violation, nothing wider than the window; and the roads that matter, walked
// by keyboard alone. `--shots FOLDER` keeps pictures; `--only`, `--widths`, `--languages`, `--themes` and, for the roads,
// `--walks` narrow it; `--quick` looks at each page narrow, dark and in English, at each second one also wide, light and
// in Chinese.
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { violations } from "../e2e-browser/axe.mjs";
import { PAGES } from "./pages.mjs";
import { serve } from "./server.mjs";
import { WALKS } from "./walks.mjs";

const flag = (name) => process.argv[process.argv.indexOf(name) + 1];
const shots = process.argv.includes("--shots") ? flag("--shots") : undefined;
const only = process.argv.includes("--only") ? flag("--only").split(",") : undefined;
const list = (name, all) => (process.argv.includes(name) ? flag(name).split(",") : all);
const widths = list("--widths", ["360", "1280"]).map(Number);
const languages = list("--languages", ["en", "zh-CN"]);
const themes = list("--themes", ["light", "dark"]);
const quick = process.argv.includes("--quick");
/** What `--quick` looks at, which takes about five minutes on two cores: of the wide ones each second page. */
const QUICK = { en: { themes: ["dark"], widths: [360] }, "zh-CN": { themes: ["light"], widths: [1280] } };
const HEIGHTS = { 360: 780, 1280: 800, 3840: 2160 };
/** A machine that does other things too is slow. */
const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 30_000);
const complaints = [];
let looks = 0;

if (shots) mkdirSync(shots, { recursive: true });
const { url, stop } = await serve("../../target/console-fake", "/index.html");
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
});

async function look(page, { name, language, theme, width }) {
  const where = `${name} ${language} ${theme} ${width}`;
  looks += 1;
  if (shots) await page.screenshot({ path: `${shots}/${name}-${language}-${theme}-${width}.png` });
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wider > 0) complaints.push(`${where}: ${wider} px wider than the window`);
  for (const violation of await violations(page)) complaints.push(`${where}: ${violation}`);
}

/** Whoever wants no motion sees none. */
async function rest(page, where) {
  await page.emulateMedia({ reducedMotion: "reduce" });
  const moving = await page.evaluate(() =>
    document
      .getAnimations()
      .filter((one) => one.playState === "running" && (one.effect?.getComputedTiming().endTime ?? 0) > 1)
      .map((one) => one.animationName ?? one.transitionProperty),
  );
  if (moving.length > 0) complaints.push(`${where}: moves without being wanted to: ${moving.join(", ")}`);
}

/** Goes there and does what a person does, once for each language; themes and widths change under the finished page. */
async function visit(one, language) {
  const asked = quick ? QUICK[language] : { themes, widths };
  const looked = quick
    ? asked.widths.filter((width) => one.widths?.includes(width) ?? true)
    : (one.widths ?? widths);
  if (looked.length === 0) return;
  const [first] = asked.widths;
  const context = await browser.newContext({
    viewport: { width: first, height: HEIGHTS[first] ?? 800 },
    locale: language,
    colorScheme: asked.themes[0],
    timezoneId: "Europe/Berlin",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const where = `${one.name} ${language}`;
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${where}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${where}: ${error.message}`));
  try {
    await one.before?.(page);
    await page.goto(`${url}/${one.world ? `?${one.world}` : ""}#/${one.at}`);
    await page.locator("h1").first().waitFor();
    await one.steps?.(page, { language });
    for (const width of looked) {
      await page.setViewportSize({ width, height: HEIGHTS[width] ?? 800 });
      for (const theme of asked.themes) {
        await page.emulateMedia({ colorScheme: theme });
        // Two frames, in which what watches its size has drawn again.
        await page.evaluate(
          () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
        );
        await look(page, { name: one.name, language, theme, width });
      }
    }
    await rest(page, where);
  } catch (error) {
    complaints.push(`${where}: ${error.message}`);
    if (shots) await page.screenshot({ path: `${shots}/failed-${one.name}-${language}.png` });
  } finally {
    await context.close();
  }
}

async function walked(walk) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en" });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  try {
    await walk(page, url);
  } finally {
    await context.close();
  }
}

try {
  const pages = PAGES.filter(({ name }) => !only || only.includes(name));
  // Side by side: much of a visit is waiting.
  await Promise.all(
    languages.map(async (language) => {
      for (const [at, one] of pages.entries())
        if (!quick || language === "en" || at % 2 === 0 || one.widths?.includes(360) === false)
          await visit(one, language);
    }),
  );
  const walks = process.argv.includes("--walks") ? flag("--walks") : only ? undefined : "";
  if (walks !== undefined) {
    for (const [name, walk] of Object.entries(WALKS).filter(([name]) => name.includes(walks))) {
      await walked(walk).catch((error) => complaints.push(`${name}: ${error.message}`));
    }
  }
} finally {
  await browser.close();
  stop();
}
for (const complaint of [...new Set(complaints)]) process.stdout.write(`${complaint}\n`);
process.stdout.write(`${looks} looks, ${complaints.length} complaints\n`);
process.exitCode = complaints.length > 0 || looks === 0 ? 1 : 0;
