// Everything outside of this page that the library reaches for, in one place, so that tests run it without a browser.
//
// Never: a second way to the network.

/** Where calls and sockets go. */
export interface Outside {
  /** `https://host[:port]` of the relay: the one that served this page, or that the page's file names. */
  origin(): string;
  fetch(input: string, init: RequestInit): Promise<Response>;
  socket(url: string, protocols: string[]): WebSocket;
  language(): string;
}

function named(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="relay"]')?.content ?? "";
}

/** The browser. */
export const outside: Outside = {
  origin: () => (named() === "" ? location.origin : new URL(named()).origin),
  // The cookie is the relay's own; it goes along from another host of the same site, if the relay names that host.
  fetch: (input, init) => fetch(input, { ...init, credentials: named() === "" ? "same-origin" : "include" }),
  socket: (url, protocols) => new WebSocket(url, protocols),
  language: () => document.documentElement.lang || "en",
};

/** Seconds since 1970: for dates in signed objects, never for timers. */
export function wallSecs(): number {
  return Math.floor(Date.now() / 1000);
}
