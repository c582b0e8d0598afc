// The link that lets a new person in: the same bytes as proto/src/join.rs makes.

import { expect, test } from "vitest";
import { type Bytes, hex, unhex } from "./bytes";
import { linkId, linkText, macOf, parseLink, type SignerKind, sealed, vouches } from "./join_link";
import { openssh, parseOpenssh } from "./ssh";
import vectors from "./vectors.json";

const bytes = (text: string): Bytes => unhex(text) ?? new Uint8Array(0);

test.each(vectors.join.links)("a link is read, written and vouches as in Rust: $id", async (link) => {
  const read = parseLink(link.text);
  if (read === undefined) throw new Error("not read");
  expect([read.token, read.secret, read.tenant].map(hex)).toEqual([link.token, link.secret, link.tenant]);
  expect(linkText(read)).toBe(link.text);
  const id = linkId(read.token);
  expect(hex(id)).toBe(link.id);
  const blob = parseOpenssh(`${link.key} somebody`);
  expect([hex(blob), openssh(blob)]).toEqual([link.blob, link.key]);
  const secret = await sealed(read.secret);
  for (const { kind, mac } of link.macs) {
    const what = { id, tenant: read.tenant, kind: kind as SignerKind, blob };
    expect(hex(await macOf(secret, what))).toBe(mac);
    expect(await vouches(secret, what, bytes(mac))).toBe(true);
    const others = [
      { ...what, kind: kind === "device" ? ("sshsig" as const) : ("device" as const) },
      { ...what, blob: what.blob.map((byte) => byte ^ 1) },
      { ...what, tenant: what.tenant.map((byte) => byte ^ 1) },
      { ...what, id: what.id.map((byte) => byte ^ 1) },
    ];
    for (const other of others) expect(await vouches(secret, other, bytes(mac))).toBe(false);
    expect(await vouches(secret, what, bytes(mac).slice(1))).toBe(false);
  }
  await expect(crypto.subtle.exportKey("raw", secret)).rejects.toThrow();
});

test.each(vectors.join.bad)("what was changed is no link: %s", (text) => {
  expect(parseLink(text)).toBeUndefined();
});

test("a line that says another type than its key is none", () => {
  const [{ key = "" } = {}] = vectors.join.links;
  for (const line of [
    "",
    key.slice(0, -4),
    key.replace("ssh-ed25519", "ssh-rsa"),
    key.replace("AAAA", "AAA*"),
  ])
    expect(() => parseOpenssh(line)).toThrow();
});
