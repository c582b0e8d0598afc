// A server's labels at the relay. Never: believed for a decision.

import { call, servers } from "./api";

/** Makes these all the labels of a server. */
export async function setLabels(server: string, labels: readonly string[]): Promise<void> {
  const before = (await servers()).find(({ id }) => id === server)?.labels ?? [];
  const remove = before.filter((label) => !labels.includes(label));
  const add = labels.filter((label) => !before.includes(label));
  await call("POST", `/api/v1/servers/${encodeURIComponent(server)}/labels`, { add, remove });
}
