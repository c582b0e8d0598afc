// Whether the owner of these servers is alone with them. Until a second person joins, or is asked to, the pages say nothing
// of what is only between people: whose servers these are, who is trusted with what, who must agree.
//
// Never: a page that cannot be reached because of it (addresses and links go on working), or an owner who is called
// alone before everything that was asked has said so.
import type { TrustView } from "../lib/facade";
import { facade } from "./facade";
import { Poll } from "./poll.svelte";
import { session } from "./session.svelte";

const LOOK_MS = 20_000;
/** Whether somebody else, or another key of one's own, is in the log or about to be let in. */
const others = new Poll<boolean>();

export function alone(): boolean {
  const { me, pinned } = session();
  // The log is asked here as well, because it may have grown since; what it says alone draws nothing again.
  return pinned && me?.admin === true && others.value === false && isAsSetUp(facade().trust.log());
}

/**
 * Whether a log trusts no more keys than set-up puts there: one passkey that is root and engineer, or, for a trial, a file's
 * key as root and a browser's key of the same name as engineer. Names prove nothing: every key bears one that was given.
 */
export function isAsSetUp({ roots, people }: Pick<TrustView, "roots" | "people">): boolean {
  const [root] = roots;
  const [person] = people;
  if (root === undefined || roots.length > 1 || people.length > 1) return false;
  if (person === undefined || person.fingerprint === root.fingerprint) return true;
  return root.kind === "ssh" && person.kind === "device" && person.name === root.name;
}

/** For `$effect`: looks from time to time. */
export function lookForOthers(): () => void {
  return others.run(async () => {
    const { book, people, keys, trust } = facade();
    if (!isAsSetUp(trust.log())) return true;
    const own = (await keys.list()).some(({ trusted }) => !trusted.root && trusted.engineer === undefined);
    if (own) return true;
    const [accounts, invited, came] = await Promise.all([
      people.accounts(),
      people.invitations(),
      book.candidates(),
    ]);
    // Meanwhile another part of the page may have fetched what is new in the log.
    return accounts.length > 1 || invited.length > 0 || came.length > 0 || !isAsSetUp(trust.log());
  }, LOOK_MS);
}
