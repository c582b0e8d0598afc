// Ids: bytes that are known by their hash or by chance, shown as lower-case hexadecimal. Never: decided by a short form.

import { sha256 as digest } from "@noble/hashes/sha2.js";
import { type Bytes, concat, hex, unhex, utf8 } from "./bytes";
import { fixed } from "./pack";

export const id32 = fixed(32);
export const id16 = fixed(16);

/** SHA-256 of the concatenation of `parts`. */
export function sha256(...parts: readonly Uint8Array[]): Bytes {
  return Uint8Array.from(digest(concat(...parts)));
}

/** The agent that has this Ed25519 identity. */
export function agentOf(identity: Uint8Array): Bytes {
  return sha256(identity);
}

/** The id of a public key in SSH wire format. */
export function keyOf(blob: Uint8Array): Bytes {
  return sha256(blob);
}

/** The id under which a batch key signs. */
export function batchOf(key: Uint8Array): Bytes {
  return sha256(utf8("batch\0"), key);
}

/** The visit that a grant with this hash opens. */
export function visitOf(grant: Bytes): Bytes {
  return grant.slice(0, 16);
}

/** The first twelve digits: enough to tell two apart on a screen. */
export function short(id: Uint8Array): string {
  return hex(id).slice(0, 12);
}

/** Reads an id of `size` bytes. */
export function parseId(text: string, size: 16 | 32): Bytes | undefined {
  const bytes = unhex(text);
  return bytes?.length === size ? bytes : undefined;
}
