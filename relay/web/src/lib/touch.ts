// The one question before a passkey signs: what it will sign is shown by the page, then the browser asks for the touch.
//
// One at a time, in the order of asking. Never: a touch that was asked for without the person's yes to the question.

import { ConsoleError } from "./errors";
import type { Touch, TouchHook } from "./facade";

let hook: TouchHook | undefined;
let turn: Promise<unknown> = Promise.resolve();

/** Installs the page's question. */
export function onTouch(question: TouchHook): void {
  hook = question;
}

/** Asks the person, and at once afterwards calls for the touch. Throws `touch_declined`. */
export function ask<T>(touch: Omit<Touch, "over">, call: () => Promise<T>): Promise<T> {
  const mine = turn.then(
    () => askNow(touch, call),
    () => askNow(touch, call),
  );
  turn = mine.catch(() => undefined);
  return mine;
}

async function askNow<T>(touch: Omit<Touch, "over">, call: () => Promise<T>): Promise<T> {
  let done: () => void = () => undefined;
  const over = new Promise<void>((resolve) => {
    done = resolve;
  });
  try {
    if (hook === undefined || !(await hook({ ...touch, over }))) throw new ConsoleError("touch_declined");
    return await call();
  } finally {
    done();
  }
}
