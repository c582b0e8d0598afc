// Two people of whom one may not do it alone, in a real Chromium: an engineer asks for root, the customer's approver compares
// six words and says yes, watches what is typed and ends it; says no with a sentence; says nothing; and reads the server's
// own audit. Both came by links. Driven by tests/tests/console/vendor.rs.
import { ask, person, shown, start, toServer, type, waitFor, walk } from "./console.mjs";
import { look } from "./owner.mjs";
import { authenticator } from "./passkeys.mjs";

const [url, password, kind] = process.argv.slice(2);
const it = await start();
const erin = it;
const paula = await person(it);
for (const one of [erin, paula]) one.passkeys = await authenticator(one.page);

function must(what, holds) {
  if (!holds) throw new Error(what);
}

const seconds = (begun) => `${((Date.now() - begun) / 1000).toFixed(2)} s`;

/** Comes by a link: an account, a key that signs, and the wait until the customer lets it in. */
async function join({ page }, role, { account, way, key }) {
  await page.goto(await ask("invite", role));
  const main = page.locator("main");
  await page.locator("#account").fill(account);
  await main.getByRole("group", { name: "How you will sign in" }).getByRole("radio", { name: way }).check();
  if (way === "Password") await page.locator("#password").fill(password);
  if (key === "device") await main.getByRole("radio", { name: "This browser's key (trial)" }).check();
  await look(page, `joining as ${role}`);
  await main.getByRole("button", { name: "Join" }).click();
  await main.getByRole("heading", { name: "Waiting to be let in" }).waitFor();
  await look(page, `waiting as ${role}`);
  await ask("accept", role);
  // An engineer is taken along to the only server; nobody has said as which user yet.
  if (role === "engineer") await page.locator("#user:focus").waitFor();
  else await main.getByRole("heading", { name: "You are in" }).waitFor();
  await look(page, `in as ${role}`);
}

/** What a passkey is about to sign says all of this; then it signs. */
async function sign({ page }, title, ...facts) {
  const dialog = page.locator("dialog");
  await dialog.getByRole("heading", { name: title }).waitFor();
  const said = await dialog.textContent();
  for (const fact of facts) must(`the question does not say ${fact}: ${said}`, said.includes(fact));
  await look(page, title);
  await dialog.getByRole("button", { name: "Sign with passkey" }).click();
  await dialog.waitFor({ state: "detached" });
}

const wordsOf = async (place) => (await place.locator(".words li").allTextContents()).join(" ");
const problem = ({ page }) => page.locator("main form [role=alert]");
const card = ({ page }, reason) => page.locator("article", { hasText: reason });

/** Asks for a root shell. */
async function requests(reason) {
  const { page } = erin;
  await toServer(page, url, { user: "root", reason });
  await page.locator("button[type=submit]").click();
  if (kind === "passkey") await sign(erin, "Sign to open a terminal", "web-1", "root", reason);
}

/** The same; returns the six words that the page shows then. */
async function asks(reason) {
  await requests(reason);
  const waits = erin.page.locator(".second");
  await waits.waitFor();
  return wordsOf(waits);
}

