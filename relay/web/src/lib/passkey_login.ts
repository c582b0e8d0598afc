// Passkeys for signing in, as the browser makes and asks them, and as the relay's JSON has them.
//
// The relay chooses what they sign, so a passkey that signs on servers must never be one of them: the relay could have
// a grant signed as if it were a sign-in. Never: an answer of such a passkey in the relay's hands, or an option of the
// relay's that is not needed, like which credential is asked.

import { array, bytes, type Json, number, object, odd, string } from "./api";
import { type Bytes, base64url } from "./bytes";
import { ConsoleError } from "./errors";
import { atBrowser, SIGNING_HANDLE_BYTES, TOUCH_MS } from "./keys";
import * as store from "./store";

/** Has any passkey of this page answer the relay's challenge. Throws `passkey_signs`, and what `atBrowser` does. */
export async function answer(options: Json): Promise<Json> {
  const challenge = bytes(options.challenge, "challenge");
  const found = await atBrowser(() =>
    navigator.credentials.get({
      publicKey: {
        challenge,
        rpId: location.hostname,
        userVerification: "required",
        timeout: TOUCH_MS,
      },
    }),
  );
  const response = found.response as AuthenticatorAssertionResponse;
  const handle = response.userHandle;
  // Known here, or made in another browser and synchronised.
  const signs = handle?.byteLength === SIGNING_HANDLE_BYTES || (await store.isSigning(id(found)));
  if (signs) throw new ConsoleError("passkey_signs");
  if (handle === null) throw new ConsoleError("passkey_unknown");
  return written(found, {
    clientDataJSON: response.clientDataJSON,
    authenticatorData: response.authenticatorData,
    signature: response.signature,
    userHandle: handle,
  });
}

/** Makes one. */
export async function make(options: Json): Promise<Json> {
  const user = object(options.user, "user");
  const name = string(user.name, "user name");
  const excluded = array(options.excludeCredentials ?? [], "excluded").map((one) =>
    bytes(object(one, "credential").id, "credential"),
  );
  const handle = bytes(user.id, "user handle");
  // It could not be told from one that signs.
  if (handle.length === SIGNING_HANDLE_BYTES) odd("user handle");
  const publicKey: PublicKeyCredentialCreationOptions = {
    challenge: bytes(options.challenge, "challenge"),
    rp: { id: location.hostname, name: "Cloud Doctor" },
    user: { id: handle, name, displayName: name },
    pubKeyCredParams: array(options.pubKeyCredParams, "algorithms").map((one) => ({
      type: "public-key",
      alg: number(object(one, "algorithm").alg, "algorithm"),
    })),
    excludeCredentials: excluded.map((id) => ({ type: "public-key", id })),
    // Found by the browser itself: nobody names an account before it is theirs.
    authenticatorSelection: {
      userVerification: "required",
      residentKey: "required",
      requireResidentKey: true,
    },
    attestation: "none",
    timeout: TOUCH_MS,
  };
  const made = await atBrowser(() => navigator.credentials.create({ publicKey }));
  const response = made.response as AuthenticatorAttestationResponse;
  return written(
    made,
    { clientDataJSON: response.clientDataJSON, attestationObject: response.attestationObject },
    { transports: response.getTransports() },
  );
}

function id(credential: PublicKeyCredential): Bytes {
  return new Uint8Array(credential.rawId);
}

/** As `PublicKeyCredential.toJSON` writes it, which Safari has only since 18.4. */
function written(
  credential: PublicKeyCredential,
  response: Readonly<Record<string, ArrayBuffer>>,
  besides: Json = {},
): Json {
  const texts = Object.entries(response).map(([name, value]) => [name, base64url(new Uint8Array(value))]);
  return {
    id: base64url(id(credential)),
    rawId: base64url(id(credential)),
    type: "public-key",
    clientExtensionResults: {},
    response: { ...Object.fromEntries(texts), ...besides },
  };
}
