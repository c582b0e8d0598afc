// After `vite build`: what the page names carries a hash of its content, so that a browser runs nothing else under that
// name.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const dist = join(dirname(fileURLToPath(import.meta.url)), "dist");
const file = join(dist, "index.html");
const page = readFileSync(file, "utf8").replace(
  /<(script|link)\b([^>]*?)\b(src|href)="(\/assets\/[^"]+)"([^>]*)>/g,
  (tag, name, before, attribute, path, after) => {
    if (tag.includes("integrity=")) return tag;
    const hash = createHash("sha384")
      .update(readFileSync(join(dist, path)))
      .digest("base64");
    return `<${name}${before}${attribute}="${path}" integrity="sha384-${hash}"${after}>`;
  },
);
writeFileSync(file, page);
