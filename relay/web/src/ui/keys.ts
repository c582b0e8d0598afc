// Keys that work everywhere outside fields and terminals. Never: a key that a shell might want.
type Action = () => void;

const CHORD_MS = 1500;

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input, textarea, select, dialog, .xterm") !== null;
}

/** `?`, `/` and the pairs that begin with `g`. Returns how to stop. */
export function listenForKeys(actions: Readonly<Record<string, Action>>): () => void {
  let chordAt = Number.NEGATIVE_INFINITY;
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    const chord = event.timeStamp - chordAt < CHORD_MS;
    chordAt = Number.NEGATIVE_INFINITY;
    if (!chord && event.key === "g") {
      chordAt = event.timeStamp;
      return;
    }
    const action = actions[chord ? `g ${event.key}` : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  addEventListener("keydown", onKey);
  return () => removeEventListener("keydown", onKey);
}
