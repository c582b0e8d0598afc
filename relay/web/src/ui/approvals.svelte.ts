// The requests for a second signature, followed while somebody is signed in, so that the frame can say how many wait.
import type { Approval } from "../lib/facade";
import { facade } from "./facade";
import { Poll } from "./poll.svelte";

/** After news, and when there was none for as long as a relay holds a call. */
const PAUSE_MS = 100;

const poll = new Poll<readonly Approval[]>();

export function approvals(): Poll<readonly Approval[]> {
  return poll;
}

/** How many wait for this account. */
export function pending(): number {
  return poll.value?.filter((one) => one.state === "waiting" && !one.hindrance && !one.fault).length ?? 0;
}

/** For `$effect`: asks, then waits until something changed. */
export function followApprovals(): () => void {
  return poll.run(async (show, signal) => {
    show(await facade().approvals.list());
    await facade().approvals.changed(signal);
    return undefined;
  }, PAUSE_MS);
}
