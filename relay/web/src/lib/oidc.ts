// The way in through a provider: the page is left, and comes back at an address of its own with what the provider gave.
//
// Where one was is kept for this tab alone. Never: what a provider gave taken when this tab did not ask for it.

import { RelayError } from "./api";
import * as relay from "./api_access";
import { ConsoleError, type MessageId } from "./errors";

const KEPT = "cloud-doctor sign-in";

/** The relay's codes that are sentences about a provider. */
const PROBLEMS: Readonly<Record<string, MessageId>> = {
  "provider-away": "oidc_away",
  "identity-refused": "oidc_refused",
  "no-account": "oidc_no_account",
};

/** What is kept while the page is away. */
interface Kept {
  readonly hash: string;
  /** The provider's. */
  readonly name: string;
}

/** Goes to the provider. */
export async function leave(name: string): Promise<void> {
  const url = await relay.beginProviderLogin().catch(named(name));
  const kept: Kept = { hash: location.hash, name };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
  location.assign(url);
}

/** Comes back from it, to where one was. Throws why nobody was signed in. */
export async function arrive(): Promise<void> {
  const query = new URLSearchParams(location.search);
  const kept = take();
  // What the provider gave must not stay in the address.
  history.replaceState(null, "", "/");
  location.hash = kept?.hash ?? "";
  if (kept === undefined) throw new ConsoleError("oidc_stale");
  const [state, code, iss] = ["state", "code", "iss"].map((name) => query.get(name));
  if (!state || !code) throw new ConsoleError("oidc_refused", kept.name);
  await relay.providerLogin({ state, code, ...(iss ? { iss } : {}) }).catch(named(kept.name));
}

function take(): Kept | undefined {
  const text = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  return text === null ? undefined : JSON.parse(text);
}

/** An error with the provider's name in it. */
function named(name: string): (error: unknown) => never {
  return (error) => {
    const id = error instanceof RelayError ? PROBLEMS[error.code] : undefined;
    throw id === undefined ? error : new ConsoleError(id, name);
  };
}
