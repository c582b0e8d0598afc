// biome-ignore-all lint/suspicious/noControlCharactersInRegex: controls are what this file is about.
// What a server sends, before xterm.js sees it. A server is a stranger here: what it prints must neither act on this
// browser (clipboard, windows, notifications, images) nor make the terminal type something back.
//
//   ground ──ESC──▶ escape ──[──▶ csi ──final──▶ ground     passed when on the list below
//                     │ ├───]──▶ osc ──BEL, ESC──▶ ground   decided by its number
//                     │ └─P X ^ _─▶ string ──ESC──▶ ground  never passed
//                     └─intermediates and final──▶ ground
//
// A sequence is held until it is whole and is passed or dropped as one. More than SEQUENCE_MAX of one is dropped as it
// comes, so that an endless one costs nothing. Eight-bit controls (U+0080 to U+009F) are removed: ESC is the only way in.

/** Characters of one control sequence: the longest that vim, tmux or a link needs is far below. */
export const SEQUENCE_MAX = 4096;
/** Characters of a title: what a tab can show. */
export const TITLE_MAX = 128;
/** Characters of a link's address. */
export const LINK_MAX = 2048;

const ESC = "\x1b";
const BEL = "\x07";
const CAN = "\x18";
const SUB = "\x1a";

type State = "ground" | "escape" | "csi" | "osc" | "string";

/** CSI sequences that pass, as prefix, intermediates and final; `n` and `c` are looked at once more below. */
const CSI_PASSED = new Set([
  ..."@ABCDEFGHIJKLMPSTXZ`abcdefghlmnrsu",
  ..."hlJKn".split("").map((final) => `?${final}`),
  ">c",
  "!p",
  " q",
  " @",
  " A",
  '"q',
  "'}",
  "'~",
]);
/** ESC sequences without intermediates that pass: save, restore, index, tabs, keypad, reset, character sets. */
const ESC_PASSED = new Set("78DEHMNO=>cno|}~".split(""));
/** Reports that programs need: status, cursor position. */
const STATUS_REPORTS = new Set(["5n", "6n", "?6n"]);
/** Who are you: primary and secondary, without anything else. */
const IDENTIFICATIONS = new Set(["c", "0c", ">c", ">0c"]);
/** Colours, which may be set and reset but not asked for. */
const COLOURS = new Set(["4", "10", "11", "12"]);
const COLOUR_RESETS = new Set(["104", "110", "111", "112"]);

const INTERESTING = /[\x1b\x80-\x9f]/g;
const STRING_END = /[\x18\x1a\x1b]/g;
const CONTROLS = /[\x00-\x1f\x7f-\x9f]/g;
/** Characters that reorder or hide what stands around them. */
const DECEIVING = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** A title as text: no controls, nothing that reorders, short. */
export function titleText(text: string): string {
  const plain = text.replace(CONTROLS, "").replace(DECEIVING, "");
  return Array.from(plain).slice(0, TITLE_MAX).join("");
}

/** The address of a link that may be offered: http and https, nothing else. */
export function linkAddress(text: string): string | undefined {
  if (text.length > LINK_MAX || !/^https?:\/\//i.test(text) || !/^[\x21-\x7e]+$/.test(text)) return undefined;
  try {
    const url = new URL(text);
    return url.username || url.password ? undefined : url.href;
  } catch {
    return undefined;
  }
}

/** What may be shown, as text or as plain bytes, which a flood mostly is. */
export type Shown = string | Uint8Array;

/** The highest bit of each of four bytes. */
const HIGH_BITS = 0x80808080;
/** Below this, words are not worth looking for. */
const WORDS_FROM_BYTES = 64;

/** Whether these are ASCII without an escape: nothing to decode and nothing to filter. A flood is looked at by words. */
function isPlain(bytes: Uint8Array): boolean {
  if (bytes.includes(0x1b)) return false;
  if (bytes.length < WORDS_FROM_BYTES) return bytes.every(isAscii);
  const head = -bytes.byteOffset & 3;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + head, (bytes.length - head) >> 2);
  let seen = 0;
  for (let at = 0; at < words.length; at += 1) seen |= words[at] as number;
  if ((seen & HIGH_BITS) !== 0) return false;
  const rest = head + words.length * 4;
  return bytes.subarray(0, head).every(isAscii) && bytes.subarray(rest).every(isAscii);
}

