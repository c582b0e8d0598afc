// The relay's calls about streams and single servers: who is where, since when; what a machine says about itself.
//
// Visit, channel and purpose of a stream are what its client said. Never: believed to be what is in it, which is sealed.

import { array, call, number, object, said, string } from "./api";

/** A stream between a client and a server. Times are milliseconds since 1970. */
export interface StreamLine {
  readonly stream: string;
  readonly account: string;
  readonly server: string;
  readonly purpose: string;
  readonly visit: string | undefined;
  readonly channel: string | undefined;
  readonly openedAt: number;
  readonly closedAt: number | undefined;
}

function lineOf(found: unknown): StreamLine {
  const line = object(found, "session");
  const id = (value: unknown) => (typeof value === "string" ? value.toLowerCase() : undefined);
  return {
    stream: string(line.stream, "stream"),
    account: said(line.account),
    server: string(line.server, "server id").toLowerCase(),
    purpose: said(line.purpose),
    visit: id(line.visit),
    channel: id(line.channel),
    openedAt: number(line.opened_at, "opened_at") * 1000,
    closedAt: typeof line.closed_at === "number" ? line.closed_at * 1000 : undefined,
  };
}

/** A page of streams. */
export interface StreamPage {
  readonly streams: readonly StreamLine[];
  readonly more: boolean;
}

async function page(query: string): Promise<StreamPage> {
  const found = await call("GET", `/api/v1/sessions${query}`, undefined, { byItself: true });
  const answer = object(found, "sessions");
  return { streams: array(answer.sessions, "sessions").map(lineOf), more: answer.more === true };
}

/** Open streams, the newest first. */
export async function openStreams(): Promise<readonly StreamLine[]> {
  const { streams } = await page("?state=open");
  // An older relay knows no `state` and lists all.
  return streams.filter((one) => one.closedAt === undefined);
}

/** Ended streams, the newest first: those before `stream`, or the newest ones. */
export async function pastStreams(stream?: string): Promise<StreamPage> {
  const before = stream === undefined ? "" : `&before=${encodeURIComponent(stream)}`;
  const { streams, more } = await page(`?state=past${before}`);
  return { streams: streams.filter((one) => one.closedAt !== undefined), more };
}

/** What the relay knows of one server. Whatever is unknown is missing. */
export interface ServerPage {
  readonly os: string;
  readonly kernel: string;
  readonly arch: string;
  readonly build: string;
  readonly cpus: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly bootedAt: number | undefined;
  readonly enrolledAt: number | undefined;
  readonly address: string | undefined;
  readonly rttMs: number | undefined;
}

/** One server. */
export async function server(id: string): Promise<ServerPage> {
  const path = `/api/v1/servers/${encodeURIComponent(id)}`;
  const line = object(await call("GET", path, undefined, { byItself: true }), "server");
  const online = typeof line.online === "object" && line.online !== null ? object(line.online, "online") : {};
  const known = (value: unknown) => (typeof value === "number" ? value : undefined);
  const date = (value: unknown) => (typeof value === "number" ? value * 1000 : undefined);
  return {
    os: said(line.os),
    kernel: said(line.kernel),
    arch: said(line.arch),
    build: said(line.build),
    cpus: known(line.cpus),
    memoryBytes: known(line.memory_bytes),
    bootedAt: date(line.booted_at),
    enrolledAt: date(line.enrolled_at),
    address: addressOf(said(online.remote)),
    rttMs: known(online.rtt_ms),
  };
}

/** `203.0.113.5:51820` without its port. */
function addressOf(remote: string): string | undefined {
  const address = remote.replace(/:[0-9]+$/, "").replace(/^\[(.*)\]$/, "$1");
  return address === "" ? undefined : address;
}
