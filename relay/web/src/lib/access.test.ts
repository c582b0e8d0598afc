// Signing in, and the two kinds of passkeys: a relay that wants one to do the other's work gets nothing.

import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import { access, comeBack } from "./access";
import { account } from "./account";
import * as api from "./api";
import { type Bytes, base64url, utf8 } from "./bytes";
import { connect } from "./console";
import { ConsoleError } from "./errors";
import { begin, look } from "./first_run";
import { outside } from "./outside";
import { resetting } from "./resetting";
import * as seat from "./seat";
import * as store from "./store";

type Json = Record<string, unknown>;

const SIGNING = utf8("credential that signs");
const SIGN_IN = utf8("credential for signing in");
const OTHER = utf8("another one");
const HANDLE = new Uint8Array(16);

/** A browser's credential, by its id. */
class Credential {
  constructor(
    readonly rawId: Bytes,
    readonly response: Json,
  ) {}
}

/** What the browser was asked for, and which credential it answers with. */
let options: PublicKeyCredentialRequestOptions & PublicKeyCredentialCreationOptions;
let touched: { id: Bytes; handle: Bytes | null };
const asked = async ({ publicKey }: { publicKey: typeof options }) => {
  options = publicKey;
  const answer = {
    authenticatorData: utf8("data"),
    signature: utf8("signature"),
    userHandle: touched.handle,
  };
  const made = { attestationObject: utf8("made"), getTransports: () => ["usb"] };
  return new Credential(touched.id, { clientDataJSON: utf8("client"), ...answer, ...made });
};
vi.stubGlobal("PublicKeyCredential", Credential);
vi.stubGlobal("navigator", { credentials: { get: asked, create: asked }, userAgent: "" });

/** A page's address, as far as it is used. */
const place = { hostname: "relay.example", pathname: "/", search: "", hash: "#/servers/ab", assign: vi.fn() };
const tab = new Map<string, string>();
vi.stubGlobal("location", place);
vi.stubGlobal("history", {
  replaceState: (_: null, __: string, to: string) => Object.assign(place, { pathname: to, search: "" }),
});
vi.stubGlobal("sessionStorage", {
  getItem: (name: string) => tab.get(name) ?? null,
  setItem: (name: string, value: string) => tab.set(name, value),
  removeItem: (name: string) => tab.delete(name),
});

/** A status that never comes: the answer is lost. */
const LOST = 0;
/** What the relay answers, by method and route; and all that it was sent. */
let answers: Record<string, [number, Json | null]>;
let sent: { route: string; body: Json; headers: Record<string, string> }[] = [];

const ASKED = {
  id: "q1",
  options: {
    challenge: base64url(utf8("challenge")),
    rpId: "evil.example",
    allowCredentials: [{ id: base64url(SIGNING), type: "public-key" }],
    extensions: { prf: {} },
    user: { id: base64url(HANDLE), name: "me" },
    pubKeyCredParams: [{ type: "public-key", alg: -7 }],
    excludeCredentials: [{ type: "public-key", id: base64url(SIGN_IN) }],
  },
};

beforeEach(async () => {
  sent = [];
  answers = {
    "GET /me": [200, { account: "me", role: "admin", tenant: { name: "x", id: null } }],
    "POST /login": [200, {}],
    "POST /login/passkey/start": [200, ASKED],
    "POST /me/passkeys/start": [200, ASKED],
    "POST /setup/passkey/start": [200, ASKED],
  };
  outside.origin = () => "https://relay.example";
  outside.page = outside.origin;
  outside.language = () => "en";
  outside.fetch = async (url, { method, body, headers }) => {
    const route = `${method} ${url.replace("https://relay.example/api/v1", "")}`;
    sent.push({
      route,
      body: typeof body === "string" ? JSON.parse(body) : {},
      headers: headers as Record<string, string>,
    });
    const [status, answer] = answers[route] ?? [204, null];
    if (status === LOST) throw new TypeError("no answer");
    return new Response(answer === null ? null : JSON.stringify(answer), { status });
  };
  Object.assign(place, { hostname: "relay.example", pathname: "/", search: "", hash: "#/servers/ab" });
  touched = { id: SIGN_IN, handle: HANDLE };
  await store.keepPasskey({
    id: "01",
    account: "me",
    credential: SIGNING,
    blob: OTHER,
    label: "",
    madeAt: 0,
  });
  await seat.look();
});

