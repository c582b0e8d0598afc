// What a screen is drawn from, as one thing that survives its connections: a shell of one's own, or one that is watched.
//
//   up ──cut──▶ waiting (≤ 1 s, later ≤ 15 s) ──▶ dialling ──handshake, secret kept, first record──▶ up
//    │                 ▲───────── failed ──────────────┘│
//    └─Fin─▶ over ◀──────── refused for good ───────────┘
//
// A stream that ends before Fin was cut, whatever the relay says about it. Never: output out of order or twice, an
// acknowledgement of bytes that were not drawn, more than two windows of bytes that wait to be drawn, a handshake's
// secret used before it is kept (a reload in between would come back with a dead one, and the server would take us for
// a thief), or anything kept or begun once it is over (whoever has the shell then would be taken for one).

import { isOffline, onSigns, waitMs } from "./again";
import { RelayError } from "./api";
import { type Bytes, hex } from "./bytes";
import { ConsoleError } from "./errors";
import type { Broke, Exit, Screen, ShellState } from "./facade";
import { OUTPUT_WINDOW_BYTES, VISIT_SECS_MAX } from "./limits";
import { Cut, Link, type Passage, remember, toldSentence } from "./link";
import type { Handed } from "./noise";
import { Gap, Output } from "./offsets";
import type { ExitStatus, ToClient, Welcome } from "./session";

const PULSE_MS = 1_000;
/** After this much silence a ping is sent. */
const QUIET_MS = 2_000;
/** A ping without an answer for this long: the link is dead. */
const DEAD_MS = 4_000;
/** Whoever does something need not wait for the next try, unless the last one was so short a time ago. */
const HURRY_MS = 3_000;
/** A cut of a link that lived this long is a new one: who welcomes and cuts at once is not tried ever again at once. */
const LIVED_MS = 10_000;
/** Reconnecting goes on this long after the visit should have ended: the server's clock decides, not ours. */
const GRACE_MS = 60_000;
/**
 * What waits to be drawn. To one's own shell an honest server never sends more: a window, and one on the next link. A
 * watcher who is slow gets more than that, as what a server leaves out for one counts as drawn.
 */
const UNDRAWN_BYTES_MAX = 2 * OUTPUT_WINDOW_BYTES;
/** How often it is noted how far the output came. */
const NOTE_MS = 2_000;

type Listener = (bytes: Uint8Array, drawn: () => void, past: boolean) => void;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly past: boolean;
}

/** What it begins with. */
export interface Footing {
  readonly passage: Passage;
  readonly user: string;
  readonly endsInSecs: number;
  readonly unanswered: readonly Bytes[];
  readonly secret?: Handed;
  /** Says that this window has it no more. */
  readonly release: () => void;
}

type Phase =
  | { readonly at: "up"; readonly link: Link }
  | { readonly at: "waiting"; readonly timer: ReturnType<typeof setTimeout> }
  /** `dial`: takes it back. */
  | { readonly at: "dialling"; readonly dial: AbortController }
  | { readonly at: "over" };

export abstract class Lasting implements Screen {
  readonly id: string;
  readonly server: string;
  readonly user: string;
  state: ShellState;
  endsAt: number;
  protected passage: Passage;
  protected secret: Handed | undefined;
  protected unanswered: readonly Bytes[];
  protected readonly output: Output;
  protected welcomed = false;
  /** Output bytes that were kept as received. */
  protected received: number;
  /** Output below this was there before this view. */
  protected pastEnd = 0;
  private phase: Phase = { at: "dialling", dial: new AbortController() };
  private exit: Exit | undefined;
  private heard = performance.now();
  private pinged: { readonly number: number; readonly at: number } | undefined;
  private pings = 0;
  private rttMs: number | undefined;
  private attempts = 0;
  /** The next try waits for the screen. */
  private full = false;
  private dialledAt = performance.now();
  /** Where it broke, as far as the relay's answers show. */
  private broke: Broke = "relay";
  /** Since when it is not connected, or not for long, in milliseconds since 1970. */
  private since = Date.now();
  private noted = performance.now();
  /** What is being kept, one after the other. Never fails. */
  private saving: Promise<void> = Promise.resolve();
  private readonly chunks: Chunk[] = [];
  private listener: Listener | undefined;
  private readonly stateListeners = new Set<(state: ShellState) => void>();
  private readonly pulse: ReturnType<typeof setInterval>;
  private readonly living = new AbortController();

  /** `from`: the first output byte that is wanted. */
  protected constructor(
    private readonly footing: Footing,
    from: number,
  ) {
    this.passage = footing.passage;
    this.id = hex(footing.passage.binding.channel);
    this.server = footing.passage.server;
    this.user = footing.user;
    this.secret = footing.secret;
    this.unanswered = footing.unanswered;
    this.received = from;
    this.output = new Output(from);
    this.endsAt = Date.now() + visitMs(footing.endsInSecs);
    this.state = { kind: "reconnecting", since: this.since };
    const network = () => {
      // What just came back may need a moment: short waits again.
      this.attempts = Math.min(this.attempts, 1);
      this.again();
    };
    onSigns(network, () => this.hurry(), this.living.signal);
    this.pulse = setInterval(() => this.turn(() => this.feelPulse()), PULSE_MS);
  }

  /** The first record on a new link. */
  protected abstract greet(link: Link): void;
  /** Says what is due besides acknowledgements. */
  protected abstract due(link: Link): void;
  /** The holder's first word on a link. */
  protected abstract welcome(welcome: Welcome): void;
  /** Whatever only some screens are told. */
  protected abstract told(said: ToClient): void;
  /** Keeps what is needed to come back. */
  protected abstract keep(): Promise<void>;
  /** Forgets that. */
  protected abstract drop(): Promise<void>;

