// What a server of the made-up world found about itself: a load balancer that waits too long, a disk that fills up, what
// could not be told, what is as it should be.
import type { CheckRun, Difference, Finding, RunLine, Waiver, Words } from "../../lib/facade";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const w = (en: string, zh: string): Words => ({ en, zh });
const NONE = w("", "");

function finding(check: string, subject: string, more: Partial<Finding>): Finding {
  return {
    check,
    subject,
    status: "ok",
    note: false,
    unit: "",
    evidence: [],
    summary: NONE,
    impact: NONE,
    remedy: NONE,
    details: [],
    ...more,
  };
}

const LATE = finding("lb.detection-time", "haproxy backend web/web1", {
  status: "critical",
  since: Date.now() - 26 * 3_600_000,
  value: 1800,
  unit: "s",
  summary: w(
    "web1 is taken out after 30 min when it hangs, 15 min when it refuses.",
    "web1 挂起时需 30 分钟才被摘除，拒绝连接时需 15 分钟。",
  ),
  impact: w(
    "A dead web1 keeps its share of the traffic (half of it) for up to 30 min; the recovery objective is 15 min.",
    "web1 故障后最长 30 分钟内仍会接收一半流量；恢复时间目标（RTO）为 15 分钟。",
  ),
  remedy: w(
    "Probe more often while a backend fails and cut hanging probes short: inter 5s fastinter 1s fall 3, timeout check 3s. A dead web1 is out within 10 s then. Test with haproxy -c, then reload.",
    "在后端故障时更频繁地探测，并尽早终止挂起的探测：inter 5s fastinter 1s fall 3，timeout check 3s。此后故障的 web1 会在 10 秒内被摘除。请先用 haproxy -c 校验，再重新加载。",
  ),
  evidence: [
    {
      source: "/etc/haproxy/haproxy.cfg:42",
      text: "    server web1 10.0.0.11:8080 check inter 300s fall 3 rise 2",
    },
    { source: "/etc/haproxy/haproxy.cfg:17", text: "    timeout check 300s" },
    { source: "/run/haproxy/admin.sock", text: "web,web1,UP,L7OK,200,lastchg=86211" },
  ],
  details: [
    ["fall", 3],
    ["hang_s", 300],
    ["interval_s", 300],
    ["refused_s", 900],
    ["return_s", 600],
    ["rto_s", 900],
  ],
});

const FULL = finding("disk.space", "/var", {
  status: "warning",
  value: 93.1,
  unit: "%",
  summary: w("/var is 93 % full; 6.9 GB are left.", "/var 已使用 93%，剩余 6.9 GB。"),
  impact: w(
    "At the pace of the last week it is full in 9 days. Databases and logs stop writing then.",
    "按最近一周的增速，9 天后将写满，届时数据库和日志都将停止写入。",
  ),
  remedy: w(
    "See what grows: du -xh --max-depth=2 /var | sort -h. Journals may go: journalctl --vacuum-size=1G.",
    "查看增长来源：du -xh --max-depth=2 /var | sort -h。可清理系统日志：journalctl --vacuum-size=1G。",
  ),
  evidence: [{ source: "statvfs /var", text: "98.4 GB, 91.5 GB used, 6.9 GB available, ext4" }],
  details: [
    ["available_bytes", 6_900_000_000],
    ["inodes_percent", 12],
  ],
});

const CERTIFICATE = finding("tls.certificate-expiry", "shop.acme.example:443", {
  status: "warning",
  value: 11,
  unit: "d",
  summary: w(
    "The certificate of shop.acme.example ends in 11 days, and nothing here renews it.",
    "shop.acme.example 的证书 11 天后到期，且此处没有续期任务。",
  ),
  impact: w("From then on browsers refuse the site.", "到期后浏览器将拒绝访问该网站。"),
  remedy: w(
    "Renew it now, and let a timer do it: systemctl enable --now certbot.timer.",
    "请立即续期，并启用定时任务：systemctl enable --now certbot.timer。",
  ),
  evidence: [
    {
      source: "/etc/haproxy/certs/shop.pem",
      text: "subject CN=shop.acme.example\nnotAfter Dec  7 09:14:00 2026 GMT",
    },
    { source: "systemctl list-timers", text: "certbot.timer: disabled" },
  ],
});