const failure = (error: unknown): string => (error instanceof ConsoleError ? error.id : String(error));
const bodyOf = (route: string): Json | undefined => sent.find((one) => one.route === route)?.body;

test("aut_07 a password's second step is asked for, and its code goes with the next try", async () => {
  const { api: pages } = await connect();
  for (const [code, id] of [
    ["code-needed", "code_needed"],
    ["wrong-code", "code_refused"],
    ["wrong-login", "sign_in_refused"],
  ] as const) {
    answers["POST /login"] = [401, { code }];
    expect(await pages.login("me", "password").catch(failure)).toBe(id);
  }
  answers["POST /login"] = [200, {}];
  sent = [];
  await pages.login("me", "password", { totp: "123456" });
  expect(bodyOf("POST /login")).toEqual({
    account: "me",
    password: "password",
    browser: true,
    code: "123456",
  });
  // Somebody else's keys must not sign because the relay says so.
  expect(await pages.login("you", "password").catch(failure)).toBe("account_differs");
  expect(() => seat.account()).toThrow("signed_out");
});

test("aut_08 what a page asks by itself says so, and nothing else does", async () => {
  answers["GET /servers"] = [200, { servers: [] }];
  answers["GET /trust-log?from=0"] = [200, { head: null }];
  await api.servers();
  await api.logPage(0);
  await api.me();
  const marked = sent.filter(({ headers }) => headers["X-Cloud-Doctor-By-Itself"] === "yes");
  expect(marked.map(({ route }) => route)).toEqual(["GET /servers", "GET /trust-log?from=0"]);
});

test("aut_09 a passkey signs in, asked for none in particular and for nothing but a challenge", async () => {
  await access.passkey();
  expect(Object.keys(options).sort()).toEqual(["challenge", "rpId", "timeout", "userVerification"]);
  expect([options.rpId, options.userVerification]).toEqual(["relay.example", "required"]);
  expect(bodyOf("POST /login/passkey")).toEqual({
    id: "q1",
    browser: true,
    credential: {
      id: base64url(SIGN_IN),
      rawId: base64url(SIGN_IN),
      type: "public-key",
      clientExtensionResults: {},
      response: {
        clientDataJSON: base64url(utf8("client")),
        authenticatorData: base64url(utf8("data")),
        signature: base64url(utf8("signature")),
        userHandle: base64url(HANDLE),
      },
    },
  });
  answers["POST /login/passkey"] = [401, { code: "wrong-passkey" }];
  expect(await access.passkey().catch(failure)).toBe("passkey_unknown");
});

test.each([
  ["known here", { id: SIGNING, handle: HANDLE }, "passkey_signs"],
  ["made in another browser", { id: OTHER, handle: new Uint8Array(32) }, "passkey_signs"],
  ["whose kind cannot be told", { id: OTHER, handle: null }, "passkey_unknown"],
])("aut_09 the answer of a passkey that signs on servers never leaves the page: %s", async (_, other, id) => {
  touched = other;
  expect(await access.passkey().catch(failure)).toBe(id);
  expect(bodyOf("POST /login/passkey")).toBeUndefined();
});

test("a passkey for signing in is made apart from those that sign", async () => {
  await account.addPasskey("Laptop");
  expect(options.excludeCredentials?.map(({ id }) => base64url(id as Bytes))).toEqual([base64url(SIGN_IN)]);
  expect(options.rp.id).toBe("relay.example");
  expect(bodyOf("POST /me/passkeys")).toMatchObject({
    id: "q1",
    name: "Laptop",
    credential: { response: { transports: ["usb"] } },
  });
  // A relay that gives it the mark of one that signs would have the two mixed up.
  const user = { id: base64url(new Uint8Array(32)), name: "me" };
  answers["POST /me/passkeys/start"] = [200, { ...ASKED, options: { ...ASKED.options, user } }];
  expect(await account.addPasskey("Laptop").catch(failure)).toBe("relay_odd");
  answers["GET /me/passkeys"] = [
    200,
    { passkeys: [{ id: base64url(SIGN_IN), name: "a", created_at: 1, used_at: null }] },
  ];
  expect(await account.passkeys()).toEqual([{ id: base64url(SIGN_IN), label: "a", madeAt: 1000 }]);
  answers["POST /me/passkeys/start"] = [403, { code: "sign-in-again" }];
  expect(await account.addPasskey("Laptop").catch(failure)).toBe("sign_in_again");
});

