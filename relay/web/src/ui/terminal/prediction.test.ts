// @vitest-environment jsdom
// What is drawn before the server answers: what it will say, never what it does not echo, and nothing once it has spoken.
import { Terminal } from "@xterm/xterm";
import { expect, test, vi } from "vitest";
import { Prediction } from "./prediction";

const ENTER = "\r";
const ERASE = "\x7f";
const COLS = 40;

// What xterm.js asks of a browser when it is loaded and made.
vi.hoisted(() => {
  HTMLCanvasElement.prototype.getContext = () => null;
  vi.stubGlobal("matchMedia", () => ({ addEventListener() {}, removeEventListener() {} }));
});

/** A screen and what is predicted for it. */
class Screen {
  readonly terminal = new Terminal({ cols: COLS, rows: 6, scrollback: 20, allowProposedApi: true });
  readonly prediction = new Prediction(this.terminal);

  async write(output: string): Promise<void> {
    await new Promise<void>((done) => this.terminal.write(output, done));
    this.prediction.answered();
  }

  type(...keys: string[]): void {
    for (const key of keys) this.prediction.typed(key);
  }

  /** A shell that has just echoed a letter. */
  async echoing(): Promise<void> {
    await this.write("$ ");
    this.type("l");
    await this.write("l");
  }

  /** The row of the prompt as it is seen, and the cursor's column. */
  seen(): { text: string; cursor: number } {
    const { baseY, cursorX, cursorY } = this.terminal.buffer.active;
    const cells = [...(this.terminal.buffer.active.getLine(baseY + cursorY)?.translateToString() ?? "")];
    const { shown } = this.prediction;
    if (shown) cells.splice(shown.column, shown.text.length, ...shown.text);
    return { text: cells.join("").trimEnd(), cursor: shown ? shown.column + shown.cursor : cursorX };
  }
}

test("a letter is drawn at once where the last one was echoed, and no sooner", async () => {
  const screen = new Screen();
  await screen.write("$ ");
  screen.type("l", "s");
  expect(screen.seen()).toEqual({ text: "$", cursor: 2 });
  await screen.write("l");
  // The second one as well: it has been on its way since.
  expect(screen.seen()).toEqual({ text: "$ ls", cursor: 4 });
  await screen.write("s");
  expect(screen.prediction.shown).toBeUndefined();
  screen.type(" ", "-", "a", ERASE);
  expect(screen.seen()).toEqual({ text: "$ ls -", cursor: 6 });
  await screen.write(" -a\b \b");
  expect(screen.prediction.shown).toBeUndefined();
  expect(screen.seen()).toEqual({ text: "$ ls -", cursor: 6 });
});

test("what was echoed can be erased at once, no further than it was typed", async () => {
  const screen = new Screen();
  await screen.echoing();
  screen.type("s");
  await screen.write("s");
  screen.type(ERASE, ERASE);
  expect(screen.seen()).toEqual({ text: "$", cursor: 2 });
  screen.type(ERASE, "x");
  expect(screen.seen()).toEqual({ text: "$", cursor: 2 });
  await screen.write("\b \b\b \b\x07x");
  expect(screen.seen()).toEqual({ text: "$ x", cursor: 3 });
});

test("a password is never drawn", async () => {
  const screen = new Screen();
  await screen.echoing();
  screen.type("s", ENTER, "e", "a", "r", "l", "y");
  expect(screen.seen().text).toBe("$ ls");
  await screen.write("s\r\nPassword: ");
  for (const key of ["s", "e", ERASE, "c", ERASE, ERASE, "x", "y"]) {
    screen.type(key);
    expect(screen.prediction.shown).toBeUndefined();
    // Output that stays where it is answers nothing.
    await screen.write("\x1b[0m");
    expect(screen.prediction.shown).toBeUndefined();
  }
  screen.type(ENTER);
  await screen.write("\r\n$ ");
  screen.type("l");
  expect(screen.prediction.shown).toBeUndefined();
});

test("a mask is no echo, even of itself", async () => {
  const screen = new Screen();
  await screen.write("Password: ");
  screen.type("*");
  await screen.write("*");
  screen.type("s");
  expect(screen.prediction.shown).toBeUndefined();
  await screen.write("*");
  screen.type("e");
  expect(screen.prediction.shown).toBeUndefined();
});

