// What the made-up world holds; a test changes what it is about.
import type {
  AccountView,
  Approval,
  AuditCopy,
  AuditEntry,
  Candidate,
  EntryView,
  EntryWhat,
  InstallToken,
  InvitationView,
  KeyView,
  OwnKey,
  PersonView,
  Policy,
  Server,
  SignedIn,
  SignInKey,
  StandingAhead,
  VisitView,
} from "../../lib/facade";
import { type ChecksWorld, someChecks } from "./findings";
import { type MetricsWorld, someMetrics } from "./metrics";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
export const WORDS = "harbor velvet quantum mirror siren uncle";
export const KEY_WORDS = "candle orbit frozen pelican nurse magnet";
export const ME = "eve@example.com";

/** Time for a page to show that it waits. */
export const soon = (ms = 60) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export interface World {
  signedIn: boolean;
  admin: boolean;
  /** The customer has begun its log. */
  tenant: boolean;
  pinned: boolean;
  trusted: boolean;
  /** Somebody else must sign for every visit. */
  second: boolean;
  /** A key in this browser may change the log. */
  root: boolean;
  /** A passkey in this browser may approve. */
  approver: boolean;
  passkeys: boolean;
  /** The browser wants a click for each passkey: the first one that nobody clicked for is refused. */
  refuses: boolean;
  /** Whoever joins is let in at once. */
  letsIn: boolean;
  inside: string;
  /** Nobody has set the relay up yet. */
  setupOpen: boolean;
  /** The password has a second step. */
  totp: boolean;
  /** A server comes this long after its install command. */
  arrivesMs: number;
  customer: string;
  /** What a shell shows at first, if it is not what it usually does. */
  screen?: string;
  servers: Server[];
  roots: KeyView[];
  people: PersonView[];
  policy: Policy;
  history: EntryView[];
  ahead: StandingAhead[];
  candidates: Candidate[];
  keys: OwnKey[];
  approvals: Approval[];
  running: VisitView[];
  past: VisitView[];
  accounts: AccountView[];
  invitations: InvitationView[];
  tokens: InstallToken[];
  signIns: SignedIn[];
  passkeysForSigningIn: SignInKey[];
  audit: AuditCopy;
  checks: ChecksWorld;
  metrics: MetricsWorld;
}

export const print = (letter: string) =>
  `SHA256:${letter.repeat(4)}Zk0q3vJ8m1x2c5b7n9a4s6d8f0g1h3j5k7l9p${letter}`;

function server(n: number, name: string, os: string, more: Partial<Server> = {}): Server {
  const id = n.toString(16).padStart(2, "0").repeat(32);
  return { id, name, trusted: true, hostname: `${name}.acme.example`, os, build: "0.3.0", ...more };
}

export function someServers(now: number): Server[] {
  const online = (hours: number, rttMs: number) => ({ since: now - hours * HOUR, rttMs });
  return [
    server(1, "web-1", "Debian GNU/Linux 12 · 6.1.0-28-amd64 · x86_64", {
      online: online(3, 23.4),
      labels: ["prod", "web"],
      here: [{ account: "mallory@vendor.example", since: now - 12 * MINUTE, watching: false }],
    }),
    server(2, "web-2", "Debian GNU/Linux 12 · 6.1.0-28-amd64 · x86_64", {
      online: online(71, 24.1),
      labels: ["prod", "web"],
    }),
    server(3, "lb-1", "AlmaLinux 9.4 · 5.14.0-427.el9 · x86_64", {
      online: online(500, 19),
      labels: ["prod"],
    }),
    server(4, "db-primary", "Ubuntu 24.04.1 LTS · 6.8.0-49-generic · aarch64", {
      lastSeenAt: now - 14 * MINUTE,
      labels: ["prod", "db"],
    }),
    server(5, "支付网关-01", "openEuler 22.03 LTS · 5.10.0 · x86_64", {
      hostname: "pay-gw-01.bj.acme.example",
      online: online(26, 187),
      labels: ["cn-north"],
    }),
    server(6, "spare", "", { hostname: "spare", trusted: false }),
  ];
}

