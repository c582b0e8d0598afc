// Checks of servers: the relay's answers, with every report verified here before a word of it is told to a page.
//
// Never: a finding of a report that its server did not sign, or one that only the relay tells of.

import type { RunPage } from "./api_checks";
import * as relay from "./api_checks";
import { type Bytes, hex, random } from "./bytes";
import { ConsoleError, type MessageId } from "./errors";
import type { Checked, CheckRun, Checks, Finding } from "./facade";
import { BadReport, type Report, type ReportFault, verifyReport } from "./report";
import * as seat from "./seat";

const FAULTS: Record<ReportFault, MessageId> = {
  malformed: "report_malformed",
  stranger: "report_stranger",
  signature: "report_signature",
  nonce: "report_nonce",
};

/** Who the customer's log says that server is. Throws `nobody_there`. */
async function knownAs(server: string): Promise<{ readonly identity: Bytes; readonly name: string }> {
  const copy = seat.pinned();
  // A server that was added since this copy was fetched.
  if (!copy.log.agents.has(server)) await copy.sync();
  const record = copy.log.agents.get(server);
  if (record === undefined) throw new ConsoleError("nobody_there");
  return record;
}

function findingOf({ value, since, ...finding }: Report["findings"][number]): Finding {
  return {
    ...finding,
    ...(value === undefined ? {} : { value }),
    ...(since === undefined ? {} : { since: since * 1000 }),
  };
}

function viewOf(report: Report, page: RunPage): CheckRun {
  return {
    id: page.id,
    at: report.at * 1000,
    millis: report.millis,
    version: report.version,
    host: report.host,
    findings: report.findings.map(findingOf),
    absent: report.absent,
    asked: report.asked,
    refused: report.refused,
    leftOut: report.left_out,
    sandboxOpen: report.sandbox_open,
    receivedAt: page.receivedAt,
    why: page.why,
    by: page.by,
    changes: page.changes,
  };
}

async function checked(server: string, page: RunPage): Promise<Checked> {
  const { identity, name } = await knownAs(server);
  try {
    return { run: viewOf(await verifyReport(identity, page.id, page.report, page.signature), page) };
  } catch (error) {
    if (!(error instanceof BadReport)) throw error;
    return { fault: new ConsoleError(FAULTS[error.fault], name) };
  }
}

export const checks: Checks = {
  async health(server) {
    const { latest, everySeconds, waivers } = await relay.health(server);
    const known = { everySeconds, waivers };
    return latest === undefined ? known : { ...known, latest: await checked(server, latest) };
  },
  async run(server) {
    // The server signs it: whatever else the relay shows instead is no answer to this question.
    const nonce = hex(random(16));
    return checked(server, { ...(await relay.run(server, nonce)), id: nonce });
  },
  runs: relay.runs,
  async read(server, run) {
    const page = await relay.read(server, run);
    // Another run than was asked for is no answer.
    return checked(server, { ...page, id: run });
  },
  schedule: relay.schedule,
  waive: relay.waive,
  unwaive: relay.unwaive,
};
