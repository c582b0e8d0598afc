// SSH public keys and SSHSIG (PROTOCOL.sshsig of OpenSSH), as proto/src/signer.rs has them.
//
// The namespace is the context: a signature made for one purpose never counts for another. A hardware key counts only
// when its holder touched it. Never: a second encoding of one signature, RSA, or a certificate.

import { type Bytes, base64, concat, equal, uint, unbase64url, utf8 } from "./bytes";
import { verifyEd25519 } from "./ed25519";
import { keyOf, sha256 } from "./ids";
import { SIGNATURE_BYTES_MAX } from "./limits";

export const NAMESPACE_LOG = "cloud-doctor-log-v1";
export const NAMESPACE_GRANT = "cloud-doctor-grant-v1";
export const NAMESPACE_SECOND = "cloud-doctor-second-v1";

const ED25519 = "ssh-ed25519";
const P256 = "ecdsa-sha2-nistp256";
const SK_ED25519 = "sk-ssh-ed25519@openssh.com";
/** A passkey's. Rust's reader takes no SSHSIG of such a key, and neither does this one. */
const SK_P256 = "sk-ecdsa-sha2-nistp256@openssh.com";
const CURVE = "nistp256";
const MAGIC = utf8("SSHSIG");
/** Flag bit "user present" of a hardware key's signature. */
const USER_PRESENT = 1;
const COORDINATE_BYTES = 32;

/** Why a key or signature counts for nothing. */
export type SignerFault =
  | "not-a-key"
  | "key-type"
  | "malformed"
  | "other-key"
  | "wrong"
  | "not-touched"
  | "origin";

export class SignerError extends Error {
  constructor(readonly fault: SignerFault) {
    super(fault);
  }
}

function refuse(fault: SignerFault): never {
  throw new SignerError(fault);
}

/** A field of SSH's wire format: `u32 length | bytes`. */
function string(bytes: Uint8Array): Bytes {
  return concat(uint(bytes.length, 4), bytes);
}

/** Takes fields of SSH's wire format; what is cut is refused. */
class Fields {
  private at = 0;

  constructor(
    private readonly source: Uint8Array,
    private readonly fault: SignerFault,
  ) {}

  raw(length: number): Bytes {
    const end = this.at + length;
    if (end > this.source.length) refuse(this.fault);
    const piece = this.source.slice(this.at, end);
    this.at = end;
    return Uint8Array.from(piece);
  }