function someApprovals(now: number): Approval[] {
  const base = {
    account: "mallory@vendor.example",
    engineer: "mallory@vendor.example",
    server: { id: "03".repeat(32), name: "lb-1" },
    scopes: [{ kind: "shell" as const, user: "root" }],
    seconds: 1800,
    reason: "HAProxy keeps traffic on a dead backend for 15 minutes",
    ticket: "INC-4711",
    grant: "0a".repeat(32),
    words: "tundra oxygen lantern cargo wisdom apple",
    askedAt: now - 90_000,
    expiresAt: now + 8.5 * MINUTE,
    mine: false,
    state: "waiting" as const,
  };
  return [
    { ...base, id: "a1" },
    {
      ...base,
      id: "a2",
      scopes: [{ kind: "exec", user: "postgres" }],
      server: { id: "04".repeat(32), name: "db-primary" },
      reason: "look at replication lag",
      ticket: "",
      words: "violin gravel spider momentum citrus pilot",
      seconds: 900,
      expiresAt: now + 45_000,
    },
    { ...base, id: "a3", mine: true, account: ME, engineer: ME, hindrance: { id: "approval_own", args: [] } },
    {
      ...base,
      id: "a4",
      state: "approved",
      answeredBy: "王伟",
      answeredAt: now - 12 * MINUTE,
      askedAt: now - 14 * MINUTE,
      visit: "b1",
      server: { id: "01".repeat(32), name: "web-1" },
    },
    {
      ...base,
      id: "a5",
      state: "denied",
      answeredBy: "王伟",
      answeredAt: now - 3 * HOUR,
      askedAt: now - 3.1 * HOUR,
      sentence: "今晚有发布，请明天再来。",
    },
    { ...base, id: "a6", state: "expired", askedAt: now - 26 * HOUR, expiresAt: now - 25.8 * HOUR },
  ];
}

function someVisits(now: number): { running: VisitView[]; past: VisitView[] } {
  const base = {
    server: { id: "01".repeat(32), name: "web-1" },
    account: "mallory@vendor.example",
    users: ["root"],
    reason: "HAProxy keeps traffic on a dead backend for 15 minutes",
    ticket: "INC-4711",
    startedAt: now - 12 * MINUTE,
    endsAt: now + 18 * MINUTE,
    mine: false,
    shells: [],
  };
  const shell = (id: string, user: string, watchers: string[] = []) => ({
    id: id.repeat(16),
    kind: "shell" as const,
    user,
    since: now - 11 * MINUTE,
    watchers,
  });
  const running: VisitView[] = [
    { ...base, id: "b1", second: "王伟", shells: [shell("a1", "root", ["王伟"]), shell("a2", "root")] },
    {
      ...base,
      id: "b2",
      account: ME,
      mine: true,
      users: ["deploy"],
      server: { id: "02".repeat(32), name: "web-2" },
      reason: "deploy failed half way",
      ticket: "",
      startedAt: now - 3 * MINUTE,
      shells: [shell("a3", "deploy")],
    },
  ];
  const ends = ["exited", "expired", "ended", "detached", "revoked"] as const;
  const past = ends.map((end, at) => ({
    ...base,
    id: `c${at}`,
    end,
    users: at % 2 ? ["deploy"] : ["root"],
    reason: ["disk full", "站点响应慢", "certificate renewal", "check the backups", "look around"][at] ?? "",
    ticket: at === 1 ? "T-1234" : "",
    startedAt: now - (at + 2) * 7 * HOUR,
    endedAt: now - (at + 2) * 7 * HOUR + (at + 1) * 13 * MINUTE,
  }));
  return { running, past };
}

function someAhead(now: number): StandingAhead[] {
  const base = {
    engineer: { name: "mallory@vendor.example", fingerprint: print("M"), kind: "ssh" as const },
    scopes: [{ kind: "shell" as const, user: "root" }],
    by: "王伟",
  };
  return [
    {
      ...base,
      seq: 14,
      server: { id: "01".repeat(32), name: "web-1" },
      from: now - 40 * MINUTE,
      until: now + 3.3 * HOUR,
      note: "kernel update, INC-4802",
    },
    {
      ...base,
      seq: 15,
      server: { id: "05".repeat(32), name: "支付网关-01" },
      scopes: [
        { kind: "shell", user: "deploy" },
        { kind: "shell", user: "postgres" },
      ],
      from: now + 26 * HOUR,
      until: now + 30 * HOUR,
      note: "周末升级支付网关",
    },
  ];
}

