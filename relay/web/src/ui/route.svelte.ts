// The page's address after the hash: which page, which server, which filter. A link can be handed to a colleague.
const PLAIN = ["servers", "add", "scans", "approvals", "visits", "trust", "settings", "setup"] as const;
const OF_A_SERVER = ["health", "metrics", "audit", "about"] as const;

export interface Route {
  readonly page:
    | (typeof PLAIN)[number]
    | (typeof OF_A_SERVER)[number]
    | "server"
    | "watch"
    | "join"
    | "reset";
  /** The server's id on its pages, the code of a one-time link; empty elsewhere. */
  readonly id: string;
  /** The shell that is watched, the part of the settings; empty elsewhere. */
  readonly part: string;
  readonly query: URLSearchParams;
}

const ID = /^[0-9a-f]{1,128}$/i;
const CODE = /^[\w.~-]{1,1024}$/;

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [first = "", second = "", third = ""] = path.split("/", 3);
  const rest = { id: "", part: "", query: new URLSearchParams(query) };
  if (first === "servers" && ID.test(second)) {
    const page = OF_A_SERVER.find((one) => one === third) ?? "server";
    return { ...rest, page, id: second };
  }
  if (first === "watch" && ID.test(second) && ID.test(third))
    return { ...rest, page: "watch", id: second, part: third };
  if ((first === "setup" || first === "join" || first === "reset") && CODE.test(second))
    return { ...rest, page: first, id: second };
  const page = PLAIN.find((one) => one === first) ?? "servers";
  return { ...rest, page, part: page === "settings" && /^[a-z]{1,20}$/.test(second) ? second : "" };
}

const state = $state({ route: parseRoute(location.hash) });

addEventListener("hashchange", () => {
  state.route = parseRoute(location.hash);
});

export function route(): Route {
  return state.route;
}

export function go(to: string): void {
  location.hash = to;
}

/** Goes there without a step in the history: a one-time link must not be found by going back. */
export function replace(to: string): void {
  history.replaceState(null, "", to);
  state.route = parseRoute(location.hash);
}

/** Changes the query in place: no step in the history, no `hashchange`. */
export function setQuery(values: Record<string, string>): void {
  const query = new URLSearchParams(state.route.query);
  for (const [key, value] of Object.entries(values)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const path = location.hash.split("?", 1)[0] || "#/servers";
  const text = query.toString();
  replace(text ? `${path}?${text}` : path);
}
