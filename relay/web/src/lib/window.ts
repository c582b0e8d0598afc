// Which window of this browser has a shell: one at a time, so that two never use the same resume secret, which a server
// would have to take for a theft. Never: a lock that outlives its window; the browser lets go of it.

/** How long a window that is being reloaded may need to let go. */
const LET_GO_MS = 2_000;

/** Takes a shell for this window; returns how to let go, or `undefined` when another window has it. */
export async function hold(shell: string): Promise<(() => void) | undefined> {
  const locks = globalThis.navigator?.locks;
  // Without locks there are no other windows that could be told apart.
  if (locks === undefined) return () => undefined;
  return new Promise((resolve) => {
    const late = AbortSignal.timeout(LET_GO_MS);
    locks
      .request(
        `cloud-doctor-shell-${shell}`,
        { signal: late },
        () => new Promise<void>((release) => resolve(release)),
      )
      .catch(() => resolve(undefined));
  });
}
