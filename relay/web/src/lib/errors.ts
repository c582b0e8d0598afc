// Errors as ids and values: code matches on the id, pages make the sentence. Never: a sentence in code.

import type english from "./messages.en.json";
import type rooms from "./messages.rooms.en.json";

/** Ids of the sentences in messages.en.json and messages.rooms.en.json, and their Chinese ones. */
export type MessageId = keyof typeof english | keyof typeof rooms;

/** A sentence: its id, and what stands at its `{0}`, `{1}` …, which may be sentences themselves. */
export interface Sentence {
  readonly id: MessageId;
  readonly args: readonly (string | Sentence)[];
}

/** Something did not work. Whatever the id says, nothing was started unless a shell was returned. */
export class ConsoleError extends Error implements Sentence {
  override readonly name = "ConsoleError";
  readonly args: readonly (string | Sentence)[];

  constructor(
    readonly id: MessageId,
    ...args: readonly (string | number | Sentence)[]
  ) {
    super(id);
    this.args = args.map((arg) => (typeof arg === "object" ? arg : oneLine(String(arg))));
  }
}

/** The text of an id, with what stands in its places `{0}`, `{1}` ...; `undefined`: there is no such text. */
export type Texts = (id: string, args: readonly string[]) => string | undefined;

/** The words of a sentence. */
export function say(sentence: Sentence, texts: Texts): string {
  const args = sentence.args.map((arg) => (typeof arg === "object" ? say(arg, texts) : String(arg)));
  // Whatever is missing is nothing.
  const all = Array.from({ length: PLACES }, (_, place) => args[place] ?? "");
  return (texts(sentence.id, all) ?? texts(instead(sentence.id), all) ?? sentence.id).trimEnd();
}

/** Places of a text have one digit. */
const PLACES = 10;

/** A refusal, or part of one, that a newer server gives has words that say so. */
function instead(id: string): string {
  return id.startsWith("told_") ? "told_unknown" : id.startsWith("refusal_") ? "refusal_unknown" : id;
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
