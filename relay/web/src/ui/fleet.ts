// The servers as the relay lists them, with what the customer's list of keys says about each.
import type { Server } from "../lib/facade";
import { facade } from "./facade";

/** A server that the list does not name is a reason to fetch what is new in it, but not at every look. */
const REFRESH_MS = 15_000;
let refreshedAt = Number.NEGATIVE_INFINITY;

/** Hands over the list at once, and once more when newer entries name more of it. Throws what went wrong. */
export async function listServers(show: (servers: readonly Server[]) => void): Promise<void> {
  const { api, trust } = facade();
  const servers = await api.servers();
  show(servers);
  if (servers.every((server) => server.trusted) || performance.now() - refreshedAt < REFRESH_MS) return;
  refreshedAt = performance.now();
  await trust.refresh();
  show(await api.servers());
}
