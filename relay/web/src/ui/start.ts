// Puts the pages into the document, on top of whatever library it is given.
import { mount } from "svelte";
import App from "../App.svelte";
import type { Facade } from "../lib/facade";
import "../theme.css";
import { useFacade } from "./facade";
import { fetchNamed } from "./rooms";
import { begin, failed } from "./session.svelte";
import { askBeforeTouches } from "./touch.svelte";
import { words } from "./words.svelte";

export async function start(connect: () => Promise<Facade>): Promise<void> {
  const target = document.getElementById("app");
  if (!target) return;
  await words();
  mount(App, { target });
  fetchNamed();
  try {
    useFacade(await connect());
    askBeforeTouches();
  } catch (error) {
    failed(error);
    return;
  }
  await begin();
}
