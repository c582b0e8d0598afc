// The first run of a relay in a real Chromium: from the link that it printed to a prompt on one's own server, on after a
// reload, and the server named, labelled and taken off the list. Driven by tests/tests/console/first_run.rs.
import { ask, end, start, type, waitFor, walk } from "./console.mjs";
import { Hand } from "./hand.mjs";
import { account, CUSTOMER, file, look } from "./owner.mjs";
import { authenticator } from "./passkeys.mjs";

const [link, way, kind, password, folder] = process.argv.slice(2);
const it = await start();
const { page } = it;
const passkeys = await authenticator(page);
const hand = new Hand(passkeys);
/** What it takes with everything left as proposed: 3 of it are the command's, copied, pasted and confirmed. */
const ACTIONS_MAX = 11;
/** The same with names and a password of one's own. */
const ACTIONS_NAMED_MAX = 14;
const SECONDS_MAX = 120;

async function server() {
  const main = page.locator("main");
  await look(page, "the command's page");
  // Copied here, pasted there, and confirmed there.
  hand.elsewhere(3);
  await ask("install", await main.locator(".command code").textContent());
  const open = main.getByRole("button", { name: "Open shell" });
  await open.waitFor({ timeout: 20_000 });
  await look(page, "the server is here");
  await hand.click(open);
}

async function shell() {
  // By passkey the question is there at once; the browser's own key asks for a yes in the form, which is filled.
  if (kind === "passkey") await question();
  else {
    await page.locator("#reason").waitFor();
    await look(page, "the form");
    await hand.press(page.locator("#reason"), "Enter");
  }
  await waitFor(page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
}

/** What the passkey is about to sign stands there before the browser asks for the touch. */
async function question() {
  const dialog = page.locator("dialog");
  const yes = dialog.getByRole("button", { name: "Sign with passkey" });
  await yes.waitFor();
  const said = await dialog.textContent();
  for (const fact of ["web-1", "root", "First look"])
    if (!said.includes(fact)) throw new Error(`the question does not say ${fact}: ${said}`);
  // Whoever is alone meets no customer, no log of keys, and nobody who must agree.
  if (said.includes(CUSTOMER)) throw new Error(`the question names a customer: ${said}`);
  const places = await page.locator("header nav a").allTextContents();
  if (places.length !== 3) throw new Error(`more is in sight than one needs: ${places.join(", ")}`);
  await look(page, "the question");
  await hand.click(yes);
}

/** A shell that was opened by a touch goes on after a reload without another one. */
async function reload() {
  const touches = passkeys.touches();
  await page.reload();
  await waitFor(page, "the shell after a reload", (text) => text.includes("42-root"));
  await type(page, "clear; echo $((7*7))-again");
  await waitFor(page, "it goes on", (text) => text.includes("49-again"));
  if (passkeys.touches() !== touches) throw new Error("a reload asked for a touch");
}

/** Calls that are not answered yet, but for those that the relay holds until there is news. */
const asked = new Set();
page.on("request", (request) => {
  if (request.url().includes("/api/") && !request.url().includes("wait=")) asked.add(request);
});
for (const over of ["requestfinished", "requestfailed"]) page.on(over, (request) => asked.delete(request));

/** Waits until the page has what it asked for, and has drawn it. */
async function answered() {
  const drawn = () =>
    page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  for (let quiet = 0; quiet < 3; quiet = asked.size === 0 ? quiet + 1 : 0) await drawn();
}

/** Every room, with what is really there: nothing is wrong in it. */
async function rooms() {
  const place = new URL(page.url()).hash;
  const settings = ["keys", "people", "sessions", "signin", "tokens"].map((part) => `#/settings/${part}`);
  const ofServer = [`${place}/about`, `${place}/audit`];
  const others = ["#/servers", "#/add", "#/approvals", "#/visits", "#/trust", "#/settings"];
  for (const room of [...ofServer, ...others, ...settings, place]) {
    await page.evaluate((hash) => {
      location.hash = hash;
    }, room);
    await page.waitForFunction((hash) => location.hash === hash, room);
    await page.locator("main h1, main h2").first().waitFor();
    await answered();
    const wrong = await page.locator("[role=alert]").allTextContents();
    if (wrong.length > 0) throw new Error(`${room}: ${wrong.join("; ")}`);
    await look(page, room);
  }
  await waitFor(page, "the shell is still there", (text) => text.includes("49-again"));
}

/** Signs the change that was asked for, which the question names first. */
async function signed(fact) {
  const dialog = page.locator("dialog[open]");
  const yes = dialog.getByRole("button", { name: "Sign with passkey" });
  await yes.waitFor();
  const said = await dialog.textContent();
  if (!said.includes(fact)) throw new Error(`the question does not say ${fact}: ${said}`);
  await yes.click();
}

/** The server gets a name and labels, is found by one of them, and is taken off the list. */
async function changes() {
  const main = page.locator("main");
  const place = new URL(page.url()).hash.replace(/\?.*/, "");
  const to = (hash) =>
    page.evaluate((wanted) => {
      location.hash = wanted;
    }, hash);
  await to(`${place}/about`);
  await main.getByLabel("Name", { exact: true }).fill("front-1");
  await main.getByRole("button", { name: "Rename", exact: true }).click();
  await signed("front-1");
  await main.getByText("It has a new name.").waitFor();
  await main.getByLabel("Labels", { exact: true }).fill("prod zone:eu");
  await main.getByRole("button", { name: "Save labels" }).click();
  await main.getByText("The labels are saved.").waitFor();
  await to("#/servers");
  const line = page.locator("a.line", { hasText: "front-1" });
  await line.locator("bdi.tag", { hasText: "zone:eu" }).waitFor();
  await main.getByRole("button", { name: "prod", exact: true }).click();
  await page.waitForFunction(() => location.hash.includes(encodeURIComponent("label:prod")));
  await line.waitFor();
  await to(`${place}/about`);
  await main.locator("summary", { hasText: "Remove this server" }).click();
  await main.getByRole("button", { name: "Remove server" }).click();
  await signed("front-1");
  await page.waitForFunction(() => location.hash === "#/servers");
  await page.reload();
  await answered();
  if ((await line.count()) > 0) await line.getByText("not in the customer's list").waitFor();
  else await main.getByText("A server joins when its owner installs the agent there.").waitFor();
}

await walk(it, async () => {
  const begun = Date.now();
  const times = [];
  for (const step of [account, file, server, shell]) {
    await step(page, hand, { link, way, kind, password, folder });
    times.push(`${step.name} ${Date.now() - begun}`);
  }
  const took = `${hand.actions} actions, ${passkeys.touches()} of them touches, ${Date.now() - begun} ms`;
  hand.promised("from the link to a prompt", way === "passkey" ? ACTIONS_MAX : ACTIONS_NAMED_MAX);
  if (Date.now() - begun > SECONDS_MAX * 1000) throw new Error(`it took ${took}`);
  process.stderr.write(`${way} and ${kind}: ${took} (${times.join(", ")})\n`);
  await look(page, "the terminal");
  await type(page, "PS1='rea''dy> '; clear; echo $((6*7))-$(id -un)");
  await waitFor(page, "a command's output", (text) => text.includes("42-root"));
  await reload();
  if (way === "passkey") await rooms();
  await end(page);
  if (way === "passkey") await changes();
});