const ROOT_LOGIN = finding("security.ssh-root-login", "sshd", {
  status: "warning",
  summary: w("root may log in by password over SSH.", "允许 root 通过 SSH 使用密码登录。"),
  impact: w(
    "Whoever guesses one password owns the server; 4112 tries were made yesterday.",
    "猜中一个密码即可控制服务器；昨天已有 4112 次尝试。",
  ),
  remedy: w(
    "PermitRootLogin prohibit-password in /etc/ssh/sshd_config, then systemctl reload ssh.",
    "在 /etc/ssh/sshd_config 中设置 PermitRootLogin prohibit-password，然后执行 systemctl reload ssh。",
  ),
  evidence: [{ source: "/etc/ssh/sshd_config:33", text: "PermitRootLogin yes" }],
});

const UNKNOWNS = [
  finding("hardware.disk-state", "/dev/sda", {
    status: "unknown",
    summary: w(
      "The disk's own state was not read: that takes root, and the checks run without.",
      "未能读取磁盘自检状态：需要 root 权限，而检查以普通权限运行。",
    ),
    evidence: [{ source: "/dev/sda", text: "open: Permission denied (os error 13)" }],
  }),
  finding("db.connections", "mysql 3306", {
    status: "unknown",
    summary: w(
      "MySQL was not asked: its socket lets in only its own user.",
      "未能查询 MySQL：其套接字只允许专属用户访问。",
    ),
    evidence: [{ source: "/run/mysqld/mysqld.sock", text: "srwxrwx--- mysql mysql" }],
  }),
  finding("cloud.maintenance", "", {
    status: "unknown",
    summary: w(
      "Whether the cloud plans maintenance is not known: its metadata service did not answer within 2 s.",
      "无法得知云平台是否计划维护：元数据服务未在 2 秒内应答。",
    ),
  }),
];

const ADVICE = [
  finding("haproxy.observe", "backend web", {
    note: true,
    summary: w(
      "Failing requests could take a backend out sooner than probes do.",
      "请求失败可比探测更早地摘除后端。",
    ),
    impact: w(
      "Errors between two probes reach people until the next probe.",
      "两次探测之间的错误会持续影响用户。",
    ),
    remedy: w(
      "observe layer7 error-limit 10 on-error mark-down on each server line.",
      "在每个 server 行加上 observe layer7 error-limit 10 on-error mark-down。",
    ),
    evidence: [{ source: "/etc/haproxy/haproxy.cfg:40", text: "backend web" }],
  }),
  finding("kernel.reboot-needed", "", {
    note: true,
    summary: w(
      "A newer kernel is installed than the one that runs (6.1.0-28, 6.1.0-31 installed).",
      "已安装比当前运行版本更新的内核（运行 6.1.0-28，已安装 6.1.0-31）。",
    ),
    impact: w("Repairs in it do not count yet.", "其中的修复尚未生效。"),
    remedy: w("Reboot when it suits.", "请在方便时重启。"),
    evidence: [{ source: "/boot/vmlinuz-6.1.0-31-amd64", text: "installed 9 days ago" }],
  }),
];

