// What is asked of guard under seal, and its answers, as proto/src/look.rs. Nothing here is verified: the handshake says
// who answered, and a line of an audit has a signature of its own.

import { id16 } from "./ids";
import { bin, boolean, list, struct, type TypeOf, text, u64, variants } from "./pack";

/** Sealed in the first handshake message. */
export const question = variants({ shells: struct({}), audit: struct({ file: u64, offset: u64 }) });
export type Question = TypeOf<typeof question>;

/** A shell that may be watched. Its texts are strangers'. */
export const livingShell = struct({
  channel: id16,
  user: text,
  person: text,
  reason: text,
  ticket: text,
  age_secs: u64,
  ends_in_secs: u64,
  attached: boolean,
  watchers: u64,
  may_end: boolean,
});
export type LivingShell = TypeOf<typeof livingShell>;

/** A file of the host's audit: the number of its first line, and its length now. */
export const auditFile = struct({ first: u64, bytes: u64 });
export type AuditFile = TypeOf<typeof auditFile>;

const auditPage = struct({ files: list(auditFile), data: bin });

/** Sealed in the second handshake message. */
export const answer = variants({ shells: struct({ shells: list(livingShell) }), audit: auditPage });
export type Answer = TypeOf<typeof answer>;
