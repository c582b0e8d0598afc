// An account's own key in this browser: made here, kept here, and never readable, not even by this page.
//
// One per account, so that nobody signs as whoever used this browser before. It signs without a touch, so it counts only where a server's ceiling names `device`. Never: exported.

import type { Bytes } from "./bytes";
import { ConsoleError } from "./errors";
import { keyOf } from "./ids";
import { p256Blob, signP256, verify } from "./ssh";
import * as store from "./store";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;

export interface DeviceKey {
  readonly id: Bytes;
  /** SSH wire format. */
  readonly blob: Bytes;
  /** A binary SSHSIG over a message that the caller has made. */
  sign(namespace: string, message: Bytes): Promise<Bytes>;
}

/** The key; made at the first call. */
export async function deviceKey(account: string): Promise<DeviceKey> {
  const { secret, blob } = (await store.deviceKey(account)) ?? (await make(account));
  return {
    id: keyOf(blob),
    blob,
    async sign(namespace, message) {
      const sshsig = await signP256(secret, blob, namespace, message);
      // A key that signs something else is noticed here.
      await verify(blob, namespace, message, sshsig).catch(() => {
        throw new ConsoleError("signature_odd");
      });
      return sshsig;
    },
  };
}

async function make(account: string): Promise<store.StoredKey> {
  const pair = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
  const open = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return store.keepDeviceKey(account, { secret: pair.privateKey, blob: p256Blob(open) });
}
