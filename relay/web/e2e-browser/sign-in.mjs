// AUT-09 in a real Chromium: the sign-in page hands over no answer of a passkey that signs on servers, whatever the
// authenticator offers; such a passkey counts for nothing at the relay; nor does one whose holder was not verified. Driven
// by tests/tests/console/first_run.rs.
import { person, start, walk } from "./console.mjs";
import { Hand } from "./hand.mjs";
import { account, file, look } from "./owner.mjs";
import { authenticator } from "./passkeys.mjs";

const [link, folder] = process.argv.slice(2);
const url = link.slice(0, link.indexOf("/#"));
const it = await start();
const { page } = it;
const passkeys = await authenticator(page);
const SIGNS = "This passkey signs for you on servers, so it was not used to sign you in. Nothing was sent.";

function must(what, holds) {
  if (!holds) throw new Error(what);
}

/** Answers of passkeys that a page sent to the relay. */
function sentBy(one) {
  const sent = [];
  one.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/login/passkey"))
      sent.push(request.postData());
  });
  return sent;
}

async function signOut() {
  await page.goto(`${url}/#/settings`);
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.locator("#account").waitFor();
}

/** Asks to sign in by passkey; returns what the page says then, or `undefined`: it is in. */
async function byPasskey(one) {
  await one.getByRole("button", { name: "Sign in with a passkey" }).click();
  const problem = one.locator("[role=alert]");
  const inside = one.locator("header nav, #words");
  await problem.or(inside).first().waitFor();
  return (await problem.count()) > 0 ? problem.textContent() : undefined;
}

/** The authenticator offers this one to whoever asks, as those do that make every passkey discoverable. */
async function offer(which, credential, userHandle) {
  for (const { credentialId } of await which.credentials()) await which.remove(credentialId);
  const { signCount } = credential;
  // It goes on counting: one that counts back is taken for a copy.
  await which.add({ ...credential, isResidentCredential: true, userHandle, signCount: signCount + 10 });
}

/** What a page of the relay's own, or one that somebody changed, could send: the answer as it is. */
const sentByHand = () =>
  page.evaluate(async () => {
    const call = (path, body) =>
      fetch(`/api/v1${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-cloud-doctor": "console" },
        body: JSON.stringify(body),
      });
    const { id, options } = await (await call("/login/passkey/start", {})).json();
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    const credential = (await navigator.credentials.get({ publicKey })).toJSON();
    const answer = await call("/login/passkey", { id, credential, browser: true });
    return {
      status: answer.status,
      code: (await answer.json()).code,
      handle: credential.response.userHandle,
    };
  });

await walk(it, async () => {
  const hand = new Hand(passkeys);
  await account(page, hand, { link, way: "passkey", kind: "passkey" });
  await file(page, hand, { folder });
  const all = await passkeys.credentials();
  const [signIn] = all.filter(({ isResidentCredential }) => isResidentCredential);
  const [signs] = all.filter(({ isResidentCredential }) => !isResidentCredential);
  must("one of each is made", all.length === 2 && signIn && signs);
  const bytes = (text) => Buffer.from(text, "base64").length;
  must("they can be told apart", bytes(signIn.userHandle) === 16);
  const long = Buffer.alloc(32, 7).toString("base64");
  const sent = sentBy(page);

  await signOut();
  await look(page, "the sign-in page");
  must("the right one signs in", (await byPasskey(page)) === undefined && sent.length === 1);
  await signOut();

  // Marked as one that signs; unmarked, and known only by what this browser kept.
  for (const handle of [long, signIn.userHandle]) {
    await offer(passkeys, signs, handle);
    const said = await byPasskey(page);
    must(`a signing passkey was taken: ${said}`, said?.includes(SIGNS) && sent.length === 1);
    must("nobody is signed in", await page.locator("#account").isVisible());
    const answer = await sentByHand();
    must(`the relay took it: ${JSON.stringify(answer)}`, answer.status === 401 || answer.status === 403);
    must(`the answer says why: ${answer.code}`, answer.code === "wrong-passkey");
    sent.length = 1;
  }
  await look(page, "the refusal");

  // A browser that has never seen it tells it by its mark.
  const other = await person(it);
  const elsewhere = await authenticator(other.page);
  const sentElsewhere = sentBy(other.page);
  await offer(elsewhere, signs, long);
  await other.page.goto(url);
  const said = await byPasskey(other.page);
  must(`elsewhere: ${said}`, said?.includes(SIGNS) && sentElsewhere.length === 0);

  // Whoever holds the key, but not the finger.
  await offer(passkeys, signIn, signIn.userHandle);
  await passkeys.verified(false);
  must("an unverified holder is in", (await byPasskey(page)) !== undefined && sent.length === 1);
  await passkeys.verified(true);
  must("the right one signs in again", (await byPasskey(page)) === undefined);
});
