// The log in plain values, for pages that make sentences of it. Never: an entry that was not verified.

import { hex } from "./bytes";
import { type Ahead, decode, type Entry, entryHash, type NamedKey, type What } from "./entry";
import type { AheadView, EntryView, EntryWhat, KeyView, StandingAhead } from "./facade";
import { scopeOf } from "./grant";
import { agentOf, batchOf, keyOf, short } from "./ids";
import { keyView, policyView } from "./key_view";
import type { TrustLog } from "./trust";

/** What is known before an entry: names of keys and servers that it takes away or changes. */
class Known {
  readonly keys = new Map<string, NamedKey>();
  /** Ids of keys that are listed now: roots', and engineers' and approvers'. */
  private roots = new Set<string>();
  readonly people = new Set<string>();
  readonly servers = new Map<string, string>();
  /** Install tokens' notes. */
  readonly tokens = new Map<string, string>();
  /** What was signed ahead, by the numbers of entries. */
  readonly signed = new Map<number, Ahead>();
  recovery = "";

  ahead({ agent, engineer, scopes, from, until, note }: Ahead): AheadView {
    return {
      server: { id: hex(agent), name: this.server(agent) },
      engineer: this.key(engineer),
      scopes: scopes.map(scopeOf).map(({ kind, user = "" }) => ({ kind, user })),
      from: from * 1000,
      until: until * 1000,
      note,
    };
  }

  key(id: Uint8Array): KeyView {
    const known = this.keys.get(hex(id));
    return known === undefined ? { name: short(id), fingerprint: short(id), kind: "ssh" } : keyView(known);
  }

  server(id: Uint8Array): string {
    return this.servers.get(hex(id)) ?? short(id);
  }

  by({ by }: Entry): EntryView["by"] {
    const token = this.tokens.get(hex(by));
    if (token !== undefined) return { kind: "token", name: token };
    const kind = hex(by) === this.recovery ? "recovery" : "root";
    return { kind, name: this.key(by).name };
  }

  learn({ what, seq }: Entry): void {
    this.follow(what);
    if ("sign-ahead" in what) this.signed.set(seq, what["sign-ahead"].ahead);
    const keep = (...keys: readonly NamedKey[]) => {
      for (const key of keys) this.keys.set(hex(keyOf(key.key)), key);
    };
    const token = (batch: { readonly key: Uint8Array; readonly note: string }) =>
      this.tokens.set(hex(batchOf(batch.key)), batch.note);
    if ("genesis" in what) {
      const { roots, recovery, first } = what.genesis;
      keep(...roots, recovery);
      this.recovery = hex(keyOf(recovery.key));
      for (const one of first) {
        if ("add-person" in one) keep(one["add-person"].key);
        else token(one["enrol-batch"]);
        this.follow(one);
      }
    } else if ("add-root" in what) keep(what["add-root"].key);
    else if ("replace-roots" in what) keep(...what["replace-roots"].roots);
    else if ("add-person" in what) keep(what["add-person"].key);
    else if ("enrol-batch" in what) token(what["enrol-batch"]);
    else if ("add-agent" in what) {
      const { identity, name } = what["add-agent"];
      this.servers.set(hex(agentOf(identity)), name);
    } else if ("rename-agent" in what) {
      this.servers.set(hex(what["rename-agent"].agent), what["rename-agent"].name);
    }
  }

  /** Who comes and who goes. The key of a root that goes is nobody's any more, as trust.ts has it. */
  private follow(what: What): void {
    const ids = (keys: readonly NamedKey[]) => new Set(keys.map(({ key }) => hex(keyOf(key))));
    if ("genesis" in what) this.roots = ids(what.genesis.roots);
    else if ("add-root" in what) this.roots.add(hex(keyOf(what["add-root"].key.key)));
    else if ("remove-root" in what) {
      const gone = hex(what["remove-root"].key);
      this.roots.delete(gone);
      this.people.delete(gone);
    } else if ("replace-roots" in what) {
      const roots = ids(what["replace-roots"].roots);
      for (const id of this.roots) if (!roots.has(id)) this.people.delete(id);
      this.roots = roots;
    } else if ("add-person" in what) this.people.add(hex(keyOf(what["add-person"].key.key)));
    else if ("remove-person" in what) this.people.delete(hex(what["remove-person"].key));
  }
}

