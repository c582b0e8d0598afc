// Errors as ids and values: code matches on the id, pages make the sentence. Never: a sentence in code.

import type english from "./messages.en.json";

/** Ids of the sentences in messages.en.json and messages.zh.json. */
export type MessageId = keyof typeof english;

/** What a sentence names. Strangers' texts among them: pages escape what they show. */
export type Values = Readonly<Record<string, string | number>>;

/** Something did not work. Whatever the id says, nothing was started unless a shell was returned. */
export class ConsoleError extends Error {
  override readonly name = "ConsoleError";

  constructor(
    readonly id: MessageId,
    readonly values: Values = {},
  ) {
    super(`${id} ${JSON.stringify(values)}`);
  }
}
