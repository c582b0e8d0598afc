// How lines differ besides their colour: as dashes, for the canvas and for the legend.
export const PATTERNS: readonly (readonly number[])[] = [
  [],
  [7, 4],
  [2, 3],
  [10, 3, 2, 3],
  [4, 2],
  [12, 4],
  [2, 2, 8, 2],
  [1, 4],
];
