// What client and guard say before a channel is sealed, as proto/src/visit.rs and refusal.rs. Never: believed without
// the signature inside.

import { id16, id32 } from "./ids";
import {
  bin,
  boolean,
  type Codec,
  defaulted,
  fixed,
  list,
  oneOf,
  option,
  struct,
  type TypeOf,
  text,
  u16,
  u64,
} from "./pack";

export const challengeRequest = struct({ proto_min: u16, proto_max: u16, trust_seq: u64 });
export const challengeReply = struct({ challenge: bin, signature: fixed(64), entries: list(bin) });
export type ChallengeReply = TypeOf<typeof challengeReply>;

export const signed = struct({ key: id32, sshsig: bin });
export type Signed = TypeOf<typeof signed>;

export const openVisit = struct({ grant: bin, engineer: signed, second: option(signed), entries: list(bin) });

export const channelKind = oneOf(["shell", "exec", "watch", "ask"]);

export const channelInfo = struct({
  channel: id16,
  kind: channelKind,
  user: text,
  age_secs: u64,
  attached: boolean,
});
export const visitOpened = struct({ visit: id16, ends_in_secs: u64, channels: list(channelInfo) });
export type VisitOpened = TypeOf<typeof visitOpened>;

export const needSecond = struct({ visit: id16, within_secs: u64, remote: boolean, local: boolean });
export type NeedSecond = TypeOf<typeof needSecond>;
export const second = struct({ second: signed });

export const openChannel = struct({ visit: id16, channel: id16, kind: channelKind, resume: u64, first: bin });
export const channelReply = struct({ second: bin });
export const handed = struct({ index: u64, secret: id32 });

/** Part of a sentence that the server tells: an id and its values. */
export const told = struct({ code: text, values: defaulted(list(text), []) });
export type Told = TypeOf<typeof told>;

/** Absent rather than `nil`. */
function absent<T>(some: Codec<T>): Codec<T | null> {
  return { ...option(some), omit: (value) => value === null };
}

export const refused = struct({ code: text, detail: defaulted(text, ""), told: absent(told) });
export type Refused = TypeOf<typeof refused>;
