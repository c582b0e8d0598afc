// The link that lets a new person in, as proto/src/join.rs has it: the relay's token, a secret that vouches for the new
// person's key, and the customer.
//
// The relay never sees the secret, so it can swap no key for its own. Never: a secret kept in a form that can be read out.

import { type Bytes, base64url, concat, unbase64url, utf8 } from "./bytes";
import { sha256 } from "./ids";

export const TOKEN_BYTES = 16;
export const SECRET_BYTES = 32;
const TENANT_BYTES = 32;
const TOKEN_CONTEXT = utf8("cloud-doctor join token v1\0");
const MAC_CONTEXT = utf8("cloud-doctor join v1\0");

export interface JoinLink {
  readonly token: Bytes;
  readonly secret: Bytes;
  /** Whose log the new person believes, whatever the relay says. */
  readonly tenant: Bytes;
}

/** Reads `token.secret.tenant`, exactly as it was written. */
export function parseLink(text: string): JoinLink | undefined {
  const [token, secret, tenant, more] = text.split(".").map(unbase64url);
  if (token?.length !== TOKEN_BYTES || secret?.length !== SECRET_BYTES || more !== undefined)
    return undefined;
  return tenant?.length === TENANT_BYTES && text.split(".").length === 3
    ? { token, secret, tenant }
    : undefined;
}

/** `token.secret.tenant`. */
export function linkText({ token, secret, tenant }: JoinLink): string {
  return [token, secret, tenant].map(base64url).join(".");
}

/** What a token is called in lists. */
export function linkId(token: Uint8Array): Bytes {
  return sha256(TOKEN_CONTEXT, token).slice(0, 16);
}

/** A secret that can be used and no more be read. */
export function sealed(secret: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

/** How the trust log spells what kind of key it is. None holds a zero byte, so that where it ends is beyond doubt. */
export type SignerKind = "sshsig" | "device" | "webauthn";

/** What a secret vouches for. */
export interface Vouched {
  readonly id: Uint8Array;
  readonly tenant: Uint8Array;
  readonly kind: SignerKind;
  /** The key in SSH's wire format. */
  readonly blob: Uint8Array;
}

function told({ id, tenant, kind, blob }: Vouched): Bytes {
  return concat(MAC_CONTEXT, id, tenant, utf8(kind), Uint8Array.of(0), blob);
}

export async function macOf(secret: CryptoKey, what: Vouched): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", secret, told(what)));
}

/** Whether whoever made this mac had the link and meant this key. */
export function vouches(secret: CryptoKey, what: Vouched, mac: Bytes): Promise<boolean> {
  return crypto.subtle.verify("HMAC", secret, mac, told(what));
}
