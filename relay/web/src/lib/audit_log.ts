// Reading a host's audit log: page by page from its end over the sealed road, or from a file that somebody has.
//
// Every line is verified here with the identity that the trust log names for the server, and pages continue one another.
// Never: anything after the first line that is wrong.

import { type AuditHead, AuditVerifier, LINE_BYTES_MAX, linesOf, type Verified, verifyLines } from "./audit";
import { type Bytes, concat } from "./bytes";
import { ConsoleError } from "./errors";
import type { AuditCopy, AuditLog, Server, Waiting } from "./facade";
import { AUDIT_PAGE_BYTES } from "./limits";
import type { Answer, AuditFile } from "./look";
import { kept, type Look, openLook } from "./looking";
import * as seat from "./seat";

/** One grant for reading counts this long. */
const SECONDS = 900;
/** Fewer lines than these are no page: the file before is read too. */
const LINES_MIN = 50;
/** Pieces of files that make one page. */
const PIECES_MAX = 4;
/** A file with this number is not there: only the list of files comes. */
const NO_FILE = Number.MAX_SAFE_INTEGER;

/** Where a page ends: everything before byte `end` of a file, whose next line continues `head`. */
interface Place {
  readonly file: number;
  readonly end: number;
  /** What the line after it says about the line before. Missing at the log's end. */
  readonly head?: AuditHead;
}

/** Where pages began that were read before, by server and number of their first line. */
const places = new Map<string, Place>();

function identityOf(server: string): { readonly identity: Bytes; readonly name: string } {
  const record = seat.pinned().log.agents.get(server);
  if (record === undefined) throw new ConsoleError("not_that_server", server.slice(0, 12));
  return record;
}

/** A page of the file `file` from `offset` on, and the list of files. */
type Page = (file: number, offset: number) => Promise<{ files: readonly AuditFile[]; data: Bytes }>;

function pageOf(answer: Answer) {
  if (!("audit" in answer)) throw new ConsoleError("out_of_turn", "answer");
  return answer.audit;
}

/** Reads with a look that is open, or opens one. */
async function reader(server: Server, how: Waiting): Promise<Page> {
  const list = { audit: { file: NO_FILE, offset: 0 } };
  const read =
    (look: Look): Page =>
    async (file, offset) =>
      pageOf(await look.ask({ audit: { file, offset } }));
  const known = await kept(server.id, undefined, false);
  if (known !== undefined) {
    try {
      await known.ask(list);
      return read(known);
    } catch (error) {
      if (!(error instanceof ConsoleError && error.id === "refusal_no_visit")) throw error;
    }
  }
  const what = { kind: "audit", seconds: SECONDS, reason: "" } as const;
  const wish = { ...how, server, user: undefined, seconds: SECONDS, what, approver: false };
  return read((await openLook(wish, list)).look);
}

/** The end of what is before byte `end` of a file: whole lines, and where they begin. */
async function tail(page: Page, file: number, end: number): Promise<{ from: number; bytes: Bytes }> {
  let bytes: Bytes = new Uint8Array(0);
  let start = end;
  while (start > 0) {
    const begin = Math.max(0, start - AUDIT_PAGE_BYTES);
    const piece = (await page(file, begin)).data.slice(0, start - begin);
    // The host has deleted the file meanwhile, as it may.
    if (piece.length < start - begin) return { from: 0, bytes: new Uint8Array(0) };
    bytes = concat(piece, bytes);
    start = begin;
    const line = bytes.indexOf(0x0a) + 1;
    if (start > 0 && line > 0 && line < bytes.length) return { from: start + line, bytes: bytes.slice(line) };
    if (bytes.length > LINE_BYTES_MAX + AUDIT_PAGE_BYTES) break;
  }
  return { from: start, bytes };
}

/** A page that ends at a place: its lines verified, and the place where it begins. */
async function pageBefore(
  page: Page,
  files: readonly AuditFile[],
  identity: Bytes,
  place: Place,
): Promise<Verified & { readonly begins?: Place }> {
  const pieces: Uint8Array[][] = [];
  let { file, end } = place;
  for (let count = 0; count < PIECES_MAX; count++) {
    const { from, bytes } = await tail(page, file, end);
    pieces.unshift(linesOf(bytes));
    end = from;
    const older = files.filter((one) => one.first < file).at(-1);
    if (pieces.flat().length >= LINES_MIN || (end === 0 && older === undefined)) break;
    if (end === 0 && older !== undefined) [file, end] = [older.first, older.bytes];
  }
  const verifier = new AuditVerifier(identity);
  const lines = pieces.flat();
  const count = place.head === undefined ? undefined : place.head.next - lines.length;
  const found = await verifyLines(verifier, lines, count);
  const begins = verifier.first === undefined ? {} : { begins: { file, end, head: verifier.first } };
  const { head } = verifier;
  const joined = place.head === undefined || (head.next === place.head.next && head.hash === place.head.hash);
  if (found.fault !== undefined || joined || place.head === undefined) return { ...found, ...begins };
  return { ...found, ...begins, fault: { seq: place.head.next, kind: "chain" } };
}

async function read(server: Server, before?: number, how: Waiting = {}): Promise<AuditCopy> {
  const { identity, name } = identityOf(server.id);
  const page = await reader(server, how);
  const { files } = await page(NO_FILE, 0);
  const [oldest, newest] = [files[0], files.at(-1)];
  const said = { server: { id: server.id, name }, first: oldest?.first ?? 0 };
  if (oldest === undefined || newest === undefined) return { ...said, entries: [], more: false };
  let place: Place | undefined = places.get(`${server.id} ${before}`);
  place ??= { file: newest.first, end: newest.bytes };
  for (;;) {
    const found: Awaited<ReturnType<typeof pageBefore>> = await pageBefore(page, files, identity, place);
    const { begins, fault } = found;
    const entries = found.entries.filter(({ seq }) => before === undefined || seq < before);
    const more = begins !== undefined && (begins.end > 0 || begins.file > oldest.first);
    if (begins !== undefined) places.set(`${server.id} ${begins.head?.next}`, begins);
    if (entries.length > 0 || fault !== undefined || !more || begins === undefined) {
      return {
        ...said,
        entries,
        more: more && fault === undefined,
        ...(fault === undefined ? {} : { fault }),
      };
    }
    place = begins;
  }
}

async function verify(server: string, file: Blob): Promise<AuditCopy> {
  const { identity, name } = identityOf(server);
  const verifier = new AuditVerifier(identity);
  const lines = linesOf(new Uint8Array(await file.arrayBuffer()));
  const { entries, fault } = await verifyLines(verifier, lines);
  if (entries.length === 0 && (fault === undefined || fault.kind === "malformed"))
    throw new ConsoleError("audit_not_a_log");
  const first = entries[0]?.seq ?? fault?.seq ?? 0;
  const copy = { server: { id: server, name }, entries, first, more: false };
  return fault === undefined ? copy : { ...copy, fault };
}

export const auditLog: AuditLog = { read, verify };
