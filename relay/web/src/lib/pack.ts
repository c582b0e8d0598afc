// MessagePack as proto/src/pack.rs writes it: maps with named fields, the shortest form of every number.
//
// Tolerant for control bodies (unknown fields are skipped), strict for signed objects: the bytes must be exactly what
// this code would write, so what was verified is what was read. Never: a value that no codec describes.

import { type Bytes, equal } from "./bytes";
import { malformed, PackError, Reader, Writer } from "./msgpack";

export { PackError };

/** How a type is written and read. */
export interface Codec<T> {
  write(out: Writer, value: T): void;
  read(from: Reader): T;
  /** The value of a field that is missing; a codec without it refuses. */
  missing?(): T;
  /** Left out where it is a struct's field with this value. */
  omit?(value: T): boolean;
}

export type TypeOf<C> = C extends Codec<infer T> ? T : never;

/** Encodes a value. */
export function pack<T>(codec: Codec<T>, value: T): Bytes {
  const out = new Writer();
  codec.write(out, value);
  return out.bytes();
}

/** Reads a control body: bytes after its value and unknown fields are ignored, as Rust's reader does. */
export function unpack<T>(codec: Codec<T>, bytes: Uint8Array, max: number): T {
  if (bytes.length > max) throw new PackError("too-long");
  return codec.read(new Reader(bytes));
}

/** Reads a signed object: anything but the canonical bytes is refused. */
export function unpackSigned<T>(codec: Codec<T>, bytes: Uint8Array, max: number): T {
  const value = unpack(codec, bytes, max);
  if (!equal(pack(codec, value), bytes)) throw new PackError("not-canonical");
  return value;
}

function unsigned(max: number): Codec<number> {
  return {
    write: (out, value) => (value > max ? malformed() : out.uint(value)),
    read: (from) => from.uint(max),
  };
}

export const u8 = unsigned(0xff);
export const u16 = unsigned(0xffff);
export const u32 = unsigned(0xffff_ffff);
/** Beyond 2^53 nothing is counted: dates and offsets there are refused. */
export const u64 = unsigned(Number.MAX_SAFE_INTEGER);

export const boolean: Codec<boolean> = {
  write: (out, value) => out.raw(value ? 0xc3 : 0xc2),
  read: (from) => from.boolean(),
};

/** A number that need not be whole. Rust writes all of them with 64 bits. */
export const float: Codec<number> = {
  write: (out, value) => out.float(value),
  read: (from) => from.float(),
};

export const text: Codec<string> = {
  write: (out, value) => out.text(value),
  read: (from) => from.text(),
};

export const bin: Codec<Bytes> = {
  write: (out, value) => out.bin(value),
  read: (from) => from.bin(),
};

/** Bytes of one length: ids, keys, signatures. */
export function fixed(length: number): Codec<Bytes> {
  const exact = (bytes: Bytes): Bytes => (bytes.length === length ? bytes : malformed());
  return { write: (out, value) => out.bin(exact(value)), read: (from) => exact(from.bin()) };
}

export function list<T>(element: Codec<T>): Codec<readonly T[]> {
  return {
    write: (out, values) => {
      out.list(values.length);
      for (const value of values) element.write(out, value);
    },
    read: (from) => from.within(() => Array.from({ length: from.list() }, () => element.read(from))),
  };
}

/** `nil` or a value. */
export function option<T>(some: Codec<T>): Codec<T | null> {
  return {
    write: (out, value) => (value === null ? out.raw(0xc0) : some.write(out, value)),
    read: (from) => (from.nil() ? null : some.read(from)),
    missing: () => null,
  };
}

/** A field that is left out when it has its default. */
export function optional<T>(some: Codec<T>, fallback: T): Codec<T> {
  return { ...some, missing: () => fallback, omit: (value) => value === fallback };
}

/** A list that is left out when nothing is in it. */
export function leftOutWhenEmpty<T>(some: Codec<readonly T[]>): Codec<readonly T[]> {
  return { ...some, missing: () => [], omit: (value) => value.length === 0 };
}

/** A field that is always written, and may be missing in what an older peer sent. */
export function defaulted<T>(some: Codec<T>, fallback: T): Codec<T> {
  return { ...some, missing: () => fallback };
}

type Values<F> = { readonly [K in keyof F]: TypeOf<F[K]> };

/** A map with these fields in this order. */
export function struct<F extends { readonly [K in keyof F]: Codec<TypeOf<F[K]>> }>(
  fields: F,
): Codec<Values<F>> {
  const known = fields as unknown as Readonly<Record<string, Codec<unknown>>>;
  const names = Object.keys(known);
  return {
    write(out, value) {
      const values = value as Readonly<Record<string, unknown>>;
      const said = names.filter((name) => known[name]?.omit?.(values[name]) !== true);
      out.map(said.length);
      for (const name of said) {
        out.text(name);
        known[name]?.write(out, values[name]);
      }
    },
    read(from) {
      const values = from.within(() => readFields(from, known));
      for (const name of names) {
        if (!values.has(name)) values.set(name, (known[name]?.missing ?? malformed)());
      }
      return Object.fromEntries(values) as Values<F>;
    },
  };
}

function readFields(from: Reader, known: Readonly<Record<string, Codec<unknown>>>): Map<string, unknown> {
  const values = new Map<string, unknown>();
  for (let left = from.map(); left > 0; left--) {
    const name = from.text();
    const codec = Object.hasOwn(known, name) ? known[name] : undefined;
    if (codec === undefined) from.skip();
    else if (values.has(name)) malformed();
    else values.set(name, codec.read(from));
  }
  return values;
}

/** One of these texts. `other` stands for those of a newer peer; without it they are refused. */
export function oneOf<T extends string>(known: readonly T[], other?: T): Codec<T> {
  return {
    write: (out, value) => out.text(value),
    read(from) {
      const found = from.text();
      return known.find((value) => value === found) ?? other ?? malformed();
    },
  };
}

/** One of several, as a map of one field that names it: `{name: value}`. */
export function variants<F extends { readonly [K in keyof F]: Codec<TypeOf<F[K]>> }>(
  fields: F,
): Codec<{ readonly [K in keyof F]: { readonly [N in K]: TypeOf<F[K]> } }[keyof F]> {
  const known = fields as unknown as Readonly<Record<string, Codec<unknown>>>;
  type One = { readonly [K in keyof F]: { readonly [N in K]: TypeOf<F[K]> } }[keyof F];
  return {
    write(out, value) {
      const [name, inner] = Object.entries(value)[0] ?? malformed();
      out.map(1);
      out.text(name);
      (known[name] ?? malformed()).write(out, inner);
    },
    read: (from) =>
      from.within(() => {
        if (from.map() !== 1) malformed();
        const name = from.text();
        const codec = (Object.hasOwn(known, name) ? known[name] : undefined) ?? malformed();
        return { [name]: codec.read(from) } as One;
      }),
  };
}
