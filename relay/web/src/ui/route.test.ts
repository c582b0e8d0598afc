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
});
