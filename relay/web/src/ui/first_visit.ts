// On from the first run, or from joining, to the first terminal: its form is filled, and where a passkey signs, the question
// that comes before the touch is asked at once. A link from elsewhere fills the form as well, but asks nothing; one to join
// may be passed on with another user in it, so root's question is asked by the person's own click there.
//
// Never: a signature without the person's yes in that question, or a question for a page that nobody was led to just now.
import { replace } from "./route.svelte";

/** As long as the form's field. */
const USER_CHARS_MAX = 64;

/** Where somebody was just led, all of it; empty once the form has asked, or another page came. */
let led = "";

export interface Proposal {
  readonly user: string;
  readonly reason: string;
  /** The user stood in a link that anybody can have passed on. */
  readonly passedOn?: boolean;
}

/** Goes to a server's page, without a step in the history that would lead back to a one-time link. */
export function firstVisit(server: string, { user, reason, passedOn = false }: Proposal): void {
  const as = user.trim().slice(0, USER_CHARS_MAX).trim();
  replace(`#/servers/${server}?${new URLSearchParams(as ? { user: as, reason } : { reason })}`);
  // Who was not named here is whoever was kept from before, perhaps by another account.
  led = as === "" || (passedOn && as === "root") ? "" : location.hash;
}

/** Whether somebody was just led to the page that is shown, to be asked; once. */
export function isFirstVisit(): boolean {
  const is = led !== "" && led === location.hash;
  led = "";
  return is;
}

addEventListener("hashchange", () => {
  led = "";
});
