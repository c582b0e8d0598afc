// AUT-04 in a real Chromium: an admin resets how somebody signs in and hands over the link; no way of before leads in any
// more, and the link leads to a new password once, another one to a passkey. Driven by tests/tests/console/reset.rs.
import { person, signIn, start, walk } from "./console.mjs";
import { look } from "./owner.mjs";
import { authenticator } from "./passkeys.mjs";

const [url, account, password, words, first, second] = process.argv.slice(2);
const it = await start();
const { page } = it;
const nina = await person(it);
const passkeys = await authenticator(nina.page);

function must(what, holds) {
  if (!holds) throw new Error(what);
}

const problem = ({ page: one }) => one.locator("main [role=alert]");
const inAs = ({ page: one }, name) => one.locator("header .who", { hasText: name }).waitFor();

/** Makes the account that is lost later. */
async function joins() {
  await page.goto(`${url}/#/settings/people`);
  await page.locator("form input").first().fill("nina");
  await page.locator("form button[type=submit]").click();
  const link = (await page.locator("code", { hasText: "#/join/" }).textContent()).trim();
  await nina.page.goto(link);
  await nina.page.locator("#account").waitFor();
  const ways = nina.page.getByRole("group", { name: "How you will sign in" });
  await ways.getByRole("radio", { name: "Password" }).check();
  await nina.page.locator("#password").fill(first);
  await nina.page.getByRole("button", { name: "Join" }).click();
  await inAs(nina, "nina");
}

/** The link, which the admin is shown once. */
async function resets() {
  await page.goto("about:blank");
  await page.goto(`${url}/#/settings/people`);
  const line = page.locator("li.line", { hasText: "nina" });
  await line.getByRole("button", { name: "Reset" }).click();
  const dialog = page.locator("dialog");
  await look(page, "the question before a reset");
  await dialog.getByRole("button", { name: "Reset" }).click();
  const link = (await dialog.locator("code").textContent()).trim();
  must(`a link to this page: ${link}`, link.startsWith(`${url}/#/reset/`));
  await look(page, "the link");
  await dialog.getByRole("button", { name: "Close" }).click();
  must("the link is shown once", !(await page.content()).includes(link));
  return link;
}

async function byPassword(secret) {
  await nina.page.locator("#account").fill("nina");
  await nina.page.locator("#password").fill(secret);
  await nina.page.keyboard.press("Enter");
}

/** Opens an address as from a mail: in a page that is loaded anew. */
async function opens({ page: one }, link) {
  await one.goto("about:blank");
  await one.goto(link);
}

async function signsOut() {
  await opens(nina, `${url}/#/settings`);
  await nina.page.getByRole("button", { name: "Sign out", exact: true }).click();
  await nina.page.locator("#account").waitFor();
}

async function toPassword() {
  const link = await resets();
  // Signed out, and the password of before is none.
  await opens(nina, `${url}/#/servers`);
  await byPassword(first);
  await problem(nina).waitFor();
  await opens(nina, link);
  await nina.page.getByRole("radio", { name: "Password" }).check();
  must("the account is named", (await nina.page.locator("#account").inputValue()) === "nina");
  await look(nina.page, "a new way to sign in");
  await nina.page.locator("#password").fill(second);
  await nina.page.keyboard.press("Enter");
  await inAs(nina, "nina");
  must("the link is not in the history", !nina.page.url().includes("reset"));
  await signsOut();
  await byPassword(second);
  await inAs(nina, "nina");
  await signsOut();
  await opens(nina, link);
  await problem(nina).filter({ hasText: "This link was used" }).waitFor();
  await look(nina.page, "a link that was used");
}

async function toPasskey() {
  const link = await resets();
  // Whoever opens it as somebody else is told so, and it counts on.
  await opens(it, link);
  await page.getByText(`You are signed in here as ${account}`).waitFor();
  await look(page, "a link for somebody else");
  await opens(nina, link);
  await nina.page.getByRole("button", { name: "Set it and sign in" }).click();
  await inAs(nina, "nina");
  // The one that signs on servers came with the invitation.
  const kept = (await passkeys.credentials()).filter((one) => one.isResidentCredential);
  must("one passkey for signing in", kept.length === 1);
  await signsOut();
  await byPassword(second);
  await problem(nina).waitFor();
  await nina.page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await inAs(nina, "nina");
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  // Pinned: links that invite hold the customer.
  await page.locator("#words").waitFor({ state: "detached" });
  await joins();
  await toPassword();
  await toPasskey();
});
