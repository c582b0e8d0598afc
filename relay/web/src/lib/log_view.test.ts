// The log in plain values: who "may go on" is somebody who may until then.

import { expect, test } from "vitest";
import { type Bytes, random } from "./bytes";
import { entryBytes, type NamedKey, packEntry, type What } from "./entry";
import { keyOf } from "./ids";
import { history, whatOf } from "./log_view";
import { ed25519Blob } from "./ssh";
import type { TrustLog } from "./trust";

const key = (person: string): NamedKey => ({ key: ed25519Blob(random(32)), person, signer: "sshsig" });
const [ann, bob, eve, safe] = [key("ann"), key("bob"), key("eve"), key("safe")];
const adds = (one: NamedKey): What => ({ "add-person": { key: one, role: "engineer", until: 9 } });

/** Entries as they stand in a log. Nobody has signed them: whoever shows them has verified them before. */
function logOf(said: readonly What[]): TrustLog {
  const entries = said.map((what, seq): Bytes => {
    const entry = entryBytes({ version: 1, seq, prev: random(32), at: 1, by: keyOf(safe.key), what });
    return packEntry({ entry, signature: new Uint8Array(0) });
  });
  return {
    head: () => ({ seq: entries.length - 1, hash: random(32) }),
    entriesFrom: (from: number, count: number) => entries.slice(from, from + count),
  } as unknown as TrustLog;
}

const genesis: What = {
  genesis: {
    name: "ACME",
    roots: [ann, bob],
    recovery: safe,
    salt: random(16),
    first: [{ "add-person": { key: ann, role: "engineer", until: 9 } }],
  },
};

test("somebody goes on who is there, and comes anew who has gone or never was", () => {
  const rows: [string, readonly What[], NamedKey, boolean][] = [
    ["of the first entry", [], ann, true],
    ["a root who was never an engineer", [], bob, false],
    ["the recovery key", [], safe, false],
    ["a stranger", [], eve, false],
    ["added", [adds(eve)], eve, true],
    ["added and removed", [adds(eve), { "remove-person": { key: keyOf(eve.key) } }], eve, false],
    ["back again", [adds(eve), { "remove-person": { key: keyOf(eve.key) } }, adds(eve)], eve, true],
    ["a root that went", [{ "remove-root": { key: keyOf(ann.key) } }], ann, false],
    ["a root that was replaced", [{ "replace-roots": { roots: [bob] } }], ann, false],
    ["a root that stayed", [{ "replace-roots": { roots: [ann] } }], ann, true],
    [
      "a root of later that was replaced",
      [{ "add-root": { key: eve } }, adds(eve), { "replace-roots": { roots: [ann] } }],
      eve,
      false,
    ],
  ];
  for (const [who, before, person, renewed] of rows) {
    const said = [genesis, ...before];
    expect(whatOf(logOf(said), adds(person)), who).toMatchObject({ kind: "add-person", renewed });
    expect(history(logOf([...said, adds(person)]))[0]?.what, who).toMatchObject({ renewed });
  }
});
