// Output that waits for code which is still fetched: in its order, not for long, and once. Never: a chunk that overtakes.

/** Waiting for something, at most so long and only once: what hung before is not worth another wait. */
export class Wait {
  readonly #awaited: Promise<unknown>;
  readonly #msMax: number;
  #over = false;
  #waiting: Promise<void> | undefined;

  constructor(awaited: Promise<unknown>, msMax: number) {
    this.#awaited = awaited;
    this.#msMax = msMax;
  }

  /** Until then; missing: nobody waits any more. */
  begin(): Promise<void> | undefined {
    if (this.#over) return undefined;
    this.#waiting ??= this.#wait();
    return this.#waiting;
  }

  async #wait(): Promise<void> {
    await Promise.race([this.#awaited, new Promise((resolve) => setTimeout(resolve, this.#msMax))]);
    this.#over = true;
  }
}

export class Queue {
  readonly #wait: Wait;
  /** What waits; missing: nothing does. */
  #held: (() => void)[] | undefined;

  constructor(wait: Wait) {
    this.#wait = wait;
  }

  /** Writes it now, or after what waits already. `waits`: it would be better drawn by what is still fetched. */
  push(waits: boolean, write: () => void): void {
    const until = this.#held || !waits ? undefined : this.#wait.begin();
    if (this.#held) this.#held.push(write);
    else if (until) this.#hold(until, write);
    else write();
  }

  #hold(until: Promise<void>, first: () => void): void {
    const held = [first];
    this.#held = held;
    void until.then(() => {
      this.#held = undefined;
      for (const write of held) write();
    });
  }
}
