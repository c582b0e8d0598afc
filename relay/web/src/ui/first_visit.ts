// On from the first run, or from joining, to the first terminal: its form is filled, and where a passkey signs, the question
// that comes before the touch is asked at once. A link from elsewhere fills the form as well, but asks nothing.
//
// Never: a visit that is opened without the person's click or Enter.
import { replace } from "./route.svelte";

let asked = "";

/** Goes to a server's page, without a step in the history that would lead back to a one-time link. */
export function firstVisit(server: string, { user, reason }: { user: string; reason: string }): void {
  asked = server;
  replace(`#/servers/${server}?${new URLSearchParams(user ? { user, reason } : { reason })}`);
}

/** Whether somebody was just led to this server's page; once. */
export function isFirstVisit(server: string): boolean {
  const is = asked === server;
  asked = "";
  return is;
}
