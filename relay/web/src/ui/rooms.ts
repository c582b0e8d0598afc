// The pages that come when somebody goes there, each with the texts that only these rooms have.
import type { Component } from "svelte";
import { route } from "./route.svelte";
import { roomWords } from "./words.svelte";

const ROOMS = {
  setup: () => import("./pages/Setup.svelte"),
  join: () => import("./pages/Join.svelte"),
  reset: () => import("./pages/Reset.svelte"),
  pin: () => import("./pages/Pin.svelte"),
  add: () => import("./pages/Add.svelte"),
  about: () => import("./pages/About.svelte"),
  audit: () => import("./pages/Audit.svelte"),
  scans: () => import("./pages/Scans.svelte"),
  health: () => import("./pages/Health.svelte"),
  metrics: () => import("./pages/Metrics.svelte"),
  approvals: () => import("./pages/Approvals.svelte"),
  visits: () => import("./pages/Visits.svelte"),
  watch: () => import("./pages/Watch.svelte"),
  trust: () => import("./pages/Trust.svelte"),
  settings: () => import("./pages/Settings.svelte"),
};

/** Those whose texts are there from the beginning. */
const FIRST = {
  "sign-in": () => import("./pages/SignIn.svelte"),
  servers: () => import("./pages/Servers.svelte"),
  server: () => import("./pages/Server.svelte"),
};

export type Room = keyof typeof ROOMS | keyof typeof FIRST;

/** A page's code and its texts. */
export async function room(name: Room): Promise<Component> {
  if (name === "server" || name === "servers" || name === "sign-in")
    return (await FIRST[name]()).default as Component;
  const [{ default: page }] = await Promise.all([ROOMS[name](), roomWords()]);
  return page as Component;
}

/** Fetches the page that the address names while it is still being found out who this is. */
export function fetchNamed(): void {
  void room(route().page).catch(() => {});
}

/** Fetches what is likely to be needed next, while nothing else happens. */
export function fetchAhead(): void {
  const ahead = () =>
    void Promise.all([
      roomWords(),
      FIRST.servers(),
      FIRST.server(),
      import("./parts/TouchDialog.svelte"),
    ]).catch(() => {});
  if ("requestIdleCallback" in globalThis) requestIdleCallback(ahead, { timeout: 5000 });
  else setTimeout(ahead, 2000);
}
