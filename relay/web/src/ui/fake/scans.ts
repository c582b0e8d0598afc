// Scans of the made-up world: one that ended, and whatever somebody begins.
import { ConsoleError } from "../../lib/errors";
import type { CheckCount, ScanFinding, ScanGlance, ScanLine, ScanPlan, Scans } from "../../lib/facade";
import { HOUR, ME, MINUTE, soon, type World } from "./world";

function count(
  check: string,
  status: CheckCount["status"],
  servers: number,
  more: Partial<CheckCount> = {},
): CheckCount {
  return { check, status, waived: false, findings: servers, servers, ...more };
}

function someScans(now: number): ScanGlance[] {
  const base = { plan: "nightly", by: ME, cancelled: false, labels: [], checks: [], servers: 5 };
  const found = [
    count("lb.detection-time", "critical", 1, { change: "new", findings: 2 }),
    count("disk.space", "warning", 3, { change: "worse" }),
    count("tls.expiry", "warning", 1, { waived: true }),
    count("db.replication-lag", "unknown", 1),
    count("memory.pressure", "ok", 1, { change: "gone" }),
  ];
  const states = { report: 3, absent: 1, dropped: 1 };
  const worst = { critical: 1, warning: 1, unknown: 2, ok: 1 };
  const [first, last] = ["5c".repeat(16), "5a".repeat(16)];
  return [
    {
      ...base,
      id: first,
      startedAt: now - 2 * HOUR,
      endedAt: now - 2 * HOUR + 84_000,
      states,
      worst,
      before: last,
      found,
    },
    {
      ...base,
      id: "5b".repeat(16),
      plan: "",
      labels: ["env=prod", "region=eu-central-1"],
      startedAt: now - 20 * HOUR,
      endedAt: now - 20 * HOUR + MINUTE,
      states: { report: 2 },
      worst: { warning: 2 },
      servers: 2,
      found: [count("disk.space", "warning", 2)],
    },
    {
      ...base,
      id: last,
      startedAt: now - 26 * HOUR,
      endedAt: now - 26 * HOUR + MINUTE,
      states: { report: 5 },
      worst: { ok: 5 },
      found: [],
    },
  ];
}

function findingsOf(scan: ScanGlance, world: World): ScanFinding[] {
  return scan.found
    .filter(({ status }) => status !== "ok")
    .flatMap((one, at) => {
      const { id: server, name } = world.servers[at % world.servers.length] ?? { id: "", name: "" };
      const summary = { en: `${one.check} is not as it should be.`, zh: `${one.check} 不符合预期。` };
      const { check, status, waived } = one;
      return [
        {
          server,
          name,
          check,
          subject: "/var",
          status,
          waived,
          summary,
          ...(one.change ? { change: one.change } : {}),
        },
      ];
    });
}

/** The same beside another scan: what one of them has not looked at is neither new nor gone. */
function beside(scan: ScanGlance, since: string): ScanGlance {
  const other = [
    count("lb.detection-time", "critical", 1, { findings: 2 }),
    count("disk.space", "warning", 3, { change: "better" }),
    count("tls.expiry", "warning", 1, { waived: true }),
    count("db.replication-lag", "unknown", 1),
    count("net.retransmits", "warning", 1, { change: "new" }),
    count("web.backlog", "unknown", 2, { change: "unsure" }),
    count("memory.pressure", "ok", 1, { change: "gone" }),
  ];
  return { ...scan, before: since, found: other };
}

function somePlans(now: number): ScanPlan[] {
  const base = { labels: [], checks: [], by: ME, paused: false };
  return [
    {
      ...base,
      id: "p1",
      name: "nightly",
      cron: "30 2 * * 1-5",
      nextAt: now + 5 * HOUR,
      last: { scan: "5c".repeat(16), at: now - 2 * HOUR },
    },
    {
      ...base,
      id: "p2",
      name: "load balancers of production in all regions",
      cron: "7 */2 1,15 * 1",
      labels: ["env=prod", "role=load-balancer"],
      checks: ["lb", "net.retransmits"],
      nextAt: now + 40 * HOUR,
      paused: true,
    },
  ];
}

export function fakeScans(world: World): Scans {
  let all = someScans(Date.now());
  let plans = somePlans(Date.now());
  const of = (id: string) => {
    const scan = all.find((one) => one.id === id);
    if (!scan) throw new ConsoleError("relay_says_no", "There is nothing of this name.");
    return scan;
  };
  const put = (scan: ScanGlance) => {
    all = all.map((one) => (one.id === scan.id ? scan : one));
  };
  return {
    async list() {
      await soon();
      return { scans: world.servers.length === 0 ? [] : all, more: false };
    },
    async glance(id, since) {
      await soon();
      if (since) return beside(of(id), of(since).id);
      const scan = of(id);
      // One that was begun here ends in its own time.
      if (scan.endedAt === undefined && Date.now() - scan.startedAt > world.checks.takesMs * 3)
        put({ ...scan, endedAt: Date.now(), states: { report: scan.servers }, worst: { ok: scan.servers } });
      return of(id);
    },
    async findings(id, { status, check, change }, _after, since) {
      await soon();
      const fits = (one: ScanFinding) =>
        (!status || one.status === status) &&
        (!check || one.check === check) &&
        (!change || one.change === change);
      return { findings: findingsOf(since ? beside(of(id), since) : of(id), world).filter(fits) };
    },
    async servers(id, state) {
      const [server] = world.servers.slice(3);
      const here = server && (of(id).states[state] ?? 0) > 0;
      return { servers: here ? [{ id: server.id, name: server.name, state }] : [], more: false };
    },
    async start(labels) {
      await soon();
      const id = (0x60 + all.length).toString(16).repeat(16);
      const servers = world.servers.length;
      const line: ScanLine = {
        id,
        plan: "",
        by: ME,
        startedAt: Date.now(),
        cancelled: false,
        labels,
        checks: [],
        servers,
        states: { asked: servers },
        worst: {},
      };
      all = [{ ...line, found: [] }, ...all];
      return line;
    },
    async cancel(id) {
      await soon();
      put({ ...of(id), endedAt: Date.now(), cancelled: true, states: { cancelled: of(id).servers } });
    },
    async plans() {
      await soon();
      return world.servers.length === 0 ? [] : plans;
    },
    async addPlan(wish) {
      await soon();
      const often = "cron: two scans of a plan are at least five minutes apart";
      if (wish.cron.startsWith("* ")) throw new ConsoleError("relay_says_no", often);
      const plan = { ...wish, id: `p${plans.length + 1}`, by: ME, nextAt: Date.now() + HOUR, paused: false };
      plans = [...plans, plan];
      return plan;
    },
    async pausePlan(id, paused) {
      await soon();
      plans = plans.map((one) => (one.id === id ? { ...one, paused } : one));
    },
    async removePlan(id) {
      await soon();
      plans = plans.filter((one) => one.id !== id);
    },
  };
}
