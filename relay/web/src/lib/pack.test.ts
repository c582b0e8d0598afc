// Tolerant where Rust is tolerant, strict where it is strict, and never deep or wide for nothing.

import { expect, test } from "vitest";
import { concat, unhex } from "./bytes";
import {
  type Codec,
  list,
  optional,
  PackError,
  pack,
  struct,
  text,
  u8,
  u64,
  unpack,
  unpackSigned,
} from "./pack";

const small = struct({ a: u8, b: text });
const bytes = (hex: string): Uint8Array => unhex(hex) ?? new Uint8Array(0);

function why<T>(codec: Codec<T>, hex: string, strict = false): string | T {
  try {
    return (strict ? unpackSigned : unpack)(codec, bytes(hex), 100);
  } catch (error) {
    return error instanceof PackError ? error.why : String(error);
  }
}

test("unknown fields are skipped, whatever they hold, and refused in signed objects", () => {
  const good = pack(small, { a: 1, b: "x" });
  const values = [
    "c0",
    "c3",
    "05",
    "ff",
    "cd0102",
    "d3ffffffffffffffff",
    "cb3ff0000000000000",
    "a161",
    "d90161",
    "c40101",
  ];
  for (const value of [
    ...values,
    "93010203",
    "81a16101",
    "de0001a16101",
    "dc000101",
    "d40000",
    "c7020500ff",
  ]) {
    const wide = concat(bytes("83"), good.subarray(1), bytes("a163"), bytes(value));
    expect(unpack(small, wide, 100), value).toEqual({ a: 1, b: "x" });
    expect(() => unpackSigned(small, wide, 100)).toThrow("not-canonical");
  }
});

test("other forms of the same value are no signed objects", () => {
  const other = [
    "82a161cc01a162a178",
    "82a162a178a16101",
    "82a16101a162d90178",
    "de0002a16101a162a178",
    "82a16101a162a178c0",
  ];
  for (const form of other) {
    expect(why(small, form)).toEqual({ a: 1, b: "x" });
    expect(why(small, form, true)).toBe("not-canonical");
  }
});

test("what is missing, doubled, too large or no text is refused", () => {
  for (const bad of [
    "81a16101",
    "82a16101a16101",
    "82a161cd0100a162a178",
    "82a16101a162a1ff",
    "82a161d001a162a178",
    "82a16101",
    "",
  ]) {
    expect(why(small, bad), bad).toBe("malformed");
  }
  expect(why(u64, "cf0020000000000000")).toBe("malformed");
  expect(why(u64, "cf001fffffffffffff")).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => unpack(small, new Uint8Array(101), 100)).toThrow("too-long");
});

test("depth and width are bounded before anything is made", () => {
  const deep = concat(bytes("82a16101a163"), new Uint8Array(60).fill(0x91), bytes("c0"));
  expect(() => unpack(small, deep, 100)).toThrow("malformed");
  expect(why(list(u8), "ddffffffff")).toBe("malformed");
  expect(why(text, "dbffffffff")).toBe("malformed");
  expect(why(small, "dfffffffff")).toBe("malformed");
});

test("a default is not written, and writing it is not canonical", () => {
  const kind = struct({ a: u8, signer: optional(text, "sshsig") });
  expect(pack(kind, { a: 1, signer: "sshsig" })).toEqual(bytes("81a16101"));
  expect(unpackSigned(kind, bytes("81a16101"), 100)).toEqual({ a: 1, signer: "sshsig" });
  expect(why(kind, "82a16101a67369676e6572a6737368736967", true)).toBe("not-canonical");
});
