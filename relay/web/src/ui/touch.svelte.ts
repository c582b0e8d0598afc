// The question before a passkey signs: asked here, answered by the dialogue that App shows. One at a time.
import type { Touch } from "../lib/facade";
import { facade } from "./facade";
import { roomWords } from "./words.svelte";

interface Asked {
  readonly touch: Touch;
  readonly answer: (yes: boolean) => void;
}

let asked = $state.raw<Asked | undefined>();

export function askedTouch(): Asked | undefined {
  return asked;
}

/** Installs the question; once, at the start. */
export function askBeforeTouches(): void {
  facade().onTouch(async (touch) => {
    // What opening a terminal is asked with is there from the beginning.
    if (touch.what.kind !== "visit") await roomWords();
    return new Promise<boolean>((resolve) => {
      asked = { touch, answer: resolve };
      void touch.over.finally(() => {
        if (asked?.touch === touch) asked = undefined;
      });
    });
  });
}
