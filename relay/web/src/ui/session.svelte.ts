// Who is signed in, and what this browser trusts. One place asks; pages read.
import type { Me, SecondStep } from "../lib/facade";
import { facade } from "./facade";
import { leaveAll } from "./shells.svelte";
import { isError, roomWords } from "./words.svelte";

type Phase = "starting" | "failed" | "out" | "in";

const state = $state<{ phase: Phase; me: Me | undefined; error: unknown; pinned: boolean }>({
  phase: "starting",
  me: undefined,
  error: undefined,
  pinned: false,
});

export function session(): typeof state {
  return state;
}

/** Asks the relay who this is; at the start and after signing in. */
export async function begin(): Promise<void> {
  state.error = undefined;
  try {
    state.me = await facade().api.me();
    state.phase = "in";
    checkTrust();
  } catch (error) {
    if (isError(error, "signed_out")) {
      state.phase = "out";
    } else {
      failed(error);
    }
  }
}

/** Nothing works: the page says why. */
export function failed(error: unknown): void {
  state.phase = "failed";
  state.error = error;
  // The later rooms' texts say some of it.
  void roomWords().catch(() => {});
}

export function checkTrust(): void {
  state.pinned = facade().trust.state() === "pinned";
}

export async function signIn(account: string, password: string, second?: SecondStep): Promise<void> {
  await (second ? facade().api.login(account, password, second) : facade().api.login(account, password));
  await begin();
}

/** Signed in by one of the other ways. */
export async function signInBy(work: () => Promise<void>): Promise<void> {
  await work();
  await begin();
}

export async function signOut(): Promise<void> {
  await facade().api.logout();
  leaveAll();
  state.phase = "out";
  state.me = undefined;
}

/** For answers of the relay: an error that says "sign in first" leads there. Returns whether it was one. */
export function signedOut(error: unknown): boolean {
  if (!isError(error, "signed_out")) return false;
  // Whoever signs in next must find nobody else's terminals.
  leaveAll();
  state.phase = "out";
  state.me = undefined;
  return true;
}
