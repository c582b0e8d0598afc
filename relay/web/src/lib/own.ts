// The shells of one's own that this window has. Never: one that is over, or another window's.

import type { Shell } from "./facade";

const living = new Map<string, Shell>();

/** Notes that this window has a shell until it is over. */
export function mark(shell: Shell): void {
  living.set(shell.id, shell);
  shell.onState((state) => {
    if (state.kind === "ended") living.delete(shell.id);
  });
}

/** A shell that this window has. */
export function ofThisWindow(id: string): Shell | undefined {
  return living.get(id);
}
