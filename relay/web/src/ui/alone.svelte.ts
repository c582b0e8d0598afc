// Whether the owner of these servers is alone with them. Until a second person joins, or is asked to, the pages say nothing
// of what is only between people: whose servers these are, who is trusted with what, who must agree.
//
// Never: a page that cannot be reached because of it; addresses, keys and links go on working.
import { facade } from "./facade";
import { Poll } from "./poll.svelte";
import { session } from "./session.svelte";

const LOOK_MS = 20_000;
/** Whether somebody else, or another key of one's own, is about to be let in. */
const others = new Poll<boolean>();

export function alone(): boolean {
  const { me, pinned } = session();
  // Most owners who begin are: what is between people comes into sight, and does not vanish.
  return pinned && me?.admin === true && isOneInLog() && others.value !== true;
}

function isOneInLog(): boolean {
  const { people, roots } = facade().trust.log();
  return new Set([...roots, ...people].map(({ name }) => name)).size <= 1;
}

/** For `$effect`: looks from time to time. */
export function lookForOthers(): () => void {
  return others.run(async () => {
    const { book, people, keys } = facade();
    const own = (await keys.list()).some(({ trusted }) => !trusted.root && trusted.engineer === undefined);
    if (own) return true;
    const [accounts, invited, came] = await Promise.all([
      people.accounts(),
      people.invitations(),
      book.candidates(),
    ]);
    return accounts.length > 1 || invited.length > 0 || came.length > 0;
  }, LOOK_MS);
}
