// Looking, on the whole road: a shell that is watched and ended from elsewhere, and the server's own audit, verified here.

import "fake-indexeddb/auto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../src/lib/console";
import type { AuditLog, Screen, Server, Shell, Visits } from "../src/lib/facade";
import { outside } from "../src/lib/outside";
import * as store from "../src/lib/store";
import { ACCOUNT, PASSWORD, Road, USER, until } from "./road";

let road: Road;
let server: Server;
let visits: Visits;
let audit: AuditLog;
let open: () => Promise<Shell>;
/** Lists this browser's own key. */
let letIn: (role: "engineer" | "approver", name: string) => Promise<void>;

beforeAll(async () => {
  road = await Road.build();
  road.open(outside);
  const facade = await connect();
  await facade.api.login(ACCOUNT, PASSWORD);
  await facade.trust.pin(road.tenant.words);
  letIn = async (role, name) => {
    const file = join(road.folder, `${name}.pub`);
    writeFileSync(file, `${(await facade.keys.makeDevice()).openssh} browser\n`);
    road.client("tenant", role, "add", file, "--name", name, "--device");
    await facade.trust.refresh();
  };
  await letIn("engineer", "demo");
  const [only] = await facade.api.servers();
  if (only === undefined || facade.visits === undefined || facade.audit === undefined)
    throw new Error("parts");
  [server, visits, audit] = [only, facade.visits, facade.audit];
  open = () =>
    facade.openShell({ server, user: USER, seconds: 600, reason: "why", ticket: "T-1", cols: 91, rows: 31 });
});

afterAll(async () => {
  await road?.close();
});

/** What is drawn, honestly. */
function drawn(of: Screen): () => string {
  let text = "";
  const decoder = new TextDecoder();
  of.onOutput((bytes, done) => {
    text += decoder.decode(bytes, { stream: true });
    setTimeout(done, 1);
  });
  return () => text;
}

function type(shell: Shell, text: string): void {
  shell.input(new TextEncoder().encode(text));
}

/** As if another browser had it: forgotten here, and again after a late word of how far it is. */
async function leaveToAnother(shell: Shell): Promise<void> {
  await until("it is kept", async () => (await store.shell(shell.id))?.secret !== undefined);
  await until("it stays forgotten", async () => {
    await store.forgetShell(shell.id);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return (await store.shell(shell.id)) === undefined;
  });
}

test("a shell is watched as it is drawn, by name, and again without a new grant", async () => {
  const shell = await open();
  const mine = drawn(shell);
  let names: readonly string[] = [];
  shell.onWatchers?.((people) => {
    names = people;
  });
  type(shell, "stty -echo; echo before-$((6*7))\n");
  await until("the writer sees it", () => mine().includes("before-42"));
  const [visit] = await visits.running();
  expect(visit).toMatchObject({ mine: true, account: ACCOUNT, users: [USER], shells: [{ id: shell.id }] });
  const view = await visits.watch(server, shell.id);
  const theirs = drawn(view);
  let size = "";
  view.onSize(({ cols, rows }) => {
    size = `${cols}x${rows}`;
  });
  expect(view).toMatchObject({ engineer: "demo", user: USER, visit: visit?.id });
  await until("the past is drawn", () => theirs().includes("before-42"));
  await until("the writer's size is known", () => size === "91x31");
  await until("the writer is told", () => names.join() === "demo");
  shell.resize(100, 40);
  type(shell, "echo during-$((6*7)); seq 1 20000; echo all\\ of\\ it\n");
  await until(
    "it is drawn there too",
    () => theirs().includes("during-42") && theirs().includes("all of it"),
  );
  await until("the new size is told", () => size === "100x40");
  view.leave();
  expect(view.state).toMatchObject({ kind: "ended", reason: "left" });
  await until("the writer is told again", () => names.length === 0);
  const looks = (await store.looks()).length;
  const again = await visits.watch(server, shell.id);
  const later = drawn(again);
  await until("the last of it is drawn", () => later().includes("all of it"));
  expect((await store.looks()).length).toBe(looks);
  shell.end();
  await until("the view ends with the shell", () => again.state.kind === "ended");
  expect(await visits.watch(server, shell.id).catch(String)).toMatch(/refusal_no_channel|watch_other_user/);
});

test("a shell of one's own that another browser has is ended over a look", async () => {
  const shell = await open();
  await leaveToAnother(shell);
  const [visit] = await visits.running();
  await visits.end(visit?.id ?? "");
  await until("it is closed", () => shell.state.kind === "ended");
  expect(shell.state).toMatchObject({ reason: "closed" });
  // The relay notes the end of a stream a moment later.
  await until("nothing runs", async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    return (await visits.running()).length === 0;
  });
  const past = (await visits.past()).find(({ id }) => id === visit?.id);
  expect(past).toMatchObject({ mine: true, shells: [] });
});

test("an approver ends a visit, whoever opened it", async () => {
  const shell = await open();
  await leaveToAnother(shell);
  // That one has a key of its own.
  await store.forgetDeviceKey(ACCOUNT);
  for (const { id } of await store.looks()) await store.forgetLook(id);
  await letIn("approver", "boss");
  const [visit] = await visits.running();
  await visits.end(visit?.id ?? "");
  await until("it is ended", () => shell.state.kind === "ended");
  expect(shell.state).toMatchObject({ reason: "ended" });
});

test("the server's audit is read under seal and verified, and so is its file", async () => {
  const copy = await audit.read(server);
  expect(copy.fault).toBeUndefined();
  expect(copy).toMatchObject({ server: { id: server.id, name: "web-1" }, first: 0, more: false });
  expect(copy.entries.map(({ seq }) => seq)).toEqual(copy.entries.map((_, at) => at));
  const events = copy.entries.map(({ event }) => event);
  for (const event of ["visit-opened", "watch-opening", "audit-read"]) expect(events).toContain(event);
  const grants = events.filter((event) => event === "visit-opened").length;
  const more = await audit.read(server);
  expect(more.entries.filter(({ event }) => event === "visit-opened").length).toBe(grants);
  const folder = readdirSync(road.folder, { recursive: true, encoding: "utf8" }).find((name) =>
    /audit\/[0-9]+\.[a-z]+$/.test(name),
  );
  const text = readFileSync(join(road.folder, folder ?? ""));
  const file = await audit.verify(server.id, new Blob([text]));
  expect(file.fault).toBeUndefined();
  expect(file.entries.slice(0, more.entries.length)).toEqual(more.entries);
});
