// What the relay knows of machines and of who is on them, from what agents and clients say. Never: believed for a decision.

import { activity } from "./activity";
import { openStreams, server } from "./api_visits";
import type { Fleet, Here, ServerFacts } from "./facade";
import { install, revoke, tokens } from "./install";

/** Whatever is known of a server. */
export async function facts(id: string): Promise<ServerFacts> {
  const found = Object.entries(await server(id)).filter(([, value]) => value !== undefined && value !== "");
  return Object.fromEntries(found) as ServerFacts;
}

/** Who is on which server now, by its id: whoever came first stands first. */
export async function whoIsWhere(): Promise<ReadonlyMap<string, readonly Here[]>> {
  const all = new Map<string, Map<string, Here>>();
  for (const { server: id, account, openedAt, purpose } of await openStreams()) {
    const people = all.get(id) ?? new Map<string, Here>();
    const before = people.get(account);
    // Whoever works there and looks at somebody besides is there to work.
    const watching = (purpose === "watch" || purpose === "ask") && before?.watching !== false;
    people.set(account, { account, since: Math.min(openedAt, before?.since ?? openedAt), watching });
    all.set(id, people);
  }
  return new Map(
    [...all].map(([id, people]) => [id, [...people.values()].sort((a, b) => a.since - b.since)]),
  );
}

export const fleet: Fleet = { facts, install, tokens, revoke, activity };