test.each([
  ["a blank", " ", "\x1b[C"],
  ["a letter that is hidden", "h", "\x1b[8mh"],
])("%s is no echo that anybody sees", async (_, key, output) => {
  const screen = new Screen();
  await screen.write("Password: ");
  screen.type(key);
  await screen.write(output);
  screen.type("s", "e");
  expect(screen.prediction.shown).toBeUndefined();
});

test("what hides the letters of an echoed line ends all belief", async () => {
  const screen = new Screen();
  await screen.echoing();
  screen.type("s");
  await screen.write("\x1b[8ms");
  screen.type("e");
  expect(screen.prediction.shown).toBeUndefined();
});

test("where everything is erased, another prompt may stand by now", async () => {
  const screen = new Screen();
  await screen.echoing();
  screen.type(ERASE);
  await screen.write("\b \b");
  await screen.write("\x1b[2J\x1b[H? ");
  screen.type("s");
  expect(screen.prediction.shown).toBeUndefined();
});

test("keys on their way while something else is shown are not taken for later ones", async () => {
  const screen = new Screen();
  await screen.echoing();
  screen.type("s", "\t", "e", "v");
  await screen.write("s");
  await screen.write("omething ");
  screen.type("e", "r");
  expect(screen.prediction.shown).toBeUndefined();
  await screen.write("ev");
  // Those were typed before it was there to be read.
  expect(screen.prediction.shown).toBeUndefined();
  screen.type("y");
  await screen.write("e");
  expect(screen.seen()).toEqual({ text: "$ lsomething every", cursor: 18 });
  // A key that did something else, and was answered by nothing that it wrote.
  screen.type(ENTER, "i", "h", "e");
  await screen.write("ry\r\n");
  await screen.write("h");
  screen.type("e", "e");
  await screen.write("e");
  expect(screen.prediction.shown).toBeUndefined();
  await screen.write("e");
  expect(screen.seen()).toEqual({ text: "heee", cursor: 4 });
});

test("a question typed ahead of is not answered on the screen, whichever letters it is made of", async () => {
  const screen = new Screen();
  await screen.echoing();
  screen.type(ENTER, "P", "a", "s", "s");
  for (const piece of ["\r\n", "P", "a", "ssword: "]) {
    await screen.write(piece);
    expect(screen.prediction.shown).toBeUndefined();
  }
});

test("of more keys than anybody types the rest waits, and costs nothing", async () => {
  const screen = new Screen();
  await screen.echoing();
  for (let key = 0; key < 1000; key++) screen.type("s");
  expect(screen.prediction.pending).toBeLessThan(150);
  await screen.write("!\r\n");
  expect(screen.prediction.pending).toBe(0);
  await screen.echoing();
  screen.type("s");
  expect(screen.seen().text).toBe("$ ls");
});

test("a prompt that comes by itself ends all belief", async () => {
  const screen = new Screen();
  await screen.echoing();
  await screen.write("\r\nPassword: ");
  screen.type("s");
  expect(screen.prediction.shown).toBeUndefined();
  // Also in the middle of keys.
  await screen.write("\r\n$ ");
  await screen.echoing();
  screen.type("s", "e");
  await screen.write("s\r\nPassword: ");
  expect(screen.prediction.shown).toBeUndefined();
  screen.type("x");
  expect(screen.prediction.shown).toBeUndefined();
});

test.each([
  ["another letter", "S"],
  ["a line that was put aside", "\r\x1b[K[1]+ Done\r\n$ l"],
  ["a cursor that goes elsewhere", "s\x1b[H"],
])("%s takes a prediction away", async (_, output) => {
  const screen = new Screen();
  await screen.echoing();
  screen.type("s");
  expect(screen.seen().text).toBe("$ ls");
  await screen.write(output);
  expect(screen.prediction.shown).toBeUndefined();
  screen.type("x");
  expect(screen.prediction.shown).toBeUndefined();
});

