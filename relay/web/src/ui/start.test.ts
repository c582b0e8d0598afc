// @vitest-environment jsdom
// What keeps the console from starting is said in words, in whichever table they are.
import "fake-indexeddb/auto";
import { beforeAll, expect, test, vi } from "vitest";
import rooms from "../lib/messages.rooms.en.json";

beforeAll(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
});

test("a browser whose store an older page keeps busy: the console says so and does not start for ever", async () => {
  const request = indexedDB.open("cloud-doctor", 3);
  await new Promise((resolve) => {
    request.onsuccess = resolve;
  });
  document.body.innerHTML = '<div id="app"></div>';
  const { connect } = await import("../lib/console");
  const { start } = await import("./start");
  await start(connect);
  const said = () => document.querySelector("[role=alert]")?.textContent;
  // Only the later rooms have the words.
  await vi.waitFor(() => expect(said()).toContain(rooms.store_blocked), { timeout: 20_000 });
  request.result.close();
});
