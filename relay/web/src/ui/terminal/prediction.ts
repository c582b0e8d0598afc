// What the screen will look like when the server has echoed what was typed. A prediction is believed only after the server
// has echoed a letter right where it was expected, and no longer than until something else happens there: a key that does
// more than write, output that moves the cursor, a letter that came out otherwise. So what a server does not echo, such as a
// password, is never believed. Never: a change of the terminal itself; the server's output alone makes its text.
import type { Terminal } from "@xterm/xterm";

/** One cell wide wherever it is; what stands for many cells, or for none, is not predicted. */
const LETTER = /^[ -~\u00a1-\u00ac\u00ae-\u02ff]$/;
const ERASE = "\x7f";
/** More keys than anybody types ahead of a server that is coming back. */
const KEYS_MAX = 128;
/** Programs show it for any letter of a secret. */
const MASK = "*";

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
  /** Keys that were answered so far, in whichever way. */
  #past = 0;
  #believed = false;
  /** A key did what cannot be predicted: nothing is until its answer is here. */
  #closed = false;

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
    if (this.#closed) return;
    const next = this.#after(data);
    if (next === undefined || this.#texts.length > KEYS_MAX) this.#closed = true;
    else this.#texts.push(next);
  }

  /** Output is in the terminal: what it answers is no prediction any more. */
  answered(): void {
    let answered = this.#texts.length - 1;
    while (answered >= 0 && !this.#stands(this.#texts[answered] ?? "")) answered -= 1;
    if (answered < 0) return this.forget();
    const [before = "", after = ""] = [this.#texts[0], this.#texts[answered]];
    if (after.length > before.length && !after.endsWith(MASK)) this.#believed = true;
    this.#texts.splice(0, answered);
    this.#past += answered;
  }

  /** The number of the oldest key that is not answered. */
  get oldest(): number {
    return this.#past;
  }

  /** From here on, believing nothing. */
  forget(): void {
    this.#past += this.#texts.length - 1;
    const { baseY, cursorX, cursorY } = this.#terminal.buffer.active;
    [this.#row, this.#column, this.#texts] = [baseY + cursorY, cursorX, [""]];
    this.#believed = this.#closed = false;
  }

  get #last(): string {
    return this.#texts.at(-1) ?? "";
  }

  #after(data: string): string | undefined {
    const text = this.#last;
    if (data === ERASE) return text === "" ? undefined : text.slice(0, -1);
    return LETTER.test(data) && this.#isFree(this.#column + text.length) ? text + data : undefined;
  }

  /** Nothing is pushed aside by a letter there, and the line goes on after it. */
  #isFree(column: number): boolean {
    const first = Math.max(column, this.#column + (this.#texts[0]?.length ?? 0));
    return column + 2 < this.#terminal.cols && this.#cells(first, column + 2).trim() === "";
  }

  /** This text is what the typed one has become, and the cursor is behind it. */
  #stands(text: string): boolean {
    const { baseY, cursorX, cursorY } = this.#terminal.buffer.active;
    const end = this.#column + text.length;
    return cursorX === end && baseY + cursorY === this.#row && this.#cells(this.#column, end) === text;
  }

  #cells(from: number, to: number): string {
    return this.#terminal.buffer.active.getLine(this.#row)?.translateToString(false, from, to) ?? "";
  }
}
