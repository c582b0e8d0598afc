// The command lines that change the log where a root key is, on the command line.

import type { Change } from "./facade";
import { wallSecs } from "./outside";
import { fingerprint } from "./ssh";
import type { TrustLog } from "./trust";

/** A word as a shell reads it. */
export function quoted(word: string): string {
  return /^[A-Za-z0-9_./:@[\],=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The command line that does the same where a root key is. */
export function commandLine(log: TrustLog, change: Change): string {
  const line = (...words: readonly string[]) => ["cloud-doctor", ...words].map(quoted).join(" ");
  switch (change.kind) {
    case "rename-server":
      return line("tenant", "server", "rename", change.server.slice(0, 12), change.name);
    case "remove-server":
      return line("tenant", "server", "remove", change.server.slice(0, 12));
    case "label-server":
      return line("servers", "label", change.server.slice(0, 12), ...change.labels);
    case "remove-person": {
      const role = roleOf(log, change.key) ?? "engineer";
      return line("tenant", role, "remove", change.key);
    }
    case "add-person": {
      const days = String(Math.max(1, Math.min(90, Math.round((change.until / 1000 - wallSecs()) / 86_400))));
      if (roleOf(log, change.key) !== undefined)
        return line("tenant", change.role, "renew", change.key, "--days", days);
      // The client that made the link has its secret, and takes the key that the link vouches for.
      return line("tenant", change.role, "accept");
    }
    case "sign-ahead":
      return line(
        ...["approve", "ahead", change.server.slice(0, 12), "--for", change.engineer],
        ...change.users.flatMap((user) => ["--user", user]),
        ...["--from", stamp(change.from), "--until", stamp(change.until)],
        ...(change.note === "" ? [] : ["--why", change.note]),
      );
    case "end-ahead":
      return line("approve", "end-ahead", String(change.seq));
    case "set-policy": {
      const { seconds, secondFor, never } = change.policy;
      const visit = seconds === undefined ? [] : ["--visit", `${seconds}s`];
      const users = [
        ...secondFor.flatMap((user) => ["--second-for", user]),
        ...never.flatMap((user) => ["--never", user]),
      ];
      return line("tenant", "policy", "set", ...visit, ...users);
    }
  }
}

/** As RFC 3339 has it, to the minute. */
function stamp(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16)}Z`;
}

function roleOf(log: TrustLog, print: string): "engineer" | "approver" | undefined {
  return [...log.people.values()].find(({ key }) => fingerprint(key.key) === print)?.role;
}
