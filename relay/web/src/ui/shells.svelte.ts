// The open terminals. They outlive the page that shows them: going to the list and back loses nothing.
import type { Sentence } from "../lib/errors";
import type { OpenShell, Server, Shell, ShellState } from "../lib/facade";
import { facade } from "./facade";
import { dark, fontSize, predicts } from "./settings.svelte";
import type { Hooks, Looks, TerminalView } from "./terminal/view";
import { t } from "./words.svelte";

/** One terminal of a server: its shell and what it is drawn with. */
export class Tab {
  readonly shell: Shell;
  state = $state.raw<ShellState>({ kind: "reconnecting", since: Date.now() });
  title = $state("");
  /** Bytes that were left out since somebody last looked. */
  skipped = $state(0);
  /** What the server told at the start. */
  notice = $state.raw<Sentence | undefined>();
  /** Who watches it now. */
  watchers = $state.raw<readonly string[]>([]);
  view: TerminalView | undefined;
  readonly #stops: readonly (() => void)[];

  constructor(shell: Shell) {
    this.shell = shell;
    this.state = shell.state;
    this.notice = shell.notice;
    const stop = shell.onState((state) => {
      if (state.kind === "skipped") this.skipped += state.bytes;
      else this.state = state;
      this.notice ??= shell.notice;
    });
    const unwatch = shell.onWatchers?.((names) => {
      this.watchers = names;
    });
    this.#stops = unwatch ? [stop, unwatch] : [stop];
  }

  get ended(): boolean {
    return this.state.kind === "ended";
  }

  dispose(): void {
    for (const stop of this.#stops) stop();
    this.view?.dispose();
  }
}

const tabs = $state<Record<string, Tab[]>>({});
const resumed = new Set<string>();

export function tabsOf(server: string): readonly Tab[] {
  return tabs[server] ?? [];
}

/** Takes up what this browser had open there before a reload; once. Returns what it found. */
export async function resume(server: Server): Promise<readonly Tab[]> {
  if (resumed.has(server.id)) return tabsOf(server.id);
  resumed.add(server.id);
  try {
    for (const shell of await facade().resumeShells(server)) {
      if (!tabsOf(server.id).some((tab) => tab.shell.id === shell.id)) keep(new Tab(shell));
    }
  } catch (error) {
    resumed.delete(server.id);
    throw error;
  }
  return tabsOf(server.id);
}

export async function open(wish: OpenShell): Promise<Tab> {
  return keep(new Tab(await facade().openShell(wish)));
}

/** Leaves a shell running; the next look at this server finds it again. */
export function detach(tab: Tab): void {
  tab.shell.detach();
  resumed.delete(tab.shell.server);
  close(tab);
}

export function close(tab: Tab): void {
  const list = tabs[tab.shell.server] ?? [];
  tabs[tab.shell.server] = list.filter((one) => one !== tab);
  tab.dispose();
}

function keep(tab: Tab): Tab {
  const { server } = tab.shell;
  tabs[server] = [...(tabs[server] ?? []), tab];
  return tab;
}

/** For signing out: whoever comes next sees nothing of them. The shells go on until their time is up. */
export function leaveAll(): void {
  for (const tab of Object.values(tabs).flat()) {
    if (!tab.ended) tab.shell.detach();
    close(tab);
  }
  resumed.clear();
}

/** Shows a tab's terminal in an element; the terminal's code comes with the first one. */
export async function show(tab: Tab, parent: HTMLElement, hooks: Hooks): Promise<TerminalView> {
  const { TerminalView, fontsReady } = await terminalCode();
  await fontsReady();
  tab.view ??= new TerminalView(tab.shell, looks(), hooks);
  tab.view.attach(parent, hooks);
  return tab.view;
}

export function terminalCode(): Promise<typeof import("./terminal/view")> {
  return import("./terminal/view");
}

export function looks(): Looks {
  return { dark: dark(), font: fontSize(), predicts: predicts(), label: t("terminal-label") };
}
