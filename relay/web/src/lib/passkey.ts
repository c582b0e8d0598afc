// Signatures by passkeys: a WebAuthn assertion over a challenge that is the hash of exactly what is signed, as
// proto/src/passkey.rs has them.
//
// A passkey's public key travels as an `sk-` key of OpenSSH whose application is the RP ID. Only a page of the RP ID's own
// host counts, with the holder present and verified. Never: an assertion whose challenge somebody else has chosen.

import { type Bytes, base64url, concat, equal, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import type { NamedKey } from "./entry";
import { id32, keyOf, sha256 } from "./ids";
import { SIGNATURE_BYTES_MAX } from "./limits";
import { bin, fixed, PackError, pack, struct, unpackSigned } from "./pack";
import {
  parseKey,
  SignerError,
  signerOf as signerOfSsh,
  skEd25519Blob,
  skP256Blob,
  verifyP256,
  verify as verifySsh,
} from "./ssh";

const CHALLENGE_CONTEXT = utf8("cloud-doctor passkey v1\0");
const AUTHENTICATOR_BYTES = 37;
const USER_PRESENT = 1;
const USER_VERIFIED = 1 << 2;
/** Flag bits of data that an assertion without extensions does not have. */
const MORE_DATA = (1 << 6) | (1 << 7);
/** What OpenSSH puts in front of the application of its own hardware keys. */
const OPENSSH_APPLICATION = "ssh:";
/** Order of the curve P-256 (SEC 2, 2.4.2). */
const P256_ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

const assertion = struct({ key: id32, authenticator: bin, client: bin, signature: fixed(64) });

/** The challenge under which a passkey signs `message` for one purpose. */
export function challengeOf(namespace: string, message: Uint8Array): Bytes {
  const name = utf8(namespace);
  return sha256(CHALLENGE_CONTEXT, Uint8Array.of(name.length), name, message);
}

/** The RP ID of a passkey's key; `undefined`: the key is no passkey's. */
export function rpIdOf(blob: Uint8Array): string | undefined {
  const key = parseKey(blob);
  if (!("application" in key)) return undefined;
  const application = new TextDecoder().decode(key.application);
  return application.startsWith(OPENSSH_APPLICATION) ? undefined : application;
}

/** Checks a signature by a key of the log, in the one form that its kind has. Throws `SignerError`. */
export async function verifyBy(
  { key, signer }: NamedKey,
  namespace: string,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<void> {
  if (signer === "webauthn") return verify(key, namespace, message, signature);
  return verifySsh(key, namespace, message, signature);
}

/** Whose key a signature of either form names: for asking about it, never for believing it. */
export function signerOf(signature: Uint8Array): Bytes | undefined {
  return signerOfSsh(signature) ?? read(signature)?.key;
}

function read(bytes: Uint8Array) {
  try {
    return unpackSigned(assertion, bytes, SIGNATURE_BYTES_MAX);
  } catch (error) {
    if (error instanceof PackError) return undefined;
    throw error;
  }
}

/** Checks a packed assertion over `message`. Throws `SignerError`. */
export async function verify(
  blob: Bytes,
  namespace: string,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<void> {
  const said = read(signature);
  if (said === undefined) throw new SignerError("malformed");
  const rpId = rpIdOf(blob);
  if (!equal(said.key, keyOf(blob)) || rpId === undefined) throw new SignerError("other-key");
  const client = clientOf(said.client);
  if (client.type !== "webauthn.get" || client.challenge !== base64url(challengeOf(namespace, message)))
    throw new SignerError("wrong");
  if (client.crossOrigin || !isPageOf(client.origin, rpId)) throw new SignerError("origin");
  held(said.authenticator, rpId);
  const signed = concat(said.authenticator, sha256(said.client));
  if (!(await signedBy(blob, signed, said.signature))) throw new SignerError("wrong");
}

/** What a browser says about the page that asked. Newer members are ignored, as WebAuthn demands. */
function clientOf(bytes: Bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const { type, challenge, origin, crossOrigin = false } = JSON.parse(text) as Record<string, unknown>;
    if (typeof type === "string" && typeof challenge === "string" && typeof origin === "string")
      if (typeof crossOrigin === "boolean") return { type, challenge, origin, crossOrigin };
  } catch {
    // Said below.
  }
  throw new SignerError("malformed");
}

/** Whether an origin is the RP ID's own host, on any port. */
function isPageOf(origin: string, rpId: string): boolean {
  const schemes = rpId === "localhost" ? ["https://", "http://"] : ["https://"];
  const scheme = schemes.find((one) => origin.startsWith(one));
  if (scheme === undefined || !origin.startsWith(rpId, scheme.length)) return false;
  const rest = origin.slice(scheme.length + rpId.length);
  return rest === "" || (/^:[0-9]+$/.test(rest) && Number(rest.slice(1)) <= 0xffff);
}

function held(authenticator: Bytes, rpId: string): void {
  if (authenticator.length !== AUTHENTICATOR_BYTES) throw new SignerError("malformed");
  if (!equal(authenticator.subarray(0, 32), sha256(utf8(rpId)))) throw new SignerError("origin");
  const flags = authenticator[32] ?? 0;
  if ((flags & MORE_DATA) !== 0) throw new SignerError("malformed");
  const needed = USER_PRESENT | USER_VERIFIED;
  if ((flags & needed) !== needed) throw new SignerError("not-touched");
}

async function signedBy(blob: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  const key = parseKey(blob);
  if (!("application" in key)) return false;
  if (!("point" in key)) return verifyEd25519(key.key, message, signature);
  return number(signature.subarray(32)) * 2n < P256_ORDER && verifyP256(key.point, message, signature);
}

function number(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** A passkey's public half as this protocol has it, from what a browser gives. Throws `SignerError`. */
export async function blobOf(spki: ArrayBuffer | null, cose: number, rpId: string): Promise<Bytes> {
  const algorithm =
    cose === -8 ? "Ed25519" : cose === -7 ? { name: "ECDSA", namedCurve: "P-256" } : undefined;
  if (spki === null || algorithm === undefined) throw new SignerError("key-type");
  const key = await crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", key));
  return cose === -8 ? skEd25519Blob(raw, rpId) : skP256Blob(raw, rpId);
}

/** What an authenticator answered. */
export type Answer = Pick<
  AuthenticatorAssertionResponse,
  "authenticatorData" | "clientDataJSON" | "signature"
>;

/** An authenticator's answer as a signature by this key, in its one form. Throws `SignerError`. */
export function answerOf(blob: Bytes, answer: Answer): Bytes {
  const signature = new Uint8Array(answer.signature);
  return pack(assertion, {
    key: keyOf(blob),
    authenticator: new Uint8Array(answer.authenticatorData),
    client: new Uint8Array(answer.clientDataJSON),
    signature: "point" in parseKey(blob) ? smaller(pairOf(signature)) : signature,
  });
}

/** `r | s` of a DER signature. */
function pairOf(der: Uint8Array): Bytes {
  const at = { place: 2 };
  if (der[0] !== 0x30 || der[1] !== der.length - 2) throw new SignerError("malformed");
  const pair = concat(coordinate(der, at), coordinate(der, at));
  if (at.place !== der.length) throw new SignerError("malformed");
  return pair;
}

/** A positive INTEGER of DER, with leading zeroes to the length of a coordinate. */
function coordinate(der: Uint8Array, at: { place: number }): Bytes {
  const length = der[at.place + 1] ?? 0;
  const from = at.place + 2;
  at.place = from + length;
  if (der[from - 2] !== 2 || length === 0 || at.place > der.length) throw new SignerError("malformed");
  const digits = der.subarray(der[from] === 0 ? from + 1 : from, at.place);
  if (digits.length > 32) throw new SignerError("malformed");
  return concat(new Uint8Array(32 - digits.length), digits);
}

/** The same signature with the smaller of its two `s`. */
function smaller(pair: Bytes): Bytes {
  const s = number(pair.subarray(32));
  if (s * 2n < P256_ORDER) return pair;
  const other = (P256_ORDER - s).toString(16).padStart(64, "0");
  return concat(
    pair.subarray(0, 32),
    Uint8Array.from({ length: 32 }, (_, at) => Number.parseInt(other.slice(at * 2, at * 2 + 2), 16)),
  );
}
