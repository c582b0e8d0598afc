// A host's audit log as bytes, as proto/src/audit.rs: one signed, chained line per event, verified with nothing but the
// identity that the trust log names. Pure but for WebCrypto. Never: a line that is shown before it was verified.

import { type Bytes, concat, hex, unbase64, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import type { AuditEntry } from "./facade";
import { sha256 } from "./ids";

const CONTEXT = utf8("cloud-doctor audit v1\0");
/** Longest line. */
export const LINE_BYTES_MAX = 64 << 10;
const NAMES = ["v", "seq", "prev", "at", "boot_ms", "event", "fields"];
const NEW_LINE = 0x0a;

/** Why a line is bad: none, signed by another, or not after the line before it. */
export type AuditFault = "malformed" | "signature" | "chain";

/** A line that is bad. */
export class BadLine extends Error {
  constructor(
    readonly fault: AuditFault,
    /** The number that it claims, if it does. */
    readonly claims: number | undefined,
  ) {
    super(fault);
  }
}

interface Payload {
  readonly v: number;
  readonly seq: number;
  readonly prev: string;
  readonly at: string;
  readonly boot_ms: number;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function payloadOf(json: string): Payload | undefined {
  let found: unknown;
  try {
    found = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!isMap(found) || Object.keys(found).length !== NAMES.length) return undefined;
  const { v, seq, prev, at, boot_ms, event, fields } = found;
  if (v !== 1 || !isCount(seq) || !isCount(boot_ms)) return undefined;
  if (typeof prev !== "string" || typeof at !== "string" || typeof event !== "string") return undefined;
  return isMap(fields) ? { v, seq, prev, at, boot_ms, event, fields } : undefined;
}

async function read(line: string, identity: Bytes): Promise<Payload> {
  const at = line.lastIndexOf(" ");
  const json = line.slice(0, Math.max(at, 0));
  const signature = at < 0 ? undefined : unbase64(line.slice(at + 1));
  const claims = payloadOf(json)?.seq;
  if (signature?.length !== 64) throw new BadLine("malformed", claims);
  if (!(await verifyEd25519(identity, concat(CONTEXT, utf8(json)), signature)))
    throw new BadLine("signature", claims);
  const payload = payloadOf(json);
  if (payload === undefined) throw new BadLine("malformed", claims);
  return payload;
}

/** Where a log stands: the number of the next line, and the hash of the line before it. */
export interface AuditHead {
  readonly next: number;
  readonly hash: string;
}

const EMPTY: AuditHead = { next: 0, hash: "0".repeat(64) };

/** Verifies lines in order. The first one may have any number: old files are deleted. */
export class AuditVerifier {
  private head_: AuditHead | undefined;
  private first_: AuditHead | undefined;

  constructor(private readonly identity: Bytes) {}

  /** Takes the next line, without its line end. Throws `BadLine`: this is the first bad one. */
  async line(bytes: Uint8Array): Promise<AuditEntry> {
    if (bytes.length > LINE_BYTES_MAX) throw new BadLine("malformed", undefined);
    // As Rust reads files: what is no UTF-8 is replaced, and its signature fails then.
    const line = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const payload = await read(line, this.identity);
    const { seq, prev } = payload;
    const expected = this.head_ ?? (seq === 0 ? EMPTY : { next: seq, hash: prev });
    if (!/^[0-9a-f]{64}$/i.test(prev) && this.head_ === undefined && seq !== 0)
      throw new BadLine("malformed", seq);
    if (seq !== expected.next || prev !== expected.hash.toLowerCase()) throw new BadLine("chain", seq);
    this.head_ = { next: seq + 1, hash: hex(sha256(utf8(line))) };
    this.first_ ??= { next: seq, hash: prev };
    return entryOf(payload);
  }

  /** What the first line continues. */
  get first(): AuditHead | undefined {
    return this.first_;
  }

  /** What the next line must continue. */
  get head(): AuditHead {
    return this.head_ ?? EMPTY;
  }
}

function entryOf({ seq, at, boot_ms, event, fields }: Payload): AuditEntry {
  const date = Date.parse(at);
  return { seq, at: Number.isNaN(date) ? 0 : date, bootMs: boot_ms, event, fields };
}

/** Lines without their ends; what is after the last end is a line too, if it is not empty. */
export function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let from = 0;
  for (let end = bytes.indexOf(NEW_LINE, from); end >= 0; end = bytes.indexOf(NEW_LINE, from)) {
    lines.push(bytes.subarray(from, end));
    from = end + 1;
  }
  if (from < bytes.length) lines.push(bytes.subarray(from));
  return lines;
}

/** What was read: every good line, and the first bad one, after which nothing is believed. */
export interface Verified {
  readonly entries: readonly AuditEntry[];
  readonly fault?: { readonly seq: number; readonly kind: AuditFault };
}

/** Verifies lines up to the first bad one. `count`: the first line's number, where it is known. */
export async function verifyLines(
  verifier: AuditVerifier,
  lines: readonly Uint8Array[],
  count?: number,
): Promise<Verified> {
  const entries: AuditEntry[] = [];
  for (const line of lines) {
    try {
      entries.push(await verifier.line(line));
    } catch (error) {
      if (!(error instanceof BadLine)) throw error;
      const first = entries[0]?.seq ?? count;
      const seq = first === undefined ? (error.claims ?? 0) : first + entries.length;
      return { entries, fault: { seq, kind: error.fault } };
    }
  }
  return { entries };
}
