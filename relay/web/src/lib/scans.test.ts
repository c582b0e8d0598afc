// Scans: the relay's answers as pages see them, and what is asked of it.

import { beforeEach, expect, test, vi } from "vitest";
import { scans } from "./api_scans";
import { outside } from "./outside";

const asked: string[] = [];
let answer: unknown;
let status = 200;

beforeEach(() => {
  asked.length = 0;
  status = 200;
  outside.origin = () => "https://relay.example";
  outside.language = () => "en";
  outside.fetch = vi.fn(async (input, init) => {
    const url = new URL(String(input), "https://relay.example");
    asked.push(`${init?.method} ${url.pathname}${url.search} ${init?.body ?? ""}`.trim());
    return new Response(JSON.stringify(answer), { status, headers: { "Content-Type": "application/json" } });
  });
});

const LINE = {
  scan: "AB".repeat(16),
  seed: "00".repeat(16),
  plan: "",
  by: "ann",
  started_at: 1_800_000_000,
  cancelled: false,
  labels: ["env=prod"],
  checks: [],
  servers: 3,
  states: { asked: 1, report: 2, newer: 5 },
  worst: { critical: 1, ok: 1, open: 1 },
};

test("a scan that runs has no end, and what is newer is left out", async () => {
  answer = { ...LINE, before: null, found: [] };
  const glance = await scans.glance("ab".repeat(16));
  expect(glance.id).toBe("ab".repeat(16));
  expect(glance.endedAt).toBeUndefined();
  expect(glance.before).toBeUndefined();
  expect(glance.states).toEqual({ asked: 1, report: 2 });
  expect(glance.worst).toEqual({ critical: 1, ok: 1 });
  expect(asked).toEqual([`GET /api/v1/scans/${"ab".repeat(16)}`]);
});

test("findings are asked for with the filter that is set, and unknown words stay unknown", async () => {
  const finding = { server: "CD", name: "web-1", check: "disk.space", subject: "/", waived: false };
  answer = {
    findings: [{ ...finding, status: "terrible", change: "odd", summary: ["full", "满"] }],
    next: "x1",
  };
  const page = await scans.findings("ab", { check: "disk.space" }, "x0");
  expect(page.next).toBe("x1");
  expect(page.findings[0]).toEqual({
    ...finding,
    server: "cd",
    status: "unknown",
    summary: { en: "full", zh: "满" },
  });
  expect(asked).toEqual(["GET /api/v1/scans/ab/findings?check=disk.space&after=x0"]);
});

test("only admins begin one", async () => {
  answer = { ...LINE, ended_at: 1_800_000_060 };
  expect((await scans.start(["env=prod"])).endedAt).toBe(1_800_000_060_000);
  expect(asked).toEqual(['POST /api/v1/scans {"labels":["env=prod"]}']);
  answer = { code: "not-admin", title: "Only an admin may do that.", detail: "", remedy: "" };
  status = 403;
  await expect(scans.start([])).rejects.toMatchObject({ id: "not_admin" });
});

test("two scans are compared by the relay, and who has not looked is neither new nor gone", async () => {
  const count = { check: "disk.space", status: "unknown", waived: false, findings: 2, servers: 1 };
  answer = {
    ...LINE,
    ended_at: 1_800_000_060,
    before: "CD".repeat(16),
    found: [{ ...count, change: "unsure" }],
  };
  const glance = await scans.glance("ab", "cd");
  expect(glance.before).toBe("CD".repeat(16).toLowerCase());
  expect(glance.found[0]?.change).toBe("unsure");
  answer = { findings: [], next: null };
  await scans.findings("ab", { change: "gone" }, undefined, "cd");
  expect(asked).toEqual([
    "GET /api/v1/scans/ab?since=cd",
    "GET /api/v1/scans/ab/findings?change=gone&since=cd",
  ]);
});

test("plans say when they begin next, and what they have begun", async () => {
  const plan = { plan: "p1", name: "nightly", cron: "30 2 * * *", labels: [], checks: ["disk"], by: "ann" };
  answer = {
    plans: [
      { ...plan, next_at: 1_800_000_000, paused: false, last_scan: "AB", last_at: 1_799_990_000 },
      { ...plan, plan: "p2", next_at: 1_800_000_000, paused: true },
    ],
  };
  const [first, second] = await scans.plans();
  expect(first).toMatchObject({ id: "p1", nextAt: 1_800_000_000_000, paused: false });
  expect(first?.last).toEqual({ scan: "ab", at: 1_799_990_000_000 });
  expect(second).toMatchObject({ paused: true });
  expect(second?.last).toBeUndefined();
  answer = { ...plan, next_at: 1_800_000_000, paused: false };
  await scans.addPlan({ name: "nightly", cron: "30 2 * * *", labels: [], checks: ["disk"] });
  await scans.pausePlan("p1", true);
  await scans.pausePlan("p1", false);
  await scans.removePlan("p1");
  expect(asked.slice(1)).toEqual([
    'POST /api/v1/scan-plans {"name":"nightly","cron":"30 2 * * *","labels":[],"checks":["disk"]}',
    "POST /api/v1/scan-plans/p1/pause {}",
    "POST /api/v1/scan-plans/p1/resume {}",
    "DELETE /api/v1/scan-plans/p1",
  ]);
  const detail = "cron: two scans of a plan are at least five minutes apart";
  answer = { code: "bad-plan", title: "This plan cannot be kept.", detail, remedy: "" };
  status = 422;
  const bad = scans.addPlan({ name: "x", cron: "* * * * *", labels: [], checks: [] });
  await expect(bad).rejects.toMatchObject({ id: "relay_says_no", args: [expect.stringContaining(detail)] });
});
