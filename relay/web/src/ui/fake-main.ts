// The pages over the made-up world, for screenshots and axe: what the address says after `?` changes that world.
import { ConsoleError } from "../lib/errors";
import { fake, someWorld } from "./fake";
import { KEY_WORDS, ME, print } from "./fake/world";
import { start } from "./start";

const asked = new URLSearchParams(location.search);
const world = someWorld(Date.now());
world.signedIn = !asked.has("out");
world.pinned = !asked.has("unpinned");
world.second = asked.has("second");
world.root = !asked.has("rootless");
world.approver = world.root;
world.passkeys = !asked.has("keyless");
world.refuses = asked.has("refuses");
world.letsIn = asked.has("letsin");
world.inside = asked.get("inside") ?? "";
world.totp = asked.has("totp");
world.setupOpen = asked.has("new");
if (asked.has("untrusted")) {
  world.trusted = false;
  world.keys = world.keys.map((key) => ({ ...key, trusted: { root: false } }));
}
if (asked.has("device")) world.keys = world.keys.filter((key) => key.kind === "device");
if (asked.has("sealed"))
  world.running = world.running.map((visit) => ({
    ...visit,
    users: visit.mine ? visit.users : [],
    shells: visit.shells.map((shell) => ({ ...shell, user: "" })),
  }));
if (asked.has("empty"))
  Object.assign(world, { servers: [], approvals: [], ahead: [], running: [], past: [], tokens: [] });
if (asked.has("alone"))
  Object.assign(world, {
    roots: [{ name: ME, fingerprint: print("E"), kind: "passkey" }],
    people: world.people.slice(0, 1),
    accounts: world.accounts.slice(0, 1),
    invitations: [],
    candidates: [],
    approvals: [],
    keys: world.keys.slice(0, 1),
  });
if (asked.has("plain")) world.screen = "$ ";
if (asked.has("one")) world.servers = world.servers.slice(0, 1);
if (asked.has("newcomer")) {
  const since = Date.now() - 120_000;
  const key = {
    key: print("N"),
    kind: "passkey" as const,
    words: KEY_WORDS,
    role: "engineer" as const,
    since,
  };
  world.candidates = [{ account: "peggy@acme.example", ...key }];
}
world.checks.unsigned = asked.has("unsigned");
world.metrics.still = !asked.has("moving");
world.metrics.huge = asked.has("huge");
world.metrics.blind = asked.has("blind");
if (asked.has("refused")) world.metrics.refused = new ConsoleError("refusal_lockdown");
if (asked.has("guest")) world.admin = false;
if (asked.has("slow")) world.checks.takesMs = 60_000;
if (asked.has("healthy"))
  world.checks.runs = world.checks.runs.map((run) => ({
    ...run,
    findings: run.findings.filter((one) => one.status === "ok"),
    changes: [],
  }));
const made = fake(world);
if (asked.has("broken"))
  made.facade.api.me = async () => {
    throw new ConsoleError("relay_unreachable");
  };
Object.assign(window, { made, world, ConsoleError });
void start(async () => made.facade);
