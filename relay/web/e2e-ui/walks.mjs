// The roads that matter, walked by keyboard alone: no click, and the focus is always somewhere one can see.
import { focused, tabTo } from "../e2e-browser/keyboard.mjs";

/** The question before a touch has the focus on its yes; Enter answers. */
async function touch(page) {
  await focused(page, "dialog button.primary");
  await page.keyboard.press("Enter");
  await page.locator("dialog").waitFor({ state: "detached" });
}

export const WALKS = {
  async "health by keyboard"(page, url) {
    await page.goto(`${url}/#/servers/${"01".repeat(32)}`);
    await page.locator("nav a[href$='/health']").waitFor();
    await tabTo(page, "nav a[href$='/health']");
    await page.keyboard.press("Enter");
    await page.locator("article").first().waitFor();
    // Along the runs to an earlier one, and back.
    await tabTo(page, "nav ol a[aria-current]");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.includes("run="));
    await tabTo(page, ".note a");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => !location.hash.includes("run="));
    // The filter is in the address.
    await page.locator("main").focus();
    await page.keyboard.press("/");
    await focused(page, "#filter");
    await page.keyboard.type("disk");
    await page.waitForFunction(() => location.hash.includes("q=disk"));
    await page.waitForFunction(() => document.querySelectorAll(".first article").length === 1);
    // Waives what is left.
    await tabTo(page, "article button");
    await page.keyboard.press("Enter");
    await focused(page, "article form input");
    await page.keyboard.type("grows until Monday");
    await page.keyboard.press("Enter");
    await focused(page, "h1");
    await page.waitForFunction(() => document.querySelector("h1").textContent.includes("2 waived"));
    // And takes it back.
    await tabTo(page, ".folded summary");
    await page.keyboard.press("Enter");
    await tabTo(page, ".waived button");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector("h1").textContent.includes("1 waived"));
    // Checks again.
    await tabTo(page, ".head button.primary");
    await page.keyboard.press("Enter");
    await page.locator("progress").waitFor();
    await page.waitForFunction(() => document.querySelector("h1").textContent.includes("just now"));
  },

  async "set-up by keyboard"(page, url) {
    await page.goto(`${url}/?out#/setup/K7QX9M2P`);
    await focused(page, "#account");
    await page.keyboard.type("olga@acme.example");
    await page.keyboard.press("Tab");
    await focused(page, "#customer");
    await page.keyboard.type("ACME Logistics");
    await page.keyboard.press("Enter");
    await page.locator("button.primary:not([type=submit])").waitFor();
    await focused(page, "h1");
    await tabTo(page, "main button.primary");
    await page.keyboard.press("Enter");
    await page.locator("details").waitFor();
    await focused(page, "h1");
    await tabTo(page, "main button.primary");
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    if (!download.suggestedFilename().includes("recovery")) throw new Error(download.suggestedFilename());
    await tabTo(page, "main button.primary");
    await page.keyboard.press("Enter");
    await touch(page);
    await page.locator(".waits a").waitFor();
    await tabTo(page, ".waits a");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.startsWith("#/servers/"));
    await focused(page, "#user");
    await page.keyboard.type("deploy");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await focused(page, "#reason");
    await page.keyboard.type("first look");
    await page.keyboard.press("Enter");
    await touch(page);
    await page.locator(".xterm-helper-textarea:focus").waitFor();
  },

  async "servers by keyboard"(page, url) {
    await page.goto(`${url}/#/trust`);
    await page.locator("dl").waitFor();
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await page.locator("a.line").first().waitFor();
    await page.keyboard.press("/");
    await focused(page, "#filter");
    await page.keyboard.type("label:db");
    await page.waitForFunction(() => document.querySelectorAll("a.line").length === 1);
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelectorAll("a.line").length === 6);
    await page.keyboard.type("web-2");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.startsWith("#/servers/02"));
    await page.locator("form").waitFor();
    await tabTo(page, "header ~ main nav a, main a");
  },

  async "nothing moves for whoever wants that"(page, url) {
    await page.goto(`${url}/#/add`);
    await page.locator("button[type=submit]").click();
    await page.locator("dialog button.primary").click();
    await page.locator(".pulse").waitFor();
    const moving = () => page.evaluate(() => document.getAnimations().length);
    if ((await moving()) === 0) throw new Error("nothing moves for anybody");
    await page.emulateMedia({ reducedMotion: "reduce" });
    if ((await moving()) > 0) throw new Error("it still moves");
  },

  async "approvals by keyboard"(page, url) {
    await page.goto(`${url}/#/servers`);
    await page.locator("a.line").first().waitFor();
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await page.locator("article").first().waitFor();
    await tabTo(page, "article button.primary");
    await page.keyboard.press("Enter");
    await focused(page, "dialog button.primary");
    // No first: nothing is signed, and the focus is where it was.
    await page.keyboard.press("Escape");
    await focused(page, "article button.primary");
    await page.keyboard.press("Enter");
    await touch(page);
    await page.waitForFunction(() => globalThis.world.approvals[0].state === "approved");
    await tabTo(page, "article.waits button:not(.primary)");
    await page.keyboard.press("Enter");
    await tabTo(page, "article form input");
    await page.keyboard.type("not tonight");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => globalThis.world.approvals[1].sentence === "not tonight");
  },
};
