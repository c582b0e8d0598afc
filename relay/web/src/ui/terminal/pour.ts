// Output on its way into the terminal. A flood that is drawn sixty times a second is mostly drawing, and nobody reads it: what
// comes meanwhile is given to the terminal in one piece. All else is given at once. Never: a piece out of order.
import type { Shown } from "./filter";

/** Length of one piece: some 20 ms of work, so that keys and the screen get their turn. */
export const PIECE_MAX = 512 << 10;
/** A piece of this length is a flood's: more than any screen holds. */
export const FLOOD = 32 << 10;
/** A flood's pieces are so far apart: 20 pictures a second. */
export const APART_MS = 50;

type Write = (piece: Shown, done: () => void) => void;

export class Pour {
  readonly #write: Write;
  #held: Shown[] = [];
  #length = 0;
  #done: (() => void)[] = [];
  /** The last piece is being worked on, or was too much for another one so soon. */
  #waits = false;
  #pieces = 0;

  constructor(write: Write) {
    this.#write = write;
  }

  /** `done`: the terminal has taken it in. */
  push(shown: Shown, done: () => void): void {
    this.#held.push(shown);
    this.#length += shown.length;
    this.#done.push(done);
    if (!this.#waits || this.#length >= PIECE_MAX) this.#give();
  }

  #give(): void {
    const [piece, done, began] = [joined(this.#held, this.#length), this.#done, performance.now()];
    [this.#held, this.#length, this.#done] = [[], 0, []];
    this.#waits = true;
    const number = ++this.#pieces;
    this.#write(piece, () => {
      for (const one of done) one();
      const rest = piece.length < FLOOD ? 0 : began + APART_MS - performance.now();
      if (rest > 0) setTimeout(() => this.#next(number), rest);
      else this.#next(number);
    });
  }

  #next(after: number): void {
    if (after !== this.#pieces) return;
    this.#waits = false;
    if (this.#done.length > 0) this.#give();
  }
}

const decoder = new TextDecoder();

/** One after the other, as bytes where all are. */
function joined(held: readonly Shown[], length: number): Shown {
  const [first] = held;
  if (held.length === 1 && first !== undefined) return first;
  if (held.some((shown) => typeof shown === "string")) {
    return held.map((shown) => (typeof shown === "string" ? shown : decoder.decode(shown))).join("");
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const bytes of held as readonly Uint8Array[]) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}
