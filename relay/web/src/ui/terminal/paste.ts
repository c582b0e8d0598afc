// biome-ignore-all lint/suspicious/noControlCharactersInRegex: controls are what is looked for.
// A paste is looked at before a shell gets it: what one sees on a web page is not always what one copied.

export interface Paste {
  readonly text: string;
  readonly lines: number;
  /** Controls other than tab and line ends, or characters that reorder or hide text. */
  readonly hidden: number;
}

const HIDDEN =
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

export function look(text: string): Paste {
  const plain = text.replace(/\r\n?/g, "\n");
  return { text: plain, lines: plain.split("\n").length, hidden: plain.match(HIDDEN)?.length ?? 0 };
}

/** One line without anything hidden goes through; the rest asks. */
export function asks(paste: Paste): boolean {
  return paste.lines > 1 || paste.hidden > 0;
}

/** What is pasted after the question: without anything hidden. */
export function cleaned(paste: Paste): string {
  return paste.text.replace(HIDDEN, "");
}

/** For showing: each hidden character by its number. */
export function shown(paste: Paste): string {
  return paste.text.replace(HIDDEN, (char) => {
    return `⟨U+${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}
