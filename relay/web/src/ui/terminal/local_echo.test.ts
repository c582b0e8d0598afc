// @vitest-environment jsdom
// Typed letters on the page: when they are there, and when they go although no answer came.
import { Terminal } from "@xterm/xterm";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LocalEcho } from "./local_echo";

// What xterm.js asks of a browser when it is loaded and made.
vi.hoisted(() => {
  HTMLCanvasElement.prototype.getContext = () => null;
  vi.stubGlobal("matchMedia", () => ({ addEventListener() {}, removeEventListener() {} }));
});

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A terminal that has echoed a letter, and another letter typed. */
async function typed() {
  const terminal = new Terminal({ cols: 40, rows: 6, allowProposedApi: true });
  const element = document.createElement("div");
  element.innerHTML = '<div class="xterm-screen" style="width: 320px; height: 120px"></div>';
  Object.defineProperty(terminal, "element", { value: element });
  const server = { wanted: true, unapplied: 0 };
  const echo = new LocalEcho(
    terminal,
    () => server.wanted,
    () => server.unapplied,
  );
  const write = async (output: string) => {
    terminal.write(output);
    await vi.advanceTimersByTimeAsync(1);
  };
  await write("$ ");
  terminal.input("l");
  await write("l");
  terminal.input("s");
  const cells = element.querySelector<HTMLElement>(".predicted");
  const drawn = () => (cells?.hidden === false ? cells.textContent : "");
  return { terminal, echo, element, server, write, drawn };
}

test("a letter is there in the next frame, in its cell, until it is answered", async () => {
  const { drawn, element, write } = await typed();
  expect(drawn()).toBe("");
  vi.advanceTimersToNextFrame();
  expect(drawn()).toBe("s ");
  const style = element.querySelector<HTMLElement>(".predicted")?.style;
  expect([style?.top, style?.left, style?.lineHeight]).toEqual(["0px", "24px", "20px"]);
  await write("s");
  expect(drawn()).toBe("");
});

test("a key that was applied and not answered is no letter", async () => {
  const { drawn, server } = await typed();
  server.unapplied = 1;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(drawn()).toBe("s ");
  server.unapplied = 0;
  await vi.advanceTimersByTimeAsync(1000);
  expect(drawn()).toBe("s ");
  await vi.advanceTimersByTimeAsync(1000);
  expect(drawn()).toBe("");
});

test("nor is it taken for one while others are typed after it and on their way", async () => {
  const { drawn, terminal, server } = await typed();
  server.unapplied = 1;
  for (const key of "abcdefgh") {
    terminal.input(key);
    await vi.advanceTimersByTimeAsync(300);
  }
  expect(drawn()).toBe("");
});

test("a key that was not drawn is not waited for any longer", async () => {
  const { drawn, terminal, write } = await typed();
  await write("s\r\nPassword: ");
  terminal.input("s");
  await vi.advanceTimersByTimeAsync(2000);
  await write("s");
  terminal.input("e");
  vi.advanceTimersToNextFrame();
  expect(drawn()).toBe("");
});

test("lines that go by where nothing was typed are not looked at one by one", async () => {
  const { element, write } = await typed();
  await write("s");
  const looked = vi.spyOn(element, "querySelector");
  await write("line\r\n".repeat(100));
  expect(looked.mock.calls.length).toBeLessThan(10);
});

test.each(["resize", "unwanted", "dispose"] as const)("nothing is left after %s", async (what) => {
  const { drawn, echo, element, server, terminal } = await typed();
  vi.advanceTimersToNextFrame();
  expect(drawn()).toBe("s ");
  if (what === "resize") terminal.resize(30, 6);
  if (what === "unwanted") {
    server.wanted = false;
    terminal.input("x");
  }
  if (what === "dispose") {
    echo.dispose();
    echo.dispose();
    expect(element.querySelector(".predicted")).toBeNull();
    terminal.input("x");
    await vi.advanceTimersByTimeAsync(5000);
  } else expect(drawn()).toBe("");
});
