// Everything outside of this page that the library reaches for, in one place, so that tests run it without a browser.
//
// Never: a second way to the network.

/** Where calls and sockets go. */
export interface Outside {
  /** `https://host[:port]` of the relay that served this page. */
  origin(): string;
  fetch(input: string, init: RequestInit): Promise<Response>;
  socket(url: string, protocols: string[]): WebSocket;
  language(): string;
}

/** The browser. */
export const outside: Outside = {
  origin: () => location.origin,
  fetch: (input, init) => fetch(input, init),
  socket: (url, protocols) => new WebSocket(url, protocols),
  language: () => document.documentElement.lang || "en",
};

/** Seconds since 1970: for dates in signed objects, never for timers. */
export function wallSecs(): number {
  return Math.floor(Date.now() / 1000);
}