function isAscii(byte: number): boolean {
  return byte < 0x80;
}

export class OutputFilter {
  #decoder = new TextDecoder("utf-8");
  #state: State = "ground";
  #held = "";
  #over = false;
  /** The last byte was part of a longer letter, which may not be whole. */
  #torn = false;
  readonly #title: (title: string) => void;

  constructor(title: (title: string) => void) {
    this.#title = title;
  }

  /** What may be shown of these bytes; what is not whole yet is kept. Plain letters are returned as they came. */
  push(bytes: Uint8Array): Shown {
    if (this.#state === "ground" && !this.#torn && isPlain(bytes)) return bytes;
    const last = bytes.at(-1);
    if (last !== undefined) this.#torn = !isAscii(last);
    return this.#text(this.#decoder.decode(bytes, { stream: true }));
  }

  /** Forgets a half sequence, for when bytes were left out. */
  reset(): void {
    this.#decoder = new TextDecoder("utf-8");
    this.#torn = false;
    this.#leave();
  }

  #text(text: string): string {
    let out = "";
    let at = 0;
    while (at < text.length) {
      if (this.#state === "ground") {
        INTERESTING.lastIndex = at;
        const found = INTERESTING.exec(text);
        const end = found ? found.index : text.length;
        out += at === 0 && end === text.length ? text : text.slice(at, end);
        if (found?.[0] === ESC) this.#enter("escape");
        at = end + 1;
      } else if (this.#state === "string") {
        STRING_END.lastIndex = at;
        const found = STRING_END.exec(text);
        at = found ? found.index + 1 : text.length;
        if (found) this.#enter(found[0] === ESC ? "escape" : "ground");
      } else {
        out += this.#one(text[at] ?? "");
        at += 1;
      }
    }
    return out;
  }

  #one(char: string): string {
    const code = char.charCodeAt(0);
    if (code >= 0x80 && code <= 0x9f) return "";
    if (char === CAN || char === SUB) {
      this.#leave();
      return "";
    }
    switch (this.#state) {
      case "ground":
        return char;
      case "escape":
        return this.#escape(char, code);
      case "csi":
        return this.#csi(char, code);
      case "osc":
        return this.#osc(char, code);
      case "string":
        return "";
    }
  }

  #escape(char: string, code: number): string {
    if (char === ESC) return this.#enter("escape");
    if (code < 0x20) return char;
    if (code === 0x7f) return "";
    if (this.#held === "") {
      if (char === "[") return this.#enter("csi");
      if (char === "]") return this.#enter("osc");
      if ("PX^_".includes(char)) return this.#enter("string");
    }
    if (code < 0x30) return this.#hold(char);
    const held = this.#held;
    const whole =
      !this.#over && (held === "" ? ESC_PASSED.has(char) : /^[()*+\-./#]$/.test(held) && code < 0x7f);
    this.#leave();
    if (code > 0x7f) return char;
    return whole ? ESC + held + char : "";
  }

  #csi(char: string, code: number): string {
    if (char === ESC) return this.#enter("escape");
    // Controls inside a sequence act at once, as in xterm.js.
    if (code < 0x20) return char;
    if (code === 0x7f) return "";
    if (code < 0x40) return this.#hold(char);
    const body = this.#held;
    const passed = !this.#over && code < 0x7f && csiPasses(body, char);
    this.#leave();
    if (code > 0x7f) return char;
    return passed ? `${ESC}[${bounded(body, char)}${char}` : "";
  }

  #osc(char: string, code: number): string {
    if (char !== BEL && char !== ESC) return code < 0x20 || code === 0x7f ? "" : this.#hold(char);
    const [body, over] = [this.#held, this.#over];
    this.#leave();
    if (char === ESC) this.#enter("escape");
    return over ? "" : this.#command(body);
  }

  #command(body: string): string {
    const split = body.indexOf(";");
    const number = split < 0 ? body : body.slice(0, split);
    const rest = split < 0 ? "" : body.slice(split + 1);
    if (number === "0" || number === "2") {
      this.#title(titleText(rest));
      return "";
    }
    if (number === "8") return hyperlink(rest);
    const colour = COLOURS.has(number) && !rest.includes("?") && /^[\w#:/;., -]+$/.test(rest);
    return colour || COLOUR_RESETS.has(number) ? `${ESC}]${body}${BEL}` : "";
  }

  #hold(char: string): string {
    if (this.#held.length < SEQUENCE_MAX) this.#held += char;
    else this.#over = true;
    return "";
  }

  #enter(state: State): string {
    this.#state = state;
    this.#held = "";
    this.#over = false;
    return "";
  }

  #leave(): void {
    this.#enter("ground");
  }
}