test.each([
  ["an arrow", "\x1b[D"],
  ["Ctrl-C", "\x03"],
  ["a paste", "sudo id\r"],
  ["a wide letter", "中"],
  ["half of an emoji", "\ud83d"],
  ["a combining mark", "\u0301"],
  ["a hidden one", "\u00ad"],
])("after %s nothing is predicted until it is answered", async (_, data) => {
  const screen = new Screen();
  await screen.echoing();
  screen.type(data, "x");
  expect(screen.prediction.shown).toBeUndefined();
});

test("where a letter would push others aside or end the line, the server is waited for", async () => {
  const screen = new Screen();
  await screen.write("$ ab\b\b");
  screen.type("x");
  await screen.write("xab\b\b");
  screen.type("y");
  expect(screen.prediction.shown).toBeUndefined();
  await screen.write("yab\b\b");
  await screen.write("\r\n");
  const line = "a".repeat(COLS - 3);
  screen.type("a");
  await screen.write("a");
  screen.type(...line.slice(1), "b", "c");
  expect(screen.seen()).toEqual({ text: `${line}b`, cursor: COLS - 2 });
});

test("a screen that scrolls, is resized or replaced is looked at anew", async () => {
  const screen = new Screen();
  for (let line = 0; line < 40; line++) await screen.write("line\r\n");
  await screen.echoing();
  screen.type("s");
  expect(screen.prediction.shown).toMatchObject({ row: screen.terminal.buffer.active.baseY + 5, column: 3 });
  screen.type(ENTER);
  await screen.write("s\r\nfile\r\n$ ");
  expect(screen.prediction.shown).toBeUndefined();
  await screen.echoing();
  screen.type("s");
  await screen.write("\x1b[?1049h");
  expect(screen.prediction.shown).toBeUndefined();
});

/** Numbers that are the same in each run (xorshift32). */
function randomness(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 || 1;
  return (below) => {
    for (const [left, by] of [
      [true, 13],
      [false, 17],
      [true, 5],
    ] as const)
      state ^= left ? state << by : state >>> by;
    return (state >>> 0) % below;
  };
}

/** A terminal's other end: a line that is echoed, or a password that is not. */
class LineDiscipline {
  secret = false;
  length = 0;
  readonly #next: (below: number) => number;

  constructor(next: (below: number) => number) {
    this.#next = next;
  }

  /** What it says to a key. */
  answer(key: string): string {
    if (key === ENTER) {
      [this.length, this.secret] = [0, this.#next(3) === 0];
      return this.secret ? "\r\nPassword: " : `\r\n${"out\r\n".repeat(this.#next(3))}$ `;
    }
    const erases = key === ERASE;
    if (erases && this.length === 0) return "";
    this.length += erases ? -1 : 1;
    if (this.secret) return "";
    return erases ? "\b \b" : key;
  }

  /** A key that somebody might type now; a password in letters of its own. */
  key(): string {
    if (this.length === 20 || this.#next(12) === 0) return ENTER;
    if (this.#next(8) === 0) return ERASE;
    return String.fromCharCode((this.secret ? 65 : 97) + this.#next(26));
  }
}

test("over any typing and any delay: what is drawn is what comes, and no secret is", async () => {
  let drawn = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const next = randomness(seed);
    const [screen, line] = [new Screen(), new LineDiscipline(next)];
    await screen.write("$ ");
    let output = "";
    for (let step = 0; step < 150; step++) {
      const key = line.key();
      output += line.answer(key);
      const before = screen.seen();
      screen.type(key);
      const { shown } = screen.prediction;
      expect(shown?.text ?? "").not.toMatch(/[A-Z]/);
      // Nobody types a password before being asked.
      if (key !== ENTER && next(3) > 0) continue;
      const seen = screen.seen();
      const cut = next(output.length + 1);
      for (const part of [output.slice(0, cut), output.slice(cut)]) if (part) await screen.write(part);
      output = "";
      expect(screen.prediction.shown).toBeUndefined();
      // A key that was not predicted was not drawn.
      if (!shown || before.cursor === seen.cursor) continue;
      drawn += 1;
      expect(screen.seen()).toEqual(seen);
    }
  }
  expect(drawn).toBeGreaterThan(500);
});
