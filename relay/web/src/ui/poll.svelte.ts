// What pages ask again and again while somebody looks, and what they do once at a click.
import { untrack } from "svelte";
import { signedOut } from "./session.svelte";
import { isError } from "./words.svelte";

/** A page that nobody looks at asks that much less often. */
const HIDDEN_FACTOR = 6;

/** What was asked for last, and why the newest question got no answer. */
export class Poll<T> {
  value = $state.raw<T | undefined>();
  error = $state<unknown>();
  #again: () => void = () => {};

  /** Asks now, and shows the answer. */
  again(): void {
    this.#again();
  }

  /** For `$effect`: asks at once and then every so often (0: once). `ask` may show more than one answer. */
  run(
    ask: (show: (value: T) => void, signal: AbortSignal) => Promise<T | undefined>,
    everyMs: number,
  ): () => void {
    const over = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let turn = 0;
    const next = async () => {
      clearTimeout(timer);
      turn += 1;
      const mine = turn;
      const current = () => !over.signal.aborted && turn === mine;
      const show = (value: T) => {
        if (current()) this.value = value;
      };
      try {
        const value = await ask(show, over.signal);
        if (value !== undefined) show(value);
        if (current()) this.error = undefined;
      } catch (thrown) {
        if (current() && !signedOut(thrown)) this.error = thrown;
      }
      if (current() && everyMs > 0)
        timer = setTimeout(next, document.hidden ? everyMs * HIDDEN_FACTOR : everyMs);
    };
    this.#again = () => void next();
    untrack(() => void next());
    return () => {
      over.abort();
      clearTimeout(timer);
    };
  }
}

/** Something that a person set off: busy until it is done, and what went wrong stays beside it. */
export class Action {
  busy = $state(false);
  error = $state<unknown>();

  /** Does it unless it is being done. Returns whether it worked. Whoever said no needs no explanation. */
  async run(work: () => Promise<unknown>): Promise<boolean> {
    // Whoever sets it off in an effect does not want it again whenever it is busy or done.
    if (untrack(() => this.busy)) return false;
    this.busy = true;
    this.error = undefined;
    try {
      await work();
      return true;
    } catch (thrown) {
      if (!signedOut(thrown) && !isError(thrown, "touch_declined", "cancelled")) this.error = thrown;
      return false;
    } finally {
      this.busy = false;
    }
  }
}