async function approved() {
  await paula.page.goto(`${url}/#/approvals`);
  await paula.page.getByRole("heading", { name: "Nothing waits for approval" }).waitFor();
  await look(paula.page, "no requests");
  const reason = "the disk is full";
  const words = await asks(reason);
  const begun = Date.now();
  const request = card(paula, reason);
  await request.waitFor();
  const seen = Date.now() - begun;
  must("both see the same words", words.split(" ").length === 6 && (await wordsOf(request)) === words);
  const said = await request.textContent();
  must(
    `the request says it all: ${said}`,
    ["Erin", "web-1", "root"].every((one) => said.includes(one)),
  );
  must("who can answer is named", (await erin.page.locator(".second").textContent()).includes("Paula"));
  await look(erin.page, "waiting for another person");
  await look(paula.page, "a request");
  await request.getByRole("button", { name: "Approve" }).click();
  await sign(paula, "Sign to approve", "Erin", "web-1", "root", reason, words.split(" ")[0]);
  const signed = Date.now();
  await erin.page.locator(".panel-of-tab.shown .xterm-screen").waitFor();
  await waitFor(erin.page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
  process.stderr.write(`seen after ${seen} ms, open ${seconds(signed)} after the yes\n`);
  await request.getByText("approved", { exact: true }).waitFor();
}

/** What somebody else's terminal shows on the page that watches it. */
const watched = () =>
  paula.page.evaluate(() =>
    [...document.querySelectorAll(".watch .xterm-rows > div")].map((row) => row.textContent).join("\n"),
  );

async function sees(what) {
  for (const late = Date.now() + 20_000; Date.now() < late; await paula.page.waitForTimeout(20)) {
    if ((await watched()).includes(what)) return;
  }
  throw new Error(`not seen: ${what}\n${await watched()}`);
}

async function watches() {
  await type(erin.page, "PS1='rea''dy> '; clear; echo before-$((6*7))");
  await waitFor(erin.page, "an output", (text) => text.includes("before-42"));
  await paula.page.goto(`${url}/#/visits`);
  const line = paula.page.locator("li.running", { hasText: "erin" });
  await line.waitFor();
  await look(paula.page, "visits");
  await line.getByRole("link", { name: "Watch" }).click();
  // As whom a shell runs is sealed: where nobody has said it, the page asks.
  const user = paula.page.locator(".watch form input");
  await user.or(paula.page.locator("dialog")).first().waitFor();
  if (await user.isVisible()) {
    await user.fill("root");
    await user.press("Enter");
  }
  await sign(paula, "Sign to watch", "web-1", "root");
  await sees("before-42");
  await erin.page.locator(".strip", { hasText: "watched by Paula" }).waitFor();
  const begun = Date.now();
  await type(erin.page, "echo typed-$((7*7))-while-watched");
  await sees("echo typed-$((7*7))-while-watched");
  await sees("typed-49-while-watched");
  process.stderr.write(`what is typed is seen after ${seconds(begun)}\n`);
  await look(erin.page, "being watched");
  await look(paula.page, "watching");
  // What a watcher types goes nowhere.
  await paula.page.locator(".watch .host").click();
  await paula.page.keyboard.type("echo from-the-watcher");
  await type(erin.page, "echo the-end-of-it");
  await sees("the-end-of-it");
  must("a watcher typed", !(await shown(erin.page)).includes("from-the-watcher"));
}

async function ends() {
  await paula.page.locator(".watch footer").getByRole("button", { name: "End visit" }).click();
  const confirm = paula.page.locator("dialog", { hasText: "End this visit?" });
  await look(paula.page, "the question before the end");
  await confirm.getByRole("button", { name: "End visit" }).click();
  const state = erin.page.locator(".panel-of-tab.shown footer .words");
  await state.filter({ hasText: "ended by the customer" }).waitFor();
  await paula.page.locator(".watch footer .state", { hasText: "ended" }).waitFor();
  await look(erin.page, "an ended visit");
}

async function denied() {
  const reason = "a second try";
  await paula.page.goto(`${url}/#/approvals`);
  await asks(reason);
  const request = card(paula, reason);
  await request.getByRole("button", { name: "Deny" }).click();
  await request.getByRole("textbox").fill("not before Monday");
  await look(paula.page, "saying no");
  await request.getByRole("button", { name: "Deny" }).click();
  await problem(erin).filter({ hasText: "not before Monday" }).waitFor();
  must("who said it is named", (await problem(erin).textContent()).includes("paula said no"));
  await look(erin.page, "a no");
  await request.getByText("denied", { exact: true }).waitFor();
}

async function takenBack() {
  const reason = "never mind";
  await asks(reason);
  const request = card(paula, reason);
  await request.getByRole("button", { name: "Approve" }).waitFor();
  await erin.page.locator(".second").getByRole("button", { name: "Take back" }).click();
  await problem(erin).filter({ hasText: "You took the request back." }).waitFor();
  await request.getByText("taken back", { exact: true }).waitFor();
  must("nothing is left to answer", (await request.getByRole("button").count()) === 0);
}

/** Nobody answers: a relay that forgets sooner than ten minutes, and a server on which root cannot say yes either. */
async function expired() {
  await ask("no-local");
  const place = "**/api/v1/approvals";
  await erin.page.route(place, (route) => {
    if (route.request().method() !== "POST") return route.fallback();
    return route.continue({ postData: { ...route.request().postDataJSON(), valid_secs: 2 } });
  });
  const reason = "nobody is there";
  // On a busy machine its six words are gone before they are seen.
  await requests(reason);
  await problem(erin).filter({ hasText: "Nobody gave the second signature in time." }).waitFor();
  await card(paula, reason).getByText("nobody answered; it expired").waitFor();
  await erin.page.unroute(place);
}

async function audit() {
  const { page } = paula;
  await page.goto(`${url}/#/servers`);
  const place = await page.locator("a.line").first().getAttribute("href");
  await page.goto(`${url}/${place}/audit`);
  const read = page.getByRole("button", { name: "Read from the server" });
  await read.waitFor();
  await look(page, "the audit's page");
  await read.click();
  await sign(paula, "Sign to read the audit log", "web-1");
  await page.getByRole("heading", { name: /^Verified to entry \d+$/ }).waitFor();
  const lines = await page.locator("li.entry").allTextContents();
  for (const said of ["Erin", "Paula", "the disk is full"])
    must(
      `the audit does not say ${said}: ${lines.join("\n")}`,
      lines.some((line) => line.includes(said)),
    );
  await look(page, "the audit");
}

await walk(it, async () => {
  for (const [what, step] of Object.entries({
    engineer: () => join(erin, "engineer", { account: "erin", way: "Password", key: kind }),
    approver: () => join(paula, "approver", { account: "paula", way: "Passkey", key: "passkey" }),
    approved,
    watches,
    ends,
    // The rest is the same whichever key an engineer has.
    ...(kind === "passkey" ? { denied, takenBack, expired, audit } : {}),
  })) {
    const begun = Date.now();
    await step();
    process.stderr.write(`${what} ${Date.now() - begun} ms\n`);
  }
});
