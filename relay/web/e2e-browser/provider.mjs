// AUT-10 in a real Chromium: to an identity provider and back, by its button on the sign-in page, to where one was; a
// person whom the provider does not let in; and an address with somebody else's code in it. The provider is a host of another
// site, so nothing of ours goes along on the way back. Driven by tests/tests/console/provider.rs.
import { person, start, walk } from "./console.mjs";
import { look } from "./owner.mjs";

const [url, issuer] = process.argv.slice(2);
const it = await start();
const { page, context } = it;
const PLACE = "#/settings/sessions";

function must(what, holds) {
  if (!holds) throw new Error(what);
}

const button = (one) => one.getByRole("button", { name: "Sign in with Work" });

/** Goes to the provider, and answers its question if it asks. */
async function leave(one, answer) {
  await button(one).click();
  await one.waitForURL(`${issuer}/**`);
  await one.getByRole("button", { name: answer }).click();
}

/** The page is back where it was, and holds nothing of what the provider gave. */
async function isBack(one) {
  await one.waitForURL(`${url}/${PLACE}`);
  must("a code is left in the address", !one.url().includes("code="));
}

async function comesBack() {
  await page.goto(`${url}/${PLACE}`);
  await button(page).waitFor();
  await look(page, "the sign-in page");
  await leave(page, "I am pat");
  await isBack(page);
  await page.locator("header .who", { hasText: "pat" }).waitFor();
  const cookies = await context.cookies(url);
  must(
    `one sign-in: ${JSON.stringify(cookies)}`,
    cookies.some((one) => !one.name.endsWith("-oidc")),
  );
  for (const { name, sameSite, httpOnly, secure } of cookies)
    must(`${name} is strict`, sameSite === "Strict" && httpOnly && secure);
  await page.reload();
  await page.locator("header .who", { hasText: "pat" }).waitFor();
  must("what was given is not in the history", !(await page.evaluate(() => location.href)).includes("code"));
}

/** Signed out here, and still known there: the provider does not ask again. */
async function comesAgain() {
  await page.goto(`${url}/#/settings`);
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.goto(`${url}/${PLACE}`);
  await button(page).click();
  await page.locator("header .who", { hasText: "pat" }).waitFor();
  await isBack(page);
}

async function isRefused() {
  const other = await person(it);
  await other.page.goto(`${url}/${PLACE}`);
  await leave(other.page, "I am not");
  const problem = other.page.locator("[role=alert]");
  await problem.filter({ hasText: "Work did not sign you in" }).waitFor();
  await isBack(other.page);
  await look(other.page, "the refusal");
  // An address that somebody sent: this window has asked for nothing.
  await other.page.goto(`${url}/oidc/callback?state=a&code=b`);
  await problem.filter({ hasText: "Begin again here" }).waitFor();
  must("nobody is signed in", await other.page.locator("#account").isVisible());
}

await walk(it, async () => {
  await comesBack();
  await comesAgain();
  await isRefused();
});
