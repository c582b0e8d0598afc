// A shell's first channel: opened together with its visit. Never: a shell whose handshake is not tied to that visit's grant.

import { hex, random } from "./bytes";
import { Channel } from "./channel";
import type { OpenShell } from "./facade";
import { knock, Link, type Passage, remember } from "./link";
import type { Initiated } from "./noise";
import type { FrameStream } from "./stream";
import { ANSWER_MS, bindingOn, type Hands, onStream, openVisit } from "./visit";
import { hold } from "./window";

/** What the terminal of a page is like. */
export const TERM = "xterm-256color";

/** Opens a visit and its shell. Throws `ConsoleError`; nothing was started then. */
export async function open(hands: Hands, wish: OpenShell): Promise<Channel> {
  const channel = random(16);
  const note = { purpose: "shell", channel: hex(channel) } as const;
  const work = async (stream: FrameStream): Promise<Channel> => {
    const { user, seconds, reason, ticket } = wish;
    const what = { kind: "visit", user, seconds, reason, ticket } as const;
    let first: { passage: Passage; initiated: Initiated } | undefined;
    const visit = { ...wish, scopes: [{ shell: { user } }], what };
    const { endsInSecs } = await openVisit(stream, hands, visit, async (ground) => {
      const { server, visit: id, ours, theirs } = ground;
      const request = { user, attach: false, abandoned: [], term: TERM, lang: "", argv: [] };
      const binding = bindingOn(ground, "shell", channel);
      const passage = { server, visit: id, binding, ours, theirs, request };
      const { initiated, frame } = await knock(passage, undefined, []);
      first = { passage, initiated };
      return frame;
    });
    if (first === undefined) throw new Error("no handshake was made");
    const { passage, initiated } = first;
    const { link, handed } = await Link.finish(stream, initiated, await stream.next(ANSWER_MS));
    const start = {
      passage,
      account: hands.account,
      tenant: hex(hands.trust.log.tenant),
      user,
      size: { cols: wish.cols, rows: wish.rows },
      endsInSecs,
      unanswered: remember([], initiated.ephemeral),
      release: (await hold(hex(channel))) ?? (() => undefined),
      received: 0,
      joins: false,
    };
    return Channel.begin(start, link, handed);
  };
  return onStream(wish.server.id, note, work, wish.signal);
}
