// The console's first line of code: the real library and the pages meet here, and nowhere else.
import { mount } from "svelte";
import App from "./App.svelte";
import { api, openShell, ready, resumeShells, trust } from "./lib/console";
import "./theme.css";
import { useFacade } from "./ui/facade";

const target = document.getElementById("app");
if (target) {
  useFacade({ api, trust, openShell, resumeShells, ready });
  mount(App, { target });
}
