// Ed25519 keys whose private half leaves the browser on purpose: a recovery file, an install token.
//
// Never: kept in the browser.

import { type Bytes, random, unbase64url } from "./bytes";
import { ConsoleError } from "./errors";
import { ed25519Blob, privateKeyFile, signEd25519 } from "./ssh";

export interface Seed {
  readonly seed: Bytes;
  /** Public half. */
  readonly open: Bytes;
  /** The same in SSH's wire format. */
  readonly blob: Bytes;
  /** A binary SSHSIG. */
  sign(namespace: string, message: Bytes): Promise<Bytes>;
  /** The file that `ssh-keygen` would write. */
  file(comment: string): string;
}

export async function makeSeed(): Promise<Seed> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const open = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const seed = unbase64url((await crypto.subtle.exportKey("jwk", pair.privateKey)).d ?? "");
  if (seed?.length !== 32) throw new ConsoleError("browser_too_old");
  const blob = ed25519Blob(open);
  return {
    seed,
    open,
    blob,
    sign: (namespace, message) => signEd25519(pair.privateKey, blob, namespace, message),
    file: (comment) => privateKeyFile(seed, open, comment, random(4)),
  };
}
