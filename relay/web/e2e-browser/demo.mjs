// The demo's own road, as a newcomer walks it from the link that `make demo` prints to a shell of this machine, with what is
// proposed left as it is: `passkey`, or `device` for the browser's own key. Counts what a person does, says how long it took,
// and fails beyond what is promised, or two minutes. Never: a step that a person does not do, or one that is not counted.
import { PATIENCE_MS, start, type, waitFor, walk } from "./console.mjs";
import { Hand } from "./hand.mjs";
import { authenticator } from "./passkeys.mjs";

const SECONDS_MAX = 120;

const [link, user, kind = "passkey"] = process.argv.slice(2);
/** The promise to a newcomer, opening the link apart. */
const ACTIONS_MAX = kind === "device" ? 4 : 5;
const begun = Date.now();
const opened = await start();
const { page } = opened;

await walk(opened, async () => {
  const hand = new Hand(await authenticator(page));
  const main = page.locator("main");
  await page.goto(link);
  // An account and a key: one screen. The demo lets the key in, and the only server's page opens.
  const submit = main.locator("form button[type=submit]");
  await submit.waitFor();
  if (kind === "device") await hand.check(main.getByRole("radio", { name: "This browser's key (trial)" }));
  await hand.click(submit);
  await page.locator("#reason").waitFor({ timeout: 3 * PATIENCE_MS });
  // The shell: a passkey's question is there by itself, the browser's own key asks for a yes in the form.
  const yes = page.locator("dialog button.primary");
  if (kind === "device") await hand.click(submit);
  if (kind === "passkey") await yes.waitFor();
  if (process.env.SHOT) await page.screenshot({ path: `${process.env.SHOT}.yes-${kind}.png` });
  if (kind === "passkey") await hand.click(yes);
  await waitFor(page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
  const seconds = (Date.now() - begun) / 1000;
  hand.promised(`from the link to a shell by ${kind}`, ACTIONS_MAX);
  if (seconds > SECONDS_MAX) throw new Error(`${seconds} s from the link to a shell`);
  await type(page, "echo a browser ran this as $(id -un) with $((8 * 8))");
  await waitFor(page, "the answer", (text) => text.includes(`a browser ran this as ${user} with 64`));
  await type(page, "exit");
  const how = kind === "passkey" ? "passkeys" : "its own key";
  process.stdout.write(
    `a browser ran a shell as ${user} by ${how}, ${hand.actions} actions and ${seconds.toFixed(1)} s after the link\n`,
  );
});
