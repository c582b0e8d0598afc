// `npm run build` fails where a text is missing: in one of the two languages, with another value to fill in, or asked for
// by a page and in neither. The type check says the last one sooner, for ids that are put together as well.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const PAIRS = [
  ["src/i18n/en.json", "src/i18n/zh-CN.json"],
  ["src/i18n/en.rooms.json", "src/i18n/zh-CN.rooms.json"],
  ["src/i18n/en.metrics.json", "src/i18n/zh-CN.metrics.json"],
  ["src/lib/messages.en.json", "src/lib/messages.zh.json"],
  ["src/lib/messages.rooms.en.json", "src/lib/messages.rooms.zh.json"],
] as const;
/** Where a page names a text in so many letters. */
const ASKED = /\bt\(\s*"([a-z][\w-]*)"|<Say\s+id="([a-z][\w-]*)"/g;

type Table = Readonly<Record<string, string>>;

const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join(" ");

/** What is wrong, one line each. `root`: where package.json is. */
export function missingTexts(root: string): string[] {
  const read = (file: string): Table => JSON.parse(readFileSync(join(root, file), "utf8"));
  const known = new Set<string>();
  const wrong: string[] = [];
  for (const [english, chinese] of PAIRS) {
    const [first, second] = [read(english), read(chinese)];
    for (const id of new Set([...Object.keys(first), ...Object.keys(second)])) {
      known.add(id);
      const [one, other] = [first[id], second[id]];
      if (!one) wrong.push(`${english} lacks "${id}"`);
      else if (!other) wrong.push(`${chinese} lacks "${id}"`);
      else if (places(one) !== places(other)) wrong.push(`${chinese} fills in other values at "${id}"`);
    }
  }
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  for (const file of files.filter((name) => /\.(svelte|ts)$/.test(name) && !name.endsWith(".test.ts"))) {
    for (const [, asked, said] of readFileSync(join(root, "src", file), "utf8").matchAll(ASKED)) {
      const id = asked ?? said ?? "";
      if (!known.has(id)) wrong.push(`src/${file} says "${id}", which is no text`);
    }
  }
  return wrong;
}

/** Stops a build, never the server that one works with. */
export function texts(): Plugin {
  let root = ".";
  return {
    name: "texts",
    apply: "build",
    configResolved(config) {
      root = config.root;
    },
    buildStart() {
      const wrong = missingTexts(root);
      if (wrong.length > 0) this.error(wrong.join("\n"));
    },
  };
}
