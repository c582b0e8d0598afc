// A made-up relay, customer and shell, for looking at the pages and for tests. Never in what is shipped.
import { ConsoleError } from "../lib/errors";
import type { Offered, OpenShell, Server, Shell, ShellState, TrustView } from "../lib/facade";

/** What the made-up world holds; a test changes what it is about. */
export interface World {
  signedIn: boolean;
  pinned: boolean;
  trusted: boolean;
  second: boolean;
  customer: string;
  servers: Server[];
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WORDS = "harbor velvet quantum mirror siren uncle";

function server(n: number, name: string, os: string, more: Partial<Server> = {}): Server {
  const id = n.toString(16).padStart(2, "0").repeat(32);
  return { id, name, trusted: true, hostname: `${name}.acme.example`, os, build: "0.3.0", ...more };
}

export function someServers(now: number): Server[] {
  const online = (hours: number, rttMs: number) => ({ since: now - hours * HOUR, rttMs });
  return [
    server(1, "web-1", "Debian GNU/Linux 12 · 6.1.0-28-amd64 · x86_64", { online: online(3, 23.4) }),
    server(2, "web-2", "Debian GNU/Linux 12 · 6.1.0-28-amd64 · x86_64", { online: online(71, 24.1) }),
    server(3, "lb-1", "AlmaLinux 9.4 · 5.14.0-427.el9 · x86_64", { online: online(500, 19) }),
    server(4, "db-primary", "Ubuntu 24.04.1 LTS · 6.8.0-49-generic · aarch64", {
      lastSeenAt: now - 14 * MINUTE,
    }),
    server(5, "支付网关-01", "openEuler 22.03 LTS · 5.10.0 · x86_64", {
      hostname: "pay-gw-01.bj.acme.example",
      online: online(26, 187),
    }),
    server(6, "spare", "", { hostname: "spare", trusted: false }),
  ];
}

export function someWorld(now: number): World {
  return {
    signedIn: true,
    pinned: true,
    trusted: true,
    second: false,
    customer: "ACME Logistics",
    servers: someServers(now),
  };
}

const key = (letter: string) => `SHA256:${letter.repeat(4)}Zk0q3vJ8m1x2c5b7n9a4s6d8f0g1h3j5k7l9p${letter}`;

function view(world: World, now: number): TrustView {
  return {
    customer: world.customer,
    tenant: "ab".repeat(32),
    entries: 7,
    head: "9f31c04e",
    at: now - 2 * HOUR,
    roots: [{ name: "olga@acme.example", fingerprint: key("O") }],
    people: [
      {
        name: "eve@example.com",
        fingerprint: key("E"),
        role: "engineer",
        kind: "ssh",
        until: now + 60 * 24 * HOUR,
      },
      {
        name: "eve@example.com",
        fingerprint: key("D"),
        role: "engineer",
        kind: "device",
        until: now + 30 * 24 * HOUR,
      },
      { name: "王伟", fingerprint: key("W"), role: "approver", kind: "ssh", until: now + 80 * 24 * HOUR },
    ],
    servers: world.servers.filter((one) => one.trusted).map(({ id, name }) => ({ id, name })),
  };
}

export class FakeShell implements Shell {
  state: ShellState = { kind: "connected", rttMs: 23 };
  readonly notice = undefined;
  readonly typed: string[] = [];
  drawn = 0;
  #states: ((state: ShellState) => void)[] = [];
  #show: ((bytes: Uint8Array, drawn: () => void, past: boolean) => void) | undefined;
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

