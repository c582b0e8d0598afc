// Keys and rules of the log in plain values.

import type { NamedKey, Policy } from "./entry";
import type { KeyKind, KeyView, Policy as PolicyView } from "./facade";
import { fingerprint } from "./ssh";

export function kindOf(signer: NamedKey["signer"]): KeyKind {
  return signer === "webauthn" ? "passkey" : signer === "device" ? "device" : "ssh";
}

export function keyView({ key, person, signer }: NamedKey): KeyView {
  return { name: person, fingerprint: fingerprint(key), kind: kindOf(signer) };
}

export function policyView({ visit, second_for, never }: Policy): PolicyView {
  return { ...(visit === null ? {} : { seconds: visit }), secondFor: second_for, never };
}
