// Which servers a typed filter means. Words must all fit; `label:x` and `is:reachable` are exact.
import type { Server } from "../lib/facade";
import type { TextId } from "./words.svelte";

/** States that one filters by, as they stand in the address. */
export const states: readonly { readonly word: string; readonly text: TextId }[] = [
  { word: "is:reachable", text: "reachable" },
  { word: "is:unreachable", text: "unreachable" },
  { word: "is:busy", text: "here-busy" },
];

/** Whether a server fits. `also`: what its line says besides. */
export function fits(server: Server, filter: string, also: readonly string[] = []): boolean {
  const { name, hostname, os, labels = [], here = [] } = server;
  const text = [name, hostname, os, ...labels, ...here.map(({ account }) => account), ...also]
    .join(" ")
    .toLowerCase();
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => {
    if (word.startsWith("label:")) return labels.some((label) => label.toLowerCase() === word.slice(6));
    if (word === "is:reachable") return server.online !== undefined;
    if (word === "is:unreachable") return server.online === undefined;
    if (word === "is:busy") return here.length > 0;
    return text.includes(word);
  });
}
