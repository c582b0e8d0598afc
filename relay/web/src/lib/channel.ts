// A shell of one's own on a server: what is typed, its terminal's size, and its end. Coming back is lasting.ts'.
//
// Never: input forgotten before the server applied it, or sent twice.

import type { Bytes } from "./bytes";
import { ConsoleError, type Sentence } from "./errors";
import type { Shell } from "./facade";
import { apart, type Footing, Lasting } from "./lasting";
import { INPUT_BUFFER_BYTES } from "./limits";
import { type Link, toldSentence } from "./link";
import type { Handed } from "./noise";
import { Gap, Input } from "./offsets";
import type { ToClient, Welcome } from "./session";
import * as store from "./store";

/** A view that comes back without its screen gets this much of what was there, or all of it when that is less. */
const ALL_BYTES = 1 << 20;
const TAIL_BYTES = 256 << 10;

/** What a shell begins with. */
export interface Start extends Footing {
  readonly account: string;
  readonly tenant: string;
  readonly size: { readonly cols: number; readonly rows: number };
  /** Output received before a reload. */
  readonly received: number;
  /** Somebody, or this page before, may have typed already. */
  readonly joins: boolean;
}

export class Channel extends Lasting implements Shell {
  /** Something that the server tells once; pages show it beside the terminal. */
  notice: Sentence | undefined;
  private readonly input_ = new Input();
  private size: { cols: number; rows: number };
  private resized = false;
  private closing = false;
  private watchers: readonly string[] = [];
  private readonly watchersListeners = new Set<(names: readonly string[]) => void>();

  private constructor(private readonly start: Start) {
    super(start, start.received > ALL_BYTES ? start.received - TAIL_BYTES : 0);
    this.size = { ...start.size };
  }

  /** A shell whose first handshake was answered. */
  static async begin(start: Start, link: Link, handed: Handed): Promise<Channel> {
    const channel = new Channel(start);
    await channel.begun(link, handed);
    return channel;
  }

  /** A shell that was open before the page was loaded. */
  static resume(start: Start): Channel {
    const channel = new Channel(start);
    channel.dial();
    return channel;
  }

  /** The visit that it belongs to. */
  get visit(): Bytes {
    return this.passage.visit;
  }

  input(bytes: Uint8Array): void {
    if (this.isOver()) return;
    if (bytes.length > this.input_.room()) throw new ConsoleError("input_full", INPUT_BUFFER_BYTES);
    this.input_.push(bytes);
    this.hurry();
    this.turn(() => undefined);
  }

  get unapplied(): number {
    return INPUT_BUFFER_BYTES - this.input_.room();
  }

  resize(cols: number, rows: number): void {
    if (cols === this.size.cols && rows === this.size.rows) return;
    this.size = { cols, rows };
    this.resized = true;
    this.turn(() => undefined);
  }

  detach(): void {
    this.part();
  }

  end(): void {
    this.closing = true;
    this.hurry();
    this.turn(() => undefined);
  }

  onWatchers(listen: (names: readonly string[]) => void): () => void {
    this.watchersListeners.add(listen);
    apart(() => listen(this.watchers));
    return () => this.watchersListeners.delete(listen);
  }

  protected override greet(link: Link): void {
    this.input_.rewind();
    this.resized = false;
    // A holder that has nobody to name says nothing.
    this.watchedBy([]);
    const { out, err } = this.output.wanted();
    link.say({ type: "begin", begin: { out_from: out, err_from: err, ...this.size } });
  }

  protected override due(link: Link): void {
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

  protected override welcome(welcome: Welcome): void {
    if (this.welcomed || !this.start.joins) this.input_.applied(welcome.input_applied);
    else this.input_.beginAt(welcome.input_applied);
    if (!this.welcomed && this.start.joins) this.pastEnd = welcome.out_end;
    this.passage = { ...this.passage, request: { ...this.passage.request, attach: true } };
    if (!this.welcomed && welcome.notice !== null) this.notice = toldSentence(welcome.notice);
  }

  protected override told(said: ToClient): void {
    if (said.type === "input-ack") return this.input_.applied(said.offset);
    if (said.type === "watchers") return this.watchedBy(said.people);
    throw new Gap(said.type);
  }

  private watchedBy(people: readonly string[]): void {
    if (people.length === 0 && this.watchers.length === 0) return;
    this.watchers = people;
    for (const listen of this.watchersListeners) apart(() => listen(people));
  }

  protected override keep(): Promise<void> {
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
    return store.keepShell(this.secret === undefined ? shell : { ...shell, secret: this.secret });
  }

  protected override drop(): Promise<void> {
    return store.forgetShell(this.id);
  }
}