function someHistory(now: number): EntryView[] {
  const key = (name: string, letter: string, kind: KeyView["kind"] = "ssh"): KeyView => ({
    name,
    fingerprint: print(letter),
    kind,
  });
  const olga = key("olga@acme.example", "O", "passkey");
  const whats: EntryWhat[] = [
    {
      kind: "genesis",
      customer: "ACME Logistics",
      roots: [olga],
      recovery: key("olga@acme.example, on paper", "R"),
    },
    { kind: "add-person", key: olga, role: "approver", until: now + 80 * DAY, renewed: false },
    { kind: "enrol-batch", note: "first rack", until: now - 20 * DAY, uses: 10 },
    { kind: "add-server", name: "web-1", id: "01" },
    { kind: "add-server", name: "app-7", id: "02" },
    { kind: "rename-server", name: "web-2", before: "app-7", id: "02" },
    { kind: "label-server", name: "web-2", labels: ["prod", "web"], id: "02" },
    { kind: "add-person", key: key(ME, "E"), role: "engineer", until: now + 10 * DAY, renewed: false },
    { kind: "add-person", key: key("王伟", "W"), role: "approver", until: now + 80 * DAY, renewed: false },
    { kind: "set-policy", policy: { seconds: 14_400, secondFor: ["root", "postgres"], never: ["backup"] } },
    { kind: "add-person", key: key(ME, "E"), role: "engineer", until: now + 60 * DAY, renewed: true },
    { kind: "remove-server", name: "old-db", id: "09" },
    { kind: "remove-person", key: key("trent@vendor.example", "T") },
    { kind: "add-root", key: key("王伟", "V", "passkey") },
    ...someAhead(now).map(({ seq: _, by: __, ...what }) => ({ kind: "sign-ahead" as const, ...what })),
    { kind: "end-ahead", seq: 3 },
  ];
  const entries = whats.map((what, seq) => ({
    seq,
    at: now - (whats.length - seq) * 2.3 * DAY,
    hash: (0x9f31c04e - seq * 77_777_777).toString(16).padStart(8, "0"),
    by:
      what.kind === "add-server"
        ? ({ kind: "token", name: "first rack" } as const)
        : ({ kind: "root", name: "olga@acme.example" } as const),
    what,
  }));
  return entries.reverse();
}

function someAudit(now: number): AuditCopy {
  const visit = "344f60ddb9a3".padEnd(32, "0");
  const lines: [string, Record<string, unknown>][] = [
    ["guard-started", { build: "0.3.0", boot: "ab".repeat(16), "log-entry": 9, "locked-down": false }],
    ["trust-log-grew", { from: 9, to: 11, head: "cd".repeat(32) }],
    [
      "second-signature-needed",
      {
        visit,
        engineer: "mallory@vendor.example",
        scopes: "shell root",
        minutes: 30,
        reason: "dead backend",
      },
    ],
    [
      "visit-opened",
      {
        visit,
        grant: "e".repeat(64),
        engineer: "mallory@vendor.example",
        second: "王伟",
        scopes: "shell root",
        minutes: 30,
        reason: "HAProxy keeps traffic on a dead backend for 15 minutes",
        ticket: "INC-4711",
        "claimed-account": "mallory",
        "claimed-client": "203.0.113.7",
      },
    ],
    [
      "channel-opening",
      {
        visit,
        channel: "a1".repeat(16),
        kind: "shell",
        user: "root",
        engineer: "mallory@vendor.example",
        argv: "",
      },
    ],
    ["channel-began", { channel: "a1".repeat(16), pid: 48_113, user: "root", argv: "-bash", argc: 1 }],
    ["channel-attached", { channel: "a1".repeat(16), visit }],
    [
      "refused",
      {
        what: "visit",
        code: "ceiling",
        detail: "shell as backup",
        "claimed-account": "mallory",
        "claimed-client": "203.0.113.7",
      },
    ],
    ["counted", { what: "handshake-refused", more: 14 }],
    ["dead-secret-used", { channel: "a1".repeat(16), visit }],
    ["moon-phase", { phase: "full" }],
    [
      "channel-ended",
      { channel: "a1".repeat(16), reason: "compromised", status: "", "bytes-in": 812, "bytes-out": 40_221 },
    ],
    ["visit-ended", { visit, engineer: "mallory@vendor.example", reason: "compromised" }],
    ["lockdown", { channels: 0 }],
  ];
  const entries: AuditEntry[] = lines.map(([event, fields], at) => ({
    seq: 4101 + at,
    at: now - (lines.length - at) * 4 * MINUTE,
    bootMs: 1_000_000 + at * 240_000,
    event,
    fields,
  }));
  return { server: { id: "01".repeat(32), name: "web-1" }, entries, first: 1200, more: true };
}

