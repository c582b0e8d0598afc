// The terminal's two ways to draw, in a real Chromium: WebGL, what happens when its context is lost, and none at all.
// Driven by tests/tests/console.rs.
import { end, letIn, signIn, start, toServer, type, waitFor, walk } from "./console.mjs";

const [url, account, password, words] = process.argv.slice(2);
const it = await start({ webgl: true });
const { page, context } = it;
const canvases = ".panel-of-tab.shown .xterm-screen canvas";
const rows = ".panel-of-tab.shown .xterm-rows > div";

/** How much of the terminal's picture is not its ground. */
async function ink() {
  const picture = await page.locator(".panel-of-tab.shown .xterm-screen").screenshot();
  return page.evaluate(
    async (bytes) => {
      const image = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: "image/png" }));
      const canvas = new OffscreenCanvas(image.width, image.height);
      const drawing = canvas.getContext("2d");
      drawing.drawImage(image, 0, 0);
      const { data } = drawing.getImageData(0, 0, image.width, image.height);
      let other = 0;
      for (let at = 0; at < data.length; at += 4) {
        if (Math.abs(data[at] - data[0]) + Math.abs(data[at + 1] - data[1]) > 60) other += 1;
      }
      return other;
    },
    [...picture],
  );
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  await toServer(page, url, { user: "root" });
  await page.locator("button[type=submit]").click();
  await page.locator(canvases).first().waitFor({ state: "attached" });
  if ((await page.locator(rows).count()) !== 0) throw new Error("rows and a canvas");
  await page.waitForTimeout(300);
  await type(page, "PS1='rea''dy> '; clear");
  await page.waitForTimeout(300);
  const before = await ink();
  await type(page, "seq 1 30 | tr '\\n' ' '; echo drawn-$((6*7))");
  await page.waitForTimeout(500);
  const after = await ink();
  if (after < before + 200) throw new Error(`WebGL drew ${before}, then ${after} points`);
  await page.evaluate((all) => {
    const drawing = [...document.querySelectorAll(all)]
      .map((canvas) => canvas.getContext("webgl2"))
      .find(Boolean);
    drawing.getExtension("WEBGL_lose_context").loseContext();
  }, canvases);
  await waitFor(page, "the same text without WebGL", (text) => text.includes("drawn-42"));
  await type(page, "echo goes-o''n");
  await waitFor(page, "what is typed then", (text) => /^goes-on$/m.test(text));
  // A browser without WebGL draws with elements from the start.
  await context.addInitScript(() => {
    const native = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
      return kind.startsWith("webgl") ? null : native.call(this, kind, ...rest);
    };
  });
  await page.reload();
  await waitFor(page, "the text after a reload", (text) => text.includes("goes-on"));
  await end(page);
});
