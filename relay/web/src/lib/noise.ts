// Noise KK and KKpsk0 (25519, ChaChaPoly, SHA256), the initiator's half, exactly as proto/src/channel.rs through snow.
//
// The private keys are WebCrypto's and never leave it; hashing and sealing are @noble's. The prologue ties a handshake to
// version, challenge, grant, channel kind, channel and resume index. Never: a way to send unsealed, or a number used twice.

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as hasher } from "@noble/hashes/sha2.js";
import { type Bytes, concat, uint, utf8 } from "./bytes";
import { sha256 } from "./ids";
import { RECORD_BYTES_MAX } from "./limits";

const FIRST = "Noise_KK_25519_ChaChaPoly_SHA256";
const RESUME = "Noise_KKpsk0_25519_ChaChaPoly_SHA256";
const TAG_BYTES = 16;
const KEY_BYTES = 32;
/** Largest Noise message. */
const MESSAGE_BYTES_MAX = 65_535;

/** The other side is not who it must be, or bytes were changed on the way. Says no more on purpose. */
export class Broken extends Error {}

/** A private key that WebCrypto keeps, with its public half. */
export interface ExchangePair {
  readonly secret: CryptoKey;
  readonly open: Bytes;
}

export type ChannelKind = "shell" | "exec" | "watch" | "ask";

/** Their numbers in the prologue. */
const KINDS: Readonly<Record<ChannelKind, number>> = { shell: 1, exec: 2, watch: 3, ask: 4 };

/** Everything that a handshake is tied to. */
export interface Binding {
  readonly version: number;
  readonly challenge: Bytes;
  readonly grant: Bytes;
  readonly kind: ChannelKind;
  readonly channel: Bytes;
}

/** The secret that the last handshake handed out, and its number; none under number 0. */
export interface Handed {
  readonly index: number;
  readonly secret: Bytes;
}

/** A new X25519 key that cannot be read out. */
export async function exchangePair(): Promise<ExchangePair> {
  const pair = await crypto.subtle.generateKey({ name: "X25519" }, false, ["deriveBits"]);
  if (!("privateKey" in pair)) throw new Broken();
  const open = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { secret: pair.privateKey, open };
}

async function agree(ours: CryptoKey, theirs: Bytes): Promise<Bytes> {
  const open = await crypto.subtle.importKey("raw", theirs, { name: "X25519" }, true, []);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: open }, ours, 256));
}

function prologue(binding: Binding, resume: number): Bytes {
  return concat(
    utf8("cloud-doctor channel\0"),
    uint(binding.version, 2),
    binding.challenge,
    binding.grant,
    Uint8Array.of(KINDS[binding.kind]),
    binding.channel,
    uint(resume, 8),
  );
}

function mac(key: Uint8Array, ...data: readonly Uint8Array[]): Bytes {
  return Uint8Array.from(hmac(hasher, key, concat(...data)));
}

/** Noise's nonce: four zero bytes and the number, little endian. */
function nonce(number: number): Bytes {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(number), true);
  return bytes;
}

/** The symmetric state of a handshake. */
class Symmetric {
  private chain: Bytes;
  private hash: Bytes;
  private key: Bytes | undefined;
  private used = 0;

  constructor(name: string) {
    const bytes = utf8(name);
    this.hash =
      bytes.length <= KEY_BYTES ? concat(bytes, new Uint8Array(KEY_BYTES - bytes.length)) : sha256(bytes);
    this.chain = this.hash;
  }

  mixHash(data: Uint8Array): void {
    this.hash = sha256(this.hash, data);
  }

  private derive(input: Uint8Array): readonly [Bytes, Bytes, Bytes] {
    const temporary = mac(this.chain, input);
    const one = mac(temporary, Uint8Array.of(1));
    const two = mac(temporary, one, Uint8Array.of(2));
    return [one, two, mac(temporary, two, Uint8Array.of(3))];
  }

