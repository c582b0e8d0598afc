// @vitest-environment jsdom
// Where calls go, and what goes along, when the relay serves the page and when another host does.

import { afterEach, expect, test, vi } from "vitest";
import { narrow, outside } from "./outside";

afterEach(() => {
  document.head.replaceChildren();
  vi.unstubAllGlobals();
});

async function asked(): Promise<RequestInit | undefined> {
  const fetched = vi.fn(async (_input: string, _init: RequestInit) => new Response());
  vi.stubGlobal("fetch", fetched);
  await outside.fetch("https://relay.example.com/api/v1/me", { method: "GET" });
  return fetched.mock.calls[0]?.[1];
}

function nameRelay(address: string): void {
  const meta = document.createElement("meta");
  meta.name = "relay";
  meta.content = address;
  document.head.append(meta);
}

test("the relay that serves the page is asked, with its own cookie only", async () => {
  expect(outside.origin()).toBe(location.origin);
  expect(await asked()).toEqual({ method: "GET", credentials: "same-origin" });
});

test("a page from another host asks the relay that its file names", async () => {
  nameRelay("https://relay.example.com/whatever");
  expect(outside.origin()).toBe("https://relay.example.com");
  expect(await asked()).toEqual({ method: "GET", credentials: "include" });
});

test("h_01 the page may speak to its relay alone", () => {
  const policy = () =>
    document.querySelector<HTMLMetaElement>("meta[http-equiv=Content-Security-Policy]")?.content;
  narrow();
  expect(policy()).toBe(`connect-src ${location.origin} ${location.origin.replace("http", "ws")}`);
  document.head.replaceChildren();
  nameRelay("https://relay.example.com:8443; script-src *");
  expect(narrow).toThrow();
  document.head.replaceChildren();
  nameRelay("https://relay.example.com:8443");
  narrow();
  expect(policy()).toBe("connect-src https://relay.example.com:8443 wss://relay.example.com:8443");
});
