// The customer's log for pages: reading it, changing it, and letting in who came by a link.

import type { Book } from "./facade";
import { later } from "./later";
import { commandLine } from "./log_command";
import * as seat from "./seat";

const work = later(async () => (await import("./log_write")).work);

export const book: Book = {
  history: () => work.history(),
  mayWrite: () => work.mayWrite(),
  command: (change) => commandLine(seat.pinned().log, change),
  sign: (change) => work.sign(change),
  candidates: () => work.candidates(),
  ahead: () => work.ahead(),
  mayApprove: () => work.mayApprove(),
};
