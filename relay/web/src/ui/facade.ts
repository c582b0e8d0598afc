// What pages use of the library, handed in once, so that tests can hand in something else.
// Never: a second way to the relay.
import type { Facade, Offered } from "../lib/facade";

let current: Offered | undefined;

export function useFacade(facade: Offered): void {
  current = facade;
}

/** The library. Rooms that it lacks are never drawn, so what a page asks for is there. */
export function facade(): Facade {
  if (!current) throw new Error("no facade was handed in");
  return current as Facade;
}

/** Whether the library has all that a room needs. */
export function offers(...parts: readonly (keyof Facade)[]): boolean {
  return parts.every((part) => current?.[part] !== undefined);
}
