// The question before a passkey signs: asked here, answered by the dialogue that App shows. One at a time.
import type { Touch } from "../lib/facade";
import { facade } from "./facade";
import type TouchMore from "./parts/TouchMore.svelte";
import { roomWords } from "./words.svelte";

interface Asked {
  readonly touch: Touch;
  readonly answer: (yes: boolean) => void;
  /** What draws all that goes beyond a visit. */
  readonly More: typeof TouchMore | undefined;
}

let asked = $state.raw<Asked | undefined>();

export function askedTouch(): Asked | undefined {
  return asked;
}

/** Installs the question; once, at the start. */
export function askBeforeTouches(): void {
  facade().onTouch(async (touch) => {
    // What opening a terminal is asked with is there from the beginning.
    const More = touch.what.kind === "visit" ? undefined : await more();
    return new Promise<boolean>((resolve) => {
      asked = { touch, answer: resolve, More };
      void touch.over.finally(() => {
        if (asked?.touch === touch) asked = undefined;
      });
    });
  });
}

async function more(): Promise<typeof TouchMore> {
  return (await Promise.all([import("./parts/TouchMore.svelte"), roomWords()]))[0].default;
}
