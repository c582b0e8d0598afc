// The whole road in a real Chromium: sign in, pin six words, hand out this browser's key, open a shell, type, reload,
// lose the relay in the middle of output, see its end. Driven by tests/tests/console.rs.
import { ask, end, letIn, openShell, signIn, start, toServer, type, waitFor, walk } from "./console.mjs";

const [url, account, password, words] = process.argv.slice(2);
const it = await start();
const { page } = it;

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  await toServer(page, url, { user: "root" });
  await openShell(page);
  await type(page, "PS1='rea''dy> '; clear; echo $((6*7))-$(id -un)");
  await waitFor(page, "a shell as root", (text) => text.includes("42-root"));
  if (process.env.SHOT) await page.screenshot({ path: process.env.SHOT });
  await page.reload();
  await waitFor(page, "the shell after a reload", (text) => text.includes("42-root"));
  await type(page, "clear; for i in $(seq 1 400); do echo line-$i-; sleep 0.01; done; echo do''ne");
  await waitFor(page, "the first lines", (text) => /line-3\d-/.test(text));
  await ask("kill-relay");
  await waitFor(page, "the last line", (text) => text.includes("done"));
  await end(page, 3);
});
