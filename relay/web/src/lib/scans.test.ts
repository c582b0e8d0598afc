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
