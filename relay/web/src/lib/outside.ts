// Everything outside of this page that the library reaches for, in one place, so that tests run it without a browser.
//
// Never: a second way to the network.

/** Where calls and sockets go. */
export interface Outside {
  /** `https://host[:port]` of the relay: the one that served this page, or that the page's file names. */
  origin(): string;
  /** The same of the page itself: where links to it lead. */
  page(): string;
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
  page: () => location.origin,
  // The cookie is the relay's own; it goes along from another host of the same site, if the relay names that host.
  fetch: (input, init) => fetch(input, { ...init, credentials: named() === "" ? "same-origin" : "include" }),
  socket: (url, protocols) => new WebSocket(url, protocols),
  language: () => document.documentElement.lang || "en",
};

/** From now on the browser lets the page speak to the relay and nobody else. The page's file cannot say whom it means. */
export function narrow(): void {
  const origin = outside.origin();
  const policy = document.createElement("meta");
  policy.httpEquiv = "Content-Security-Policy";
  // Not every browser takes streams for the same origin.
  policy.content = `connect-src ${origin} ${origin.replace(/^http/, "ws")}`;
  document.head.append(policy);
}

/** Seconds since 1970: for dates in signed objects, never for timers. */
export function wallSecs(): number {
  return Math.floor(Date.now() / 1000);
}
