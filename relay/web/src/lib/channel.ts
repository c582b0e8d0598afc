// A shell on a server, as one thing that survives its connections and a reload of the page.
//
//   up ──cut──▶ waiting (jitter ≤ 1 s) ──▶ dialling ──handshake, secret kept, Begin──▶ up
//    │                 ▲────── failed ──────────┘│
//    └─Fin─▶ over ◀──── refused for good ────────┘
//
// A stream that ends before Fin was cut, whatever the relay says about it. Never: output out of order or twice, input
// forgotten before the server applied it, an acknowledgement of bytes that were not drawn, or a handshake's secret used
// before it is kept (a reload in between would come back with a dead one, and the server would take us for a thief).

import { type Bytes, hex } from "./bytes";
import { ConsoleError, type Sentence } from "./errors";
import type { Exit, Shell, ShellState } from "./facade";
import { INPUT_BUFFER_BYTES, VISIT_SECS_MAX } from "./limits";
import { Cut, Link, type Passage, remember, toldSentence } from "./link";
import type { Handed } from "./noise";
import { Gap, Input, Output } from "./offsets";
import type { ExitStatus, ToClient, Welcome } from "./session";
import * as store from "./store";

const PULSE_MS = 1_000;
/** After this much silence a ping is sent. */
const QUIET_MS = 2_000;
/** A ping without an answer for this long: the link is dead. */
const DEAD_MS = 4_000;
/** Reconnects are at most this far apart. */
const BACKOFF_MS_MAX = 1_000;
/** Reconnecting goes on this long after the visit should have ended: the server's clock decides, not ours. */
const GRACE_MS = 60_000;
/** How often it is noted how far the output came. */
const NOTE_MS = 2_000;
/** A view that comes back without its screen gets this much of what was there, or all of it when that is less. */
const ALL_BYTES = 1 << 20;
const TAIL_BYTES = 256 << 10;

type Listener = (bytes: Uint8Array, drawn: () => void, past: boolean) => void;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly past: boolean;
}

/** What a shell begins with. */
export interface Start {
  readonly passage: Passage;
  readonly account: string;
  readonly tenant: string;
  readonly user: string;
  readonly size: { readonly cols: number; readonly rows: number };
  readonly endsInSecs: number;
  readonly unanswered: readonly Bytes[];
  /** Says that this window has the shell no more. */
  readonly release: () => void;
  /** Output received before a reload. */
  readonly received: number;
  readonly secret?: Handed;
  /** Somebody, or this page before, may have typed already. */
  readonly joins: boolean;
}

type Phase =
  | { readonly at: "up"; readonly link: Link }
  | { readonly at: "waiting"; readonly timer: ReturnType<typeof setTimeout> }
  | { readonly at: "dialling" }
  | { readonly at: "over" };

export class Channel implements Shell {
  readonly id: string;
  readonly server: string;
  readonly user: string;
  state: ShellState;
  endsAt: number;
  private passage: Passage;
  private phase: Phase = { at: "dialling" };
  private secret: Handed | undefined;
  private unanswered: readonly Bytes[];
  private readonly input_ = new Input();
  private readonly output: Output;
  private size: { cols: number; rows: number };
  private resized = false;
  private closing = false;
  private welcomed = false;
  private exit: Exit | undefined;
  private heard = performance.now();
  private pinged: { readonly number: number; readonly at: number } | undefined;
  private pings = 0;
  private rttMs: number | undefined;
  private attempts = 0;
  private received: number;
  private noted = performance.now();
  /** Output below this was there before this view. */
  private pastEnd = 0;
  /** What is being kept, one after the other. Never fails. */
  private saving: Promise<void> = Promise.resolve();
  private readonly chunks: Chunk[] = [];
  private listener: Listener | undefined;
  private readonly stateListeners = new Set<(state: ShellState) => void>();
  private readonly pulse: ReturnType<typeof setInterval>;

