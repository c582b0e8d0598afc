// MessagePack's bytes: what a number, a text or a list looks like, in the shortest form when writing, in any form when
// reading. Every length is checked against what is there. Never: a value's meaning; codecs in pack.ts know that.

import { type Bytes, concat, utf8 } from "./bytes";
import { PACK_DEPTH_MAX } from "./limits";

/** Elements of a list: no message has more. */
const ELEMENTS_MAX = 100_000;

export class PackError extends Error {
  constructor(readonly why: "too-long" | "malformed" | "not-canonical") {
    super(why);
  }
}

/** What is there is not what was expected. */
export function malformed(): never {
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

  float(value: number): void {
    const out = new Uint8Array(9);
    out[0] = 0xcb;
    new DataView(out.buffer).setFloat64(1, value);
    this.parts.push(out);
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
    if (this.depth > PACK_DEPTH_MAX) malformed();
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

  float(): number {
    if (this.marker() !== 0xcb) malformed();
    const bytes = this.take(8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0);
  }

  /** A number with a point comes next. */
  isFloat(): boolean {
    return this.source[this.at] === 0xcb;
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
