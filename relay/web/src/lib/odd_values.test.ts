// WEB-10: what no honest agent writes, in MessagePack and JSON: names that every object has, numbers that nothing counts,
// halves of characters. Each is a value like any other, or refused; none reaches what others share.

import { afterEach, expect, test } from "vitest";
import { AuditVerifier, verifyLines } from "./audit";
import { type Bytes, base64, concat, unhex, utf8 } from "./bytes";
import { boolean, type Codec, float, list, PackError, struct, text, u64, unpack, variants } from "./pack";

const NAMES = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf"];
const own = Object.getOwnPropertyNames(Object.prototype).sort();

afterEach(() => {
  expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(own);
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

const bytes = (hex: string): Bytes => unhex(hex) ?? new Uint8Array(0);
const word = (some: string) => concat(Uint8Array.of(0xd9, utf8(some).length), utf8(some));

function why<T>(codec: Codec<T>, some: Uint8Array): string | T {
  try {
    return unpack(codec, some, 1000);
  } catch (error) {
    if (error instanceof PackError) return error.why;
    throw error;
  }
}

test("WEB-10 names that every object has are names that nobody knows", () => {
  const small = struct({ a: text });
  const one = variants({ a: text });
  for (const name of NAMES) {
    // {NAME: {polluted: true}, a: "x"}
    const inner = concat(bytes("81"), word("polluted"), bytes("c3"));
    const read = unpack(small, concat(bytes("82"), word(name), inner, word("a"), word("x")), 100);
    expect([Object.keys(read), Object.getPrototypeOf(read)]).toEqual([["a"], Object.prototype]);
    expect(why(one, concat(bytes("81"), word(name), word("x"))), name).toBe("malformed");
    expect(why(list(text), concat(bytes("91"), word(name))), name).toEqual([name]);
    // A field that is missing is not found in what every object has.
    expect(why(struct({ [name]: boolean }), bytes("80")), name).toBe("malformed");
  }
});

test("WEB-10 numbers beyond what is counted are refused, and others are what they are", () => {
  expect(why(u64, bytes("cf001fffffffffffff"))).toBe(Number.MAX_SAFE_INTEGER);
  for (const huge of ["cf0020000000000000", "cfffffffffffffffff", "d3ffffffffffffffff", "cb7fefffffffffffff"])
    expect(why(u64, bytes(huge)), huge).toBe("malformed");
  const floats = ["cb7ff0000000000000", "cbfff0000000000000", "cb7fefffffffffffff", "cb7ff8000000000000"];
  expect(floats.map((some) => why(float, bytes(some)))).toEqual([
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    Number.MAX_VALUE,
    Number.NaN,
  ]);
});

test("WEB-10 halves of characters are no text", () => {
  for (const half of ["eda080", "edbfbf", "61eda08062", "c080", "f4908080", "ff"]) {
    const some = concat(Uint8Array.of(0xd9, half.length / 2), bytes(half));
    expect(why(text, some), half).toBe("malformed");
    expect(why(struct({ a: text }), concat(bytes("82"), some, bytes("c0"), word("a"), word("x")))).toBe(
      "malformed",
    );
  }
});

test("WEB-10 a line of a host's audit may say anything, and stays a line", async () => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const identity = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
  const line = async (fields: string, rest = "") => {
    const prev = "0".repeat(64);
    const json = `{"v":1,"seq":0,"prev":"${prev}","at":"2026-11-25T21:48:45Z","boot_ms":1,"event":"x","fields":${fields}${rest}}`;
    const signed = concat(utf8("cloud-doctor audit v1\0"), utf8(json));
    return utf8(`${json} ${base64(new Uint8Array(await crypto.subtle.sign("Ed25519", privateKey, signed)))}`);
  };
  const read = async (some: Uint8Array) => verifyLines(new AuditVerifier(identity), [some]);
  for (const name of NAMES) {
    const { entries, fault } = await read(
      await line(`{"${name}":{"polluted":true},"n":1e999,"t":"\\ud800"}`),
    );
    expect(fault, name).toBeUndefined();
    expect(Object.keys(entries[0]?.fields ?? {}), name).toEqual([name, "n", "t"]);
    expect(Object.getPrototypeOf(entries[0]?.fields), name).toBe(Object.prototype);
  }
  expect((await read(await line("{}", ',"__proto__":{}'))).fault?.kind).toBe("malformed");
  expect((await read(await line("{}", ',"seq":1e999'))).fault?.kind).toBe("malformed");
  expect((await read(await line(`{"deep":${"[".repeat(30_000)}${"]".repeat(30_000)}}`))).entries.length).toBe(
    1,
  );
});