  private constructor(private readonly start: Start) {
    this.passage = start.passage;
    this.id = hex(start.passage.binding.channel);
    this.server = start.passage.server;
    this.user = start.user;
    this.size = { ...start.size };
    this.secret = start.secret;
    this.unanswered = start.unanswered;
    const from = start.received > ALL_BYTES ? start.received - TAIL_BYTES : 0;
    this.received = from;
    this.output = new Output(from);
    this.endsAt = Date.now() + visitMs(start.endsInSecs);
    this.state = { kind: "reconnecting", since: Date.now() };
    this.pulse = setInterval(() => this.turn(() => this.feelPulse()), PULSE_MS);
  }

  /** A shell whose first handshake was answered. */
  static async begin(start: Start, link: Link, handed: Handed): Promise<Channel> {
    const channel = new Channel(start);
    try {
      await channel.up(link, handed);
    } catch (error) {
      channel.finish({ kind: "ended", reason: "error" });
      throw error;
    }
    return channel;
  }

  /** A shell that was open before the page was loaded. */
  static resume(start: Start): Channel {
    const channel = new Channel(start);
    channel.dial();
    return channel;
  }

  onState(listen: (state: ShellState) => void): () => void {
    this.stateListeners.add(listen);
    return () => this.stateListeners.delete(listen);
  }

  onOutput(listen: Listener): () => void {
    this.listener = listen;
    for (const chunk of this.chunks.splice(0)) this.deliver(chunk);
    return () => {
      if (this.listener === listen) this.listener = undefined;
    };
  }

  input(bytes: Uint8Array): void {
    if (this.phase.at === "over") return;
    if (bytes.length > this.input_.room()) throw new ConsoleError("input_full", INPUT_BUFFER_BYTES);
    this.input_.push(bytes);
    this.turn(() => undefined);
  }

  resize(cols: number, rows: number): void {
    if (cols === this.size.cols && rows === this.size.rows) return;
    this.size = { cols, rows };
    this.resized = true;
    this.turn(() => undefined);
  }

  detach(): void {
    if (this.phase.at === "over") return;
    void this.save().catch(() => undefined);
    this.finish({ kind: "ended", reason: "left" });
  }

  end(): void {
    this.closing = true;
    this.turn(() => undefined);
  }

  private tell(state: ShellState): void {
    this.state = state;
    for (const listen of this.stateListeners) apart(() => listen(state));
  }

  /** Does something on an open link, then says what is due. A link that breaks is made again. */
  private turn(work: () => void): void {
    try {
      work();
      this.sayWhatIsDue(false);
    } catch (error) {
      this.lost(error);
    }
  }

  /** Takes everything that is here. */
  private hear(link: Link): void {
    if (this.phase.at !== "up" || this.phase.link !== link) return;
    this.turn(() => {
      for (let said = link.take(); said !== undefined && this.phase.at === "up"; said = link.take()) {
        this.heard = performance.now();
        this.take(said, link);
      }
    });
  }

  private feelPulse(): void {
    if (this.phase.at !== "up") return;
    const now = performance.now();
    // Counted from the ping, not from the last word: a hidden page's timers stand still for a minute.
    if (this.pinged !== undefined && now - Math.max(this.pinged.at, this.heard) >= DEAD_MS) {
      throw new Cut(true, new ConsoleError("stream_lost", { id: "lost_silent", args: [] }));
    }
    if (this.pinged === undefined && now - this.heard >= QUIET_MS) this.ping(this.phase.link);
    this.sayWhatIsDue(true);
    if (now - this.noted >= NOTE_MS && this.output.wanted().out !== this.received) {
      this.noted = now;
      void this.save().catch(() => undefined);
    }
  }

  private ping(link: Link): void {
    this.pings += 1;
    this.pinged = { number: this.pings, at: performance.now() };
    link.say({ type: "ping", number: this.pings });
  }

  private sayWhatIsDue(now: boolean): void {
    if (this.phase.at !== "up") return;
    const { link } = this.phase;
    const shown = this.output.dueAck(now);
    if (shown !== undefined) link.say({ type: "ack", ...shown });
    if (this.resized) link.say({ type: "resize", ...this.size });
    this.resized = false;
    // Before the welcome it is not known which number the first byte has.
    const mayType = this.welcomed || !this.start.joins;
    while (mayType && link.stream.hasRoom()) {
      const piece = this.input_.next();
      if (piece === undefined) break;
      link.say({ type: "input", ...piece });
    }
    if (this.closing) link.say({ type: "close" });
    this.closing = false;
  }

