// WEB-18, WEB-19: what a browser runs, and what it keeps: a file with other content than the page names does not run, nothing
// works in the background, and neither password nor login lies in any store. Driven by tests/tests/console.rs.
import { letIn, signIn, start, walk } from "./console.mjs";

const [url, account, password, words] = process.argv.slice(2);
const it = await start();
const { page, context } = it;

/** As an old or poisoned copy under a name that is kept for a year. */
async function alteredDoesNotRun() {
  const other = await context.newPage();
  const said = [];
  const altered = [];
  other.on("console", (message) => said.push(message.text()));
  await other.route(`${url}/assets/*`, async (route) => {
    const answer = await route.fetch();
    const more = { ".js": "\nglobalThis.ran = 'altered';\n", ".css": "\nbody { display: none }\n" };
    const { pathname } = new URL(route.request().url());
    altered.push(pathname);
    await route.fulfill({
      response: answer,
      body: (await answer.text()) + (more[pathname.slice(pathname.lastIndexOf("."))] ?? ""),
    });
  });
  const finished = other.waitForEvent("console", (message) => /integrity/i.test(message.text()));
  await other.goto(`${url}/`);
  await finished;
  const left = await other.evaluate(() => ({
    ran: globalThis.ran ?? "nothing",
    forms: document.querySelectorAll("form, input, button").length,
    display: getComputedStyle(document.body).display,
  }));
  if (altered.length === 0 || left.ran !== "nothing" || left.forms > 0 || left.display === "none")
    throw new Error(`${JSON.stringify(left)} with ${altered}: ${said.join("\n")}`);
  await other.close();
}

/** All that a page can keep, as text; keys as what can be read of them. */
const kept = () =>
  page.evaluate(async () => {
    const plain = (value) => {
      if (value instanceof CryptoKey) return `${value.type} ${value.extractable ? "open" : "closed"}`;
      if (ArrayBuffer.isView(value)) return String.fromCharCode(...new Uint8Array(value.buffer));
      if (Array.isArray(value)) return value.map(plain).join(" ");
      if (typeof value !== "object" || value === null) return String(value);
      return Object.entries(value)
        .map(([name, one]) => `${name}: ${plain(one)}`)
        .join("\n");
    };
    const asked = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const rows = [];
    for (const { name } of await indexedDB.databases()) {
      const database = await asked(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        const all = database.transaction(store).objectStore(store);
        for (const row of await asked(all.getAll())) rows.push(`${store} ${plain(row)}`);
      }
      database.close();
    }
    return {
      rows,
      local: plain({ ...localStorage }),
      session: plain({ ...sessionStorage }),
      cookie: document.cookie,
      caches: "caches" in globalThis ? await caches.keys() : [],
      workers: (await navigator.serviceWorker?.getRegistrations())?.length ?? 0,
      address: location.href,
      name: window.name,
      entries: performance.getEntriesByType("resource").map((one) => one.name),
    };
  });

async function nothingSecretIsKept() {
  const found = await kept();
  const [login] = (await context.cookies()).filter(({ httpOnly }) => httpOnly);
  if (!login) throw new Error("no login to look for");
  const text = JSON.stringify(found);
  for (const secret of [password, login.value, "cd_ses_", "private open", "secret open"])
    if (text.includes(secret)) throw new Error(`kept: ${text.slice(0, 2000)}`);
  if (!found.rows.some((row) => row.includes("private closed"))) throw new Error(`no key: ${text}`);
  if (found.caches.length + found.workers + found.cookie.length > 0) throw new Error(text);
}

await walk(it, async () => {
  await signIn(page, { url, account, password, words });
  await letIn(page, url);
  await nothingSecretIsKept();
  await alteredDoesNotRun();
});
