// Typed letters, drawn in the next frame and not a round trip later: cells in front of the terminal's, until the server's
// own are there. Fetched behind the terminal. Never: something that the terminal's text, its search or a copy would hold.
import type { IDisposable, Terminal } from "@xterm/xterm";
import "./local_echo.css";
import { Prediction } from "./prediction";

const px = Number.parseFloat;
/** A server that has applied a key says within this what it does about it; one that is worked to death says it later. */
const ANSWER_MS = 1000;

export class LocalEcho {
  readonly #terminal: Terminal;
  readonly #prediction: Prediction;
  readonly #cells = document.createElement("div");
  readonly #cursor = document.createElement("span");
  readonly #ends: IDisposable[];
  readonly #wanted: () => boolean;
  readonly #unapplied: () => number;
  #frame = 0;
  #timer = 0;

  /** `terminal`: is open. `unapplied`: the bytes of what was typed that the server has not applied. */
  constructor(terminal: Terminal, wanted: () => boolean, unapplied: () => number) {
    this.#terminal = terminal;
    this.#wanted = wanted;
    this.#unapplied = unapplied;
    this.#prediction = new Prediction(terminal);
    this.#cells.className = "predicted";
    this.#cells.ariaHidden = "true";
    this.#cells.hidden = true;
    this.#screen?.append(this.#cells);
    this.#ends = [
      terminal.onData((data) => this.#typed(data)),
      terminal.onWriteParsed(() => this.#answered()),
      terminal.onResize(() => this.#forget()),
      terminal.onScroll(() => this.#draw()),
    ];
  }

  dispose(): void {
    for (const end of this.#ends) end.dispose();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#cells.remove();
  }

  get #screen(): HTMLElement | null | undefined {
    return this.#terminal.element?.querySelector<HTMLElement>(".xterm-screen");
  }

  #typed(data: string): void {
    if (!this.#wanted()) return this.#forget();
    this.#prediction.typed(data);
    if (this.#prediction.shown) this.#frame ||= requestAnimationFrame(() => this.#next());
    this.#timer ||= window.setTimeout(() => this.#look(), ANSWER_MS);
  }

  #next(): void {
    this.#frame = 0;
    this.#draw();
  }

  #answered(): void {
    this.#prediction.answered();
    this.#draw();
  }

  #forget(): void {
    this.#prediction.forget();
    this.#draw();
  }

  /** `unanswered`: the key that was applied and not answered when last looked at; later ones may be on their way. */
  #look(unanswered?: number): void {
    this.#timer = 0;
    const { oldest, pending } = this.#prediction;
    if (pending === 0) return;
    if (unanswered === oldest) return this.#forget();
    const applied = this.#unapplied() < pending ? oldest : undefined;
    this.#timer = window.setTimeout(() => this.#look(applied), ANSWER_MS);
  }

  /** Comes for each line of a flood, when there is nothing to draw. */
  #draw(): void {
    const { shown } = this.#prediction;
    if (!shown) return this.#hide();
    const { rows, cols, buffer } = this.#terminal;
    const row = shown.row - buffer.active.viewportY;
    const screen = this.#screen;
    if (row < 0 || row >= rows || !screen) return this.#hide();
    const [width, height] = [px(screen.style.width) / cols, px(screen.style.height) / rows];
    const { style } = this.#cells;
    const { fontFamily, fontSize } = this.#terminal.options;
    style.font = `${fontSize}px/${height}px ${fontFamily}`;
    // As wide as the terminal's own, which are all as wide as a figure.
    style.letterSpacing = `calc(${width}px - 1ch)`;
    style.top = `${row * height}px`;
    style.left = `${shown.column * width}px`;
    const { text, cursor } = shown;
    this.#cursor.textContent = text[cursor] ?? "";
    this.#cells.replaceChildren(text.slice(0, cursor), this.#cursor, text.slice(cursor + 1));
    this.#cells.hidden = false;
  }

  #hide(): void {
    if (this.#cells.hidden) return;
    this.#cells.hidden = true;
    this.#cells.replaceChildren();
  }
}
