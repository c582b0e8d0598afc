// One sealed link of a shell, or of a look at one: a stream through the relay with the keys of its handshake.
//
// A handshake is made for exactly one visit, channel, kind and resume secret. Never: a message that is not sealed, or an
// old secret once a newer one was handed out.

import { RelayError } from "./api";
import { type Bytes, hex } from "./bytes";
import { ConsoleError, type MessageId, oneLine, type Sentence } from "./errors";
import { type Frame, encode as frame, Kind, kindName, message } from "./frame";
import { ABANDONED_MAX, GREETING_BYTES_MAX } from "./limits";
import {
  type Binding,
  Broken,
  type ExchangePair,
  exchangePair,
  type Handed,
  type Initiated,
  initiate,
  type Sealed,
} from "./noise";
import { type Codec, pack, unpack } from "./pack";
import {
  decode,
  encode,
  type OpenRequest,
  openRequest,
  SessionError,
  type ToClient,
  type ToHolder,
} from "./session";
import { FrameStream, StreamError, type StreamNote } from "./stream";
import { channelReply, handed, openChannel, type Refused, refused, type Told } from "./wire";

/** A handshake is two messages; a server that needs longer is not there. */
const HANDSHAKE_MS = 10_000;
/** Longest id of a refusal: a stranger's text. */
const CODE_CHARS_MAX = 64;

/** A link that is no more, or did not come about. */
export class Cut extends Error {
  constructor(
    /** Another try may work. */
    readonly passing: boolean,
    readonly error: ConsoleError,
    /** The refusal's code, when the server refused. */
    readonly refusal?: string,
  ) {
    super(error.id);
  }

  /** The relay asked to wait: this account opened too many streams. */
  get isLimit(): boolean {
    const [why] = this.error.args;
    return this.error.id === "too_many_tries" || (typeof why === "object" && why.id === "close_4429");
  }

  /** Whatever was thrown, as a cut; bugs stay what they are. */
  static of(error: unknown): Cut {
    if (error instanceof Cut) return error;
    if (error instanceof RelayError || error instanceof StreamError) return new Cut(error.mayPass, error);
    if (error instanceof Broken) return new Cut(false, new ConsoleError("handshake_broken"));
    if (error instanceof ConsoleError) return new Cut(false, error);
    throw error;
  }
}

/** What the server tells. A newer server's id has no words here; `say` has some for that. */
export function toldSentence(told: Told): Sentence {
  // Through an error, which makes values safe for one line.
  return new ConsoleError(idOf("told", told.code), ...told.values.slice(0, 4));
}

/** A refusal as a sentence. */
export function refusal(said: Refused): ConsoleError {
  return new ConsoleError(
    idOf("refusal", said.code),
    said.told === null ? said.detail : toldSentence(said.told),
  );
}

function idOf(family: "told" | "refusal", code: string): MessageId {
  return `${family}_${oneLine(code, CODE_CHARS_MAX).replaceAll("-", "_")}` as MessageId;
}

/** Reads a frame's body; what is not one ends the visit. */
export function body<T>(codec: Codec<T>, found: Frame, max = GREETING_BYTES_MAX): T {
  try {
    return unpack(codec, found.body, max);
  } catch {
    throw outOfTurn(found);
  }
}

export function outOfTurn(found: Frame): ConsoleError {
  return new ConsoleError("out_of_turn", kindName(found.kind));
}

function unexpected(found: Frame): Cut {
  if (found.kind !== Kind.Refused) return new Cut(false, outOfTurn(found));
  const said = body(refused, found);
  return new Cut(said.code === "guard-away" || said.code === "busy", refusal(said), said.code);
}

/** Everything that every handshake of one shell needs. */
export interface Passage {
  /** Agent id in hexadecimal. */
  readonly server: string;
  readonly visit: Bytes;
  readonly binding: Binding;
  readonly ours: ExchangePair;
  readonly theirs: Bytes;
  readonly request: OpenRequest;
}