test("a second step counts after its first code, and gives codes for its loss", async () => {
  expect(await account.finishTotp("000000").catch(failure)).toBe("code_refused");
  answers["POST /me/totp/start"] = [200, { id: "t1", secret: "GEZDGNBV", uri: "otpauth://totp/x" }];
  expect(await account.beginTotp()).toEqual({ secret: "GEZDGNBV", address: "otpauth://totp/x" });
  answers["POST /me/totp"] = [401, { code: "wrong-code" }];
  expect(await account.finishTotp("000000").catch(failure)).toBe("code_refused");
  answers["POST /me/totp"] = [201, { recovery_codes: ["a", "b"] }];
  expect(await account.finishTotp("123456")).toEqual(["a", "b"]);
  expect(sent.at(-1)?.body).toEqual({ id: "t1", code: "123456" });
  answers["GET /me/totp"] = [200, { on: true, recovery_codes_left: 2 }];
  expect(await account.password()).toEqual({ set: true, totp: true, codesLeft: 2 });
});

test("the first run is open once, and its account is the one that was named", async () => {
  answers["GET /sign-in"] = [200, { set_up: true, password: true, passkey: true }];
  expect(await look("code")).toEqual({ relay: "relay.example", deviceAllowed: false });
  const wish = { account: "me", customer: "ACME" };
  await begin("code", { ...wish, way: { passkey: true } });
  expect(bodyOf("POST /setup/passkey")).toMatchObject({ code: "code", id: "q1", name: "me", browser: true });
  answers["POST /setup"] = [201, { account: "me" }];
  sent = [];
  await begin("code", { ...wish, way: { password: "long enough" } });
  expect(sent.map(({ route }) => route)).toEqual(["POST /setup", "POST /login", "GET /me"]);
  answers["POST /setup"] = [201, { account: "me", ends_at: 5 }];
  sent = [];
  await begin("code", { ...wish, way: { password: "long enough" } });
  expect(sent.map(({ route }) => route)).toEqual(["POST /setup", "GET /me"]);
  for (const [code, id] of [
    ["set-up-code", "setup_wrong"],
    ["set-up-closed", "setup_used"],
    ["weak-password", "password_weak"],
  ] as const) {
    answers["POST /setup"] = [403, { code }];
    expect(await begin("code", { ...wish, way: { password: "x" } }).catch(failure)).toBe(id);
  }
  answers["GET /sign-in"] = [200, { set_up: false, password: true, passkey: true }];
  expect(await look("code").catch(failure)).toBe("setup_used");
  expect((await look("")).relay).toBe("relay.example");
  answers["GET /me"] = [200, { account: "me", role: "member", tenant: { name: "x", id: null } }];
  expect(await look("").catch(failure)).toBe("setup_used");
});

test("a page from another host than the relay offers the password alone", async () => {
  answers["GET /sign-in"] = [200, { set_up: false, password: true, passkey: true, oidc: { name: "Corp" } }];
  expect(await access.ways()).toMatchObject({ passkey: true, providers: [{ name: "Corp" }] });
  outside.page = () => "https://console.example";
  expect(await access.ways()).toMatchObject({ password: true, passkey: false, providers: [] });
});

test("aut_04 a reset's link leads to a password or a passkey, and says when it is over", async () => {
  answers["POST /reset/start"] = [200, { account: "me", passkey: ASKED }];
  answers["POST /reset/passkey"] = [201, { account: "me" }];
  expect(await resetting.look("K7QX")).toEqual({ account: "me", passkey: true });
  await resetting.finish("K7QX", { account: "me", way: { password: "long enough" } });
  expect(bodyOf("POST /reset")).toEqual({ code: "K7QX", password: "long enough" });
  expect(bodyOf("POST /login")).toMatchObject({ account: "me", password: "long enough", browser: true });
  await resetting.finish("K7QX", { account: "me", way: { passkey: true } });
  expect(bodyOf("POST /reset/passkey")).toMatchObject({ code: "K7QX", id: "q1", name: "me", browser: true });
  // A passkey for signing in belongs to the relay's own name, where it has one.
  outside.page = () => "https://console.example";
  expect(await resetting.look("K7QX")).toEqual({ account: "me", passkey: false });
  answers["POST /reset/start"] = [200, { account: "me", passkey: null }];
  const byPasskey = { account: "me", way: { passkey: true } } as const;
  expect(await resetting.finish("K7QX", byPasskey).catch(failure)).toBe("passkey_missing");
  for (const route of ["POST /reset/start", "POST /reset"]) answers[route] = [403, { code: "reset-code" }];
  expect(await resetting.look("K7QX").catch(failure)).toBe("reset_over");
  const byPassword = { account: "me", way: { password: "long enough" } };
  expect(await resetting.finish("K7QX", byPassword).catch(failure)).toBe("reset_over");
});

