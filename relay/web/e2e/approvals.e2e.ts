// A second signature, on the whole road: somebody asks on the command line, and a page of another account answers.

import "fake-indexeddb/auto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../src/lib/console";
import type { Approval, Approvals } from "../src/lib/facade";
import { outside } from "../src/lib/outside";
import { PASSWORD, Road, USER, until } from "./road";

let road: Road;
let approvals: Approvals;

beforeAll(async () => {
  road = await Road.build();
  road.open(outside);
  road.client("account", "add", "carl", "--password-file", join(road.folder, "password"));
  const facade = await connect();
  await facade.api.login("carl", PASSWORD);
  await facade.trust.pin(road.tenant.words);
  if (facade.approvals === undefined) throw new Error("parts");
  approvals = facade.approvals;
  const file = join(road.folder, "carl.pub");
  writeFileSync(file, `${(await facade.keys.makeDevice()).openssh} browser\n`);
  road.client("tenant", "approver", "add", file, "--name", "carl", "--device");
  road.client("tenant", "engineer", "add", join(road.folder, "key.pub"), "--name", "eve");
  road.client("tenant", "policy", "set", "--second-for", USER);
  road.allowSecond("device");
  await facade.trust.refresh();
});

afterAll(async () => {
  await road?.close();
});

/** What a command prints, and how it ends. */
function runs(reason: string): { readonly printed: () => string; readonly code: Promise<number | null> } {
  const child = road.spawn("exec", "web-1", "--user", USER, "--reason", reason, "--", "echo", "it ran");
  let printed = "";
  const note = (bytes: Buffer): void => {
    printed += bytes.toString();
  };
  child.stdout?.on("data", note);
  child.stderr?.on("data", note);
  const code = new Promise<number | null>((resolve) => child.once("exit", resolve));
  return { printed: () => printed, code };
}

/** The request that waits, as soon as the relay tells of it. */
async function waiting(): Promise<Approval> {
  for (const late = Date.now() + 20_000; Date.now() < late; ) {
    const [first] = (await approvals.list()).filter(({ state }) => state === "waiting");
    if (first !== undefined) return first;
    await approvals.changed(AbortSignal.timeout(20_000));
  }
  throw new Error("nothing waits");
}

test("what is approved runs, and the list says who approved it", async () => {
  const command = runs("a slow site");
  const request = await waiting();
  expect(request).toMatchObject({
    engineer: "eve",
    server: { name: "web-1" },
    scopes: [{ kind: "exec", user: USER }],
    reason: "a slow site",
    mine: false,
  });
  expect([request.fault, request.hindrance]).toEqual([undefined, undefined]);
  await until("it tells the same words", () => command.printed().includes(request.words));
  await approvals.approve(request.id, request.grant);
  expect(await command.code, command.printed()).toBe(0);
  expect(command.printed()).toContain("it ran");
  expect((await approvals.list())[0]).toMatchObject({ state: "approved", answeredBy: "carl" });
  expect(await approvals.approve(request.id, request.grant).catch(String)).toMatch(/approval_over/);
});

test("what is denied does not run, and whoever asked reads why", async () => {
  const command = runs("another one");
  const request = await waiting();
  await approvals.deny(request.id, "not before Monday");
  expect(await command.code).not.toBe(0);
  expect(command.printed()).toContain("not before Monday");
  expect(command.printed()).not.toContain("it ran");
  // Two of one second stand in any order.
  const denied = (await approvals.list()).find(({ id }) => id === request.id);
  expect(denied).toMatchObject({ state: "denied", sentence: "not before Monday", answeredBy: "carl" });
});