/** Starts a handshake; `abandoned` are those that were never answered. */
export async function knock(
  passage: Passage,
  resume: Handed | undefined,
  abandoned: readonly Bytes[],
): Promise<{ readonly initiated: Initiated; readonly frame: Bytes }> {
  const payload = pack(openRequest, { ...passage.request, abandoned });
  const { binding, ours, theirs, visit } = passage;
  const initiated = await initiate(binding, ours, theirs, resume, await exchangePair(), payload);
  const open = {
    visit,
    channel: binding.channel,
    kind: binding.kind,
    resume: resume?.index ?? 0,
    first: initiated.first,
  };
  return { initiated, frame: message(Kind.OpenChannel, openChannel, open) };
}

function purposeOf(kind: Binding["kind"], resume: Handed | undefined): StreamNote["purpose"] {
  if (kind === "watch") return "watch";
  return resume === undefined ? "shell" : "attach";
}

/** Adds a handshake to those that were never answered. */
export function remember(unanswered: readonly Bytes[], ephemeral: Bytes): readonly Bytes[] {
  return [...unanswered, ephemeral].slice(-ABANDONED_MAX);
}

/** An open link. */
export class Link {
  private constructor(
    readonly stream: FrameStream,
    private readonly sealed: Sealed,
  ) {}

  /** Ends a handshake with the holder's answer. */
  static async finish(
    stream: FrameStream,
    initiated: Initiated,
    reply: Frame,
  ): Promise<{ readonly link: Link; readonly handed: Handed }> {
    if (reply.kind !== Kind.ChannelReply) throw unexpected(reply);
    const { sealed, payload } = await initiated.finish(body(channelReply, reply).second);
    let secret: Handed;
    try {
      secret = unpack(handed, payload, GREETING_BYTES_MAX);
    } catch {
      throw new Broken();
    }
    return { link: new Link(stream, sealed), handed: secret };
  }

  /**
   * A new link, with the newest secret that is known. `noted` keeps the handshake before it is sent. Throws once `signal`
   * takes it back.
   */
  static async dial(
    passage: Passage,
    resume: Handed | undefined,
    unanswered: readonly Bytes[],
    noted: (ephemeral: Bytes) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ readonly link: Link; readonly handed: Handed }> {
    const purpose = purposeOf(passage.binding.kind, resume);
    const note = { purpose, channel: hex(passage.binding.channel), visit: hex(passage.visit) } as const;
    const stream = await FrameStream.open(passage.server, note);
    const abandon = () => stream.abandon();
    signal.addEventListener("abort", abandon);
    try {
      signal.throwIfAborted();
      const { initiated, frame } = await knock(passage, resume, unanswered);
      await noted(initiated.ephemeral);
      stream.send(frame);
      return await Link.finish(stream, initiated, await stream.next(HANDSHAKE_MS));
    } catch (error) {
      stream.leave();
      throw error;
    } finally {
      signal.removeEventListener("abort", abandon);
    }
  }

  /** Seals a message and sends it. */
  say(said: ToHolder): void {
    this.stream.send(frame(Kind.Record, this.sealed.seal(encode(said))));
  }

  /** The holder's next message that is here. Throws `Cut`. */
  take(): ToClient | undefined {
    let found: Frame | undefined;
    try {
      found = this.stream.take();
    } catch (error) {
      throw Cut.of(error);
    }
    if (found === undefined) return undefined;
    if (found.kind !== Kind.Record) throw unexpected(found);
    return this.open(found.body);
  }

  private open(record: Bytes): ToClient {
    let plain: Uint8Array;
    try {
      plain = this.sealed.open(record);
    } catch {
      // Somebody on the way changed, dropped or repeated a record: nothing of it is shown, and the next handshake
      // proves again who is there.
      throw new Cut(true, new ConsoleError("handshake_broken"));
    }
    try {
      return decode(plain);
    } catch (error) {
      throw error instanceof SessionError
        ? new Cut(false, new ConsoleError("channel_integrity", error.message))
        : error;
    }
  }
}
