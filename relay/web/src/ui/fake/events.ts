// What the relay of the made-up world wrote down.
import type { RelayEvent } from "../../lib/facade";
import { HOUR, ME } from "./world";

const WEB = "01".repeat(32);
const PAGE = 20;
const ALL: readonly (readonly [string, string, string, string])[] = [
  [ME, "203.0.113.77", "finding-waived", `${WEB} disk.space /srv/archive`],
  [ME, "203.0.113.77", "checks-scheduled", `${WEB} 21600`],
  [ME, "203.0.113.77", "checks-asked", WEB],
  ["王伟", "198.51.100.23", "stream-opened", WEB],
  ["王伟", "198.51.100.23", "signed-in", "王伟"],
  ["mallory@vendor.example", "2001:db8::17", "second-asked", WEB],
  ["olga@acme.example", "203.0.113.9", "second-denied", "9f".repeat(16)],
  ["", "198.51.100.40", "server-enrolled", `${WEB} web-1`],
  ["", "192.0.2.200", "enrolment-refused", "token-unknown"],
  ["olga@acme.example", "203.0.113.9", "account-made-admin", ME],
  ["olga@acme.example", "203.0.113.9", "of-a-newer-relay", "a\u202etxet"],
];

export function someEvents(now: number, before = 41): readonly RelayEvent[] {
  const from = Math.min(before, 41) - 1;
  return Array.from({ length: Math.min(PAGE, from) }, (_, at): RelayEvent => {
    const seq = from - at;
    const [account, address, action, subject] = ALL[(40 - seq) % ALL.length] ?? ["", "", "signed-in", ""];
    return { seq, at: now - (41 - seq) * (HOUR / 3), account, address, action, subject };
  });
}
