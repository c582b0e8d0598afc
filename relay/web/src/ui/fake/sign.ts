// What is signed in the made-up world: the touch, the log, approvals.
import { ConsoleError } from "../../lib/errors";
import type { AheadView, Approvals, Book, Change, EntryWhat, TouchHook, TouchWhat } from "../../lib/facade";
import { ME, print, type World } from "./world";

export type Sign = (what: TouchWhat, server?: { id: string; name: string }) => Promise<void>;

/** Asks for a touch as the library does, and "touches" when the page said yes. */
export function fakeSigner(world: World): {
  sign: Sign;
  install: (ask: TouchHook) => void;
  finish: () => void;
} {
  let ask: TouchHook = async () => true;
  let touched: (() => void) | undefined;
  return {
    install: (hook) => {
      ask = hook;
    },
    /** For a page that is looked at while the browser asks. */
    finish: () => touched?.(),
    async sign(what, server) {
      let over = () => {};
      const settled = new Promise<void>((resolve) => {
        over = resolve;
      });
      const touch = {
        what,
        customer: world.customer,
        key: { label: "Work laptop", fingerprint: print("E") },
        over: settled,
        ...(server ? { server } : {}),
      };
      try {
        if (!(await ask(touch))) throw new ConsoleError("touch_declined");
        await new Promise<void>((resolve) => {
          touched = resolve;
          setTimeout(resolve, 400);
        });
      } finally {
        over();
      }
    },
  };
}

export function fakeBook(world: World, sign: Sign): Book {
  const named = (id: string) => world.servers.find((one) => one.id === id)?.name ?? id;
  return {
    history: async () => world.history,
    mayWrite: async () => world.root,
    command: (change) => commandOf(change, named),
    async sign(change) {
      const ahead = change.kind === "sign-ahead" || change.kind === "end-ahead";
      if (ahead && !world.approver) throw new ConsoleError("approval_not_yours");
      if (!ahead && !world.root) throw new ConsoleError("not_root");
      await sign({ kind: "log", entry: entryOf(world, change) });
      apply(world, change);
    },
    candidates: async () => world.candidates,
    ahead: async () => world.ahead,
    mayApprove: async () => world.approver,
  };
}

function commandOf(change: Change, named: (id: string) => string): string {
  switch (change.kind) {
    case "rename-server":
      return `cloud-doctor tenant server rename ${named(change.server)} '${change.name}'`;
    case "label-server":
      return `cloud-doctor tenant server label ${named(change.server)} ${change.labels.join(" ")}`;
    case "remove-server":
      return `cloud-doctor tenant server remove ${named(change.server)}`;
    case "add-person":
      return `cloud-doctor tenant ${change.role} renew ${change.key}`;
    case "remove-person":
      return `cloud-doctor tenant engineer remove ${change.key}`;
    case "sign-ahead":
      return `cloud-doctor approve --ahead ${named(change.server)} --for ${change.engineer} --user ${change.users.join(" --user ")} --why '${change.note}'`;
    case "end-ahead":
      return `cloud-doctor approve --end-ahead ${change.seq}`;
    case "set-policy":
      return "cloud-doctor tenant policy set policy.toml";
  }
}

function entryOf(world: World, change: Change): EntryWhat {
  const server = "server" in change ? world.servers.find((one) => one.id === change.server) : undefined;
  const person = "key" in change ? world.people.find((one) => one.fingerprint === change.key) : undefined;
  const [name, id] = [server?.name ?? "", server?.id ?? ""];
  switch (change.kind) {
    case "rename-server":
      return { kind: "rename-server", name: change.name, before: name, id };
    case "label-server":
      return { kind: "label-server", name, labels: change.labels, id };
    case "remove-server":
      return { kind: "remove-server", name, id };
    case "add-person": {
      const key = { name: change.name, fingerprint: change.key, kind: "passkey" as const };
      return {
        kind: "add-person",
        key,
        role: change.role,
        until: change.until,
        renewed: person !== undefined,
      };
    }
    case "remove-person":
      return {
        kind: "remove-person",
        key: { name: person?.name ?? "", fingerprint: change.key, kind: person?.kind ?? "ssh" },
      };
    case "sign-ahead":
      return { kind: "sign-ahead", ...aheadOf(world, change) };
    case "end-ahead": {
      const ended = world.ahead.find((one) => one.seq === change.seq);
      return { kind: "end-ahead", seq: change.seq, ...(ended ? { what: ended } : {}) };
    }
    case "set-policy":
      return { kind: "set-policy", policy: change.policy };
  }
}

function aheadOf(world: World, change: Extract<Change, { kind: "sign-ahead" }>): AheadView {
  const server = world.servers.find((one) => one.id === change.server);
  const person = world.people.find((one) => one.fingerprint === change.engineer);
  return {
    server: { id: change.server, name: server?.name ?? "" },
    engineer: { name: person?.name ?? "", fingerprint: change.engineer, kind: person?.kind ?? "ssh" },
    scopes: change.users.map((user) => ({ kind: "shell", user })),
    from: change.from,
    until: change.until,
    note: change.note,
  };
}

function apply(world: World, change: Change): void {
  switch (change.kind) {
    case "rename-server":
      world.servers = world.servers.map((one) =>
        one.id === change.server ? { ...one, name: change.name } : one,
      );
      break;
    case "label-server":
      world.servers = world.servers.map((one) =>
        one.id === change.server ? { ...one, labels: change.labels } : one,
      );
      break;
    case "remove-server":
      world.servers = world.servers.filter((one) => one.id !== change.server);
      break;
    case "add-person": {
      const { key: fingerprint, name, role, until } = change;
      world.people = [
        ...world.people.filter((one) => one.fingerprint !== fingerprint),
        { name, fingerprint, role, until, kind: "passkey" },
      ];
      world.candidates = world.candidates.filter((one) => one.key !== fingerprint);
      break;
    }
    case "remove-person":
      world.people = world.people.filter((one) => one.fingerprint !== change.key);
      break;
    case "sign-ahead":
      world.ahead = [...world.ahead, { ...aheadOf(world, change), seq: 20 + world.ahead.length, by: ME }];
      break;
    case "end-ahead":
      world.ahead = world.ahead.filter((one) => one.seq !== change.seq);
      break;
    case "set-policy":
      world.policy = change.policy;
      break;
  }
}

export function fakeApprovals(world: World, sign: Sign): Approvals {
  const change = (id: string, what: Partial<(typeof world.approvals)[number]>) => {
    const answered = { answeredAt: Date.now(), answeredBy: "eve@example.com" };
    world.approvals = world.approvals.map((one) => (one.id === id ? { ...one, ...answered, ...what } : one));
  };
  return {
    list: async () => world.approvals,
    changed: (signal) =>
      new Promise((resolve) => {
        setTimeout(resolve, 1000);
        signal.addEventListener("abort", () => resolve());
      }),
    async approve(id) {
      const one = world.approvals.find((request) => request.id === id);
      if (!one) throw new ConsoleError("approval_over");
      const { engineer, seconds, reason, ticket, words } = one;
      const user = one.scopes[0]?.user ?? "";
      await sign({ kind: "approve", engineer, user, seconds, reason, ticket, words }, one.server);
      change(id, { state: "approved", visit: "b1" });
    },
    async deny(id, sentence) {
      change(id, { state: "denied", ...(sentence ? { sentence } : {}) });
    },
    async withdraw(id) {
      change(id, { state: "withdrawn" });
    },
  };
}
