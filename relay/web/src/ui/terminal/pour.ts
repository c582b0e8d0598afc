// Output on its way into the terminal. A flood that is drawn sixty times a second is mostly drawing, and nobody reads it: what
// comes meanwhile is given to the terminal together. All else is given at once.
//
// Only plain bytes are joined, and no more of them than the terminal has lately taken in one turn: it gives keys and the
// screen theirs between pieces, and an escape sequence may cost as much as thousands of letters. Never: a piece out of order.
import type { Shown } from "./filter";

/** Most that is held back or joined. */
export const PIECE_MAX = 512 << 10;
/** What is given together is a flood from this length on: more than any screen holds. */
export const FLOOD = 32 << 10;
/** A flood is given so far apart: 20 pictures a second. */
export const APART_MS = 50;
/** The longest that one piece may take. */
const TURN_MS = 25;

type Write = (piece: Shown, done: () => void) => void;

interface Piece {
  readonly shown: Shown;
  readonly done: () => void;
}

export class Pour {
  readonly #write: Write;
  #held: Piece[] = [];
  #length = 0;
  /** Most that is joined now. */
  #most = 2 * FLOOD;
  /** What was given last is being worked on, or was too much for more so soon. */
  #waits = false;
  #given = 0;

  constructor(write: Write) {
    this.#write = write;
  }

  /** `done`: the terminal has taken it in. */
  push(shown: Shown, done: () => void): void {
    this.#held.push({ shown, done });
    this.#length += shown.length;
    if (!this.#waits || this.#length >= this.#most) this.#give();
  }

  #give(): void {
    const [pieces, length, began] = [joined(this.#held), this.#length, performance.now()];
    [this.#held, this.#length, this.#waits] = [[], 0, true];
    const number = ++this.#given;
    const last = pieces.pop();
    for (const { shown, done } of pieces) this.#write(shown, done);
    if (!last) return this.#next(number);
    this.#write(last.shown, () => {
      last.done();
      if (length < FLOOD) return this.#next(number);
      const took = performance.now() - began;
      this.#most = Math.min(PIECE_MAX, Math.max(FLOOD, (length * TURN_MS) / took));
      if (took < APART_MS) setTimeout(() => this.#next(number), APART_MS - took);
      else this.#next(number);
    });
  }

  #next(after: number): void {
    if (after !== this.#given) return;
    this.#waits = false;
    if (this.#held.length > 0) this.#give();
  }
}

/** The same with plain neighbours as one. */
function joined(held: readonly Piece[]): Piece[] {
  const out: Piece[] = [];
  let plain: Piece[] = [];
  const close = () => {
    if (plain.length > 0) out.push(one(plain));
    plain = [];
  };
  for (const piece of held) {
    if (typeof piece.shown !== "string") plain.push(piece);
    else {
      close();
      out.push(piece);
    }
  }
  close();
  return out;
}

function one(plain: readonly Piece[]): Piece {
  const [first] = plain;
  if (first && plain.length === 1) return first;
  const all = new Uint8Array(plain.reduce((sum, { shown }) => sum + shown.length, 0));
  let at = 0;
  for (const { shown } of plain) {
    all.set(shown as Uint8Array, at);
    at += shown.length;
  }
  return {
    shown: all,
    done: () => {
      for (const { done } of plain) done();
    },
  };
}
