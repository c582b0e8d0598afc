// When a lost connection is tried again, and what makes that sooner.
//
// Most cuts last for seconds: those are over as soon as they can be. A server that stays away must not use up what its
// engineers may open elsewhere: a relay lets an account open 30 streams a minute.

/** The first tries are this far apart, doubled each time. */
const FIRST_MS = 50;
/** While a cut is young, tries are at most this far apart. */
const YOUNG_MS = 1_000;
/** How much longer than a wait the cut must have lasted. */
const AGE_TO_WAIT = 3;
/** Tries are never farther apart. */
const LONGEST_MS = 15_000;

/**
 * Milliseconds until the next try, after so many that failed. `cutMs`: how long the cut has lasted; `limited`: the
 * relay asked to wait; `chance`: 0 to 1.
 */
export function waitMs(failed: number, cutMs: number, limited: boolean, chance: number): number {
  const bearable = Math.min(LONGEST_MS, Math.max(YOUNG_MS, cutMs / AGE_TO_WAIT));
  const longest = limited ? LONGEST_MS : Math.min(FIRST_MS * 2 ** failed, bearable);
  return (longest * (1 + chance)) / 2;
}

/** Calls `network` when this computer has one again, `looked` when the page is looked at again, until `stop`. */
export function onSigns(network: () => void, looked: () => void, stop: AbortSignal): void {
  // Outside browsers there are no such events.
  globalThis.addEventListener?.("online", network, { signal: stop });
  const seen = () => {
    if (document.visibilityState === "visible") looked();
  };
  globalThis.addEventListener?.("visibilitychange", seen, { signal: stop });
}

/** Whether this computer has no network at all, as far as the browser knows. */
export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}
