// An account's keys for signing in this browser: passkeys, and one key of the browser's own.
//
// A passkey signs when its holder has read what it signs, touches it and is verified. The browser's own key signs without
// a touch, so it counts only where a server's ceiling names `device`; it is made here and never readable, not even by this
// page. Never: a key for signing in, or a challenge that this page has not computed from what it shows.

import type { Bytes } from "./bytes";
import { hex, random } from "./bytes";
import { ConsoleError } from "./errors";
import type { TouchWhat } from "./facade";
import { keyOf } from "./ids";
import { answerOf, blobOf, challengeOf, verify as verifyPasskey } from "./passkey";
import { fingerprint, p256Blob, signP256, verify } from "./ssh";
import * as store from "./store";
import { ask } from "./touch";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
/** COSE: ES256, and EdDSA with Ed25519. What guard verifies; no RSA. */
const COSE = [-7, -8];
/** Bytes of a signing passkey's user handle. The relay's own for signing in have 16: so the two are told apart. */
export const SIGNING_HANDLE_BYTES = 32;
/** A person looks for a phone or a security key. */
export const TOUCH_MS = 120_000;

/** What a signature is about, for whoever touches. */
export interface About {
  readonly what: TouchWhat;
  readonly customer: string;
  readonly server?: { readonly id: string; readonly name: string };
}

/** A key that can sign here. */
export interface Signer {
  readonly id: Bytes;
  /** SSH wire format. */
  readonly blob: Bytes;
  readonly kind: "passkey" | "device";
  readonly label: string;
  readonly madeAt?: number;
  /**
   * Signs a message that the caller has made, in a namespace of the protocol. Throws `touch_declined`,
   * `passkey_cancelled`, `signature_odd`.
   */
  sign(namespace: string, message: Bytes, about: About): Promise<Bytes>;
}

/** The account's keys in this browser: passkeys, newest first, then the browser's own if it has one. */
export async function signers(account: string): Promise<Signer[]> {
  const passkeys = (await store.passkeys(account)).sort((a, b) => b.madeAt - a.madeAt).map(passkeySigner);
  const device = await store.deviceKey(account);
  return device === undefined ? passkeys : [...passkeys, deviceSigner(device)];
}

/** The browser's own key; made at the first call. */
export async function deviceKey(account: string): Promise<Signer> {
  return deviceSigner((await store.deviceKey(account)) ?? (await makeDevice(account)));
}

async function makeDevice(account: string): Promise<store.StoredKey> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
  const open = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return store.keepDeviceKey(account, { secret: pair.privateKey, blob: p256Blob(open) });
}

function deviceSigner({ secret, blob }: store.StoredKey): Signer {
  return {
    id: keyOf(blob),
    blob,
    kind: "device",
    label: "",
    async sign(namespace, message) {
      const sshsig = await signP256(secret, blob, namespace, message);
      // A key that signs something else is noticed here.
      await verify(blob, namespace, message, sshsig).catch(odd);
      return sshsig;
    },
  };
}

function odd(): never {
  throw new ConsoleError("signature_odd");
}

/**
 * Makes a passkey for signing. An authenticator may hold one for signing in besides: what tells them apart is the length of
 * the user handle, and that signing asks for it by its id. Throws `passkey_cancelled`, `passkey_missing`.
 */
export async function makePasskey(account: string, label: string): Promise<Signer> {
  const rpId = location.hostname;
  const made = await atBrowser(() =>
    navigator.credentials.create({
      publicKey: {
        // Nothing is believed because of this answer: the key counts once the log lists it.
        challenge: random(32),
        rp: { id: rpId, name: "Cloud Doctor" },
        user: { id: random(SIGNING_HANDLE_BYTES), name: `${account} · ${label}`, displayName: label },
        pubKeyCredParams: COSE.map((alg) => ({ type: "public-key", alg })),
        // Not offered by the browser when somebody signs in: it is found by its id alone.
        authenticatorSelection: { userVerification: "required", residentKey: "discouraged" },
        attestation: "none",
        timeout: TOUCH_MS,
      },
    }),
  );
  const response = made.response as AuthenticatorAttestationResponse;
  const blob = await blobOf(response.getPublicKey(), response.getPublicKeyAlgorithm(), rpId);
  const credential = new Uint8Array(made.rawId);
  const kept = { id: hex(keyOf(blob)), account, credential, blob, label, madeAt: Date.now() };
  await store.keepPasskey(kept);
  return passkeySigner(kept);
}

function passkeySigner({ credential, blob, label, madeAt }: store.StoredPasskey): Signer {
  return {
    id: keyOf(blob),
    blob,
    kind: "passkey",
    label,
    madeAt,
    async sign(namespace, message, about) {
      const touched = await ask({ ...about, key: { label, fingerprint: fingerprint(blob) } }, () =>
        atBrowser(() =>
          navigator.credentials.get({
            publicKey: {
              challenge: challengeOf(namespace, message),
              rpId: location.hostname,
              allowCredentials: [{ type: "public-key", id: credential }],
              userVerification: "required",
              timeout: TOUCH_MS,
            },
          }),
        ),
      );
      const signature = answerOf(blob, touched.response as AuthenticatorAssertionResponse);
      await verifyPasskey(blob, namespace, message, signature).catch(odd);
      return signature;
    },
  };
}

/** Asks the browser for a credential. Throws `passkey_cancelled`, `passkey_missing`. */
export async function atBrowser(call: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  if (globalThis.PublicKeyCredential === undefined) throw new ConsoleError("passkey_missing");
  try {
    const found = await call();
    if (found instanceof PublicKeyCredential) return found;
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotSupportedError" || name === "SecurityError") throw new ConsoleError("passkey_missing");
  }
  throw new ConsoleError("passkey_cancelled");
}

/** Forgets a key here. What the log says about it stays. */
export async function forget(account: string, id: string): Promise<void> {
  await store.forgetPasskey(id);
  const device = await store.deviceKey(account);
  if (device !== undefined && hex(keyOf(device.blob)) === id) await store.forgetDeviceKey(account);
}
