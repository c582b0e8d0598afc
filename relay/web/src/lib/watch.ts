// Another person's shell, to look at: drawn at the writer's size, and nothing that is typed here goes anywhere.
//
// Never: a record that a watcher may not say, which would cut the view.

import { type Bytes, hex } from "./bytes";
import type { Watched } from "./facade";
import { apart, type Footing, Lasting } from "./lasting";
import { WATCH_TAIL_BYTES } from "./limits";
import type { Link } from "./link";
import { Gap } from "./offsets";
import type { ToClient, Welcome } from "./session";
import * as store from "./store";

type Size = { readonly cols: number; readonly rows: number };

/** What a view begins with. */
export interface ViewStart extends Footing {
  readonly engineer: string;
  /** The visit that is watched, or the shell where the relay does not say which visit that is. */
  readonly of: string;
  /** Who watches now, as far as that can be known; asked from time to time. */
  readonly names: () => Promise<readonly string[]>;
}

/** Between two questions who watches. */
const NAMES_MS = 10_000;

export class View extends Lasting implements Watched {
  readonly engineer: string;
  readonly visit: string;
  private size: Size | undefined;
  private ending = false;
  private names: readonly string[] = [];
  private readonly sizeListeners = new Set<(size: Size) => void>();
  private readonly namesListeners = new Set<(names: readonly string[]) => void>();
  private readonly asking: ReturnType<typeof setInterval>;

  constructor(private readonly start: ViewStart) {
    super(start, 0);
    this.engineer = start.engineer;
    this.visit = start.of;
    this.asking = setInterval(() => void this.askNames(), NAMES_MS);
    this.onState(({ kind }) => {
      if (kind === "ended") clearInterval(this.asking);
    });
    void this.askNames();
    this.dial();
  }

  /** The visit by which one looks. */
  get look(): Bytes {
    return this.passage.visit;
  }

  onSize(listen: (size: Size) => void): () => void {
    this.sizeListeners.add(listen);
    const { size } = this;
    if (size !== undefined) apart(() => listen(size));
    return () => this.sizeListeners.delete(listen);
  }

  onWatchers(listen: (names: readonly string[]) => void): () => void {
    this.namesListeners.add(listen);
    apart(() => listen(this.names));
    return () => this.namesListeners.delete(listen);
  }

  leave(): void {
    this.part();
  }

  /** Ends the shell, where the server says that this view may. */
  end(): void {
    this.ending = true;
    this.turn(() => undefined);
  }

  private async askNames(): Promise<void> {
    const names = await this.start.names().catch(() => this.names);
    if (names.join("\n") === this.names.join("\n") || this.isOver()) return;
    this.names = names;
    for (const listen of this.namesListeners) apart(() => listen(names));
  }

  protected override greet(link: Link): void {
    link.say({ type: "look", from: this.output.wanted().out, last: WATCH_TAIL_BYTES });
  }

  protected override due(link: Link): void {
    if (this.ending && this.welcomed) {
      link.say({ type: "end" });
      this.ending = false;
    }
  }

  protected override welcome(welcome: Welcome): void {
    if (!this.welcomed) this.pastEnd = welcome.out_end;
  }

  protected override told(said: ToClient): void {
    if (said.type === "watchers") return;
    if (said.type !== "size") throw new Gap(said.type);
    const { cols, rows } = said;
    this.size = { cols, rows };
    for (const listen of this.sizeListeners) apart(() => listen({ cols, rows }));
  }

  /** A newcomer gets the last of what was there: what is older is no loss. */
  protected override expects(before: number): boolean {
    return before <= this.pastEnd;
  }

  protected override keep(): Promise<void> {
    const view = { unanswered: this.unanswered };
    const kept = this.secret === undefined ? view : { ...view, secret: this.secret };
    return store.keepView(hex(this.passage.visit), this.id, kept);
  }

  protected override drop(): Promise<void> {
    return store.keepView(hex(this.passage.visit), this.id, { unanswered: [] });
  }
}
