// What the owner of a new relay does in its first run, step by step, from the link that the relay printed to the command for
// the first server; every action is counted (hand.mjs).
import { readFileSync } from "node:fs";
import { violations } from "./axe.mjs";

/** Fails when axe-core finds something wrong with the page as it stands. */
export async function look(page, where) {
  const found = await violations(page);
  if (found.length > 0) throw new Error(`${where}: ${found.join("\n")}`);
}

/**
 * An account, by `way`, which is `passkey` or `password`, and the key that signs: a `passkey`, or the browser's own, `device`.
 * With a password, a name is given as well; without, what is proposed is left as it is.
 */
export async function account(page, hand, { link, way, kind, password }) {
  const main = page.locator("main");
  await page.goto(link);
  await page.locator("#account").waitFor();
  await look(page, "the first page");
  if (way === "password") {
    await hand.fill(page.locator("#account"), "olga");
    await hand.check(main.getByRole("radio", { name: "Password" }));
    await hand.fill(page.locator("#password"), password);
  }
  if (kind === "device") await hand.check(main.getByRole("radio", { name: "This browser's key (trial)" }));
  await hand.click(main.getByRole("button", { name: "Create account" }));
}

/** What the customer is called then, without anybody being asked. */
export const CUSTOMER = "My servers";

/** The recovery file, saved in `folder`; the log has its first entry then, and the command is there. */
export async function file(page, hand, { folder }) {
  const main = page.locator("main");
  const save = main.getByRole("button", { name: "Save the recovery file" });
  await save.waitFor();
  await look(page, "the file's page");
  const [download] = await Promise.all([page.waitForEvent("download"), hand.click(save)]);
  await download.saveAs(`${folder}/recovery`);
  const text = readFileSync(`${folder}/recovery`, "utf8");
  if (!text.startsWith("-----BEGIN OPENSSH PRIVATE KEY-----")) throw new Error("not a key file");
  await hand.click(main.getByRole("button", { name: "I have it, go on" }));
  await main.locator(".command code").waitFor();
}