  private take(said: ToClient, link: Link): void {
    switch (said.type) {
      case "welcome":
        return this.welcome(said.welcome, link);
      case "output":
        return this.took(said);
      case "input-ack":
        return this.input_.applied(said.offset);
      case "skipped":
        this.output.skipped(said.stream, said.from, said.to);
        this.tell({ kind: "skipped", bytes: said.to - said.from });
        return this.tell(this.connected());
      case "exit":
        this.exit = exitOf(said.status);
        return link.say({ type: "bye" });
      case "notice":
        this.endsAt = Date.now() + visitMs(said.endsInSecs);
        return;
      case "pong":
        return this.pong(said.number);
      case "fin":
        return this.fin(said.reason);
    }
  }

  private welcome(welcome: Welcome, link: Link): void {
    if (this.welcomed || !this.start.joins) this.input_.applied(welcome.input_applied);
    else this.input_.beginAt(welcome.input_applied);
    if (!this.welcomed && this.start.joins) this.pastEnd = welcome.out_end;
    const first = !this.welcomed;
    this.welcomed = true;
    this.attempts = 0;
    this.unanswered = [];
    this.passage = { ...this.passage, request: { ...this.passage.request, attach: true } };
    this.endsAt = Date.now() + visitMs(welcome.ends_in_secs);
    if (first && welcome.notice !== null) this.remark(toldSentence(welcome.notice));
    this.tell(this.connected());
    // The first figure for the round trip.
    if (this.pinged === undefined) this.ping(link);
    void this.save().catch(() => undefined);
  }

  /** Something that the server tells once; pages show it beside the terminal. */
  notice: Sentence | undefined;

  private remark(sentence: Sentence): void {
    this.notice = sentence;
  }

  private took(said: ToClient & { type: "output" }): void {
    this.output.arrived(said.stream, said.offset, said.data.length);
    // A shell has one stream; what else comes is nothing to draw, but must not stop the window.
    if (said.stream === "err") return this.output.took("err", said.data.length);
    const past = said.offset + said.data.length <= this.pastEnd;
    const chunk = { bytes: said.data, past };
    if (this.listener === undefined) this.chunks.push(chunk);
    else this.deliver(chunk);
  }

  private deliver({ bytes, past }: Chunk): void {
    let counted = false;
    const drawn = (): void => {
      if (counted) return;
      counted = true;
      this.output.took("out", bytes.length);
      this.turn(() => undefined);
    };
    apart(() => this.listener?.(bytes, drawn, past));
  }

  private pong(number: number): void {
    if (this.pinged?.number !== number) return;
    this.rttMs = performance.now() - this.pinged.at;
    this.pinged = undefined;
    this.tell(this.connected());
  }

  private connected(): ShellState {
    return this.rttMs === undefined
      ? { kind: "connected" }
      : { kind: "connected", rttMs: Math.round(this.rttMs) };
  }

  private fin(reason: (ToClient & { type: "fin" })["reason"]): void {
    // Where another view took over, this one may take the shell back.
    if (reason !== "taken-over") this.forget();
    this.finish(
      this.exit === undefined ? { kind: "ended", reason } : { kind: "ended", reason, exit: this.exit },
    );
  }

  private forget(): void {
    this.saving = this.saving.then(() => store.forgetShell(this.id)).catch(() => undefined);
  }

  private finish(state: ShellState): void {
    if (this.phase.at === "over") return;
    if (this.phase.at === "up") this.phase.link.stream.leave();
    if (this.phase.at === "waiting") clearTimeout(this.phase.timer);
    this.phase = { at: "over" };
    clearInterval(this.pulse);
    // Not before everything is kept: another window would read an older secret, or find its newer one overwritten.
    void this.saving.finally(this.start.release);
    this.tell(state);
  }

