// Errors as ids and values: code matches on the id, pages make the sentence. Never: a sentence in code.

import type english from "./messages.en.json";

/** Ids of the sentences in messages.en.json and messages.zh.json. */
export type MessageId = keyof typeof english;

/** Something did not work. Whatever the id says, nothing was started unless a shell was returned. */
export class ConsoleError extends Error {
  override readonly name = "ConsoleError";
  /** What the sentence names, in the order of its `{0}`, `{1}` …. Strangers' texts among them, made safe for one line. */
  readonly args: readonly string[];

  constructor(
    readonly id: MessageId,
    ...args: readonly (string | number)[]
  ) {
    super([id, ...args].join(" "));
    this.args = args.map((arg) => oneLine(String(arg)));
  }
}

/** Longest value in a sentence. */
const ARG_CHARS_MAX = 300;
// Control characters, zero width, line and paragraph separators, directions, joiners, isolates, the byte order mark.
const HIDDEN = /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** A stranger's text made safe for one line: control characters and direction marks become visible. */
export function oneLine(text: string, charsMax = ARG_CHARS_MAX): string {
  const cut = Array.from(text.slice(0, charsMax * 2))
    .slice(0, charsMax)
    .join("");
  return cut.replace(HIDDEN, (c) => `\\u{${c.codePointAt(0)?.toString(16) ?? ""}}`);
}

/** Whether a text holds a character that moves the cursor, turns the direction, or takes no place. */
export function isHidden(text: string): boolean {
  return text.search(HIDDEN) >= 0;
}

/** Code points, as Rust counts them. */
export function chars(value: string): number {
  let count = 0;
  for (const _ of value) count += 1;
  return count;
}