export function someKeys(now: number): OwnKey[] {
  const key = { words: KEY_WORDS, here: true, madeAt: now - 20 * DAY };
  return [
    {
      ...key,
      id: "e1",
      kind: "passkey",
      label: "Work laptop",
      fingerprint: print("E"),
      openssh:
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20 eve@example.com",
      trusted: { engineer: now + 60 * DAY, approver: now + 60 * DAY, root: true },
    },
    {
      ...key,
      id: "e2",
      kind: "device",
      label: "Chromium on Linux",
      fingerprint: print("D"),
      openssh:
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6q1mV0Zk0q3vJ8m1x2c5b7n9a4s6d8f0g1h3j5k7l9 eve@example.com (browser)",
      trusted: { root: false },
    },
  ];
}

export function someWorld(now: number): World {
  return {
    signedIn: true,
    admin: true,
    tenant: true,
    pinned: true,
    trusted: true,
    second: false,
    root: true,
    approver: true,
    passkeys: true,
    refuses: false,
    letsIn: false,
    inside: "",
    setupOpen: false,
    totp: false,
    arrivesMs: 2500,
    customer: "ACME Logistics",
    servers: someServers(now),
    roots: [{ name: "olga@acme.example", fingerprint: print("O"), kind: "passkey" }],
    people: [
      { name: ME, fingerprint: print("E"), role: "engineer", kind: "passkey", until: now + 60 * DAY },
      { name: ME, fingerprint: print("D"), role: "engineer", kind: "device", until: now + 9 * DAY },
      {
        name: "mallory@vendor.example",
        fingerprint: print("M"),
        kind: "ssh",
        role: "engineer",
        until: now + 2 * DAY,
      },
      {
        name: "trent@vendor.example",
        fingerprint: print("T"),
        kind: "passkey",
        role: "engineer",
        until: now - 2 * DAY,
      },
      {
        name: "olga@acme.example",
        fingerprint: print("O"),
        role: "approver",
        kind: "passkey",
        until: now + 80 * DAY,
      },
      { name: "王伟", fingerprint: print("W"), kind: "ssh", role: "approver", until: now + 80 * DAY },
    ],
    policy: { seconds: 14_400, secondFor: ["root", "postgres"], never: ["backup"] },
    history: someHistory(now),
    ahead: someAhead(now),
    candidates: [],
    keys: someKeys(now),
    approvals: someApprovals(now),
    ...someVisits(now),
    accounts: [
      { name: ME, admin: true, ways: ["passkey"], madeAt: now - 90 * DAY, seenAt: now - MINUTE },
      {
        name: "olga@acme.example",
        admin: true,
        ways: ["password", "totp", "passkey"],
        madeAt: now - 200 * DAY,
        seenAt: now - 5 * HOUR,
      },
      { name: "王伟", admin: false, ways: ["provider"], madeAt: now - 40 * DAY, seenAt: now - 30 * HOUR },
      { name: "mallory@vendor.example", admin: false, ways: ["password"], madeAt: now - 3 * DAY },
    ],
    invitations: [
      { id: "i1", account: "peggy@acme.example", role: "approver", by: ME, expiresAt: now + 2 * DAY },
      { id: "i2", account: "", role: "engineer", by: "olga@acme.example", expiresAt: now + 5 * HOUR },
    ],
    tokens: [
      {
        id: "t1",
        label: "second rack",
        by: ME,
        madeAt: now - HOUR,
        expiresAt: now + 23 * HOUR,
        uses: 10,
        used: 3,
      },
      {
        id: "t2",
        label: "",
        by: "olga@acme.example",
        madeAt: now - 9 * DAY,
        expiresAt: now - 2 * DAY,
        uses: 1,
        used: 0,
      },
    ],
    signIns: [
      {
        id: "s1",
        current: true,
        client: "Chromium 142 on Linux",
        address: "198.51.100.23",
        since: now - 2 * HOUR,
        seenAt: now - 1000,
      },
      {
        id: "s2",
        current: false,
        client: "Safari 26 on iPhone",
        address: "2001:db8::17",
        since: now - 3 * DAY,
        seenAt: now - 9 * HOUR,
      },
      {
        id: "s3",
        current: false,
        client: "cloud-doctor 0.3.0",
        address: "203.0.113.7",
        since: now - 12 * DAY,
        seenAt: now - 2 * DAY,
      },
    ],
    passkeysForSigningIn: [
      { id: "p1", label: "Work laptop", madeAt: now - 90 * DAY, usedAt: now - 2 * HOUR },
      { id: "p2", label: "YubiKey, in the safe", madeAt: now - 90 * DAY },
    ],
    audit: someAudit(now),
    checks: someChecks(now),
    metrics: someMetrics(now),
  };
}
