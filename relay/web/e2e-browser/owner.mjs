// What the owner of a new relay does in its first run, step by step, from the link that the relay printed to the command for
// the first server; every action is counted. Never: an action that is not counted.
import { readFileSync } from "node:fs";
import { violations } from "./axe.mjs";

/** Fails when axe-core finds something wrong with the page as it stands. */
export async function look(page, where) {
  const found = await violations(page);
  if (found.length > 0) throw new Error(`${where}: ${found.join("\n")}`);
}

/** Somebody who clicks and types, and how often. */
export class Hand {
  actions = 0;

  async click(place) {
    this.actions += 1;
    await place.click();
  }

  async fill(place, text) {
    this.actions += 1;
    await place.fill(text);
  }

  async check(place) {
    if (await place.isChecked()) return;
    this.actions += 1;
    await place.check();
  }
}

/** An account: by `way`, which is `passkey` or `password`. */
export async function account(page, hand, { link, way, password }) {
  const main = page.locator("main");
  await page.goto(link);
  await page.locator("#account").waitFor();
  await look(page, "the first page");
  await hand.fill(page.locator("#account"), "olga");
  await hand.fill(page.locator("#customer"), "Olga's servers");
  await hand.check(main.getByRole("radio", { name: way === "passkey" ? "Passkey" : "Password" }));
  if (way === "password") await hand.fill(page.locator("#password"), password);
  await hand.click(main.getByRole("button", { name: "Create account" }));
}

/** The key that signs: a `passkey`, or the browser's own, `device`. */
export async function key(page, hand, { kind }) {
  const name = { passkey: "Make a passkey", device: "Use this browser's key (trial)" }[kind];
  const button = page.locator("main").getByRole("button", { name });
  await button.waitFor();
  await look(page, "the key's page");
  await hand.click(button);
}

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