  number(): number {
    return this.raw(4).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  string(): Bytes {
    return this.raw(this.number());
  }

  text(): string {
    return new TextDecoder().decode(this.string());
  }

  end(): void {
    if (this.at !== this.source.length) refuse(this.fault);
  }
}

type PublicKey =
  | { readonly type: typeof ED25519; readonly key: Bytes }
  | { readonly type: typeof SK_ED25519; readonly key: Bytes; readonly application: Bytes }
  | { readonly type: typeof P256; readonly point: Bytes }
  | { readonly type: typeof SK_P256; readonly point: Bytes; readonly application: Bytes };

/** Reads a public key in wire format. Throws `SignerError`. */
export function parseKey(blob: Uint8Array): PublicKey {
  const fields = new Fields(blob, "not-a-key");
  const key = parseFields(fields.text(), fields);
  fields.end();
  return key;
}

function parseFields(type: string, fields: Fields): PublicKey {
  switch (type) {
    case ED25519:
      return { type, key: sized(fields.string(), 32) };
    case SK_ED25519:
      return { type, key: sized(fields.string(), 32), application: fields.string() };
    case P256:
      return { type, point: point(fields) };
    case SK_P256:
      return { type, point: point(fields), application: fields.string() };
    default:
      return refuse("key-type");
  }
}

function sized(bytes: Bytes, length: number): Bytes {
  return bytes.length === length ? bytes : refuse("not-a-key");
}

/** An uncompressed point of the curve. */
function point(fields: Fields): Bytes {
  if (fields.text() !== CURVE) refuse("key-type");
  const bytes = sized(fields.string(), 1 + 2 * COORDINATE_BYTES);
  return bytes[0] === 4 ? bytes : refuse("not-a-key");
}

/** An Ed25519 key in wire format. */
export function ed25519Blob(key: Uint8Array): Bytes {
  return concat(string(utf8(ED25519)), string(key));
}

/** A P-256 key in wire format, from its uncompressed point. */
export function p256Blob(uncompressed: Uint8Array): Bytes {
  return concat(string(utf8(P256)), string(utf8(CURVE)), string(uncompressed));
}

/** An ES256 passkey in wire format, from its uncompressed point and RP ID. */
export function skP256Blob(uncompressed: Uint8Array, rpId: string): Bytes {
  return concat(string(utf8(SK_P256)), string(utf8(CURVE)), string(uncompressed), string(utf8(rpId)));
}

/** An EdDSA passkey in wire format. */
export function skEd25519Blob(key: Uint8Array, rpId: string): Bytes {
  return concat(string(utf8(SK_ED25519)), string(key), string(utf8(rpId)));
}

/** As a line of `authorized_keys`, without comment. */
export function openssh(blob: Uint8Array): string {
  return `${parseKey(blob).type} ${base64(blob)}`;
}

/** Reads a line of `authorized_keys`; what stands behind the key is ignored. Throws `SignerError`. */
export function parseOpenssh(line: string): Bytes {
  const [type = "", text = ""] = line.split(" ");
  const blob = unbase64url(text.replace(/=+$/, "").replaceAll("+", "-").replaceAll("/", "_"));
  if (blob === undefined || parseKey(blob).type !== type) return refuse("not-a-key");
  return blob;
}

/** `SHA256:…` as `ssh-keygen -lf` prints it. */
export function fingerprint(blob: Uint8Array): string {
  return fingerprintOf(keyOf(blob));
}

/** The fingerprint of a key whose id is known. */
export function fingerprintOf(id: Uint8Array): string {
  return `SHA256:${base64(id).replace(/=+$/, "")}`;
}

type HashName = "sha512" | "sha256";

async function digest(hash: HashName, message: Uint8Array): Promise<Bytes> {
  const name = hash === "sha512" ? "SHA-512" : "SHA-256";
  return new Uint8Array(await crypto.subtle.digest(name, Uint8Array.from(message)));
}

function about(namespace: string, hash: HashName): Bytes {
  return concat(string(utf8(namespace)), string(new Uint8Array(0)), string(utf8(hash)));
}

async function signedData(namespace: string, hash: HashName, message: Uint8Array): Promise<Bytes> {
  return concat(MAGIC, about(namespace, hash), string(await digest(hash, message)));
}

/** Signs with a WebCrypto P-256 key whose public half is `blob`; returns a binary SSHSIG. */
export async function signP256(
  key: CryptoKey,
  blob: Uint8Array,
  namespace: string,
  message: Uint8Array,
): Promise<Bytes> {
  const data = await signedData(namespace, "sha512", message);
  const raw = new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, data));
  const pair = concat(mpint(raw.subarray(0, COORDINATE_BYTES)), mpint(raw.subarray(COORDINATE_BYTES)));
  return assemble(blob, namespace, concat(string(utf8(P256)), string(pair)));
}

/** The same with a WebCrypto Ed25519 key. */
export async function signEd25519(
  key: CryptoKey,
  blob: Uint8Array,
  namespace: string,
  message: Uint8Array,
): Promise<Bytes> {
  const data = await signedData(namespace, "sha512", message);
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", key, data));
  return assemble(blob, namespace, concat(string(utf8(ED25519)), string(signature)));
}

/**
 * An Ed25519 key as the file that `ssh-keygen` writes without a passphrase (PROTOCOL.key of OpenSSH). `check`: any number,
 * there twice.
 */
export function privateKeyFile(
  seed: Uint8Array,
  open: Uint8Array,
  comment: string,
  check: Uint8Array,
): string {
  const blob = ed25519Blob(open);
  const secret = concat(check, check, blob, string(concat(seed, open)), string(utf8(comment)));
  const padding = Uint8Array.from({ length: -secret.length & 7 }, (_, at) => at + 1);
  const none = string(utf8("none"));
  const body = concat(
    utf8("openssh-key-v1\0"),
    none,
    none,
    string(new Uint8Array(0)),
    uint(1, 4),
    string(blob),
    string(concat(secret, padding)),
  );
  const lines = base64(body).match(/.{1,70}/g) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join("\n")}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

/** A binary SSHSIG around `string algorithm | string signature`. */
function assemble(blob: Uint8Array, namespace: string, signature: Uint8Array): Bytes {
  return concat(MAGIC, uint(1, 4), string(blob), about(namespace, "sha512"), string(signature));
}

