// Parts of the library that are fetched when somebody first asks them for something, so that the first page comes sooner.

import { ConsoleError } from "./errors";

type Works = (...args: never[]) => Promise<unknown>;
type Work = (...args: readonly unknown[]) => Promise<unknown>;

/** Stands for a part, all of whose functions return promises, until it is here. Throws `relay_unreachable` when it cannot be fetched. */
export function later<T extends { readonly [Name in keyof T]: Works }>(fetched: () => Promise<T>): T {
  const work = (name: string | symbol): Work => {
    return async (...args) => {
      const part = await fetched().catch(() => {
        throw new ConsoleError("relay_unreachable");
      });
      return (Reflect.get(part, name) as unknown as Work)(...args);
    };
  };
  // Whoever awaits it must not take it for a promise.
  return new Proxy({} as T, { get: (_, name) => (name === "then" ? undefined : work(name)) });
}
