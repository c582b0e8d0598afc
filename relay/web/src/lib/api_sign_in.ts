// The relay's calls for signing in that the first page needs. Never: a word about what an account may open.

import { call, type Json, object, string } from "./api";

/** The ways in, as the relay has them. */
export interface SignInWays {
  readonly setUp: boolean;
  readonly password: boolean;
  readonly passkey: boolean;
  /** The provider's name. */
  readonly oidc: string | undefined;
}

export async function signInWays(): Promise<SignInWays> {
  const answer = object(await call("GET", "/api/v1/sign-in"), "ways");
  const { oidc } = answer;
  return {
    setUp: answer.set_up === true,
    password: answer.password === true,
    passkey: answer.passkey === true,
    oidc: oidc === null || oidc === undefined ? undefined : string(object(oidc, "oidc").name, "oidc"),
  };
}

/** A question for the browser, and the id under which its answer is taken. */
export interface Asked {
  readonly id: string;
  readonly options: Json;
}

/** Asks for a question. */
export async function ask(path: string, body?: Json): Promise<Asked> {
  return asked(await call("POST", path, body));
}

/** A question as the relay writes it. */
export function asked(value: unknown): Asked {
  const answer = object(value, "passkey");
  return { id: string(answer.id, "id"), options: object(answer.options, "options") };
}

export function beginPasskeyLogin(): Promise<Asked> {
  return ask("/api/v1/login/passkey/start");
}

export async function passkeyLogin(id: string, credential: Json): Promise<void> {
  await call("POST", "/api/v1/login/passkey", { id, credential, browser: true });
}
