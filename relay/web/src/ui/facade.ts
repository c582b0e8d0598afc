// What pages use of the library, handed in once, so that tests can hand in something else.
// Never: a second way to the relay.
import type { Facade } from "../lib/facade";

let current: Facade | undefined;

export function useFacade(facade: Facade): void {
  current = facade;
}

export function facade(): Facade {
  if (!current) throw new Error("no facade was handed in");
  return current;
}
