// @vitest-environment jsdom
// What keeps the console from starting is said in words, in whichever table they are.
import { expect, test, vi } from "vitest";
import rooms from "../lib/messages.rooms.en.json";

test("a console that cannot start says why, also where only the later rooms have the words", async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  document.body.innerHTML = '<div id="app"></div>';
  const { ConsoleError } = await import("../lib/errors");
  const { start } = await import("./start");
  await start(() => Promise.reject(new ConsoleError("setup_earlier")));
  const said = () => document.querySelector("[role=alert]")?.textContent;
  await vi.waitFor(() => expect(said()).toContain(rooms.setup_earlier), { timeout: 20_000 });
});
