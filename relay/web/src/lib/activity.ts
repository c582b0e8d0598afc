// The relay's own log about a customer. Never: believed for a decision, or read as what happened on a server.

import { array, call, number, object, said, string } from "./api";
import type { RelayEvent } from "./facade";

/** Before which number to read for the newest. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/** The newest events, or the last ones before one; newest first. */
export async function activity(before = NEWEST): Promise<RelayEvent[]> {
  const answer = object(
    await call("GET", `/api/v1/audit?before=${before}`, undefined, { byItself: true }),
    "audit",
  );
  const events = array(answer.events, "audit").map((one): RelayEvent => {
    const event = object(one, "event");
    return {
      seq: number(event.seq, "event"),
      at: number(event.at, "event") * 1000,
      account: said(event.account),
      address: said(event.client),
      action: string(event.action, "event"),
      subject: said(event.subject),
    };
  });
  return events.reverse();
}
