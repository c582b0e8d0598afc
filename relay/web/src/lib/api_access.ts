// The relay's calls about a provider, the first run, and one's own account. Never: a word about what an account may open.

import { array, call, type Json, number, object, said, string } from "./api";
import { type Asked, ask, asked } from "./api_sign_in";

/** The page of the provider where a sign-in goes on. */
export async function beginProviderLogin(): Promise<string> {
  return string(object(await call("POST", "/api/v1/login/oidc/start"), "provider").url, "provider");
}

/** What a provider has given to the browser. */
export interface FromProvider {
  readonly state: string;
  readonly code: string;
  readonly iss?: string;
}

export async function providerLogin(brought: FromProvider): Promise<void> {
  await call("POST", "/api/v1/login/oidc", { ...brought });
}

/** Who begins. */
export interface Names {
  readonly code: string;
  readonly account: string;
  readonly tenant_name: string;
}

/** Makes the first account; whether it is signed in now. */
export async function setUp(names: Names, password: string): Promise<boolean> {
  const answer = await call("POST", "/api/v1/setup", { ...names, password, browser: true });
  return typeof object(answer, "set-up").ends_at === "number";
}

export function beginSetupPasskey(names: Names): Promise<Asked> {
  return ask("/api/v1/setup/passkey/start", { ...names });
}

/** Makes the first account and signs in. */
export async function setUpByPasskey(
  code: string,
  id: string,
  name: string,
  credential: Json,
): Promise<void> {
  await call("POST", "/api/v1/setup/passkey", { code, id, name, credential, browser: true });
}

/** Whose account a reset's code lets in, and what to make a passkey with; `undefined`: passkeys do not work here. */
export interface ResetBegun {
  readonly account: string;
  readonly passkey: Asked | undefined;
}

export async function beginReset(code: string): Promise<ResetBegun> {
  const { account, passkey } = object(await call("POST", "/api/v1/reset/start", { code }), "reset");
  return {
    account: string(account, "account"),
    passkey: passkey === null || passkey === undefined ? undefined : asked(passkey),
  };
}

export async function resetToPassword(code: string, password: string): Promise<void> {
  await call("POST", "/api/v1/reset", { code, password });
}

/** Signs in as well. */
export async function resetToPasskey(
  code: string,
  id: string,
  name: string,
  credential: Json,
): Promise<void> {
  await call("POST", "/api/v1/reset/passkey", { code, id, name, credential, browser: true });
}

/** A passkey for signing in. Times are milliseconds since 1970. */
export interface PasskeyLine {
  /** Credential id, base64url. */
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  readonly usedAt: number | undefined;
}

export async function passkeys(): Promise<PasskeyLine[]> {
  const answer = object(await call("GET", "/api/v1/me/passkeys"), "passkeys");
  return array(answer.passkeys, "passkeys").map((one) => {
    const line = object(one, "passkey");
    return {
      id: string(line.id, "passkey"),
      name: said(line.name),
      createdAt: moment(line.created_at),
      usedAt: momentIfAny(line.used_at),
    };
  });
}

/** Milliseconds of a time of the relay's. */
export function moment(value: unknown): number {
  return number(value, "time") * 1000;
}

/** The same where there may be none. */
export function momentIfAny(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : moment(value);
}

export function beginPasskey(): Promise<Asked> {
  return ask("/api/v1/me/passkeys/start", { exclude: [] });
}

export async function keepPasskey(id: string, name: string, credential: Json): Promise<void> {
  await call("POST", "/api/v1/me/passkeys", { id, name, credential });
}

export async function removePasskey(id: string): Promise<void> {
  await call("DELETE", `/api/v1/me/passkeys/${encodeURIComponent(id)}`);
}

/** `old`: missing where there is none. */
export async function changePassword(old: string, next: string): Promise<void> {
  await call("PUT", "/api/v1/me/password", old === "" ? { new: next } : { old, new: next });
}

/** The account's password and its second step. */
export interface SecondStepState {
  readonly password: boolean;
  readonly on: boolean;
  readonly recoveryLeft: number;
}

export async function secondStep(): Promise<SecondStepState> {
  const answer = object(await call("GET", "/api/v1/me/totp"), "second step");
  return {
    // A relay that does not say takes an empty one where there is none.
    password: answer.password !== false,
    on: answer.on === true,
    recoveryLeft: number(answer.recovery_codes_left, "codes"),
  };
}

export interface TotpBegun {
  readonly id: string;
  readonly secret: string;
  readonly uri: string;
}

export async function beginTotp(): Promise<TotpBegun> {
  const answer = object(await call("POST", "/api/v1/me/totp/start"), "second step");
  return {
    id: string(answer.id, "id"),
    secret: string(answer.secret, "secret"),
    uri: string(answer.uri, "uri"),
  };
}

/** Turns it on; returns codes for the authenticator's loss. */
export async function finishTotp(id: string, code: string): Promise<string[]> {
  const answer = object(await call("POST", "/api/v1/me/totp", { id, code }), "second step");
  return array(answer.recovery_codes, "codes").map((one) => string(one, "code"));
}

export async function endTotp(code: string): Promise<void> {
  await call("POST", "/api/v1/me/totp/remove", { code });
}

/** A sign-in that counts. */
export interface LoginLine {
  readonly id: string;
  readonly current: boolean;
  readonly agent: string;
  readonly address: string;
  readonly createdAt: number;
  readonly usedAt: number;
}

export async function logins(): Promise<LoginLine[]> {
  const answer = object(await call("GET", "/api/v1/me/logins", undefined, { byItself: true }), "sign-ins");
  return array(answer.logins, "sign-ins").map((one) => {
    const line = object(one, "sign-in");
    return {
      id: string(line.id, "sign-in"),
      current: line.this === true,
      agent: said(line.user_agent),
      address: said(line.client),
      createdAt: moment(line.created_at),
      usedAt: moment(line.used_at),
    };
  });
}

export async function endLogin(id: string): Promise<void> {
  await call("DELETE", `/api/v1/me/logins/${encodeURIComponent(id)}`);
}

export async function endOtherLogins(): Promise<void> {
  await call("DELETE", "/api/v1/me/logins");
}