/** What an entry says, as it would be after this log. */
export function whatOf(log: TrustLog, what: What): EntryWhat {
  const known = new Known();
  walk(log, known, () => undefined);
  return plain(what, known);
}

function plain(what: What, known: Known): EntryWhat {
  if ("genesis" in what) {
    const { name, roots, recovery } = what.genesis;
    return { kind: "genesis", customer: name, roots: roots.map(keyView), recovery: keyView(recovery) };
  }
  if ("add-root" in what) return { kind: "add-root", key: keyView(what["add-root"].key) };
  if ("remove-root" in what) return { kind: "remove-root", key: known.key(what["remove-root"].key) };
  if ("replace-roots" in what)
    return { kind: "replace-roots", roots: what["replace-roots"].roots.map(keyView) };
  if ("add-person" in what) {
    const { key, role, until } = what["add-person"];
    const renewed = known.people.has(hex(keyOf(key.key)));
    return { kind: "add-person", key: keyView(key), role, until: until * 1000, renewed };
  }
  if ("remove-person" in what) return { kind: "remove-person", key: known.key(what["remove-person"].key) };
  if ("enrol-batch" in what) {
    const { note, until, uses } = what["enrol-batch"];
    return { kind: "enrol-batch", note, until: until * 1000, uses };
  }
  if ("sign-ahead" in what) return { kind: "sign-ahead", ...known.ahead(what["sign-ahead"].ahead) };
  if ("end-ahead" in what) {
    const { seq } = what["end-ahead"];
    const ended = known.signed.get(seq);
    return { kind: "end-ahead", seq, ...(ended === undefined ? {} : { what: known.ahead(ended) }) };
  }
  if ("set-policy" in what) return { kind: "set-policy", policy: policyView(what["set-policy"].policy) };
  return plainServer(what, known);
}

type OfServer = Extract<
  What,
  { "add-agent": unknown } | { "remove-agent": unknown } | { "rename-agent": unknown }
>;

function plainServer(what: OfServer, known: Known): EntryWhat {
  if ("add-agent" in what) {
    const { identity, name } = what["add-agent"];
    return { kind: "add-server", name, id: hex(agentOf(identity)) };
  }
  if ("rename-agent" in what) {
    const { agent, name } = what["rename-agent"];
    return { kind: "rename-server", name, before: known.server(agent), id: hex(agent) };
  }
  const { agent } = what["remove-agent"];
  return { kind: "remove-server", name: known.server(agent), id: hex(agent) };
}

function walk(log: TrustLog, known: Known, each: (entry: Entry, hash: Uint8Array) => void): void {
  for (const [seq, bytes] of log.entriesFrom(0, log.head().seq + 1).entries()) {
    const { signed, entry } = decode(bytes, seq);
    each(entry, entryHash(signed));
    known.learn(entry);
  }
}

/** Second signatures given ahead that have not ended, soonest first. */
export function standing(log: TrustLog): StandingAhead[] {
  const known = new Known();
  walk(log, known, () => undefined);
  const all = [...log.ahead].map(([seq, { what, person }]) => ({ ...known.ahead(what), seq, by: person }));
  return all.sort((a, b) => a.from - b.from);
}

/** The verified entries, newest first. */
export function history(log: TrustLog): EntryView[] {
  const known = new Known();
  const views: EntryView[] = [];
  walk(log, known, (entry, hash) => {
    // The first entry names its own signer.
    if (entry.seq === 0) known.learn(entry);
    const what = plain(entry.what, known);
    views.push({ seq: entry.seq, at: entry.at * 1000, hash: short(hash), by: known.by(entry), what });
  });
  return views.reverse();
}
