// Servers, visits and audits of the made-up world.
import { ConsoleError } from "../../lib/errors";
import type { AuditLog, Fleet, InstallCommand, Visits, Waiting } from "../../lib/facade";
import { someEvents } from "./events";
import { FakeWatched, SCREEN } from "./shells";
import type { Sign } from "./sign";
import { DAY, ME, someServers, soon, WORDS, type World } from "./world";

/** A command with a fresh token; its server comes by itself. */
export function commandOf(
  world: World,
  { label, uses, seconds }: { label: string; uses: number; seconds: number },
  preset: string,
): InstallCommand {
  const arrive = () => {
    const [first] = someServers(Date.now());
    if (first)
      world.servers = [
        ...world.servers,
        { ...first, id: "0c".repeat(32), name: "first-server", labels: [], here: [] },
      ];
  };
  const expiresAt = Date.now() + seconds * 1000;
  world.tokens = [
    { id: `t${Date.now()}`, label, by: ME, madeAt: Date.now(), expiresAt, uses, used: 0 },
    ...world.tokens,
  ];
  setTimeout(arrive, world.arrivesMs);
  return {
    token: "t9",
    uses,
    expiresAt,
    command: `(umask 077; echo cdt1.${"T8Qm1V0Zk0q3vJ8m1x2c5b7n9a4s6d8f".repeat(4)} > cloud-doctor.token) && sudo cloud-doctor-agent enrol --relay quic://relay.acme.example:8443 --relay-pin sha256:${"5f0a".repeat(16)} --trust "${WORDS}" --preset ${preset} --token-file cloud-doctor.token && rm cloud-doctor.token && sudo systemctl enable --now cloud-doctor.target`,
  };
}

export function fakeFleet(world: World, sign: Sign): Fleet {
  return {
    facts: async (id) => ({
      os: world.servers.find((one) => one.id === id)?.os.split(" · ")[0] ?? "",
      kernel: "6.1.0-28-amd64",
      arch: "x86_64",
      cpus: 8,
      memoryBytes: 16_700_000_000,
      bootedAt: Date.now() - 41 * DAY,
      build: "0.3.0",
      enrolledAt: Date.now() - 30 * DAY,
      address: "198.51.100.40",
      rttMs: 23,
    }),
    async install({ preset, ...wish }) {
      const until = Date.now() + wish.seconds * 1000;
      await sign({ kind: "log", entry: { kind: "enrol-batch", note: wish.label, until, uses: wish.uses } });
      return commandOf(world, wish, preset);
    },
    activity: async (before) => someEvents(Date.now(), before),
    tokens: async () => world.tokens,
    async revoke(id) {
      world.tokens = world.tokens.filter((one) => one.id !== id);
    },
  };
}

/** Waits for another person's signature where the made-up world asks for one. */
export type Second = (how: Waiting) => Promise<void>;

export function fakeVisits(world: World, sign: Sign, watched: FakeWatched[], second: Second): Visits {
  return {
    running: async () => world.running,
    past: async () => world.past,
    async end(id) {
      const visit = world.running.find((one) => one.id === id);
      if (!visit) throw new ConsoleError("refusal_no_visit");
      if (!visit.mine) {
        const { account: engineer, reason, users } = visit;
        await sign({ kind: "end", engineer, user: users[0] ?? "", reason }, visit.server);
      }
      world.running = world.running.filter((one) => one.id !== id);
      world.past = [{ ...visit, shells: [], end: "ended", endedAt: Date.now() }, ...world.past];
      for (const one of watched) if (one.visit === id) one.become({ kind: "ended", reason: "ended" });
    },
    async watch(server, id, how = {}) {
      const visit = world.running.find((one) => one.shells.some((shell) => shell.id === id));
      const shell = visit?.shells.find((one) => one.id === id);
      if (!visit || !shell) throw new ConsoleError("refusal_no_channel");
      const user = how.user ?? shell.user;
      await sign({ kind: "watch", engineer: visit.account, user, seconds: 1080 }, server);
      await second(how);
      // A shell whose user is not known is looked for; this one is root's.
      if (shell.user === "" && user !== "root") throw new ConsoleError("watch_other_user", user);
      const made = new FakeWatched(id, server.id, user, visit.endsAt ?? 0, visit.account, visit.id);
      made.watchers.become([...shell.watchers, ME]);
      made.print(SCREEN);
      watched.push(made);
      return made;
    },
  };
}

export function fakeAudit(world: World, sign: Sign, second: Second): AuditLog {
  return {
    async read(server, before, how = {}) {
      await sign({ kind: "audit", seconds: 900, reason: "" }, server);
      await second(how);
      if (before === undefined) return world.audit;
      const entries = world.audit.entries.map((one) => ({
        ...one,
        seq: one.seq - world.audit.entries.length,
      }));
      return { ...world.audit, entries, more: false };
    },
    async verify(_server, file) {
      await soon();
      const text = await file.text();
      if (!text.startsWith("{")) throw new ConsoleError("audit_not_a_log");
      return {
        ...world.audit,
        entries: world.audit.entries.slice(0, 6),
        first: 0,
        fault: { seq: 4107, kind: "chain" },
        more: false,
      };
    },
  };
}