const FINE: readonly (readonly [string, readonly string[], string, string])[] = [
  ["cpu.load", [""], "Load 1.9 on 8 processors.", "8 个处理器，负载 1.9。"],
  ["cpu.iowait", [""], "Processors wait 2 % of the time for disks.", "处理器 2% 的时间在等待磁盘。"],
  ["cpu.steal", [""], "Nothing is stolen by neighbours.", "没有被邻居抢占。"],
  ["memory.available", [""], "9.8 GB of 16.7 GB are available.", "可用 9.8 GB，共 16.7 GB。"],
  ["memory.swapping", [""], "Nothing is swapped.", "没有发生换页。"],
  [
    "disk.space",
    ["/", "/boot", "/boot/efi", "/home", "/srv", "/tmp", "/opt"],
    "There is room.",
    "空间充足。",
  ],
  ["disk.inodes", ["/", "/var", "/srv", "/home"], "There are inodes left.", "inode 充足。"],
  ["disk.latency", ["sda", "sdb", "nvme0n1"], "Answers within 2 ms.", "响应时间在 2 ms 以内。"],
  ["net.errors", ["eth0", "eth1", "lo"], "No errors.", "没有错误。"],
  ["net.listen-queue", [":22", ":80", ":443", ":8080"], "Queues are empty.", "队列为空。"],
  ["service.failed", [""], "No unit has failed.", "没有失败的单元。"],
  [
    "service.restarts",
    [
      "haproxy",
      "ssh",
      "cron",
      "rsyslog",
      "chrony",
      "mysqld",
      "postfix",
      "acpid",
      "dbus",
      "certbot",
      "nftables",
    ].map((name) => `${name}.service`),
    "It has not restarted by itself.",
    "没有自行重启。",
  ],
  ["process.zombies", [""], "There are none.", "没有僵尸进程。"],
  ["process.open-files", ["haproxy[812]", "mysqld[1033]"], "Far from its limit.", "远低于上限。"],
  ["time.offset", [""], "0.3 ms from its source.", "与时间源相差 0.3 ms。"],
  ["dns.resolvers", ["10.0.0.2", "10.0.0.3"], "Answers within 4 ms.", "4 ms 内应答。"],
  [
    "tls.certificate-expiry",
    ["www.acme.example:443", "api.acme.example:443", "pay.acme.example:443"],
    "It counts for 61 more days.",
    "还有 61 天到期。",
  ],
  [
    "lb.detection-time",
    ["haproxy backend api/api1", "haproxy backend api/api2"],
    "Out within 9 s.",
    "9 秒内摘除。",
  ],
  ["haproxy.version", [""], "2.6.12 still gets repairs.", "2.6.12 仍在维护期内。"],
  ["haproxy.stats-socket", [""], "Only root may write to it.", "只有 root 可写。"],
  ["kernel.fault", [""], "No faults since it started.", "启动以来没有内核错误。"],
  ["kernel.hung-task", [""], "No task hung.", "没有挂起的任务。"],
  ["log.errors", ["syslog", "kern.log"], "Nothing out of the ordinary.", "没有异常。"],
  ["backup.age", ["/srv"], "The newest is 7 h old.", "最近的备份在 7 小时前。"],
  ["security.updates", [""], "None is missing.", "没有缺失的安全更新。"],
  ["security.firewall", [""], "It drops what no rule names.", "默认丢弃未匹配的流量。"],
  ["db.replication", ["mysql 3306"], "0 s behind.", "延迟 0 秒。"],
  ["memory.oom-kill", [""], "Nothing was killed since it started.", "启动以来没有进程被终止。"],
];

function fine(): Finding[] {
  return FINE.flatMap(([check, subjects, en, zh]) =>
    subjects.map((subject) => finding(check, subject, { summary: w(en, zh) })),
  );
}

const ABSENT = [
  { check: "nginx.config", why: w("There is no nginx.", "没有 nginx。") },
  { check: "nginx.upstream", why: w("There is no nginx.", "没有 nginx。") },
  { check: "container.restarts", why: w("No containers run here.", "没有运行容器。") },
  { check: "hardware.power-supply", why: w("It is a virtual machine.", "这是虚拟机。") },
  { check: "db.redis-memory", why: w("There is no Redis.", "没有 Redis。") },
];

