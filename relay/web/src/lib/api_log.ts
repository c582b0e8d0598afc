// The relay's calls that write the trust log and make install tokens. Never: a key's private half.

import { call, object, RelayError, string } from "./api";
import { type Bytes, base64url, unbase64url } from "./bytes";
import { ConsoleError } from "./errors";
import type { InstallToken } from "./facade";

/** Delivers a signed entry. Throws `log_moved`. */
export async function append(entry: Bytes): Promise<void> {
  try {
    await call("POST", "/api/v1/trust-log", { entry: base64url(entry) });
  } catch (error) {
    throw error instanceof RelayError && error.code === "head-moved" ? new ConsoleError("log_moved") : error;
  }
}

/** The relay's half of an install token, and where servers find the relay. */
export interface TokenMade {
  readonly id: string;
  readonly secret: Bytes;
  readonly expiresAt: number;
  readonly agents: string;
  readonly pins: readonly string[];
}

export async function makeToken(label: string, uses: number, validSecs: number): Promise<TokenMade> {
  const made = object(
    await call("POST", "/api/v1/enrolment-tokens", { label, uses, valid_secs: validSecs }),
    "token",
  );
  const secret = unbase64url(string(made.secret, "secret"));
  const pins = [made.agents_pin, made.agents_next_pin].filter((pin) => typeof pin === "string" && pin !== "");
  const agents = string(made.agents, "address");
  // Root will paste these: only the one form that each has.
  const plain =
    /^quic:\/\/[A-Za-z0-9._:[\]-]{1,255}$/.test(agents) &&
    pins.every((pin) => /^sha256:[0-9a-f]{64}$/.test(String(pin)));
  if (secret?.length !== 32 || pins.length === 0 || !plain) throw new RelayError(false, "relay_odd", "token");
  return {
    id: string(made.id, "id"),
    secret,
    expiresAt: Number(made.expires_at) * 1000,
    agents,
    pins: pins.map(String),
  };
}

/** An install token as the relay lists it. */
export interface TokenLine extends InstallToken {
  readonly revoked: boolean;
}

export async function tokens(): Promise<TokenLine[]> {
  const list = object(
    await call("GET", "/api/v1/enrolment-tokens", undefined, { byItself: true }),
    "tokens",
  ).tokens;
  if (!Array.isArray(list)) throw new RelayError(false, "relay_odd", "tokens");
  return list.map((line: unknown) => {
    const token = object(line, "token");
    return {
      id: string(token.id, "id"),
      label: String(token.label ?? ""),
      by: String(token.created_by ?? ""),
      madeAt: Number(token.created_at) * 1000,
      expiresAt: Number(token.expires_at) * 1000,
      uses: Number(token.uses_max),
      used: Number(token.uses),
      revoked: token.revoked === true,
    };
  });
}

export async function revokeToken(id: string): Promise<void> {
  await call("DELETE", `/api/v1/enrolment-tokens/${encodeURIComponent(id)}`);
}