  /** A handshake was answered: its secret is kept, then the first record says where to go on. */
  private async up(link: Link, handed: Handed): Promise<void> {
    this.secret = handed;
    try {
      await this.save();
    } catch (error) {
      link.stream.leave();
      throw error;
    }
    if (this.phase.at !== "dialling") return link.stream.leave();
    this.heard = performance.now();
    this.pinged = undefined;
    this.input_.rewind();
    this.output.rewind();
    this.resized = false;
    const { out, err } = this.output.wanted();
    link.say({ type: "begin", begin: { out_from: out, err_from: err, ...this.size } });
    this.phase = { at: "up", link };
    link.stream.listen(() => this.hear(link));
  }

  private dial(): void {
    this.phase = { at: "dialling" };
    const noted = async (ephemeral: Bytes): Promise<void> => {
      const abandoned = remember(this.unanswered, ephemeral);
      this.unanswered = abandoned;
      await this.save();
    };
    Link.dial(this.passage, this.secret, this.unanswered, noted)
      .then(({ link, handed }) => this.up(link, handed))
      .catch((error: unknown) => this.lost(error));
  }

  /** The link is gone: try again soon, unless that cannot help. */
  private lost(thrown: unknown): void {
    if (this.phase.at === "over") return;
    const cut = asCut(thrown);
    const wasUp = this.phase.at === "up";
    if (this.phase.at === "up") this.phase.link.stream.leave();
    const gone = cut.refusal === "no-channel" || cut.refusal === "no-visit";
    if (gone || cut.refusal === "compromised") this.forget();
    if (!cut.passing && gone && this.exit !== undefined) {
      // The exit status came sealed; only the last word after it was lost.
      return this.finish({ kind: "ended", reason: "exited", exit: this.exit });
    }
    if (!cut.passing) return this.finish({ kind: "ended", reason: "error", error: cut.error });
    if (Date.now() > this.endsAt + GRACE_MS) {
      this.forget();
      const error = new ConsoleError("lost_for_good", cut.error);
      return this.finish({ kind: "ended", reason: "error", error });
    }
    const longest = Math.min(50 * 2 ** Math.min(this.attempts, 5), BACKOFF_MS_MAX);
    this.attempts += 1;
    this.phase = { at: "waiting", timer: setTimeout(() => this.dial(), Math.random() * longest) };
    if (wasUp) this.tell({ kind: "reconnecting", since: Date.now() });
  }

  private save(): Promise<void> {
    this.received = this.output.wanted().out;
    const shell: store.StoredShell = {
      id: this.id,
      account: this.start.account,
      tenant: this.start.tenant,
      server: this.server,
      user: this.user,
      visit: this.passage.visit,
      binding: this.passage.binding,
      ours: this.passage.ours,
      theirs: this.passage.theirs,
      unanswered: this.unanswered,
      endsAt: this.endsAt,
      received: Math.max(this.received, this.start.received),
    };
    const kept = this.secret === undefined ? shell : { ...shell, secret: this.secret };
    const saved = this.saving.then(() => store.keepShell(kept));
    this.saving = saved.catch(() => undefined);
    return saved;
  }
}

/** A page's mistake is the page's: it ends no shell. */
function apart(listen: () => void): void {
  try {
    listen();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function asCut(thrown: unknown): Cut {
  if (thrown instanceof Gap) return new Cut(false, new ConsoleError("channel_integrity", thrown.message));
  try {
    return Cut.of(thrown);
  } catch {
    // A bug or a browser that refuses to store: said, not swallowed.
    const what = thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown);
    return new Cut(false, new ConsoleError("failed", what));
  }
}

/** How long a visit lasts, whatever a peer says: no grant is longer. */
function visitMs(secs: number): number {
  return Math.min(secs, VISIT_SECS_MAX) * 1000;
}

function exitOf(status: ExitStatus): Exit {
  if ("code" in status) return { code: status.code };
  if ("signal" in status) return { signal: status.signal };
  return { notStarted: toldSentence(status["not-started"]) };
}
