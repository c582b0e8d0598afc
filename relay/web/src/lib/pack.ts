// MessagePack as proto/src/pack.rs writes it: maps with named fields, the shortest form of every number.
//
// Tolerant for control bodies (unknown fields are skipped), strict for signed objects: the bytes must be exactly what
// this code would write, so what was verified is what was read. Never: a value that no codec describes.

import { type Bytes, concat, equal, utf8 } from "./bytes";

/** MessagePack nesting; the deepest structure has five levels. */
const DEPTH_MAX = 16;
/** Elements of a list: no message has more. */
const ELEMENTS_MAX = 100_000;

export class PackError extends Error {
  constructor(readonly why: "too-long" | "malformed" | "not-canonical") {
    super(why);
  }
}

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

function malformed(): never {
  throw new PackError("malformed");
}

/** Collects pieces. */
export class Writer {
  private readonly parts: Uint8Array[] = [];

  bytes(): Bytes {
    return concat(...this.parts);
  }

  raw(...bytes: readonly number[]): void {
    this.parts.push(Uint8Array.from(bytes));
  }

  append(bytes: Uint8Array): void {
    this.parts.push(bytes);
  }

  /** The first form that is wide enough, each `[marker, bytes of the number]`. */
  private head(value: number, forms: readonly (readonly [number, number])[]): void {
    for (const [marker, size] of forms) {
      if (value < 2 ** (8 * size)) {
        const out = new Uint8Array(1 + size);
        out[0] = marker;
        let rest = value;
        for (let at = size; at > 0; at--) {
          out[at] = rest % 256;
          rest = Math.floor(rest / 256);
        }
        this.parts.push(out);
        return;
      }
    }
    malformed();
  }

  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) malformed();
    if (value < 0x80) this.raw(value);
    else
      this.head(value, [
        [0xcc, 1],
        [0xcd, 2],
        [0xce, 4],
        [0xcf, 8],
      ]);
  }

  text(value: string): void {
    const bytes = utf8(value);
    if (bytes.length < 32) this.raw(0xa0 | bytes.length);
    else
      this.head(bytes.length, [
        [0xd9, 1],
        [0xda, 2],
        [0xdb, 4],
      ]);
    this.append(bytes);
  }

  bin(bytes: Uint8Array): void {
    this.head(bytes.length, [
      [0xc4, 1],
      [0xc5, 2],
      [0xc6, 4],
    ]);
    this.append(bytes);
  }

  list(length: number): void {
    if (length < 16) this.raw(0x90 | length);
    else
      this.head(length, [
        [0xdc, 2],
        [0xdd, 4],
      ]);
  }

  map(length: number): void {
    if (length < 16) this.raw(0x80 | length);
    else
      this.head(length, [
        [0xde, 2],
        [0xdf, 4],
      ]);
  }
}

// A mark of byte order is a character like any other.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Takes values from bytes; every length is checked against what is there. */
export class Reader {
  private at = 0;
  private depth = 0;

  constructor(private readonly source: Uint8Array) {}

  private take(length: number): Uint8Array {
    const end = this.at + length;
    if (end > this.source.length) malformed();
    const piece = this.source.subarray(this.at, end);
    this.at = end;
    return piece;
  }

  private number(size: number): number {
    return this.take(size).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  private marker(): number {
    return this.number(1);
  }

  /** One level deeper. */
  within<T>(inner: () => T): T {
    this.depth += 1;
    if (this.depth > DEPTH_MAX) malformed();
    const value = inner();
    this.depth -= 1;
    return value;
  }

  /** Takes `nil` when it comes next. */
  nil(): boolean {
    if (this.source[this.at] !== 0xc0) return false;
    this.at += 1;
    return true;
  }

  boolean(): boolean {
    const marker = this.marker();
    if (marker !== 0xc2 && marker !== 0xc3) malformed();
    return marker === 0xc3;
  }

  uint(max: number): number {
    const marker = this.marker();
    const size = { 204: 1, 205: 2, 206: 4, 207: 8 }[marker];
    const value = size === undefined ? (marker < 0x80 ? marker : malformed()) : this.number(size);
    if (value > max) malformed();
    return value;
  }

  text(): string {
    const marker = this.marker();
    const size = { 217: 1, 218: 2, 219: 4 }[marker];
    const short = (marker & 0xe0) === 0xa0 ? marker & 0x1f : undefined;
    const length = short ?? (size === undefined ? malformed() : this.number(size));
    try {
      return decoder.decode(this.take(length));
    } catch {
      return malformed();
    }
  }

  bin(): Bytes {
    const size = { 196: 1, 197: 2, 198: 4 }[this.marker()];
    return this.take(size === undefined ? malformed() : this.number(size)).slice();
  }

  list(): number {
    const marker = this.marker();
    const size = { 220: 2, 221: 4 }[marker];
    const short = (marker & 0xf0) === 0x90 ? marker & 0x0f : undefined;
    return this.elements(short ?? (size === undefined ? malformed() : this.number(size)));
  }

  map(): number {
    const marker = this.marker();
    const size = { 222: 2, 223: 4 }[marker];
    const short = (marker & 0xf0) === 0x80 ? marker & 0x0f : undefined;
    return this.elements(short ?? (size === undefined ? malformed() : this.number(size)));
  }

  /** Each element takes at least one byte: what cannot be there is refused before anything is allocated. */
  private elements(count: number): number {
    if (count > ELEMENTS_MAX || count > this.source.length - this.at) malformed();
    return count;
  }

  /** A text comes next: a variant without fields. */
  isText(): boolean {
    const marker = this.source[this.at] ?? malformed();
    return (marker & 0xe0) === 0xa0 || (marker >= 0xd9 && marker <= 0xdb);
  }

  /** Goes past a value that nobody here knows. */
  skip(): void {
    const marker = this.marker();
    if (marker < 0x80 || marker >= 0xe0 || (marker >= 0xc0 && marker <= 0xc3 && marker !== 0xc1)) return;
    this.at -= 1;
    if (marker < 0x90 || marker === 0xde || marker === 0xdf) this.skipAll(2 * this.map());
    else if (marker < 0xa0 || marker === 0xdc || marker === 0xdd) this.skipAll(this.list());
    else if (this.isText()) this.text();
    else if (marker >= 0xc4 && marker <= 0xc6) this.bin();
    else this.skipFixed();
  }

  private skipAll(count: number): void {
    this.within(() => {
      for (let index = 0; index < count; index++) this.skip();
    });
  }

  private skipFixed(): void {
    const marker = this.marker();
    // Floats, integers, and extensions of fixed and of named length.
    const fixed: Readonly<Record<number, number>> = {
      202: 4,
      203: 8,
      204: 1,
      205: 2,
      206: 4,
      207: 8,
      208: 1,
      209: 2,
      210: 4,
      211: 8,
      212: 2,
      213: 3,
      214: 5,
      215: 9,
      216: 17,
    };
    const named = { 199: 1, 200: 2, 201: 4 }[marker];
    this.take(named === undefined ? (fixed[marker] ?? malformed()) : this.number(named) + 1);
  }
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
