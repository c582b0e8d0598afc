// `npm run size`: what a browser fetches, gzipped, fonts apart. Fails beyond what was promised.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const FIRST_KB_MAX = 90;
const TERMINAL_KB_MAX = 200;
const manifest = JSON.parse(readFileSync("dist/.vite/manifest.json", "utf8"));
const gzipped = (file) => gzipSync(readFileSync(`dist/${file}`), { level: 9 }).length;

/** The files that a chunk needs at once. */
function needs(name, into = new Set()) {
  const chunk = manifest[name];
  if (!chunk || into.has(chunk.file)) return into;
  into.add(chunk.file);
  for (const style of chunk.css ?? []) into.add(style);
  for (const one of chunk.imports ?? []) needs(one, into);
  return into;
}

const sum = (files) => [...files].reduce((all, file) => all + gzipped(file), 0) / 1000;
const first = needs("index.html");
const whole = new Set(first);
for (const name of manifest["index.html"].dynamicImports ?? []) needs(name, whole);
const [firstKb, wholeKb] = [
  sum(first) + gzipped("index.html") / 1000,
  sum(whole) + gzipped("index.html") / 1000,
];
process.stdout.write(`first load ${firstKb.toFixed(1)} kB gz (at most ${FIRST_KB_MAX})\n`);
process.stdout.write(`with the terminal ${wholeKb.toFixed(1)} kB gz (at most ${TERMINAL_KB_MAX})\n`);
process.exitCode = firstKb > FIRST_KB_MAX || wholeKb > TERMINAL_KB_MAX ? 1 : 0;
