// @vitest-environment jsdom
// The page of a watched shell: nothing is watched for somebody who has left it before it was known what to watch.
import { flushSync, mount, unmount } from "svelte";
import { expect, test, vi } from "vitest";
import { ConsoleError } from "../../lib/errors";
import type { VisitView } from "../../lib/facade";
import { useFacade } from "../facade";
import { fake, someWorld } from "../fake";
import { replace } from "../route.svelte";
import { roomWords, words } from "../words.svelte";

const SERVER = "01".repeat(32);
const SHELL = "02".repeat(16);

const running = [
  {
    id: "v1",
    server: { id: SERVER, name: "web-1" },
    account: "eve",
    users: ["deploy"],
    shells: [{ id: SHELL, kind: "shell", user: "deploy", since: 1, watchers: [] }],
  },
] as unknown as readonly VisitView[];

test("whoever left before the visits were known watches nothing and touches nothing", async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener() {} }));
  await words();
  await roomWords();
  const { default: Watch } = await import("./Watch.svelte");
  for (const leaves of [false, true]) {
    const { facade } = fake(someWorld(Date.now()));
    let tell = () => {};
    const asked: string[] = [];
    facade.visits.running = () =>
      new Promise((list) => {
        tell = () => list(running);
      });
    facade.visits.watch = async (_, shell) => {
      asked.push(shell);
      throw new ConsoleError("touch_declined");
    };
    useFacade(facade);
    replace(`#/watch/${SERVER}/${SHELL}`);
    const shown = mount(Watch, { target: document.body });
    flushSync();
    if (leaves) await unmount(shown);
    tell();
    if (leaves) await new Promise((resolve) => setTimeout(resolve, 50));
    else await vi.waitFor(() => expect(asked).toEqual([SHELL]));
    expect(asked).toEqual(leaves ? [] : [SHELL]);
    if (!leaves) await unmount(shown);
  }
});
