// What a mark on the time axis looks like: a shape of its own for each kind, the same on the canvas and in the list, so that
// kinds can be told apart without colour. Never: a colour without a shape.

export type Mark = "check" | "visit" | "mark" | "restart" | "package" | "service" | "failed" | "kill";

/** As an SVG path in a box of 10 by 10. */
export const SHAPES: Record<Mark, string> = {
  check: "M5 1a4 4 0 1 0 0 8a4 4 0 1 0 0-8z",
  visit: "M1 1h8v8h-8z",
  mark: "M1 1h8L5 9z",
  restart: "M5 1L9 9H1z",
  package: "M5 0L10 5L5 10L0 5z",
  service: "M1 1L9 5L1 9z",
  failed: "M1 1h8v8h-8zM3 4h4v2h-4z",
  kill: "M2 0L5 3L8 0L10 2L7 5L10 8L8 10L5 7L2 10L0 8L3 5L0 2z",
};

/** Only its outline is drawn. */
export const HOLLOW: readonly Mark[] = ["mark"];
/** What hurts is red besides. */
export const HURTS: readonly Mark[] = ["restart", "failed", "kill"];