/** A positive number: no leading zeroes, but one before a first bit that is set. */
function mpint(bytes: Uint8Array): Bytes {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? new Uint8Array(0) : bytes.subarray(first);
  return string((digits[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), digits) : digits);
}

/** Checks a binary SSHSIG over `message` by the key with that wire format. Throws `SignerError`. */
export async function verify(
  blob: Uint8Array,
  namespace: string,
  message: Uint8Array,
  sshsig: Uint8Array,
): Promise<void> {
  if (sshsig.length > SIGNATURE_BYTES_MAX) refuse("malformed");
  const key = parseKey(blob);
  const fields = new Fields(sshsig, "malformed");
  if (!equal(fields.raw(MAGIC.length), MAGIC) || fields.number() !== 1) refuse("malformed");
  if (!equal(fields.string(), blob)) refuse("other-key");
  const said = fields.string();
  if (said.length === 0 || fields.string().length !== 0) refuse("malformed");
  const hash = hashName(fields.text());
  const signature = fields.string();
  fields.end();
  if (!equal(said, utf8(namespace))) refuse("wrong");
  await verifySignature(key, await signedData(namespace, hash, message), signature);
}

/** Whose key a binary SSHSIG names: for asking about it, never for believing it. */
export function signerOf(sshsig: Uint8Array): Bytes | undefined {
  try {
    const fields = new Fields(sshsig, "malformed");
    if (!equal(fields.raw(MAGIC.length), MAGIC) || fields.number() !== 1) return undefined;
    const blob = fields.string();
    parseKey(blob);
    return keyOf(blob);
  } catch {
    return undefined;
  }
}

function hashName(name: string): HashName {
  return name === "sha512" || name === "sha256" ? name : refuse("malformed");
}

async function verifySignature(key: PublicKey, data: Bytes, signature: Bytes): Promise<void> {
  const fields = new Fields(signature, "malformed");
  const algorithm = fields.text();
  const bytes = fields.string();
  if (algorithm !== key.type || key.type === SK_P256) refuse("malformed");
  if (key.type === SK_ED25519) return verifyTouched(key, data, fields, bytes);
  fields.end();
  const good =
    key.type === ED25519
      ? await verifyEd25519(key.key, data, signature64(bytes))
      : await verifyPair(key.point, data, bytes);
  if (!good) refuse("wrong");
}

/** A hardware key signs `sha256(application) | flags | counter | sha256(data)`. */
async function verifyTouched(
  key: { readonly key: Bytes; readonly application: Bytes },
  data: Bytes,
  fields: Fields,
  bytes: Bytes,
): Promise<void> {
  const trailer = fields.raw(5);
  fields.end();
  const signed = concat(sha256(key.application), trailer, sha256(data));
  if (!(await verifyEd25519(key.key, signed, signature64(bytes)))) refuse("wrong");
  if (((trailer[0] ?? 0) & USER_PRESENT) === 0) refuse("not-touched");
}

function signature64(bytes: Bytes): Bytes {
  return bytes.length === 64 ? bytes : refuse("malformed");
}

async function verifyPair(uncompressed: Bytes, data: Bytes, pair: Bytes): Promise<boolean> {
  const fields = new Fields(pair, "malformed");
  const raw = concat(coordinate(fields.string()), coordinate(fields.string()));
  fields.end();
  return verifyP256(uncompressed, data, raw);
}

/** Whether a signature `r | s` by the key at this point holds. */
export async function verifyP256(uncompressed: Bytes, data: Bytes, raw: Bytes): Promise<boolean> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const imported = crypto.subtle.importKey("raw", uncompressed, algorithm, false, ["verify"]);
  const key = await imported.catch(() => refuse("wrong"));
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, raw, data);
}

/** A positive number in its one form, with leading zeroes to the length of a coordinate. */
function coordinate(number: Bytes): Bytes {
  const [first = 0, second = 0x80] = number;
  if (first >= 0x80 || (first === 0 && (number.length < 2 || second < 0x80))) refuse("malformed");
  const digits = first === 0 ? number.subarray(1) : number;
  if (digits.length > COORDINATE_BYTES) refuse("malformed");
  return concat(new Uint8Array(COORDINATE_BYTES - digits.length), digits);
}
