// `npm run e2e:ui`: every page in both languages and themes and three widths, in a real Chromium, under the relay's
// policy: nothing reported by it, no axe-core violation, nothing wider than the window. `--shots FOLDER` keeps pictures.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { PAGES } from "./pages.mjs";
import { serve } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const flag = (name) => process.argv[process.argv.indexOf(name) + 1];
const shots = process.argv.includes("--shots") ? flag("--shots") : undefined;
const only = process.argv.includes("--only") ? flag("--only").split(",") : undefined;
const widths = process.argv.includes("--widths")
  ? flag("--widths").split(",").map(Number)
  : [390, 1280, 2560];
const HEIGHTS = { 390: 844, 1280: 800, 2560: 1440 };
const complaints = [];
let looks = 0;

if (shots) mkdirSync(shots, { recursive: true });
const { url, stop } = await serve("../../target/console-fake", "/fake.html");
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
  await page.evaluate(axe);
  const result = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
  for (const violation of result.violations) {
    const nodes = violation.nodes
      .map((node) => `${node.target.join(" ")} (${node.any[0]?.message ?? ""})`)
      .join(", ");
    complaints.push(`${where}: axe ${violation.id}: ${nodes}`);
  }
}

async function visit(one, language, theme, width) {
  const context = await browser.newContext({
    viewport: { width, height: HEIGHTS[width] ?? 800 },
    locale: language,
    colorScheme: theme,
    timezoneId: "Europe/Berlin",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const where = `${one.name} ${language} ${theme} ${width}`;
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`${where}: console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${where}: ${error.message}`));
  try {
    await page.goto(`${url}/${one.world ? `?${one.world}` : ""}#/${one.at}`);
    await page.locator("h1").first().waitFor({ timeout: 5000 });
    await one.steps?.(page, { language });
    await look(page, { name: one.name, language, theme, width });
  } catch (error) {
    complaints.push(`${where}: ${error.message}`);
  } finally {
    await context.close();
  }
}

try {
  for (const one of PAGES.filter(({ name }) => !only || only.includes(name))) {
    for (const language of ["en", "zh-CN"]) {
      for (const theme of ["light", "dark"]) {
        for (const width of widths) await visit(one, language, theme, width);
      }
    }
  }
} finally {
  await browser.close();
  stop();
}
for (const complaint of [...new Set(complaints)]) process.stdout.write(`${complaint}\n`);
process.stdout.write(`${looks} looks, ${complaints.length} complaints\n`);
process.exitCode = complaints.length > 0 || looks === 0 ? 1 : 0;
