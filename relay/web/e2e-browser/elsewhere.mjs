// The console from another origin than the relay's, in a real Chromium: its files come from a host of the same site that
// sends no header of ours. Signing in by password, a passkey of that host's own that signs, a shell, its reload, a link for
// somebody new, and the policy that holds there as well. Driven by tests/tests/console/elsewhere.rs.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { extname, join } from "node:path";
import { ask, end, signIn, start, toServer, type, waitFor, walk } from "./console.mjs";
import { injectedDoesNotRun } from "./injected.mjs";
import { look } from "./owner.mjs";
import { authenticator } from "./passkeys.mjs";

const [relay, account, password, words, cert, key] = process.argv.slice(2);
/** Of the same site as the relay's. */
const HOST = "console.cd.localhost";
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** Any web server: it knows files by their names, and nothing about this console. */
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  const { pathname } = new URL(request.url, "https://localhost");
  const name = pathname === "/" ? "/index.html" : pathname;
  try {
    const file = readFileSync(join("dist", name));
    // The one line that its operator writes.
    const body = file.toString().replace('name="relay" content=""', `name="relay" content="${relay}"`);
    const type = KINDS[extname(name)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type }).end(name === "/index.html" ? body : file);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const url = `https://${HOST}:${server.address().port}`;

const it = await start();
const { page, context } = it;
const passkeys = await authenticator(page);

function must(what, holds) {
  if (!holds) throw new Error(what);
}

async function signsIn() {
  await page.goto(url);
  await page.locator("#account").waitFor();
  await look(page, "the sign-in page");
  await signIn(page, { url, account, password, words });
  await page.locator("header nav").waitFor();
  const cookies = await context.cookies(relay);
  must("the relay's cookie is strict", cookies.length === 1 && cookies[0].sameSite === "Strict");
}

async function makesPasskey() {
  await page.goto(`${url}/#/settings/keys`);
  await page.getByRole("button", { name: "Make a passkey" }).click();
  const line = page.locator("li.key");
  await line.locator("summary").click();
  await ask("key", (await line.locator("code", { hasText: /^webauthn-|^sk-/ }).textContent()).trim());
  await line.getByText(/opens visits until/).waitFor({ timeout: 40_000 });
  const [credential] = await passkeys.credentials();
  must(`the passkey is for ${credential?.rpId}`, credential?.rpId === HOST);
}

async function opensShell() {
  await toServer(page, url, { user: "root" });
  await page.locator("button[type=submit]").click();
  const yes = page.locator("dialog").getByRole("button", { name: "Sign with passkey" });
  await yes.click();
  await waitFor(page, "a prompt", (text) => /[$#>]\s*$/.test(text.trimEnd()));
  await type(page, "PS1='rea''dy> '; clear; echo $((6*7))-$(id -un)");
  await waitFor(page, "a shell as root", (text) => text.includes("42-root"));
  await page.reload();
  await waitFor(page, "the shell after a reload", (text) => text.includes("42-root"));
}

/** Whoever is let in from here comes back here: a key made on the relay's page would be one of its page. */
async function invites() {
  await page.goto(`${url}/#/settings/people`);
  await page.locator("form input").first().fill("Nina");
  await page.locator("form button[type=submit]").click();
  const link = page.locator("code", { hasText: "#/join/" });
  must("a link to this page", (await link.textContent()).trim().startsWith(`${url}/#/join/`));
  const other = await it.browser.newContext({ ignoreHTTPSErrors: true, locale: "en" });
  const newcomer = await other.newPage();
  await authenticator(newcomer);
  await newcomer.goto((await link.textContent()).trim());
  await newcomer.locator("#password").waitFor();
  await look(newcomer, "joining");
  await other.close();
}

/** The page speaks to the relay and to nobody else. */
async function speaksToNobodyElse() {
  const other = await context.newPage();
  await other.goto(url);
  await other.locator("header").waitFor();
  for (const address of [`https://other.cd.localhost:1/`, `${url}/index.html`, `wss://${HOST}:1/`]) {
    const said = await other.evaluate(
      (to) =>
        new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (one) => done(one.effectiveDirective), {
            once: true,
          });
          if (to.startsWith("wss:")) new WebSocket(to);
          else
            fetch(to).then(
              () => done("reached"),
              () => setTimeout(done, 2000, "failed by itself"),
            );
        }),
      address,
    );
    must(`${address}: ${said}`, said === "connect-src");
  }
  await other.close();
}

await walk(it, async () => {
  await ask("serve", url);
  await signsIn();
  await makesPasskey();
  await opensShell();
  await injectedDoesNotRun(context, url);
  await speaksToNobodyElse();
  await end(page);
  await invites();
});
server.close();
