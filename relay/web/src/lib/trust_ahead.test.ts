// What vectors.json leaves out because it would be large: how much may be signed ahead at once.

import { expect, test } from "vitest";
import type { Ahead, NamedKey } from "./entry";
import { AHEAD_MAX } from "./limits";
import { approversAt, rulesOfAhead, type SignedAhead } from "./trust_ahead";

const key = (byte: number, person: string): NamedKey => ({
  key: new Uint8Array(8).fill(byte),
  person,
  signer: "sshsig",
});
const id = (byte: number) => new Uint8Array(32).fill(byte);
const hexId = (byte: number) => byte.toString(16).padStart(2, "0").repeat(32);

const what: Ahead = {
  agent: id(1),
  engineer: id(2),
  scopes: [{ shell: { user: "root" } }],
  from: 100,
  until: 200,
  note: "",
};

function stage(signed: number) {
  const one: SignedAhead = { what, by: hexId(3), person: "carl" };
  return {
    roots: new Map([[hexId(3), key(3, "carl")]]),
    people: new Map([
      [hexId(2), { key: key(2, "eve"), role: "engineer" as const, until: 1000 }],
      [hexId(4), { key: key(4, "gus"), role: "approver" as const, until: 150 }],
    ]),
    agents: new Map([[hexId(1), { identity: id(9), name: "web" }]]),
    ahead: new Map(Array.from({ length: signed }, (_, seq) => [seq, one] as const)),
    newestClaim: () => 100,
  };
}

const broken = (signed: number) =>
  rulesOfAhead(stage(signed), what, id(3), 100)
    .filter(([holds]) => !holds)
    .map(([, rule]) => rule);

test("at most 64 things are signed ahead at once", () => {
  expect(broken(AHEAD_MAX - 1)).toEqual([]);
  expect(broken(AHEAD_MAX)).toEqual(["AheadMany"]);
});

test("an approver counts by the later of the entry's date and the log's", () => {
  const names = (at: number, newest: number) =>
    [...approversAt({ ...stage(0), newestClaim: () => newest }, at).values()].map(({ person }) => person);
  expect(names(100, 150).sort()).toEqual(["carl", "gus"]);
  expect(names(100, 151)).toEqual(["carl"]);
  expect(names(151, 100)).toEqual(["carl"]);
});