  /** Whether output before this byte is not missed. */
  protected expects(_before: number): boolean {
    return false;
  }

  /** Goes on with a link whose handshake was answered just now. */
  protected async begun(link: Link, handed: Handed): Promise<void> {
    try {
      await this.up(link, handed);
    } catch (error) {
      this.finish({ kind: "ended", reason: "error" });
      throw error;
    }
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

  /** Leaves; what is there goes on. */
  protected part(): void {
    if (this.isOver()) return;
    void this.save().catch(() => undefined);
    this.finish({ kind: "ended", reason: "left" });
  }

  protected isOver(): boolean {
    return this.phase.at === "over";
  }

  protected tell(state: ShellState): void {
    this.state = state;
    for (const listen of this.stateListeners) apart(() => listen(state));
  }

  /** Does something on an open link, then says what is due. A link that breaks is made again. */
  protected turn(work: () => void): void {
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
    this.due(link);
  }

  private take(said: ToClient, link: Link): void {
    switch (said.type) {
      case "welcome":
        return this.greeted(said.welcome, link);
      case "output":
        return this.took(said);
      case "skipped":
        this.output.skipped(said.stream, said.from, said.to);
        return this.expects(said.to) ? undefined : this.missed(said.to - said.from);
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
      case "unknown":
        return;
      default:
        return this.told(said);
    }
  }

  private greeted(welcome: Welcome, link: Link): void {
    this.welcome(welcome);
    this.welcomed = true;
    this.unanswered = [];
    this.endsAt = Date.now() + visitMs(welcome.ends_in_secs);
    this.tell(this.connected());
    // The first figure for the round trip.
    if (this.pinged === undefined) this.ping(link);
    void this.save().catch(() => undefined);
  }

  /** So many bytes are never drawn. */
  private missed(bytes: number): void {
    this.tell({ kind: "skipped", bytes });
    this.tell(this.connected());
  }

  private took(said: ToClient & { type: "output" }): void {
    this.output.arrived(said.stream, said.offset, said.data.length);
    // A shell has one stream; what else comes is nothing to draw, but must not stop the window.
    if (said.stream === "err") return this.output.took("err", said.data.length);
    if (this.output.undrawn() > UNDRAWN_BYTES_MAX) {
      this.output.took("out", said.data.length);
      return this.missed(said.data.length);
    }
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
      if (this.full) this.again();
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
    this.saving = this.saving.then(() => this.drop()).catch(() => undefined);
  }

  private finish(state: ShellState): void {
    const { phase } = this;
    if (phase.at === "over") return;
    this.phase = { at: "over" };
    if (phase.at === "up") phase.link.stream.leave();
    if (phase.at === "waiting") clearTimeout(phase.timer);
    if (phase.at === "dialling") phase.dial.abort();
    clearInterval(this.pulse);
    this.living.abort();
    // Not before everything is kept: another window would read an older secret, or find its newer one overwritten. A dial
    // that is still on its way keeps and sends nothing any more.
    void this.saving.finally(this.footing.release);
    this.tell(state);
  }

  /** A handshake was answered: its secret is kept, then the first record says where to go on. */
  private async up(link: Link, handed: Handed): Promise<void> {
    try {
      this.stillWanted();
      this.secret = handed;
      await this.save();
      this.stillWanted();
    } catch (error) {
      link.stream.leave();
      throw error;
    }
    this.heard = performance.now();
    this.pinged = undefined;
    this.output.rewind();
    this.greet(link);
    this.phase = { at: "up", link };
    link.stream.listen(() => this.hear(link));
  }

  private stillWanted(): void {
    if (this.phase.at === "over") throw new ConsoleError("cancelled");
  }

  protected dial(): void {
    const dial = new AbortController();
    this.phase = { at: "dialling", dial };
    this.dialledAt = performance.now();
    const noted = async (ephemeral: Bytes): Promise<void> => {
      this.stillWanted();
      // The relay is there and let us in: what fails from here on is behind it.
      this.broke = "server";
      this.unanswered = remember(this.unanswered, ephemeral);
      await this.save();
      this.stillWanted();
    };
    Link.dial(this.passage, this.secret, this.unanswered, noted, dial.signal)
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
    if (wasUp && performance.now() - this.dialledAt >= LIVED_MS) this.attempts = 0;
    // A relay that asks to wait has answered.
    if (cut.isLimit) this.broke = "server";
    else if (wasUp || cut.error instanceof RelayError) this.broke = "relay";
    this.rest(cut.isLimit);
  }

  /** Waits for the next try, and says so. */
  private rest(limited: boolean): void {
    if (this.attempts === 0) this.since = Date.now();
    this.attempts += 1;
    const wait = waitMs(this.attempts, Date.now() - this.since, limited, Math.random());
    this.phase = { at: "waiting", timer: setTimeout(() => this.again(), wait) };
    const broke = isOffline() ? "network" : this.broke;
    this.tell({ kind: "reconnecting", since: this.since, broke, again: Date.now() + wait });
  }

  /** Ends the wait for the next try. */
  private again(): void {
    if (this.phase.at !== "waiting") return;
    clearTimeout(this.phase.timer);
    // A new link begins with a whole window: what is here is drawn first.
    this.full = this.output.undrawn() > OUTPUT_WINDOW_BYTES;
    if (!this.full) this.dial();
  }

  /** Somebody does something: who waits for the next try need not. */
  protected hurry(): void {
    if (performance.now() - this.dialledAt >= HURRY_MS) this.again();
  }

  private save(): Promise<void> {
    this.received = this.output.wanted().out;
    const saved = this.saving.then(() => this.keep());
    this.saving = saved.catch(() => undefined);
    return saved;
  }
}

/** A page's mistake is the page's: it ends no shell. */
export function apart(listen: () => void): void {
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
