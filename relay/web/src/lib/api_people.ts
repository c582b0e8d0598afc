// The relay's calls about other people: accounts, and links that let new ones in.
//
// Never: a link's secret sent, or a key believed because it came from here.

import { array, bytes, call, type Json, number, object, odd, said, string } from "./api";
import { moment, momentIfAny } from "./api_access";
import { type Asked, ask } from "./api_sign_in";
import { type Bytes, base64url } from "./bytes";
import { parseId } from "./ids";

/** An account. Times are milliseconds since 1970. */
export interface AccountLine {
  readonly name: string;
  readonly admin: boolean;
  readonly createdAt: number;
  /** Missing: whoever asks is no admin. */
  readonly standing: Standing | undefined;
}

export interface Standing {
  readonly signedInAt: number | undefined;
  readonly password: boolean;
  readonly totp: boolean;
  readonly passkeys: number;
  readonly identities: number;
}

export async function accounts(): Promise<AccountLine[]> {
  const answer = object(await call("GET", "/api/v1/accounts", undefined, { byItself: true }), "accounts");
  return array(answer.accounts, "accounts").map((one) => {
    const line = object(one, "account");
    return {
      name: string(line.name, "account"),
      admin: line.role === "admin",
      createdAt: moment(line.created_at),
      standing: line.standing === undefined ? undefined : standing(object(line.standing, "standing")),
    };
  });
}

function standing(line: Json): Standing {
  return {
    signedInAt: momentIfAny(line.signed_in_at),
    password: line.password === true,
    totp: line.totp === true,
    passkeys: number(line.passkeys, "passkeys"),
    identities: number(line.identities, "identities"),
  };
}

export async function removeAccount(name: string): Promise<void> {
  await call("DELETE", `/api/v1/accounts/${encodeURIComponent(name)}`);
}

/** A code that lets the account's person in again, once. */
export interface ResetMade {
  readonly code: string;
  readonly endsAt: number;
}

/** Takes every way to sign in from an account. */
export async function resetAccount(name: string): Promise<ResetMade> {
  const path = `/api/v1/accounts/${encodeURIComponent(name)}/reset`;
  const answer = object(await call("POST", path), "reset");
  return { code: string(answer.code, "code"), endsAt: moment(answer.ends_at) };
}

/** A link's half. */
export interface JoinMade {
  readonly token: Bytes;
  readonly expiresAt: number;
}

/** What is wished for whoever comes by a link. */
export interface JoinWish {
  readonly name: string;
  readonly as: JoinRole;
  readonly device: boolean;
  readonly valid_secs: number;
}

export async function makeJoin(wish: JoinWish): Promise<JoinMade> {
  const answer = object(await call("POST", "/api/v1/joins", { ...wish }), "link");
  return { token: bytes(answer.token, "token"), expiresAt: moment(answer.expires_at) };
}

const ROLES = ["engineer", "approver", "admin"] as const;
/** What somebody is meant to become. */
export type JoinRole = (typeof ROLES)[number];

function role(value: unknown): JoinRole {
  return ROLES.find((one) => one === value) ?? odd("role");
}

const JOIN_STATES = ["open", "joined", "key", "accepted", "refused", "revoked", "expired"] as const;
type JoinState = (typeof JOIN_STATES)[number];

/** A key that came by a link: the relay's word, until the link's secret says the same. */
export interface ShownKey {
  /** One line of `authorized_keys`. */
  readonly key: string;
  readonly kind: string;
  readonly mac: Bytes;
}

export interface JoinLine {
  readonly id: Bytes;
  readonly name: string;
  readonly as: JoinRole;
  readonly device: boolean;
  readonly by: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly state: JoinState;
  readonly account: string;
  readonly shown: ShownKey | undefined;
}

export async function joins(): Promise<JoinLine[]> {
  const answer = object(await call("GET", "/api/v1/joins", undefined, { byItself: true }), "links");
  return array(answer.joins, "links").map((one) => {
    const line = object(one, "link");
    return {
      id: parseId(string(line.id, "link"), 16) ?? odd("link"),
      name: said(line.name),
      as: role(line.as),
      device: line.device === true,
      by: said(line.created_by),
      createdAt: moment(line.created_at),
      expiresAt: moment(line.expires_at),
      state: state(line.state),
      account: said(line.account),
      shown: line.key === null || line.key === undefined ? undefined : shown(object(line.key, "key")),
    };
  });
}

function state(value: unknown): JoinState {
  return JOIN_STATES.find((one) => one === value) ?? odd("state");
}

function shown(key: Json): ShownKey {
  return { key: string(key.key, "key"), kind: string(key.kind, "kind"), mac: bytes(key.mac, "mac") };
}

export async function withdrawJoin(id: string): Promise<void> {
  await call("DELETE", `/api/v1/joins/${encodeURIComponent(id)}`);
}

export async function endJoin(id: string, accepted: boolean): Promise<void> {
  await call("POST", `/api/v1/joins/${encodeURIComponent(id)}/end`, { accepted });
}

/** What a link that counts says. */
export interface Offer {
  readonly customer: string;
  readonly by: string;
  readonly name: string;
  readonly as: JoinRole;
  readonly device: boolean;
  readonly expiresAt: number;
}

/** Says what a link is for, and uses nothing up. */
export async function lookAt(token: Bytes): Promise<Offer> {
  const offer = object(await call("POST", "/api/v1/join/look", { token: base64url(token) }), "link");
  return {
    customer: said(offer.customer),
    by: said(offer.by),
    name: said(offer.name),
    as: role(offer.as),
    device: offer.device === true,
    expiresAt: moment(offer.expires_at),
  };
}

/** Makes the account of a link; it is not signed in. */
export async function join(token: Bytes, account: string, password: string): Promise<void> {
  await call("POST", "/api/v1/join", { token: base64url(token), account, password });
}

export function beginJoinPasskey(token: Bytes, account: string): Promise<Asked> {
  return ask("/api/v1/join/passkey/start", { token: base64url(token), account });
}

/** Makes the account of a link and signs in. */
export async function joinByPasskey(token: Bytes, id: string, name: string, credential: Json): Promise<void> {
  const body = { token: base64url(token), id, name, credential, browser: true };
  await call("POST", "/api/v1/join/passkey", body);
}

export async function showKey({ key, kind, mac }: ShownKey): Promise<void> {
  await call("POST", "/api/v1/join/key", { key, kind, mac: base64url(mac) });
}

/** How it stands with the link that the signed-in account came by. */
export interface Joined {
  readonly as: JoinRole;
  readonly name: string;
  readonly device: boolean;
  readonly state: JoinState;
}

export async function joined(): Promise<Joined> {
  const line = object(await call("GET", "/api/v1/join", undefined, { byItself: true }), "link");
  return {
    as: role(line.as),
    name: said(line.name),
    device: line.device === true,
    state: state(line.state),
  };
}
