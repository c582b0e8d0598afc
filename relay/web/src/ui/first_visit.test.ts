// @vitest-environment jsdom
// Which way to a server's page raises the question before a touch by itself: the one that led there just now, and no other.
import { beforeEach, expect, test } from "vitest";
import { firstVisit, isFirstVisit } from "./first_visit";
import { go, replace } from "./route.svelte";

const [SERVER, OTHER] = ["01".repeat(32), "02".repeat(32)];
const owner = { user: "root", reason: "First look" };
const moved = () => new Promise((resolve) => addEventListener("hashchange", resolve, { once: true }));

beforeEach(() => {
  replace("#/servers");
  isFirstVisit();
});

test("whoever was led to a server is asked once", () => {
  firstVisit(SERVER, owner);
  expect(location.hash).toBe(`#/servers/${SERVER}?user=root&reason=First+look`);
  expect(isFirstVisit()).toBe(true);
  expect(isFirstVisit()).toBe(false);
});

test("a link that comes before the form does raises no question", async () => {
  for (const link of [`#/servers/${SERVER}?user=root&reason=mine`, `#/servers/${OTHER}`, "#/visits"]) {
    firstVisit(SERVER, { user: "deploy", reason: "First look" });
    const there = location.hash;
    go(link);
    expect(isFirstVisit()).toBe(false);
    firstVisit(SERVER, { user: "deploy", reason: "First look" });
    const gone = moved();
    go(link);
    await gone;
    // Nor does the way back.
    replace(there);
    expect(isFirstVisit()).toBe(false);
  }
});

test("who joins is asked for the user that was named, and by a link that was passed on never for root's", () => {
  const joined = { reason: "First look", passedOn: true };
  firstVisit(SERVER, { ...joined, user: "deploy" });
  expect(isFirstVisit()).toBe(true);
  for (const user of ["", " ", "root", " root ", `root${" ".repeat(70)}x`]) {
    firstVisit(SERVER, { ...joined, user });
    expect(isFirstVisit()).toBe(false);
  }
  firstVisit(SERVER, { ...joined, user: "root" });
  // The form is filled all the same.
  expect(location.hash).toContain("user=root&reason=");
  firstVisit(SERVER, { user: "", reason: "First look" });
  expect(isFirstVisit()).toBe(false);
});