/** Largest number in a sequence: more than any screen has rows or columns, and modes have at most four digits. */
const COUNT_MAX = 9999;

/** Scrolling, inserting and deleting lines, repeating: the terminal does each as often as it is told, line by line. */
const REPEATED = "STLMb";
/** More than a screen has lines; further ones change nothing that is seen. */
const REPEATED_MAX = 500;

/** The sequence's numbers, with no more work than a screen is worth (PTY-08). The terminal heeds the first of these. */
function bounded(body: string, final: string): string {
  const times = REPEATED.includes(final) ? /^\d+/.exec(body)?.[0] : undefined;
  return times === undefined ? body : String(Math.min(Number(times), REPEATED_MAX));
}

function csiPasses(body: string, final: string): boolean {
  const parts = /^([<=>?]?)([\d:;]*)([ -/]*)$/.exec(body);
  if (!parts) return false;
  // The terminal would repeat as often as it is told to: a huge count freezes the page.
  if (final !== "m" && (parts[2] ?? "").split(/[;:]/).some((count) => Number(count) > COUNT_MAX))
    return false;
  const kind = `${parts[1]}${parts[3]}${final}`;
  if (!CSI_PASSED.has(kind)) return false;
  if (final === "n") return STATUS_REPORTS.has(body + final);
  if (final === "c") return IDENTIFICATIONS.has(body + final);
  return true;
}

/** A link that may be offered, or the end of one: then its text stays, as text. */
function hyperlink(rest: string): string {
  const split = rest.indexOf(";");
  const address = linkAddress(split < 0 ? "" : rest.slice(split + 1));
  if (!address) return `${ESC}]8;;${BEL}`;
  const id = /(?:^|:)id=([\w.-]{1,64})(?::|$)/.exec(rest.slice(0, split))?.[1];
  return `${ESC}]8;${id ? `id=${id}` : ""};${address}${BEL}`;
}

/**
 * What xterm.js wants to send. Keys, mouse and pasted text pass; of its own answers only the four that programs need,
 * none of which can hold a newline or a letter of the server's choosing.
 */
export function replyPasses(data: string): boolean {
  if (/^\x1b[P\]X^_]/.test(data)) return false;
  const report = /^\x1b\[([?>=]?)[\d;]*(\$?[a-zA-Z])$/.exec(data);
  if (!report) return true;
  const kind = `${report[1]}${report[2]}`;
  if (kind === "$y" || kind === "?$y" || kind === "t") return false;
  return report[1] === "" || ANSWERS.has(kind);
}

/** Primary and secondary identification, extended cursor position. (Status and position have no prefix.) */
const ANSWERS = new Set(["?c", ">c", "?R"]);

/** Whether this is an answer, not a key: those are kept back while old output is drawn again. */
export function isAnswer(data: string): boolean {
  return /^\x1b(?:\[[?>][\d;]*[cR]|\[0n|\[\d+;\d+R)$/.test(data);
}
