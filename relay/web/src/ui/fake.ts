// A made-up relay, customer and shell, for looking at the pages and for tests. Never in what is shipped.
import { ConsoleError } from "../lib/errors";
import type { Facade, OpenShell, Waiting } from "../lib/facade";
import {
  fakeAccess,
  fakeAccount,
  fakeJoining,
  fakeKeys,
  fakePeople,
  fakeResetting,
  fakeSetup,
} from "./fake/access";
import { fakeChecks } from "./fake/checks";
import { fakeMetrics } from "./fake/metrics";
import { fakeScans } from "./fake/scans";
import { FakeShell, type FakeWatched, SCREEN } from "./fake/shells";
import { fakeApprovals, fakeBook, fakeSigner, type Sign } from "./fake/sign";
import { fakeAudit, fakeFleet, fakeVisits } from "./fake/visits";
import { HOUR, KEY_WORDS, ME, MINUTE, print, WORDS, type World } from "./fake/world";

export { FakeShell } from "./fake/shells";
export { someWorld, type World } from "./fake/world";

export interface Made {
  readonly facade: Facade;
  readonly shells: FakeShell[];
  readonly watched: FakeWatched[];
  /** Takes a pending request for a second signature back, or answers it. */
  answerSecond: (error: ConsoleError | undefined) => void;
}

/** The facade over such a world, and the shells that were opened through it. */
export function fake(world: World): Made {
  const signer = fakeSigner(world);
  const { sign } = signer;
  const watched: FakeWatched[] = [];
  const second = (how: Waiting) => answered(world, made, how);
  const facade: Facade = {
    ...first(world),
    openShell: (wish: OpenShell) => openShell(world, made, sign, wish),
    resumeShells: async () => [],
    access: fakeAccess(world),
    setup: fakeSetup(world, sign),
    joining: fakeJoining(world),
    resetting: fakeResetting(world),
    account: fakeAccount(world),
    people: fakePeople(world),
    keys: fakeKeys(world),
    book: fakeBook(world, sign),
    approvals: fakeApprovals(world, sign),
    fleet: fakeFleet(world, sign),
    visits: fakeVisits(world, sign, watched, second),
    audit: fakeAudit(world, sign, second),
    checks: fakeChecks(world),
    metrics: fakeMetrics(world),
    scans: fakeScans(world),
    onTouch: signer.install,
  };
  const made: Made = { facade, shells: [], watched, answerSecond: () => {} };
  return made;
}

/** Who is signed in, and the pinned customer. */
function first(world: World): Pick<Facade, "api" | "trust"> {
  const signedIn = () => {
    if (!world.signedIn) throw new ConsoleError("signed_out");
  };
  return {
    api: {
      async me() {
        signedIn();
        const tenant = world.tenant ? { id: "ab".repeat(32), name: world.customer } : null;
        return { account: ME, admin: world.admin, tenant };
      },
      async login(_account, password, second) {
        if (password !== "right") throw new ConsoleError("sign_in_refused");
        if (world.totp && !second) throw new ConsoleError("code_needed");
        if (second && !("totp" in second && second.totp === "123456")) throw new ConsoleError("code_refused");
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
      log: () => ({
        customer: world.customer,
        tenant: "ab".repeat(32),
        entries: world.history.length,
        head: "9f31c04e",
        at: Date.now() - 2 * HOUR,
        roots: world.roots,
        people: world.people,
        policy: world.policy,
        recovery: { name: "olga@acme.example, on paper", fingerprint: print("R"), kind: "ssh" },
        servers: world.servers.filter((one) => one.trusted).map(({ id, name }) => ({ id, name })),
      }),
    },
  };
}

/** Where another person must sign: until a test has answered for that person. */
async function answered(world: World, made: Made, how: Waiting): Promise<void> {
  if (!world.second) return;
  how.onSecond?.({
    words: KEY_WORDS,
    expiresAt: Date.now() + 10 * MINUTE,
    approvers: ["olga@acme.example", "王伟"],
    local: true,
  });
  await new Promise<void>((resolve, reject) => {
    made.answerSecond = (error) => (error ? reject(error) : resolve());
    how.signal?.addEventListener("abort", () => reject(new ConsoleError("cancelled")));
  });
}

async function openShell(world: World, made: Made, sign: Sign, wish: OpenShell): Promise<FakeShell> {
  const { server, user, seconds, reason, ticket } = wish;
  if (world.keys[0]?.kind === "passkey") {
    await sign({ kind: "visit", user, seconds, reason, ticket }, server);
  }
  await answered(world, made, wish);
  const id = (made.shells.length + 1).toString(16).padStart(32, "0");
  const shell = new FakeShell(id, server.id, user, Date.now() + seconds * 1000);
  shell.print(world.screen ?? SCREEN);
  made.shells.push(shell);
  return shell;
}
