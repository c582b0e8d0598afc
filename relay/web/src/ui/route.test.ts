// @vitest-environment jsdom
import { expect, test } from "vitest";
import { parseRoute } from "./route.svelte";

test("addresses lead to pages, and what is no address to the list", () => {
  const check = (hash: string, page: string, id: string, query: string) => {
    const route = parseRoute(hash);
    expect([route.page, route.id, route.query.toString()]).toEqual([page, id, query]);
  };
  check("", "servers", "", "");
  check("#/servers?q=web", "servers", "", "q=web");
  check("#/servers/0a1B?user=deploy&reason=a+b", "server", "0a1B", "user=deploy&reason=a+b");
  check("#/servers/../etc", "servers", "", "");
  check("#/servers/<img>", "servers", "", "");
  check("#/trust", "trust", "", "");
  check("#/settings", "settings", "", "");
  check("#/nowhere/x?y=1", "servers", "", "y=1");
  check("#/servers/0a/audit?q=root", "audit", "0a", "q=root");
  check("#/servers/0a/health?severity=critical&run=1b", "health", "0a", "severity=critical&run=1b");
  check("#/servers/0a/about", "about", "0a", "");
  check("#/servers/0a/etc", "server", "0a", "");
  check("#/add", "add", "", "");
  check("#/scans?check=disk.space", "scans", "", "check=disk.space");
  check("#/approvals", "approvals", "", "");
  check("#/watch/0a/1b", "watch", "0a", "");
  check("#/watch/0a", "servers", "", "");
  check("#/setup/K7QX-9M2P", "setup", "K7QX-9M2P", "");
  check("#/setup", "setup", "", "");
  check("#/join/a_b.c~d", "join", "a_b.c~d", "");
  check("#/join/<img>", "servers", "", "");
  check("#/join", "servers", "", "");
  check("#/reset/K7QX9M-2P4TZD", "reset", "K7QX9M-2P4TZD", "");
  check("#/reset", "servers", "", "");
  expect(parseRoute("#/watch/0a/1b").part).toBe("1b");
  expect(parseRoute("#/settings/keys").part).toBe("keys");
  expect(parseRoute("#/settings/<b>").part).toBe("");
});
