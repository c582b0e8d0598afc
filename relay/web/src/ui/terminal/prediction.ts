// What the screen will look like when the server has echoed what was typed. A prediction is believed only after the server
// has echoed a letter right where it was expected, and no longer than until something else happens there: a key that does
// more than write, output that moves the cursor, a letter that came out otherwise. So what a server does not echo, such as a
// password, is never believed. Never: a change of the terminal itself; the server's output alone makes its text.
import type { Terminal } from "@xterm/xterm";

const ERASE = "\x7f";
/** One cell wide wherever it is, or erasing one; what stands for many cells, or for none, is not predicted. */
const PREDICTED = /^[ -\x7f\u00a1-\u00ac\u00ae-\u02ff]$/;
/** Stands for any key that is not predicted. */
const OTHER = "";
/** More keys than anybody types ahead of a server that is coming back. */
const KEYS_MAX = 128;
/** Programs show one of these for any letter of a secret, so that it is no echo. */
const MASK = /[* ]$/;

/** Cells to be drawn over those of the terminal. */
export interface Predicted {
  /** Counted from the beginning of what can be scrolled to. */
  readonly row: number;
  readonly column: number;
  /** One character a cell; the cursor is on one of them. */
  readonly text: string;
  readonly cursor: number;
}

export class Prediction {
  readonly #terminal: Pick<Terminal, "buffer" | "cols">;
  /** Where the typed text begins. */
  #row = 0;
  #column = 0;
  /** The text as it stands there, and as it will after each key that is not answered yet. */
  #texts = [""];
  /** The keys that are not answered yet. After one that cannot be predicted, none is until that one is answered. */
  #keys: string[] = [];
  /** So many of them were typed before something else was shown, a question perhaps: their echoes earn no belief. */
  #early = 0;
  /** Keys that were answered so far, in whichever way. */
  #past = 0;
  #believed = false;

  constructor(terminal: Pick<Terminal, "buffer" | "cols">) {
    this.#terminal = terminal;
    this.forget();
  }

  /** What there is to draw before it is answered. */
  get shown(): Predicted | undefined {
    if (!this.#believed || this.#texts.length === 1) return undefined;
    const [now = "", then] = [this.#texts[0], this.#last];
    let same = 0;
    while (same < now.length && now[same] === then[same]) same += 1;
    // With the cell where the terminal's own cursor is.
    const length = Math.max(now.length, then.length) + 1;
    const text = then.padEnd(length).slice(same);
    return { row: this.#row, column: this.#column + same, text, cursor: then.length - same };
  }

  /** Something was typed, as the shell gets it. */
  typed(data: string): void {
    if (this.#keys.length > KEYS_MAX) return;
    const key = this.#keys.length < KEYS_MAX && PREDICTED.test(data) ? data : OTHER;
    const next = this.#keys.length < this.#texts.length ? this.#after(key) : undefined;
    if (next !== undefined) this.#texts.push(next);
    this.#keys.push(key);
  }

  /** Output is in the terminal: what it answers is no prediction any more. */
  answered(): void {
    let answered = this.#texts.length - 1;
    while (answered >= 0 && !this.#stands(this.#texts[answered] ?? "")) answered -= 1;
    if (answered < 0) return this.#begin(this.#unanswered());
    const [before = "", after = ""] = [this.#texts[0], this.#texts[answered]];
    if (answered > this.#early && after.length > before.length && !MASK.test(after)) this.#believed = true;
    // Where nothing typed is left, another prompt may stand by now.
    if (after === "") this.#believed = false;
    this.#texts.splice(0, answered);
    this.#keys.splice(0, answered);
    this.#early = Math.max(0, this.#early - answered);
    this.#past += answered;
  }

  /** How many keys are not answered: the last ones that were typed. */
  get pending(): number {
    return this.#keys.length;
  }

  /** The number of the oldest key that is not answered. */
  get oldest(): number {
    return this.#past;
  }

  /** From here on, believing nothing. */
  forget(): void {
    this.#begin([]);
  }

  #begin(keys: readonly string[]): void {
    this.#past += this.#keys.length - keys.length;
    const { baseY, cursorX, cursorY } = this.#terminal.buffer.active;
    [this.#row, this.#column, this.#texts, this.#keys] = [baseY + cursorY, cursorX, [""], []];
    this.#believed = false;
    this.#early = keys.length;
    for (const key of keys) this.typed(key);
  }

  /** The keys still on their way after output that was not expected: their echoes are no later keys'. */
  #unanswered(): string[] {
    const keys = this.#keys.slice(this.#keys.lastIndexOf(OTHER) + 1);
    const { baseY, cursorX, cursorY } = this.#terminal.buffer.active;
    const from = this.#column + (this.#texts[0]?.length ?? 0);
    const written = baseY + cursorY === this.#row ? this.#cells(from, cursorX) : "";
    const at = written === "" ? -1 : keys.join("").indexOf(written);
    return at < 0 ? keys : keys.slice(at + written.length);
  }

  get #last(): string {
    return this.#texts.at(-1) ?? "";
  }

  #after(key: string): string | undefined {
    const text = this.#last;
    if (key === ERASE) return text === "" ? undefined : text.slice(0, -1);
    return key !== OTHER && this.#isFree(this.#column + text.length) ? text + key : undefined;
  }

  /** Nothing is pushed aside by a letter there, and the line goes on after it. */
  #isFree(column: number): boolean {
    const first = Math.max(column, this.#column + (this.#texts[0]?.length ?? 0));
    return column + 2 < this.#terminal.cols && this.#cells(first, column + 2).trim() === "";
  }

  /** This text is what the typed one has become, the cursor is behind it, and it can be seen. */
  #stands(text: string): boolean {
    const { baseY, cursorX, cursorY } = this.#terminal.buffer.active;
    const end = this.#column + text.length;
    if (cursorX !== end || baseY + cursorY !== this.#row || this.#cells(this.#column, end) !== text)
      return false;
    const last = this.#terminal.buffer.active.getLine(this.#row)?.getCell(end - 1);
    return text === "" || !last?.isInvisible();
  }

  #cells(from: number, to: number): string {
    return this.#terminal.buffer.active.getLine(this.#row)?.translateToString(false, from, to) ?? "";
  }
}
