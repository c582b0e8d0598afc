// After `vite build`: what the page names carries a hash of its content, so that a browser runs nothing else under that
// name, and each text lies there packed as well, so that the relay packs nothing while somebody waits.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";

const dist = join(dirname(fileURLToPath(import.meta.url)), "dist");
const TEXTS = /\.(html|js|css|svg|json|webmanifest|txt)$/;
// Below this a packet is a packet.
const PACKED_FROM_BYTES = 1024;

function addIntegrity() {
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
}

function pack() {
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !TEXTS.test(entry.name) || /(^|\/)\./.test(relative(dist, file))) continue;
    const bytes = readFileSync(file);
    if (bytes.length < PACKED_FROM_BYTES) continue;
    for (const [ending, packed] of [
      ["br", brotliCompressSync(bytes)],
      ["gz", gzipSync(bytes, { level: 9 })],
    ]) {
      if (packed.length < bytes.length) writeFileSync(`${file}.${ending}`, packed);
    }
  }
}

addIntegrity();
pack();
