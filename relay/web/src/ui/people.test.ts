// @vitest-environment jsdom
import { expect, test } from "vitest";
import type { TrustView } from "../lib/facade";
import { grouped } from "./people";

test("two keys of one person are one person, whatever they may do", () => {
  const log: TrustView = {
    customer: "ACME",
    tenant: "",
    entries: 4,
    head: "",
    at: 0,
    servers: [],
    recovery: { name: "olga", fingerprint: "R", kind: "ssh" },
    policy: { secondFor: [], never: [] },
    roots: [{ name: "olga", fingerprint: "O", kind: "ssh" }],
    people: [
      { name: "wei", fingerprint: "W", kind: "ssh", role: "approver", until: 9 },
      { name: "olga", fingerprint: "O", kind: "ssh", role: "engineer", until: 7 },
      { name: "eve", fingerprint: "E", kind: "ssh", role: "engineer", until: 5 },
      { name: "olga", fingerprint: "P", kind: "passkey", role: "engineer", until: 8 },
    ],
  };
  expect(
    grouped(log).map(({ name, rights }) => [
      name,
      rights.map(({ role, key, until }) => [role, key.fingerprint, until]),
    ]),
  ).toEqual([
    ["eve", [["engineer", "E", 5]]],
    [
      "olga",
      [
        ["root", "O", undefined],
        ["engineer", "O", 7],
        ["engineer", "P", 8],
      ],
    ],
    ["wei", [["approver", "W", 9]]],
  ]);
});
