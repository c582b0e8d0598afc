// One terminal on the screen: xterm.js with the filter in front of it and the shell behind it. Loaded when a server's
// page opens, not before. Never: a connection of its own.
import { FitAddon } from "@xterm/addon-fit";
import type { SearchAddon } from "@xterm/addon-search";
import { type IDisposable, Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import "./terminal.css";
import type { Screen, Shell, Watched } from "../../lib/facade";
import { isAnswer, linkAddress, OutputFilter, replyPasses } from "./filter";
import type { LocalEcho } from "./local_echo";
import { DARK, LIGHT } from "./palette";
import { asks, look, type Paste } from "./paste";
import { Pour } from "./pour";
import { constructStyles } from "./sheets";
import { Queue, Wait } from "./wait";

/** Lines that one can scroll back. */
const SCROLLBACK = 10_000;
/** A shell is worth more than its letters. */
const FONTS_MS_MAX = 1000;
const FONT =
  '"JetBrains Mono", "DejaVu Symbols", ui-monospace, "Noto Sans Mono CJK SC", "Sarasa Mono SC", monospace';

/**
 * Drawing by WebGL: fetched behind this code, while somebody still fills in the form. No prompt waits for it; a terminal
 * that is open by then changes over.
 */
let webgl: typeof import("@xterm/addon-webgl") | undefined;
const webglFetched = import("@xterm/addon-webgl").then(
  (code) => {
    webgl = code;
  },
  () => {},
);

/**
 * How wide emoji and letters of several code points are: fetched behind this code as well. Output that holds one waits for
 * it, any other does not; without it they are as wide as xterm.js by itself thinks.
 */
let graphemes: typeof import("@xterm/addon-unicode-graphemes") | undefined;
const graphemesFetched = import("@xterm/addon-unicode-graphemes").then(
  (code) => {
    graphemes = code;
  },
  () => {},
);
/** From the first combining mark on; below, every letter is one cell wide. */
const MAY_BE_WIDE = /[\u0300-\u{10ffff}]/u;
/** Output is worth more than its widths: it waits for them once, in whichever terminal, and never again. */
const widths = new Wait(graphemesFetched, 3000);

/** What the page does for the terminal. */
export interface Hooks {
  title(text: string): void;
  link(address: string): void;
  paste(paste: Paste): void;
  /** Typed bytes that were not taken. */
  refused(error: unknown): void;
  find(): void;
  leave(): void;
  step(by: number): void;
}

export interface Looks {
  readonly dark: boolean;
  readonly font: number;
  /** Typed letters do not wait for their echoes. */
  readonly predicts: boolean;
  /** What a screen reader calls it. */
  readonly label: string;
}

/** Waits for the bundled letters, which are measured once, but not for long. */
export async function fontsReady(): Promise<void> {
  const letters = [400, 700].map((weight) => document.fonts.load(`${weight} 14px "JetBrains Mono"`));
  const wanted = [...letters, document.fonts.load('14px "DejaVu Symbols"', "●")];
  const late = new Promise((resolve) => setTimeout(resolve, FONTS_MS_MAX));
  await Promise.race([Promise.allSettled(wanted), late]);
}

export class TerminalView {
  readonly element = document.createElement("div");
  readonly #shell: Screen;
  /** Missing: it is only watched, and nothing goes there. */
  readonly #writer: Shell | undefined;
  #hooks: Hooks;
  #looks: Looks;
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  #search: SearchAddon | undefined;
  #echo: LocalEcho | undefined;
  readonly #filter: OutputFilter;
  readonly #encoder = new TextEncoder();
  readonly #ends: (() => void)[] = [];
  #opened = false;
  #disposed = false;
  /** Output waits, in its order, until it is known how wide it is. */
  readonly #written = new Queue(widths);
  readonly #pour = new Pour((piece, done) => this.#terminal.write(piece, done));
  /** Chunks of old output that are not drawn yet: nothing is answered meanwhile. */
  #past = 0;

  constructor(shell: Shell | Watched, looks: Looks, hooks: Hooks) {
    constructStyles(document);
    this.#shell = shell;
    this.#writer = "input" in shell ? shell : undefined;
    this.#hooks = hooks;
    this.#looks = looks;
    this.#filter = new OutputFilter((title) => this.#hooks.title(title));
    this.element.className = "terminal";
    this.#terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: false,
      fontFamily: FONT,
      fontSize: looks.font,
      lineHeight: 1.15,
      linkHandler: {
        activate: (event, text) => this.#follow(event, text),
        allowNonHttpProtocols: false,
      },
      // Bytes that mean nothing are no errors of the page: they would fill the browser's log.
      logLevel: "off",
      macOptionIsMeta: true,
      minimumContrastRatio: 4.5,
      rescaleOverlappingGlyphs: true,
      rightClickSelectsWord: false,
      scrollback: SCROLLBACK,
      theme: looks.dark ? DARK : LIGHT,
      windowOptions: {},
    });
    Terminal.strings.promptLabel = looks.label;
  }

  /** Puts it into the page, which from then on does what it asks for; the first time it is opened there. */
  attach(parent: HTMLElement, hooks: Hooks): void {
    this.#hooks = hooks;
    parent.append(this.element);
    if (!this.#opened) this.#open();
    this.fit();
  }

  focus(): void {
    this.#terminal.focus();
  }

  fit(): void {
    if (!this.#opened || !this.#writer || this.element.clientWidth === 0) return;
    this.#fit.fit();
  }

  /** As large as the writer's: what is watched is drawn as it was meant, and its room scrolls. */
  resize(cols: number, rows: number): void {
    this.#terminal.resize(cols, rows);
  }

  look(looks: Looks): void {
    this.#looks = looks;
    this.#terminal.options.theme = looks.dark ? DARK : LIGHT;
    this.#terminal.options.fontSize = looks.font;
    this.fit();
  }

  /** Searching comes with the first search. Returns whether there was something. */
  async find(text: string, backwards: boolean): Promise<boolean> {
    if (!text) {
      this.#search?.clearDecorations();
      this.#terminal.clearSelection();
      return true;
    }
    const { SearchAddon } = await import("@xterm/addon-search");
    if (!this.#search) {
      this.#search = new SearchAddon();
      this.#terminal.loadAddon(this.#search);
    }
    return backwards ? this.#search.findPrevious(text) : this.#search.findNext(text);
  }

  /** After the question, or at once for one plain line. */
  paste(text: string): void {
    this.#terminal.paste(text);
    this.focus();
  }

  /** Nothing more can be typed. */
  freeze(): void {
    this.#terminal.options.disableStdin = true;
    this.#terminal.options.cursorInactiveStyle = "none";
    this.#echo?.dispose();
  }

  dispose(): void {
    this.#disposed = true;
    for (const end of this.#ends) end();
    this.#terminal.dispose();
    this.element.remove();
  }

  #open(): void {
    this.#opened = true;
    const terminal = this.#terminal;
    terminal.loadAddon(this.#fit);
    if (graphemes) this.#measure();
    else void graphemesFetched.then(() => this.#measure());
    terminal.open(this.element);
    // The Tab key is the shell's, so whoever tabs along would be caught here: its tab leads into it, by Enter.
    if (terminal.textarea) terminal.textarea.tabIndex = -1;
    this.#draw();
    if (!webgl) void webglFetched.then(() => this.#changeOver());
    this.fit();
    this.#wire();
  }

  #measure(): void {
    if (graphemes && !this.#disposed) this.#terminal.loadAddon(new graphemes.UnicodeGraphemesAddon());
  }

  #changeOver(): void {
    if (this.#disposed) return;
    this.#draw();
    // Its cells are whole pixels wide.
    this.fit();
  }

  /** WebGL where there is one; what xterm.js does without is slower, not worse. */
  #draw(): void {
    if (!webgl) return;
    try {
      const drawing = new webgl.WebglAddon();
      drawing.onContextLoss(() => drawing.dispose());
      this.#terminal.loadAddon(drawing);
    } catch {
      // No WebGL here: xterm.js draws with elements.
    }
  }

  #wire(): void {
    const terminal = this.#terminal;
    const own = (one: IDisposable) => this.#ends.push(() => one.dispose());
    if (this.#writer) this.#wireInput(this.#writer, own);
    else this.freeze();
    terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    const onPaste = (event: ClipboardEvent) => this.#onPaste(event);
    this.element.addEventListener("paste", onPaste, { capture: true });
    const observer = new ResizeObserver(() => requestAnimationFrame(() => this.fit()));
    observer.observe(this.element);
    this.#ends.push(() => observer.disconnect());
    this.#ends.push(this.#shell.onOutput((bytes, drawn, past) => this.#show(bytes, drawn, past)));
    this.#ends.push(
      this.#shell.onState((state) => {
        if (state.kind === "skipped") this.#filter.reset();
        if (state.kind === "ended") this.freeze();
      }),
    );
  }

  #wireInput(shell: Shell, own: (one: IDisposable) => void): void {
    const terminal = this.#terminal;
    own(terminal.onData((data) => this.#send(data)));
    own(terminal.onBinary((data) => this.#input(Uint8Array.from(data, (char) => char.charCodeAt(0) & 255))));
    own(terminal.onResize(({ cols, rows }) => shell.resize(cols, rows)));
    shell.resize(terminal.cols, terminal.rows);
    // Typed letters wait for their echoes until this is here.
    void import("./local_echo").then(
      ({ LocalEcho }) => {
        if (this.#disposed || terminal.options.disableStdin) return;
        this.#echo = new LocalEcho(
          terminal,
          () => this.#looks.predicts,
          () => shell.unapplied,
        );
        own(this.#echo);
      },
      () => {},
    );
  }

  #show(bytes: Uint8Array, drawn: () => void, past: boolean): void {
    if (past) this.#past += 1;
    const shown = this.#filter.push(bytes);
    this.#written.push(!graphemes && typeof shown === "string" && MAY_BE_WIDE.test(shown), () =>
      this.#pour.push(shown, () => {
        if (past) this.#past -= 1;
        drawn();
      }),
    );
  }

  #send(data: string): void {
    if (!replyPasses(data) || (this.#past > 0 && isAnswer(data))) return;
    this.#input(this.#encoder.encode(data));
  }

  /** Refused only while so much waits for a server that is away that no person typed it. */
  #input(bytes: Uint8Array): void {
    try {
      this.#writer?.input(bytes);
    } catch (error) {
      this.#hooks.refused(error);
    }
  }

  /** `false`: not for the shell: chords with Ctrl+Shift, which terminals have always kept for themselves. */
  #key(event: KeyboardEvent): boolean {
    // Nothing is typed any more: it leads on, as everywhere.
    if (event.key === "Tab" && this.#terminal.options.disableStdin) return false;
    if (!event.ctrlKey || !event.shiftKey || event.altKey || event.metaKey) return true;
    const act = this.#chord(event.code);
    if (!act) return true;
    // The browser pastes by itself and tells us with a paste event.
    if (event.code === "KeyV") return false;
    event.preventDefault();
    if (event.type === "keydown") act();
    return false;
  }

  #chord(code: string): (() => void) | undefined {
    switch (code) {
      case "KeyC":
        return () => this.#copy();
      case "KeyV":
        return () => {};
      case "KeyF":
        return () => this.#hooks.find();
      case "KeyE":
        return () => this.#hooks.leave();
      case "ArrowLeft":
        return () => this.#hooks.step(-1);
      case "ArrowRight":
        return () => this.#hooks.step(1);
      default:
        return undefined;
    }
  }

  #copy(): void {
    const text = this.#terminal.getSelection();
    if (text) void navigator.clipboard?.writeText(text);
  }

  #onPaste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    const paste = look(event.clipboardData?.getData("text/plain") ?? "");
    if (!paste.text || this.#terminal.options.disableStdin) return;
    if (asks(paste)) this.#hooks.paste(paste);
    else this.paste(paste.text);
  }

  #follow(event: MouseEvent, text: string): void {
    const address = linkAddress(text);
    event.preventDefault();
    if (address) this.#hooks.link(address);
  }
}
