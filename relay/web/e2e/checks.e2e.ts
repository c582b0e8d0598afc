// Checks on the whole road: what a real agent signed is what the library tells pages, and nothing else is.

import "fake-indexeddb/auto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../src/lib/console";
import { ConsoleError } from "../src/lib/errors";
import type { CheckRun, Checks } from "../src/lib/facade";
import { outside } from "../src/lib/outside";
import { ACCOUNT, PASSWORD, Road } from "./road";

let road: Road;
let checks: Checks;
let server = "";
let ran: CheckRun;

beforeAll(async () => {
  road = await Road.build();
  road.open(outside);
  const facade = await connect();
  await facade.api.login(ACCOUNT, PASSWORD);
  await facade.trust.pin(road.tenant.words);
  const [only] = await facade.api.servers();
  if (only === undefined) throw new Error("no server");
  server = only.id;
  checks = facade.checks;
});

afterAll(async () => {
  await road?.close();
});

test("chk_10 a fresh run verifies, is kept, and can be read again", async () => {
  expect(await checks.health(server)).toEqual({ everySeconds: 0, waivers: [] });
  const fresh = await checks.run(server);
  if ("fault" in fresh) throw new Error(fresh.fault.id);
  ran = fresh.run;
  expect(ran.findings.find(({ check }) => check === "cpu.usage")?.value).toBeTypeOf("number");
  for (const { summary } of ran.findings) expect(summary.en !== "" && summary.zh !== "").toBe(true);
  expect([ran.by, ran.why, ran.changes]).toEqual([ACCOUNT, "asked", []]);
  expect((await checks.health(server)).latest).toEqual(fresh);
  expect(await checks.read(server, ran.id)).toEqual(fresh);
  const { runs, more } = await checks.runs(server);
  const count = (status: string) => ran.findings.filter((one) => one.status === status && !one.note).length;
  expect(more).toBe(false);
  expect(runs).toMatchObject([{ id: ran.id, critical: count("critical"), unknown: count("unknown") }]);
});

test("a server that ran checks a moment ago says when to ask again", async () => {
  const error: unknown = await checks.run(server).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ id: "refusal_checks_too_often" });
  expect(Number((error as ConsoleError).args[0])).toBeGreaterThan(0);
});

test("chk_10 a relay that changes a report shows nothing", async () => {
  const { fetch } = outside;
  outside.fetch = async (input, init) => {
    const answer = await fetch(input, init);
    const page = (await answer.json()) as { latest: { report: string } };
    const bytes = Buffer.from(page.latest.report, "base64url");
    bytes.write("cpu.usagf", bytes.indexOf("cpu.usage"));
    page.latest.report = bytes.toString("base64url");
    return new Response(JSON.stringify(page));
  };
  const { latest } = await checks.health(server);
  outside.fetch = fetch;
  expect(latest && "fault" in latest && latest.fault.id).toBe("report_signature");
});

test("waivers and a schedule are kept", async () => {
  const until = Math.ceil(Date.now() / 1000 + 3600) * 1000;
  const wish = { check: "cpu.usage", subject: "", reason: "a test", until };
  const waiver = await checks.waive(server, wish);
  expect(waiver).toMatchObject({ ...wish, owner: ACCOUNT });
  await checks.schedule(server, 3600);
  expect(await checks.health(server)).toMatchObject({ everySeconds: 3600, waivers: [waiver] });
  await checks.unwaive(server, waiver.id);
  await checks.schedule(server, 0);
  expect(await checks.health(server)).toMatchObject({ everySeconds: 0, waivers: [] });
  await expect(checks.schedule(server, 10)).rejects.toBeInstanceOf(ConsoleError);
});
