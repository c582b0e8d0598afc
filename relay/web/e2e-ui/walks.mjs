// The roads that matter, walked by keyboard alone: no click, and the focus is always somewhere one can see.
import { focused, tabTo } from "../e2e-browser/keyboard.mjs";

/** The question before a touch has the focus on its yes; Enter answers. */
async function touch(page) {
  await focused(page, "dialog button.primary");
  await page.keyboard.press("Enter");
  await page.locator("dialog").waitFor({ state: "detached" });
}

export const WALKS = {
  async "metrics by keyboard"(page, url) {
    await page.goto(`${url}/?moving#/servers/${"01".repeat(32)}`);
    await page.locator("nav a[href$='/metrics']").waitFor();
    await tabTo(page, "nav a[href$='/metrics']");
    await page.keyboard.press("Enter");
    await page.locator("h1", { hasText: "Critical: Disks" }).waitFor();
    // Values change in place each second, until somebody pauses.
    const value = () => page.locator(".use .value").nth(1).textContent();
    const moment = page.locator(".moment span").first();
    const before = await moment.textContent();
    await page.waitForFunction((was) => document.querySelector(".moment span").textContent !== was, before);
    if (!(await value())) throw new Error("no value");
    await tabTo(page, ".tools .group button");
    await page.keyboard.press("Enter");
    const stopped = await moment.textContent();
    await page.waitForTimeout(2_200);
    if ((await moment.textContent()) !== stopped) throw new Error("paused, and it moves");
    // Closer, and back in time.
    await tabTo(page, ".tools [aria-label='Zoom in']");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    // One cursor for all charts: every legend tells of that moment.
    const said = () =>
      page.evaluate(() => [...document.querySelectorAll("figure [role=img]")].map((one) => one.ariaLabel));
    await tabTo(page, ".moment input");
    const newest = await said();
    await page.keyboard.press("Home");
    await page.waitForFunction(
      (was) =>
        [...document.querySelectorAll("figure [role=img]")].every((one, at) => one.ariaLabel !== was[at]),
      newest,
    );
    // The mark is where the cursor was left; then on.
    await tabTo(page, ".tools .end button");
    await page.keyboard.press("Enter");
    await page.locator("ol .mark").waitFor();
    await page.locator("main").focus();
    await tabTo(page, ".tools .group button.primary");
    await page.keyboard.press("Enter");
    await page.waitForFunction((was) => document.querySelector(".moment span").textContent !== was, stopped);
    // A range, which the address holds.
    await tabTo(page, ".tools input[type=radio]");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => location.hash.includes("from="));
    await page.waitForFunction(() => globalThis.world.metrics.asked.length === 1);
    // Processes when asked.
    await tabTo(page, "section .head button");
    await page.keyboard.press("Enter");
    await page.locator("section table").waitFor();
    // A file of what is shown.
    await page.locator("main").focus();
    await tabTo(page, ".tools .end button:last-child");
    const [file] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    if (!/^web-1-metrics-[\dT-]+Z\.csv$/.test(file.suggestedFilename()))
      throw new Error(file.suggestedFilename());
  },

  async "a chart is zoomed by dragging, and a stream rests while nobody looks"(page, url) {
    await page.goto(`${url}/#/servers/${"01".repeat(32)}/metrics`);
    await page.locator("figure").first().scrollIntoViewIfNeeded();
    const over = page.locator("figure .u-over").first();
    await over.waitFor();
    const box = await over.boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 40, { steps: 5 });
    await page.mouse.up();
    await page.locator(".tools .group button.primary").waitFor();
    const span = await page.evaluate(() => {
      const { min, max } = document.querySelector(".moment input");
      return Number(max) - Number(min);
    });
    if (Math.abs(span - 90_000) > 4_000) throw new Error(`zoomed to ${span} ms`);
    await page.locator(".tools .group button", { hasText: "Reset" }).click();
    // The page is away for long.
    await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await page.waitForFunction(() => globalThis.world.metrics.feeds[0].state.kind === "resting", undefined, {
      timeout: 25_000,
    });
    await page.evaluate(() => {
      delete document.hidden;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await page.waitForFunction(() => globalThis.world.metrics.feeds[0].state.kind === "live");
    // Whoever leaves the page ends the stream: only one feed is left of the visits.
    await page.locator("a[href='#/servers']").first().click();
    await page.locator("a.line").first().waitFor();
  },

  async "WEB-09 2,000 series of 10,000 names leave the page its frames"(page, url) {
    await page.addInitScript(() => {
      globalThis.tasks = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) globalThis.tasks.push(Math.round(duration));
      }).observe({ type: "longtask" });
    });
    await page.goto(`${url}/?huge&moving#/servers/${"01".repeat(32)}/metrics`);
    await page.locator("figure").first().scrollIntoViewIfNeeded();
    await page.locator("figure canvas").first().waitFor();
    await page.waitForTimeout(2_000);
    // What it costs once it runs, through two changes of all names.
    const opening = await page.evaluate(() => {
      const opening = globalThis.tasks;
      globalThis.tasks = [];
      globalThis.frames = 0;
      const count = () => {
        globalThis.frames += 1;
        requestAnimationFrame(count);
      };
      count();
      return opening;
    });
    await page.waitForTimeout(11_000);
    const { tasks, frames, elements, lines, dropped } = await page.evaluate(() => ({
      tasks: globalThis.tasks,
      frames: globalThis.frames,
      elements: document.querySelectorAll("*").length,
      lines: document.querySelectorAll("figure li").length,
      dropped: document.querySelector(".line .soft")?.textContent ?? "",
    }));
    process.stdout.write(
      `2,000 series: longest task ${Math.max(0, ...tasks)} ms (0: none over 50), ${tasks.length} over 50 ms in 11 s, ` +
        `${Math.max(0, ...opening)} ms while it opened, ${Math.round(frames / 11)} frames a second, ${elements} elements\n`,
    );
    if (elements > 4_000 || lines > 160) throw new Error(`${elements} elements, ${lines} lines`);
    if (!dropped.includes("8000")) throw new Error(`does not say what was dropped: ${dropped}`);
    // It still answers.
    await page.locator(".tools .group button").first().click();
    await page.locator(".tools .group button.primary").waitFor();
  },

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
    // A browser that wants a click for each passkey: the second one is asked for by a button.
    await page.goto(`${url}/?out&refuses#/setup/K7QX9M2P`);
    await focused(page, "#account");
    // What is proposed gives way to what one types.
    await page.keyboard.type("olga@acme.example");
    // Whose servers these are is asked only where somebody unfolds it.
    await tabTo(page, "form summary");
    await page.keyboard.press("Enter");
    await tabTo(page, "#customer");
    await page.keyboard.press("Control+A");
    await page.keyboard.type("ACME Logistics");
    await page.keyboard.press("Enter");
    await page.locator("button.primary:not([type=submit]):enabled").waitFor();
    await focused(page, "h1");
    if ((await page.locator("[role=alert]").count()) > 0) throw new Error("nobody has said no");
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
    await page.locator(".waits button").waitFor();
    await tabTo(page, ".waits button");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => location.hash.startsWith("#/servers/"));
    // The question is there at once; whoever says no finds the form, filled.
    await focused(page, "dialog button.primary");
    const said = await page.locator("dialog dl").textContent();
    for (const fact of ["root", "First look"]) if (!said.includes(fact)) throw new Error(said);
    await page.keyboard.press("Escape");
    await page.locator("dialog").waitFor({ state: "detached" });
    await page.locator("main").focus();
    await tabTo(page, "#user");
    await page.keyboard.type("deploy");
    await page.keyboard.press("Enter");
    await touch(page);
    await page.locator(".xterm-helper-textarea:focus").waitFor();
  },

  async "a link from elsewhere asks for no signature, and a browser's own key for a yes"(page, url) {
    const filled = `servers/${"01".repeat(32)}?user=deploy&reason=to%20try%20it`;
    await page.goto(`${url}/#/${filled}`);
    await focused(page, "#reason");
    await page.waitForTimeout(300);
    if ((await page.locator("dialog").count()) > 0) throw new Error("a link asked for a signature");
    await page.goto(`${url}/?out&letsin&one#/join/trial?user=deploy`);
    await page.locator("input[value=device]").check({ force: true });
    await page.locator("form button[type=submit]").click();
    await page.waitForFunction(() => location.hash.startsWith("#/servers/"));
    await focused(page, "#reason");
    await page.waitForTimeout(300);
    if (await page.evaluate(() => globalThis.made.shells.length > 0))
      throw new Error("a shell without a yes");
    // The link was used up; going back does not lead to it.
    await page.goBack();
    if (page.url().includes("join")) throw new Error("back at the link");
  },

  async "what is only between people comes into sight with the second one"(page, url) {
    await page.clock.install();
    const places = () => page.locator("header nav a").count();
    await page.goto(`${url}/?alone#/servers/${"01".repeat(32)}`);
    await page.locator("#user").waitFor();
    await page.clock.fastForward(60_000);
    await page.waitForFunction(() => document.querySelectorAll("header nav a").length === 3);
    const strip = await page.locator(".strip").textContent();
    if ((await places()) !== 3 || strip.includes("ACME Logistics")) throw new Error(`in sight: ${strip}`);
    // Keys neither lead there nor say that there is such a place.
    await page.locator("main").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await page.keyboard.press("?");
    const keys = await page.locator("dialog dl").first().textContent();
    if (/approvals|trust/.test(keys) || page.url().includes("approvals"))
      throw new Error(`in sight: ${keys}`);
    await page.keyboard.press("Escape");
    // Links lead there all the same.
    await page.goto(`${url}/?alone#/trust`);
    await page.locator("dl").first().waitFor();
    await page.goto(`${url}/?alone#/servers/${"01".repeat(32)}`);
    await page.locator("#user").waitFor();
    await page.evaluate(() => {
      globalThis.world.invitations = [
        { id: "i1", account: "peggy", role: "engineer", by: "olga", expiresAt: 0 },
      ];
    });
    await page.clock.fastForward(60_000);
    await page.locator("header nav a[href='#/trust']").waitFor();
    if ((await places()) !== 5) throw new Error(`${await places()} places`);
    // So does whom the log has, under whatever name, though the relay shows neither an account nor a link.
    await page.goto(`${url}/?alone=2#/servers/${"01".repeat(32)}`);
    await page.locator("#user").waitFor();
    await page.clock.fastForward(60_000);
    await page.waitForFunction(() => document.querySelectorAll("header nav a").length === 3);
    await page.evaluate(() => {
      const [own] = globalThis.world.people;
      globalThis.world.people = [own, { ...own, fingerprint: "SHA256:another" }];
    });
    await page.clock.fastForward(60_000);
    await page.locator("header nav a[href='#/trust']").waitFor();
    if ((await places()) !== 5) throw new Error(`${await places()} places by the log`);
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