test("aut_04 a new password that is set asks for no other link when signing in fails", async () => {
  const wish = { account: "me", way: { password: "long enough" } };
  const routes = () => sent.map(({ route }) => route);
  answers["POST /login"] = [503, {}];
  expect(await resetting.finish("HALF", wish).catch(failure)).toBe("relay_says_no");
  for (const route of ["POST /reset/start", "POST /reset"]) answers[route] = [403, { code: "reset-code" }];
  const byPasskey = { account: "me", way: { passkey: true } } as const;
  expect(await resetting.finish("HALF", byPasskey).catch(failure)).toBe("reset_perhaps");
  answers["POST /login"] = [200, {}];
  sent = [];
  await resetting.finish("HALF", wish);
  expect(routes()).toEqual(["POST /login", "GET /me"]);
  // Another code is another one's.
  expect(await resetting.finish("OTHER", wish).catch(failure)).toBe("reset_over");
});

test("aut_04 a lost answer to a reset: the new way in may be set, and is said so", async () => {
  answers["POST /reset/start"] = [200, { account: "me", passkey: ASKED }];
  const byPassword = { account: "me", way: { password: "long enough" } };
  const byPasskey = { account: "me", way: { passkey: true } } as const;
  for (const [code, route, wish] of [
    ["LOST1", "POST /reset", byPassword],
    ["LOST2", "POST /reset/passkey", byPasskey],
  ] as const) {
    answers[route] = [429, { code: "limited" }];
    expect(await resetting.finish(code, wish).catch(failure)).toBe("too_many_tries");
    answers[route] = [LOST, null];
    expect(await resetting.finish(code, wish).catch(failure)).toBe("reset_perhaps");
    answers[route] = [403, { code: "reset-code" }];
    expect(await resetting.finish(code, wish).catch(failure)).toBe("reset_perhaps");
  }
});

test("aut_10 the way through a provider comes back to where one was, in the tab that began it", async () => {
  answers["GET /sign-in"] = [200, { set_up: false, password: true, passkey: false, oidc: { name: "Corp" } }];
  answers["POST /login/oidc/start"] = [200, { url: "https://corp.example/authorize" }];
  expect((await access.ways()).providers).toEqual([{ id: "oidc", name: "Corp" }]);
  const back = { pathname: "/oidc/callback", search: "?state=s&code=c", hash: "" };

  await access.provider("oidc");
  expect(place.assign).toHaveBeenLastCalledWith("https://corp.example/authorize");
  Object.assign(place, back);
  await comeBack();
  expect([place.pathname, place.search, place.hash]).toEqual(["/", "", "#/servers/ab"]);
  expect(bodyOf("POST /login/oidc")).toEqual({ state: "s", code: "c" });
  expect(access.returned()).toBeUndefined();

  // An address that somebody sent: this tab has asked for nothing.
  sent = [];
  Object.assign(place, back);
  await comeBack();
  expect(sent).toEqual([]);
  expect(failure(access.returned())).toBe("oidc_stale");
  expect(access.returned()).toBeUndefined();

  for (const [code, id] of [
    ["identity-refused", "oidc_refused"],
    ["no-account", "oidc_no_account"],
  ] as const) {
    await access.provider("oidc");
    Object.assign(place, back);
    answers["POST /login/oidc"] = [403, { code }];
    await comeBack();
    expect(access.returned()).toMatchObject({ id, args: ["Corp"] });
  }
  await access.provider("oidc");
  Object.assign(place, { ...back, search: "?error=access_denied&state=s" });
  await comeBack();
  expect(access.returned()).toMatchObject({ id: "oidc_refused", args: ["Corp"] });
  answers["POST /login/oidc/start"] = [502, { code: "provider-away" }];
  expect(await access.provider("oidc").catch(failure)).toBe("oidc_away");
});

test("passkeys need a browser that has them and a host with a name", async () => {
  expect(await access.passkeys()).toBe(true);
  for (const hostname of ["192.0.2.1", "[::1]"]) {
    place.hostname = hostname;
    expect(await access.passkeys()).toBe(false);
  }
});
