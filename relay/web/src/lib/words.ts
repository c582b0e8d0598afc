// Six words that two people compare, as proto/src/words.rs: 66 bits of a hash that is stretched 65,536 times first.
//
// Never: the page blocked for long; it breathes every few milliseconds of hashing.

import { sha256 as hasher } from "@noble/hashes/sha2.js";
import { type Bytes, equal, hex, utf8 } from "./bytes";
import { parseId, sha256 } from "./ids";

const ROUNDS = 1 << 16;
const WORDS = 6;
const BITS_PER_WORD = 11;
/** Longest time of hashing before the page may draw. */
const BREATH_MS = 8;

async function list(): Promise<readonly string[]> {
  // On its own, because only two moments of a visit need it.
  const { default: text } = await import("../../../../proto/src/words.txt?raw");
  return text.trim().split("\n");
}

/** The six words of a hash. */
export async function words(hash: Uint8Array): Promise<string> {
  const stretched = await stretch(hash);
  const bit = (at: number): number => ((stretched[at >> 3] ?? 0) >> (7 - (at & 7))) & 1;
  const all = await list();
  return Array.from({ length: WORDS }, (_, word) => {
    let index = 0;
    for (let at = 0; at < BITS_PER_WORD; at++) index = (index << 1) | bit(word * BITS_PER_WORD + at);
    return all[index] ?? "";
  }).join(" ");
}

/** What was asked for before: pages look every few seconds, and words are slow on purpose. */
const said = new Map<string, Promise<string>>();

/** The six words of a hash whose words are asked for again and again. */
export function wordsKept(hash: Uint8Array): Promise<string> {
  const id = hex(hash);
  const known = said.get(id);
  if (known !== undefined) return known;
  const asked = words(hash);
  said.set(id, asked);
  // The list of words may be fetched at the next try.
  asked.catch(() => said.delete(id));
  return asked;
}

async function stretch(hash: Uint8Array): Promise<Bytes> {
  const both = new Uint8Array(64);
  both.set(sha256(utf8("cloud-doctor words v1\0"), hash));
  both.set(hash, 32);
  let breath = performance.now();
  for (let round = 0; round < ROUNDS; round++) {
    both.set(hasher(both));
    if (round % 256 === 0 && performance.now() - breath > BREATH_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      breath = performance.now();
    }
  }
  return both.slice(0, 32);
}

/** What a person wrote: six words in any spacing and case, or the whole hash in hexadecimal. */
export type Pin = { readonly words: string } | { readonly hash: Bytes };

/** Not a pin: a word that the list does not have, or another number of words. */
export type NotAPin = { readonly unknown: string } | { readonly count: number };

/** Reads a pin. */
export async function parsePin(text: string): Promise<Pin | NotAPin> {
  const hash = parseId(text.trim(), 32);
  if (hash !== undefined) return { hash };
  const said = text
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "")
    .map((word) => word.toLowerCase());
  if (said.length !== WORDS) return { count: said.length };
  const all = new Set(await list());
  const unknown = said.find((word) => !all.has(word));
  return unknown === undefined ? { words: said.join(" ") } : { unknown };
}

/** Whether a pin names that hash. */
export async function matches(pin: Pin, hash: Uint8Array): Promise<boolean> {
  return "hash" in pin ? equal(pin.hash, hash) : pin.words === (await words(hash));
}
