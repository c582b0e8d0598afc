// The demo's own road, as a newcomer walks it from the link that `make demo` prints to a shell of this machine: account,
// key, server, shell. Says what it did and how long that took. Never: a step that a person does not do.
import { PATIENCE_MS, start, type, waitFor, walk } from "./console.mjs";
import { authenticator } from "./passkeys.mjs";

const [link, user] = process.argv.slice(2);
const begun = Date.now();
const opened = await start();
const { page } = opened;

await walk(opened, async () => {
  await authenticator(page);
  // 1: the link. 2: the account, with a passkey to sign in.
  await page.goto(link);
  await page.locator("form button[type=submit]").click();
  // 3: the key that signs.
  await page.locator("main button.primary").first().click();
  // 4: into the servers, once the demo has let the key in, and to the only one.
  const goOn = page.locator("main button.primary");
  await goOn.waitFor({ timeout: 3 * PATIENCE_MS });
  await goOn.click();
  const server = page.locator("a.line").first();
  await server.click();
  // 5: the shell, with a touch.
  await page.locator("#user").fill(user);
  await page.locator("#reason").fill("to try it out");
  await page.locator("main form button[type=submit]").click();
  await page.locator("dialog button.primary").click();
  await waitFor(page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
  const seconds = ((Date.now() - begun) / 1000).toFixed(1);
  await type(page, "echo a browser ran this as $(id -un) with $((8 * 8))");
  await waitFor(page, "the answer", (text) => text.includes(`a browser ran this as ${user} with 64`));
  await type(page, "exit");
  process.stdout.write(`a browser ran a shell as ${user}, ${seconds} s after the link\n`);
});
