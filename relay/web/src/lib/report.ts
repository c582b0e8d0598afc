// A server's report of its checks as bytes, as proto/src/checks.rs and finding.rs: signed by the server's identity,
// verified here with nothing but the identity that the trust log names. Pure but for WebCrypto.
//
// Never: a finding that is read before the signature over its bytes was verified.

import { type Bytes, concat, equal, hex, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import type { Status } from "./facade";
import { id16, id32 } from "./ids";
import { malformed } from "./msgpack";
import {
  boolean,
  type Codec,
  float,
  list,
  oneOf,
  optional,
  PackError,
  struct,
  type TypeOf,
  text,
  u64,
  unpack,
  unpackSigned,
} from "./pack";

/** Largest report. */
export const REPORT_BYTES_MAX = 960 << 10;
const CONTEXT = utf8("cloud-doctor check report v1\0");

const words = struct({ en: text, zh: text });
const evidence = struct({ source: text, text });

type Detail = boolean | number | string;

/** Yes or no, a number, or anything else. */
const detail: Codec<Detail> = {
  write(out, value) {
    if (typeof value === "boolean") boolean.write(out, value);
    else if (typeof value === "number") float.write(out, value);
    else text.write(out, value);
  },
  read: (from) => (from.isText() ? text.read(from) : from.isFloat() ? float.read(from) : boolean.read(from)),
};

/** A map as pairs, in the order of their names' bytes, each once; left out when nothing is in it. */
const details: Codec<readonly (readonly [string, Detail])[]> = {
  write(out, pairs) {
    out.map(pairs.length);
    for (const [name, value] of pairs) {
      out.text(name);
      detail.write(out, value);
    }
  },
  read(from) {
    return from.within(() => {
      const pairs: [string, Detail][] = [];
      for (let left = from.map(); left > 0; left--) {
        const name = from.text();
        const before = pairs.at(-1)?.[0];
        if (before !== undefined && hex(utf8(before)) >= hex(utf8(name))) malformed();
        pairs.push([name, detail.read(from)]);
      }
      return pairs;
    });
  },
  missing: () => [],
  omit: (pairs) => pairs.length === 0,
};

/** Left out where it was not measured. */
const measured: Codec<number | undefined> = {
  write: (out, value) => float.write(out, value ?? malformed()),
  read: (from) => float.read(from),
  missing: () => undefined,
  omit: (value) => value === undefined,
};

/** Left out where the host does not remember. */
const remembered: Codec<number | undefined> = {
  write: (out, value) => u64.write(out, value ?? malformed()),
  read: (from) => u64.read(from),
  missing: () => undefined,
  omit: (value) => value === undefined,
};

export const finding = struct({
  check: text,
  subject: text,
  status: oneOf<Status>(["ok", "unknown", "warning", "critical"]),
  note: optional(boolean, false),
  since: remembered,
  value: measured,
  unit: optional(text, ""),
  evidence: list(evidence),
  summary: words,
  impact: words,
  remedy: words,
  details,
});

export const report = struct({
  identity: id32,
  nonce: id16,
  asked: list(text),
  at: u64,
  millis: u64,
  version: text,
  host: text,
  findings: list(finding),
  absent: list(struct({ check: text, why: words })),
  refused: list(text),
  left_out: u64,
  sandbox_open: list(text),
});
export type Report = TypeOf<typeof report>;

/** Why a report may not be believed. */
export type ReportFault = "malformed" | "stranger" | "signature" | "nonce";

export class BadReport extends Error {
  constructor(readonly fault: ReportFault) {
    super(fault);
  }
}

/** Whose report it says it is, before anything of it is believed. */
function claimed(bytes: Bytes): Bytes {
  return reading(() => unpack(struct({ identity: id32 }), bytes, REPORT_BYTES_MAX)).identity;
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof PackError ? new BadReport("malformed") : error;
  }
}

/**
 * Reads a report that the server with this identity signed, in answer to the request with this nonce. Throws `BadReport`.
 */
export async function verifyReport(
  identity: Bytes,
  nonce: string,
  bytes: Bytes,
  signature: Bytes,
): Promise<Report> {
  if (!equal(claimed(bytes), identity)) throw new BadReport("stranger");
  if (!(await verifyEd25519(identity, concat(CONTEXT, bytes), signature))) throw new BadReport("signature");
  const found = reading(() => unpackSigned(report, bytes, REPORT_BYTES_MAX));
  if (!equal(found.identity, identity)) throw new BadReport("stranger");
  if (hex(found.nonce) !== nonce) throw new BadReport("nonce");
  return found;
}
