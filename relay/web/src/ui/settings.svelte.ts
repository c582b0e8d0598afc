// What a person chose for this browser: theme, size of the terminal's text, and whether typed letters wait for the server.
export type Theme = "auto" | "light" | "dark";

export const FONT_MIN = 9;
export const FONT_MAX = 28;
const KEPT_THEME = "cloud-doctor.theme";
const KEPT_FONT = "cloud-doctor.font";
const KEPT_PREDICTS = "cloud-doctor.predicts";

function keptTheme(): Theme {
  const kept = localStorage.getItem(KEPT_THEME);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

function inRange(size: number): number {
  return Number.isFinite(size) ? Math.min(FONT_MAX, Math.max(FONT_MIN, Math.round(size))) : 14;
}

const system = matchMedia("(prefers-color-scheme: dark)");
const room = matchMedia("(min-width: 64rem)");
const state = $state({
  theme: keptTheme(),
  font: inRange(Number(localStorage.getItem(KEPT_FONT) ?? 14)),
  predicts: localStorage.getItem(KEPT_PREDICTS) !== "no",
  systemDark: system.matches,
  wide: room.matches,
});

system.addEventListener("change", (event) => {
  state.systemDark = event.matches;
});

room.addEventListener("change", (event) => {
  state.wide = event.matches;
});

/** The window has room for something beside a terminal. */
export function wide(): boolean {
  return state.wide;
}

export function theme(): Theme {
  return state.theme;
}

export function dark(): boolean {
  return state.theme === "auto" ? state.systemDark : state.theme === "dark";
}

export function setTheme(theme: Theme): void {
  state.theme = theme;
  localStorage.setItem(KEPT_THEME, theme);
}

export function fontSize(): number {
  return state.font;
}

export function setFontSize(size: number): void {
  state.font = inRange(size);
  localStorage.setItem(KEPT_FONT, String(state.font));
}

/** What is typed is drawn before the server has echoed it. */
export function predicts(): boolean {
  return state.predicts;
}

export function setPredicts(predicts: boolean): void {
  state.predicts = predicts;
  localStorage.setItem(KEPT_PREDICTS, predicts ? "yes" : "no");
}
