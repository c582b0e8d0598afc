// Parts of the library that the first page does not need: fetched when they are first asked for.

import type { Approvals, AuditLog, Here, ServerFacts, Shell, Visits } from "./facade";

const theApprovals = async () => (await import("./approvals")).approvals;
const theAudit = async () => (await import("./audit_log")).auditLog;
const theFleet = () => import("./fleet");

export const approvals: Approvals = {
  list: async () => (await theApprovals()).list(),
  changed: async (signal) => (await theApprovals()).changed(signal),
  approve: async (id) => (await theApprovals()).approve(id),
  deny: async (id, sentence) => (await theApprovals()).deny(id, sentence),
  withdraw: async (id) => (await theApprovals()).withdraw(id),
};

export const audit: AuditLog = {
  read: async (...asked) => (await theAudit()).read(...asked),
  verify: async (server, file) => (await theAudit()).verify(server, file),
};

/** `resume` takes up shells of one's own on a server. */
export function visits(resume: (server: { readonly id: string }) => Promise<readonly Shell[]>): Visits {
  const the = async () => (await import("./visits")).visits(resume);
  return {
    running: async () => (await the()).running(),
    past: async (before) => (await the()).past(before),
    end: async (visit) => (await the()).end(visit),
    watch: async (...asked) => (await the()).watch(...asked),
  };
}

export async function facts(server: string): Promise<ServerFacts> {
  return (await theFleet()).facts(server);
}

export async function whoIsWhere(): Promise<ReadonlyMap<string, readonly Here[]>> {
  return (await theFleet()).whoIsWhere();
}
