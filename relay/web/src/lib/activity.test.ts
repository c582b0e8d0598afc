// The relay's own log: read from its newest end, and nothing of another shape shown.

import { beforeEach, expect, test } from "vitest";
import { activity } from "./activity";
import { outside } from "./outside";

let asked: string[];
let events: unknown;

beforeEach(() => {
  asked = [];
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = async (input, init) => {
    const { pathname, search } = new URL(input);
    asked.push(`${init.method} ${pathname}${search}`);
    return new Response(JSON.stringify({ events }), { status: 200 });
  };
});

const event = (seq: number, more: Record<string, unknown> = {}) => ({
  seq,
  at: 1_800_000_000 + seq,
  account: "eve",
  client: "198.51.100.4",
  action: "checks-asked",
  subject: "0a",
  ...more,
});

test("the newest come first, and what came before a known one is asked for by its number", async () => {
  events = [event(7), event(8, { account: "", client: "192.0.2.1" })];
  const found = await activity();
  expect(found).toEqual([
    {
      seq: 8,
      at: 1_800_000_008_000,
      account: "",
      address: "192.0.2.1",
      action: "checks-asked",
      subject: "0a",
    },
    {
      seq: 7,
      at: 1_800_000_007_000,
      account: "eve",
      address: "198.51.100.4",
      action: "checks-asked",
      subject: "0a",
    },
  ]);
  events = [];
  expect(await activity(7)).toEqual([]);
  expect(asked).toEqual([`GET /api/v1/audit?before=${2 ** 53 - 1}`, "GET /api/v1/audit?before=7"]);
});

test("events of another shape are an error, not a gap", async () => {
  for (const bad of [event(1, { seq: "1" }), event(1, { at: null }), event(1, { action: 5 }), "event"]) {
    events = [event(2), bad];
    await expect(activity()).rejects.toMatchObject({ id: "relay_odd" });
  }
  events = undefined;
  await expect(activity()).rejects.toMatchObject({ id: "relay_odd" });
});
