// @vitest-environment jsdom
// A request for a second signature: what is approved is what was shown when the person began to read.
import { flushSync, mount, unmount } from "svelte";
import { expect, test, vi } from "vitest";
import { useFacade } from "../facade";
import { fake, someWorld } from "../fake";
import { roomWords, t, words } from "../words.svelte";

test("what takes a request's place while it is read is not what is approved", async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  await words();
  await roomWords();
  const { default: Request } = await import("./Request.svelte");
  const world = someWorld(Date.now());
  const { facade } = fake(world);
  const approved: string[] = [];
  facade.approvals.approve = async (_, grant) => {
    approved.push(grant);
  };
  useFacade(facade);
  const [request] = world.approvals;
  if (!request) throw new Error("the made-up world has requests");
  const props = $state({ request, onchange: () => {} });
  const shown = mount(Request, { target: document.body, props });
  flushSync();
  props.request = { ...request, grant: "0b".repeat(32), reason: "another one" };
  flushSync();
  expect(document.body.textContent).toContain("another one");
  const buttons = [...document.querySelectorAll("button")];
  buttons.find(({ textContent }) => textContent === t("approve"))?.click();
  await vi.waitFor(() => expect(approved).toEqual([request.grant]));
  await unmount(shown);
});
