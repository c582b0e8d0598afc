// Checks of the made-up world's servers.
import { ConsoleError } from "../../lib/errors";
import type { Checked, CheckRun, Checks } from "../../lib/facade";
import { lineOf, someRun } from "./findings";
import { ME, soon, type World } from "./world";

/** Between two runs on one server, as guard has it. */
const PAUSE_MS = 20_000;
/** Runs in one answer. */
const PAGE = 50;

export function fakeChecks(world: World): Checks {
  const { checks } = world;
  // web-2 was never checked.
  const runsOf = (server: string) => (server.startsWith("02") ? [] : checks.runs);
  const shown = (run: CheckRun): Checked =>
    checks.unsigned ? { fault: new ConsoleError("report_signature", "web-1") } : { run };
  return {
    async health(server) {
      if (!world.servers.some((one) => one.id === server && one.trusted))
        throw new ConsoleError("nobody_there");
      const [latest] = runsOf(server);
      const { everySeconds, waivers } = checks;
      return { everySeconds, waivers, ...(latest ? { latest: shown(latest) } : {}) };
    },
    async run(server) {
      await soon(checks.takesMs);
      const [last] = runsOf(server);
      const left = Math.ceil((PAUSE_MS - (Date.now() - (last?.at ?? 0))) / 1000);
      if (left > 0) throw new ConsoleError("refusal_checks_too_often", left);
      checks.made += 1;
      const run = { ...someRun(checks.made, Date.now(), 0), changes: [] };
      checks.runs = [run, ...checks.runs];
      return shown(run);
    },
    async runs(server, before) {
      const all = runsOf(server);
      const from = all.findIndex(({ id }) => id === before) + 1;
      return { runs: all.slice(from, from + PAGE).map(lineOf), more: from + PAGE < all.length };
    },
    async read(server, id) {
      await soon();
      const run = runsOf(server).find((one) => one.id === id);
      if (!run) throw new ConsoleError("relay_says_no", "There is no such run.");
      return shown(run);
    },
    async schedule(_server, everySeconds) {
      await soon();
      checks.everySeconds = everySeconds;
    },
    async waive(_server, wish) {
      await soon();
      const waiver = { ...wish, id: `w${Date.now()}`, owner: ME };
      checks.waivers = [...checks.waivers, waiver];
      return waiver;
    },
    async unwaive(_server, id) {
      await soon();
      checks.waivers = checks.waivers.filter((one) => one.id !== id);
    },
  };
}