  mixKey(input: Uint8Array): void {
    const [chain, key] = this.derive(input);
    this.chain = chain;
    this.key = key;
    this.used = 0;
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chain, hash, key] = this.derive(input);
    this.chain = chain;
    this.mixHash(hash);
    this.key = key;
    this.used = 0;
  }

  private cipher(): ReturnType<typeof chacha20poly1305> {
    if (this.key === undefined) throw new Broken();
    return chacha20poly1305(this.key, nonce(this.used++), this.hash);
  }

  seal(plain: Uint8Array): Bytes {
    const sealed = Uint8Array.from(this.cipher().encrypt(plain));
    this.mixHash(sealed);
    return sealed;
  }

  open(sealed: Uint8Array): Bytes {
    const cipher = this.cipher();
    let plain: Bytes;
    try {
      plain = Uint8Array.from(cipher.decrypt(sealed));
    } catch {
      throw new Broken();
    }
    this.mixHash(sealed);
    return plain;
  }

  /** Keys of the channel: to the responder, and from it. */
  split(): readonly [Bytes, Bytes] {
    const [to, from] = this.derive(new Uint8Array(0));
    return [to, from];
  }
}

/** A handshake that waits for the holder's answer. */
export interface Initiated {
  /** The first message; its payload is sealed to the holder's key. */
  readonly first: Bytes;
  /** Our ephemeral key: names this handshake. */
  readonly ephemeral: Bytes;
  /** Reads the answer. Throws `Broken`. */
  finish(reply: Uint8Array): Promise<{ readonly sealed: Sealed; readonly payload: Bytes }>;
}

/** Starts a handshake. `ephemeral` is fresh for each one. */
export async function initiate(
  binding: Binding,
  ours: ExchangePair,
  theirs: Bytes,
  resume: Handed | undefined,
  ephemeral: ExchangePair,
  payload: Uint8Array,
): Promise<Initiated> {
  const state = new Symmetric(resume === undefined ? FIRST : RESUME);
  state.mixHash(prologue(binding, resume?.index ?? 0));
  state.mixHash(ours.open);
  state.mixHash(theirs);
  // -> psk, e, es, ss
  if (resume !== undefined) state.mixKeyAndHash(resume.secret);
  state.mixHash(ephemeral.open);
  if (resume !== undefined) state.mixKey(ephemeral.open);
  state.mixKey(await agree(ephemeral.secret, theirs));
  state.mixKey(await agree(ours.secret, theirs));
  const first = concat(ephemeral.open, state.seal(payload));
  if (first.length > MESSAGE_BYTES_MAX) throw new Broken();
  const finish = async (reply: Uint8Array): Promise<{ sealed: Sealed; payload: Bytes }> => {
    if (reply.length < KEY_BYTES + TAG_BYTES || reply.length > MESSAGE_BYTES_MAX) throw new Broken();
    // <- e, ee, se
    const other = Uint8Array.from(reply.subarray(0, KEY_BYTES));
    state.mixHash(other);
    if (resume !== undefined) state.mixKey(other);
    try {
      state.mixKey(await agree(ephemeral.secret, other));
      state.mixKey(await agree(ours.secret, other));
    } catch {
      // WebCrypto refuses keys of small order.
      throw new Broken();
    }
    const answer = state.open(reply.subarray(KEY_BYTES));
    return { sealed: new Sealed(...state.split()), payload: answer };
  };
  return { first, ephemeral: ephemeral.open, finish };
}

/** An open channel. Records are numbered by both sides: one that is missing, doubled, moved or changed is `Broken`. */
export class Sealed {
  private sent = 0;
  private received = 0;

  constructor(
    private readonly to: Bytes,
    private readonly from: Bytes,
  ) {}

  seal(plain: Uint8Array): Uint8Array {
    if (plain.length + TAG_BYTES > RECORD_BYTES_MAX) throw new Broken();
    return chacha20poly1305(this.to, nonce(this.sent++)).encrypt(plain);
  }

  open(record: Uint8Array): Uint8Array {
    if (record.length < TAG_BYTES) throw new Broken();
    try {
      const plain = chacha20poly1305(this.from, nonce(this.received)).decrypt(record);
      this.received += 1;
      return plain;
    } catch {
      throw new Broken();
    }
  }
}
