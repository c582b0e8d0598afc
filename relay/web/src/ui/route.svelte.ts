// The page's address after the hash: which page, which server, which filter. A link can be handed to a colleague.
export interface Route {
  readonly page: "servers" | "server" | "trust" | "settings";
  /** The server's id on its page, empty elsewhere. */
  readonly id: string;
  readonly query: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#?\/?/, "").split("?", 2);
  const [first = "", second = ""] = path.split("/", 2);
  const rest = { id: "", query: new URLSearchParams(query) };
  if (first === "servers" && /^[0-9a-f]{1,128}$/i.test(second))
    return { ...rest, page: "server", id: second };
  if (first === "trust" || first === "settings") return { ...rest, page: first };
  return { ...rest, page: "servers" };
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

/** Changes the query in place: no step in the history, no `hashchange`. */
export function setQuery(values: Record<string, string>): void {
  const query = new URLSearchParams(state.route.query);
  for (const [key, value] of Object.entries(values)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const path = location.hash.split("?", 1)[0] || "#/servers";
  const text = query.toString();
  history.replaceState(null, "", text ? `${path}?${text}` : path);
  state.route = parseRoute(location.hash);
}
