// The first run of a relay, for pages: its side (first_run.ts) and the owner's keys and log (setup.ts).

import * as relay from "./api";
import type { Setup } from "./facade";
import { begin, look } from "./first_run";
import { finish, makeKey } from "./setup";

export const setup: Setup = {
  look,
  begin,
  makeKey: (kind) => makeKey(kind, "cloud-doctor"),
  finish: async (token) => finish((await relay.me()).tenantName, token),
};