  onOutput(listen: (bytes: Uint8Array, drawn: () => void, past: boolean) => void): () => void {
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

  input(bytes: Uint8Array): void {
    const text = new TextDecoder().decode(bytes);
    this.typed.push(text);
    this.print(
      text.replaceAll("\r", "\r\n\x1b[32mdeploy@web-1\x1b[0m:\x1b[34m~\x1b[0m$ ").replaceAll("\x7f", "\b \b"),
    );
  }

  resize(): void {}

  detach(): void {
    this.become({ kind: "ended", reason: "left" });
  }

  end(): void {
    this.become({ kind: "ended", reason: "closed", exit: { code: 0 } });
  }
}

const SCREEN = [
  "\x1b]2;deploy@web-1: ~\x07",
  "Last login: Wed Nov 25 08:14:02 2026\r\n",
  "\x1b[32mdeploy@web-1\x1b[0m:\x1b[34m~\x1b[0m$ systemctl status nginx\r\n",
  "\x1b[32m●\x1b[0m nginx.service - A high performance web server\r\n",
  "     Loaded: loaded (/lib/systemd/system/nginx.service; \x1b[1;32menabled\x1b[0m)\r\n",
  "     Active: \x1b[1;32mactive (running)\x1b[0m since Wed 2026-11-25 05:11:38 UTC; 3h ago\r\n",
  "     CGroup: /system.slice/nginx.service\r\n",
  '             ├─ 811 "nginx: master process"\r\n',
  '             └─ 812 "nginx: worker process"\r\n\r\n',
  "\x1b[33mwarning:\x1b[0m upstream 10.0.0.12 timed out  \x1b[31merror 504\x1b[0m  \x1b[36m诊断完成 ✓\x1b[0m 👩‍💻\r\n",
  "┌──────────┬────────┐\r\n│ backend  │ check  │\r\n├──────────┼────────┤\r\n│ web-1    │ \x1b[32mup\x1b[0m     │\r\n",
  "│ web-2    │ \x1b[31mdown\x1b[0m   │\r\n└──────────┴────────┘\r\n",
  "See \x1b]8;;https://wiki.acme.example/runbook\x07the runbook\x1b]8;;\x07.\r\n",
  "\x1b[32mdeploy@web-1\x1b[0m:\x1b[34m~\x1b[0m$ ",
].join("");

/** The facade over such a world, and the shells that were opened through it. */
export function fake(world: World): { facade: Offered; shells: FakeShell[] } {
  const shells: FakeShell[] = [];
  const now = Date.now();
  const signedIn = () => {
    if (!world.signedIn) throw new ConsoleError("signed_out");
  };
  const facade: Offered = {
    api: {
      async me() {
        signedIn();
        return {
          account: "eve@example.com",
          admin: false,
          tenant: { id: "ab".repeat(32), name: world.customer },
        };
      },
      async login(_account, password) {
        if (password !== "right") throw new ConsoleError("sign_in_refused");
        world.signedIn = true;
      },
      async logout() {
        world.signedIn = false;
      },
      async servers() {
        signedIn();
        return world.servers;
      },
    },
    trust: {
      state: () => (world.pinned ? "pinned" : "none"),
      words: async () => WORDS,
      async pin(words) {
        if (words.trim() !== WORDS) throw new ConsoleError("six_words_differ");
        world.pinned = true;
      },
      async refresh() {},
      log: () => view(world, now),
      deviceKey: async () => ({
        openssh:
          "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6q1mV0Zk0q3vJ8m1x2c5b7n9a4s6d8f0g1h3j5k7l9 eve@example.com (browser)",
        fingerprint: key("D"),
        trusted: world.trusted,
      }),
    },
    async openShell(wish: OpenShell) {
      if (world.second) {
        wish.onSecond?.({
          words: "candle orbit frozen pelican nurse magnet",
          expiresAt: Date.now() + 10 * MINUTE,
          approvers: ["王伟"],
          local: true,
        });
        await new Promise(() => {});
      }
      const id = (shells.length + 1).toString(16).padStart(32, "0");
      const shell = new FakeShell(id, wish.server.id, wish.user, Date.now() + wish.seconds * 1000);
      shell.print(SCREEN);
      shells.push(shell);
      return shell;
    },
    resumeShells: async () => [],
  };
  return { facade, shells };
}
