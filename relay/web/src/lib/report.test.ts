// Reports that Rust signed and judged (proto/tests/vectors/report.rs), judged here again: the same verdict on every one.

import { expect, test } from "vitest";
import { type Bytes, concat, hex, unhex, utf8 } from "./bytes";
import { pack, unpackSigned } from "./pack";
import { BadReport, REPORT_BYTES_MAX, report, verifyReport } from "./report";
import vectors from "./vectors.json";

const { identity, nonce, rows, read, sized, flipped, canonical } = vectors.report;

function bytes(text: string): Bytes {
  const found = unhex(text);
  if (found === undefined) throw new Error(`no hexadecimal: ${text}`);
  return found;
}

function verdict(some: Bytes, signature: Bytes): Promise<string> {
  return verifyReport(bytes(identity), nonce, some, signature).then(
    () => "good",
    (error: unknown) => {
      if (error instanceof BadReport) return error.fault;
      throw error;
    },
  );
}

function isReport(some: Bytes): boolean {
  try {
    unpackSigned(report, some, REPORT_BYTES_MAX);
    return true;
  } catch {
    return false;
  }
}

function row(what: string) {
  const found = rows.find((one) => one.what === what);
  if (!found) throw new Error(what);
  return found;
}

test("chk_10 every report has Rust's verdict", async () => {
  const verdicts = new Set<string>();
  for (const one of rows) {
    expect(await verdict(bytes(one.bytes), bytes(one.signature)), one.what).toBe(one.verdict);
    verdicts.add(one.verdict);
  }
  expect([...verdicts].sort()).toEqual(["good", "malformed", "nonce", "signature", "stranger"]);
  const good = row("what the server found");
  await expect(
    verifyReport(bytes(identity), "08".repeat(16), bytes(good.bytes), bytes(good.signature)),
  ).rejects.toMatchObject({ fault: "nonce" });
});

test("a report says here what it says to Rust, and is written with the same bytes", async () => {
  const { bytes: good, signature } = row("what the server found");
  const found = await verifyReport(bytes(identity), nonce, bytes(good), bytes(signature));
  expect(hex(pack(report, found))).toBe(good);
  const { findings, identity: by, nonce: answers, ...rest } = found;
  expect([hex(by), hex(answers)]).toEqual([identity, nonce]);
  expect(rest).toEqual({
    asked: read.asked,
    at: read.at,
    millis: read.millis,
    version: read.version,
    host: read.host,
    absent: read.absent,
    refused: read.refused,
    left_out: read.left_out,
    sandbox_open: read.sandbox_open,
  });
  // Rust leaves out of its JSON what it leaves out of the bytes.
  const told = read.findings.map((one) => {
    const { details, ...others } = {
      note: false,
      since: undefined,
      value: undefined,
      unit: "",
      details: {},
      ...one,
    };
    return { ...others, details: Object.entries(details) };
  });
  const sorted = findings.map((one) => ({ ...one, details: [...one.details].sort() }));
  expect(sorted).toEqual(told.map((one) => ({ ...one, details: one.details.sort() })));
  expect(findings[0]?.details.map(([name]) => name)).toEqual(["10", "__proto__", "refused", "tcp", "why"]);
});

test("a report of the largest size is read, and one byte more is not", async () => {
  const made = sized.map(({ before, fill, after }) =>
    concat(bytes(before), utf8("x".repeat(fill)), bytes(after)),
  );
  expect(made.map(({ length }) => length)).toEqual([REPORT_BYTES_MAX, REPORT_BYTES_MAX + 1]);
  for (const [at, one] of made.entries()) {
    const { signature, verdict: expected } = sized[at] ?? { signature: "", verdict: "" };
    expect(await verdict(one, bytes(signature))).toBe(expected);
  }
  expect(sized.map((one) => one.verdict)).toEqual(["good", "malformed"]);
});

test("chk_10 no changed bit of a report is believed, and none is a report that Rust would not read", async () => {
  const { bytes: good, signature } = row("nothing found");
  const [plain, sign] = [bytes(good), bytes(signature)];
  expect(plain.length).toBe(flipped.length / 2);
  for (let at = 0; at < plain.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const accepted = (text: string) => ((bytes(text.slice(at * 2, at * 2 + 2))[0] ?? 0) >> bit) & 1;
      const bad = plain.slice();
      bad[at] = (bad[at] ?? 0) ^ (1 << bit);
      expect(accepted(flipped)).toBe(0);
      expect(await verdict(bad, sign), `byte ${at}, bit ${bit}`).not.toBe("good");
      if (isReport(bad)) expect(accepted(canonical), `byte ${at}, bit ${bit}`).toBe(1);
    }
  }
});
