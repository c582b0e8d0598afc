import { expect, test } from "vitest";
import type { Server } from "../lib/facade";
import { fits } from "./filter";

const server: Server = {
  id: "01",
  name: "Web-1",
  trusted: true,
  hostname: "web-1.acme.example",
  os: "Debian 12",
  build: "",
  online: { since: 0, rttMs: 3 },
  labels: ["prod", "eu-west"],
  here: [{ account: "eve@example.com", since: 0, watching: false }],
};

test("a filter's words must all fit, and those with a colon exactly", () => {
  const check = (filter: string, expected: boolean, of: Server = server) =>
    expect([filter, fits(of, filter, ["reachable"])]).toEqual([filter, expected]);
  const { online: _, here: __, ...away } = server;
  check("", true);
  check("  web debian ", true);
  check("web ubuntu", false);
  check("label:prod", true);
  check("label:pro", false);
  check("pro", true);
  check("label:", false);
  check("is:reachable", true);
  check("is:unreachable", false);
  check("is:unreachable label:eu-west", true, away);
  check("is:busy", true);
  check("is:busy", false, away);
  check("eve@", true);
  check("is:something", false);
});
