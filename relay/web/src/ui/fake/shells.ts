// Shells of the made-up world, one's own and watched ones.
import type { Screen, Shell, ShellState, Watched } from "../../lib/facade";

type Show = (bytes: Uint8Array, drawn: () => void, past: boolean) => void;

/** A screen that tests print to and whose state they change. */
class FakeScreen implements Screen {
  state: ShellState = { kind: "connected", rttMs: 23 };
  drawn = 0;
  #states: ((state: ShellState) => void)[] = [];
  #show: Show | undefined;
  #early: string[] = [];

  constructor(
    readonly id: string,
    readonly server: string,
    readonly user: string,
    readonly endsAt: number,
  ) {}

  onState(listen: (state: ShellState) => void): () => void {
    this.#states.push(listen);
    return () => {
      this.#states = this.#states.filter((one) => one !== listen);
    };
  }

  onOutput(listen: Show): () => void {
    this.#show = listen;
    for (const text of this.#early.splice(0)) this.print(text);
    return () => {
      this.#show = undefined;
    };
  }

  print(text: string): void {
    if (!this.#show) {
      this.#early.push(text);
      return;
    }
    this.#show(
      new TextEncoder().encode(text),
      () => {
        this.drawn += 1;
      },
      false,
    );
  }

  become(state: ShellState): void {
    if (state.kind !== "skipped") this.state = state;
    for (const listen of this.#states) listen(state);
  }
}

/** Tells who watches, at once and with every change. */
class Names {
  #names: readonly string[] = [];
  #listen: ((names: readonly string[]) => void)[] = [];

  become(names: readonly string[]): void {
    this.#names = names;
    for (const listen of this.#listen) listen(names);
  }

  on(listen: (names: readonly string[]) => void): () => void {
    this.#listen.push(listen);
    listen(this.#names);
    return () => {
      this.#listen = this.#listen.filter((one) => one !== listen);
    };
  }
}

export class FakeShell extends FakeScreen implements Shell {
  readonly notice = undefined;
  readonly typed: string[] = [];
  readonly watchers = new Names();

  onWatchers(listen: (names: readonly string[]) => void): () => void {
    return this.watchers.on(listen);
  }

  input(bytes: Uint8Array): void {
    const text = new TextDecoder().decode(bytes);
    this.typed.push(text);
    this.print(
      text.replaceAll("\r", "\r\n\x1b[32mdeploy@web-1\x1b[0m:\x1b[34m~\x1b[0m$ ").replaceAll("\x7f", "\b \b"),
    );
  }

  readonly unapplied = 0;

  resize(): void {}

  detach(): void {
    this.become({ kind: "ended", reason: "left" });
  }

  end(): void {
    this.become({ kind: "ended", reason: "closed", exit: { code: 0 } });
  }
}

export class FakeWatched extends FakeScreen implements Watched {
  readonly watchers = new Names();
  left = false;

  constructor(
    id: string,
    server: string,
    user: string,
    endsAt: number,
    readonly engineer: string,
    readonly visit: string,
  ) {
    super(id, server, user, endsAt);
  }

  onSize(listen: (size: { cols: number; rows: number }) => void): () => void {
    listen({ cols: 100, rows: 28 });
    return () => {};
  }

  onWatchers(listen: (names: readonly string[]) => void): () => void {
    return this.watchers.on(listen);
  }

  leave(): void {
    this.left = true;
  }
}

/** What a terminal shows there. */
export const SCREEN = [
  "\x1b]2;deploy@web-1: ~\x07",
  "Last login: Wed Nov 25 08:14:02 2026\r\n",
  "\x1b[32mdeploy@web-1\x1b[0m:\x1b[34m~\x1b[0m$ systemctl status nginx\r\n",
  "\x1b[32m●\x1b[0m nginx.service - A high performance web server\r\n",
  "     Loaded: loaded (/lib/systemd/system/nginx.service; \x1b[1;32menabled\x1b[0m)\r\n",
  "     Active: \x1b[1;32mactive (running)\x1b[0m since Wed 2026-11-25 05:11:38 UTC; 3h ago\r\n",
  "     CGroup: /system.slice/nginx.service\r\n",
  '             ├─ 811 "nginx: master process"\r\n',
  '             └─ 812 "nginx: worker process"\r\n\r\n',
  "\x1b[33mwarning:\x1b[0m upstream 10.0.0.12 timed out  \x1b[31merror 504\x1b[0m  \x1b[36m诊断完成 ✓\x1b[0m\r\n",
  "┌──────────┬────────┐\r\n│ backend  │ check  │\r\n├──────────┼────────┤\r\n│ web-1    │ \x1b[32mup\x1b[0m     │\r\n",
  "│ web-2    │ \x1b[31mdown\x1b[0m   │\r\n└──────────┴────────┘\r\n",
  "See \x1b]8;;https://wiki.acme.example/runbook\x07the runbook\x1b]8;;\x07.\r\n",
  "\x1b[32mdeploy@web-1\x1b[0m:\x1b[34m~\x1b[0m$ ",
].join("");
