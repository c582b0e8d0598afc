// What the relay's own log of a customer says, in plain words: relay/src/store/audit.rs has the list of what it can say.
// Never: an event that is not shown because it is newer than this page.
import { oneLine } from "../lib/errors";
import type { RelayEvent } from "../lib/facade";
import { span } from "./times.svelte";
import { type TextId, t } from "./words.svelte";

const SENTENCES: Readonly<Record<string, TextId>> = {
  "set-up": "event-set-up",
  "account-added": "event-account-added",
  "account-removed": "event-account-removed",
  "account-made-admin": "event-account-made-admin",
  "account-made-member": "event-account-made-member",
  "account-disabled": "event-account-disabled",
  "account-enabled": "event-account-enabled",
  "account-reset": "event-account-reset",
  "reset-used": "event-reset-used",
  "password-changed": "event-password-changed",
  "passkey-added": "event-passkey-added",
  "passkey-renamed": "event-passkey-renamed",
  "passkey-removed": "event-passkey-removed",
  "identity-linked": "event-identity-linked",
  "identity-unlinked": "event-identity-unlinked",
  "second-step-on": "event-second-step-on",
  "second-step-off": "event-second-step-off",
  "recovery-codes-made": "event-recovery-codes-made",
  "recovery-code-used": "event-recovery-code-used",
  "signed-in": "event-signed-in",
  "login-ended": "event-login-ended",
  "logins-ended": "event-logins-ended",
  "person-invited": "event-person-invited",
  joined: "event-joined",
  "join-key": "event-join-key",
  "join-ended": "event-join-ended",
  "token-created": "event-token-created",
  "token-revoked": "event-token-revoked",
  "server-enrolled": "event-server-enrolled",
  "enrolment-refused": "event-enrolment-refused",
  "server-labelled": "event-server-labelled",
  "server-removed": "event-server-removed",
  "log-appended": "event-log-appended",
  "stream-opened": "event-stream-opened",
  "stream-refused": "event-stream-refused",
  "stream-cut": "event-stream-cut",
  "second-asked": "event-second-asked",
  "second-given": "event-second-given",
  "second-denied": "event-second-denied",
  "second-withdrawn": "event-second-withdrawn",
  invited: "event-invited",
  "guest-came": "event-guest-came",
  "guest-left": "event-guest-left",
  "invitation-ended": "event-invitation-ended",
  "checks-asked": "event-checks-asked",
  "checks-scheduled": "event-checks-scheduled",
  "finding-waived": "event-finding-waived",
  "finding-unwaived": "event-finding-unwaived",
  "metrics-watched": "event-metrics-watched",
  "scan-started": "event-scan-started",
  "scan-cancelled": "event-scan-cancelled",
  "scan-plan-added": "event-scan-plan-added",
  "scan-plan-changed": "event-scan-plan-changed",
  "scan-plan-removed": "event-scan-plan-removed",
  "scan-plan-paused": "event-scan-plan-paused",
  "scan-plan-resumed": "event-scan-plan-resumed",
};

/** Longest text of an event that is shown. */
const CHARS_MAX = 400;

/** What happened; `undefined`: something that a newer relay writes down, which is shown by its name. */
export function eventSaying(action: string): TextId | undefined {
  return Object.hasOwn(SENTENCES, action) ? SENTENCES[action] : undefined;
}

export function eventWords({ action }: RelayEvent): string {
  const id = eventSaying(action);
  return id === undefined ? oneLine(action, CHARS_MAX) : t(id);
}

/** To whom or what: servers by their names, other ids cut, times between two runs in words. */
export function eventAbout({ action, subject }: RelayEvent, names: ReadonlyMap<string, string>): string {
  const named = subject
    .replaceAll(/\b[0-9a-f]{32,}\b/g, (id) => names.get(id) ?? id.slice(0, 12))
    // Enrolled: its id and its name.
    .replace(/^(\S+) \1$/, "$1");
  const told =
    action === "checks-scheduled" ? named.replace(/ (\d{1,9})$/, (_, secs) => ` ${every(secs)}`) : named;
  return oneLine(told, CHARS_MAX);
}

function every(secs: string): string {
  return secs === "0" ? t("schedule-off") : t("schedule-each", { span: span(Number(secs) * 1000) });
}

/** Whether an event has all the words. */
export function eventFits(event: RelayEvent, names: ReadonlyMap<string, string>, words: string): boolean {
  const { action, account, address } = event;
  const text = [eventWords(event), eventAbout(event, names), action, account, address]
    .join(" ")
    .toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}
