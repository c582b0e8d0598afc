// biome-ignore-all lint/suspicious/noControlCharactersInRegex: answers of a terminal begin with ESC.
// What to look at: a name, the made-up world, the address, and what a person does there first.

const SERVER = `servers/${"01".repeat(32)}`;
const DEEP = `${SERVER}?user=deploy&reason=site%20is%20slow&ticket=T-1234`;

/** Opens a terminal and waits until it has drawn. */
async function openTerminal(page) {
  await page.locator("button[type=submit]").click();
  await page.locator(".xterm-screen:visible").first().waitFor();
  await page.waitForFunction(() => globalThis.made.shells.at(-1)?.drawn > 0);
  await page.evaluate(() => document.fonts.ready);
  await page.waitForTimeout(300);
}

async function pasteText(page, text) {
  await page.evaluate((value) => {
    const data = new DataTransfer();
    data.setData("text/plain", value);
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    document.querySelector(".xterm-helper-textarea").dispatchEvent(event);
  }, text);
  await page.locator("dialog").waitFor();
}

export const PAGES = [
  { name: "sign-in", world: "out", at: "servers" },
  {
    name: "sign-in-refused",
    world: "out",
    at: "servers",
    async steps(page) {
      await page.locator("#account").fill("eve@example.com");
      await page.locator("#password").fill("wrong");
      await page.keyboard.press("Enter");
      await page.locator("[role=alert]").waitFor();
    },
  },
  {
    name: "trust-pin",
    world: "unpinned",
    at: "servers",
    async steps(page) {
      await page.locator("#words").fill("harbor velvet quantum mirror");
    },
  },
  { name: "trust-waiting", world: "untrusted", at: "trust", steps: (page) => page.locator("dl").waitFor() },
  { name: "trust", at: "trust", steps: (page) => page.locator("dl").waitFor() },
  { name: "servers", at: "servers", steps: (page) => page.locator("a.line").first().waitFor() },
  { name: "servers-filter", at: "servers?q=web", steps: (page) => page.locator("a.line").first().waitFor() },
  { name: "servers-empty", world: "empty", at: "servers", steps: (page) => page.locator("ol").waitFor() },
  { name: "server-start", at: DEEP, steps: (page) => page.locator("form").waitFor() },
  {
    name: "server-second",
    world: "second",
    at: DEEP,
    async steps(page) {
      await page.locator("button[type=submit]").click();
      await page.locator(".second").waitFor();
    },
  },
  { name: "terminal", at: DEEP, steps: openTerminal },
  {
    name: "terminal-root",
    at: DEEP.replace("deploy", "root"),
    async steps(page) {
      await openTerminal(page);
      await page.evaluate(() =>
        globalThis.made.shells[0].become({ kind: "reconnecting", since: Date.now() - 4000 }),
      );
      await page.waitForTimeout(100);
    },
  },
  {
    name: "terminal-ended",
    at: DEEP,
    async steps(page) {
      await openTerminal(page);
      await page.locator("button.new").click();
      await page.locator("#reason").fill("second one");
      await openTerminal(page);
      await page.evaluate(() => {
        globalThis.made.shells[1].become({ kind: "skipped", bytes: 1048576 });
        globalThis.made.shells[1].become({ kind: "ended", reason: "exited", exit: { code: 130 } });
      });
      await page.waitForTimeout(100);
    },
  },
  {
    name: "terminal-hostile",
    at: DEEP,
    async steps(page) {
      await openTerminal(page);
      // PTY-05: of all that asks for an answer, only status, position and identification get one.
      await page.evaluate(() =>
        globalThis.made.shells[0].print(
          "\x1bP$qm\x1b\\\x1b[?2004$p\x1b]10;?\x07\x1b]52;c;?\x07\x1b[21t\x1b[18t\x1b[>q\x1b[5n\x1b[6n\x1b[c\x1b[>c",
        ),
      );
      await page.waitForFunction(() => globalThis.made.shells[0].typed.length >= 4);
      await page.waitForTimeout(100);
      const typed = await page.evaluate(() => globalThis.made.shells[0].typed);
      const forms = [/^\x1b\[0n$/, /^\x1b\[\d+;\d+R$/, /^\x1b\[\?1;2c$/, /^\x1b\[>0;276;0c$/];
      if (typed.length !== 4 || !typed.every((one, at) => forms[at].test(one))) {
        throw new Error(`the terminal typed ${JSON.stringify(typed)}`);
      }
      await page.keyboard.type("df -h");
      await page.keyboard.press("Enter");
      await page.keyboard.press("Control+C");
      await page.waitForFunction(() => globalThis.made.shells[0].typed.join("").endsWith("df -h\r\x03"));
      // Leaves the terminal by keyboard for its tab, and comes back.
      await page.keyboard.press("Control+Shift+E");
      await page.locator("[role=tab]:focus").waitFor();
      await page.keyboard.press("Enter");
      await page.locator(".xterm-helper-textarea:focus").waitFor();
    },
  },
  {
    name: "terminal-paste",
    at: DEEP,
    async steps(page) {
      await openTerminal(page);
      await pasteText(page, "sudo systemctl reload nginx\n\u202ecurl http://evil.example\x1b[2K\n");
    },
  },
  {
    name: "terminal-find",
    at: DEEP,
    async steps(page) {
      await openTerminal(page);
      await page.keyboard.press("Control+Shift+F");
      await page.keyboard.type("nginx");
      await page.keyboard.press("Enter");
      await page.waitForTimeout(200);
    },
  },
  { name: "settings", at: "settings" },
  {
    name: "keys",
    at: "servers",
    async steps(page) {
      await page.locator("a.line").first().waitFor();
      await page.locator("main").focus();
      await page.keyboard.press("?");
      await page.locator("dialog").waitFor();
    },
  },
];