const CHANGES: Difference[] = [
  { check: LATE.check, subject: LATE.subject, change: "new", now: "critical" },
  { check: FULL.check, subject: FULL.subject, change: "better", before: "critical", now: "warning" },
  { check: CERTIFICATE.check, subject: CERTIFICATE.subject, change: "worse", before: "ok", now: "warning" },
  { check: "memory.oom-kill", subject: "mysqld.service", change: "gone", before: "critical" },
];

const FAILED = finding("service.failed", "logrotate.service", {
  status: "critical",
  summary: w("logrotate.service has failed.", "logrotate.service 运行失败。"),
  impact: w("Logs grow without bounds.", "日志将无限增长。"),
  remedy: w(
    "journalctl -u logrotate, then mend what it names.",
    "执行 journalctl -u logrotate 并按提示修复。",
  ),
  evidence: [{ source: "systemd", text: "logrotate.service: Main process exited, status=1/FAILURE" }],
});

export interface ChecksWorld {
  /** Newest first. */
  runs: CheckRun[];
  everySeconds: number;
  waivers: Waiver[];
  /** What comes for a report is not the server's. */
  unsigned: boolean;
  /** How long a run takes. */
  takesMs: number;
  /** Runs so far, by which a new one gets its name. */
  made: number;
}

/** A run's findings: what is wrong comes and goes over the weeks. */
function findingsOf(age: number): Finding[] {
  const wrong = [
    ...(age === 0 ? [LATE] : []),
    ...(age > 0 && age < 3 ? [{ ...FULL, status: "critical" as const, value: 97.2 }] : []),
    ...(age > 9 && age < 13 ? [FAILED] : []),
    ...(age === 0 || (age > 2 && age < 7) ? [FULL] : []),
    ...(age === 0 ? [CERTIFICATE] : []),
    ...(age < 20 ? [ROOT_LOGIN] : []),
  ];
  const unknowns =
    age % 9 === 8 ? [...UNKNOWNS, ...UNKNOWNS.map((one) => ({ ...one, subject: "b" }))] : UNKNOWNS;
  return [...wrong, ...(age === 21 ? [] : unknowns), ...ADVICE, ...fine()];
}

export function someRun(number: number, at: number, age: number): CheckRun {
  return {
    id: number.toString(16).padStart(32, "0"),
    at,
    millis: 2340 + age * 7,
    version: "0.3.0",
    host: "web-1.acme.example",
    findings: findingsOf(age),
    absent: ABSENT,
    refused: age === 0 ? ["process.environment"] : [],
    asked: [],
    leftOut: 0,
    sandboxOpen: age === 0 ? ["landlock"] : [],
    receivedAt: at + 3000,
    why: age % 4 === 0 ? "asked" : "schedule",
    by: age % 4 === 0 ? (age === 0 ? "eve@example.com" : "王伟") : "",
    changes: age === 0 ? CHANGES : [],
  };
}

export function lineOf({ id, at, why, by, findings }: CheckRun): RunLine {
  const count = (status: Finding["status"]) =>
    findings.filter((one) => one.status === status && !one.note).length;
  const notes = findings.filter(({ note }) => note).length;
  return {
    id,
    at,
    why,
    by,
    critical: count("critical"),
    warning: count("warning"),
    unknown: count("unknown"),
    ok: count("ok"),
    notes,
  };
}

export function someChecks(now: number): ChecksWorld {
  return {
    runs: Array.from({ length: 30 }, (_, age) => someRun(30 - age, now - 3 * 60_000 - age * 11 * HOUR, age)),
    everySeconds: 86_400,
    waivers: [
      {
        id: "w1",
        check: ROOT_LOGIN.check,
        subject: ROOT_LOGIN.subject,
        reason: "Only from the jump host; keys follow in January, INC-4820",
        owner: "olga@acme.example",
        until: now + 36 * DAY,
      },
    ],
    unsigned: false,
    takesMs: 900,
    made: 30,
  };
}
