// What this browser keeps, in IndexedDB: pinned logs, which keys sign, links for new people, first entries
// under way, and open shells and looks with what they need to come back.
//
// Private keys are in it as WebCrypto's own, which cannot be read out. A log only grows: an entry that is there is never
// written again. Never: a password, a cookie, or a byte of a terminal.

import { type Bytes, equal } from "./bytes";
import { ConsoleError } from "./errors";
import type { Binding, ExchangePair, Handed } from "./noise";
import type { Ground } from "./visit";

const NAME = "cloud-doctor";
const VERSION = 4;
/** Proofs kept: the first ones tell the story. */
const PROOFS_MAX = 16;

/** A shell that this browser has open. */
export interface StoredShell {
  /** Channel id in hexadecimal. */
  readonly id: string;
  /** Whose it is: who signs in next at this browser does not get it. */
  readonly account: string;
  /** Customer in hexadecimal. */
  readonly tenant: string;
  /** Agent id in hexadecimal. */
  readonly server: string;
  readonly user: string;
  readonly visit: Bytes;
  readonly binding: Binding;
  readonly ours: ExchangePair;
  readonly theirs: Bytes;
  /** The newest secret that a handshake handed out. */
  readonly secret?: Handed;
  /** Ephemeral keys of handshakes that were never answered. */
  readonly unanswered: readonly Bytes[];
  /** Milliseconds since 1970. */
  readonly endsAt: number;
  /** Output bytes received, roughly. */
  readonly received: number;
}

/** A view of a watched shell: what it needs to come back. */
export interface StoredView {
  readonly secret?: Handed;
  readonly unanswered: readonly Bytes[];
}

/** A visit that only looks: at shells, or at the host's audit. */
export interface StoredLook {
  /** Visit in hexadecimal. */
  readonly id: string;
  readonly account: string;
  /** Customer in hexadecimal. */
  readonly tenant: string;
  /** Whose shells it sees; none: it reads the audit. */
  readonly user: string | undefined;
  /** It was opened with an approver's key. */
  readonly approver: boolean;
  readonly ground: Ground;
  /** Milliseconds since 1970. */
  readonly endsAt: number;
  /** By channel id in hexadecimal. */
  readonly views: Readonly<Record<string, StoredView>>;
}

interface StoredEntry {
  readonly tenant: string;
  readonly seq: number;
  readonly bytes: Bytes;
}

/** An account's own key in this browser. */
export interface StoredKey {
  readonly secret: CryptoKey;
  /** Public half in SSH's wire format. */
  readonly blob: Bytes;
}

/** A passkey for signing: which one it is. Its private half is the authenticator's. */
export interface StoredPasskey {
  /** Key id in hexadecimal. */
  readonly id: string;
  readonly account: string;
  /** Credential id. */
  readonly credential: Bytes;
  /** Public half in SSH's wire format. */
  readonly blob: Bytes;
  readonly label: string;
  /** Milliseconds since 1970. */
  readonly madeAt: number;
}

/** A link that lets somebody in: of whoever made it, and of whoever came by it. */
export interface StoredJoin {
  /** Whose it is here. */
  readonly account: string;
  /** The link's id in hexadecimal. */
  readonly id: string;
  /** This account came by it; else it made it. */
  readonly came: boolean;
  /** HMAC under the link's secret. */
  readonly secret: CryptoKey;
  readonly tenant: Bytes;
  /** The key that was shown with it: key id in hexadecimal. */
  readonly shown?: string;
  /** Of one that was made here: milliseconds since 1970 by this browser's clock, after which nobody needs it. */
  readonly until?: number;
}

function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function done(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    transaction.onerror = () => reject(transaction.error);
  });
}

let opened: Promise<IDBDatabase> | undefined;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      if (oldVersion < 1) {
        request.result.createObjectStore("entries", { keyPath: ["tenant", "seq"] });
        request.result.createObjectStore("keys");
        request.result.createObjectStore("shells", { keyPath: "id" });
        request.result.createObjectStore("proofs", { autoIncrement: true });
      }
      if (oldVersion < 2) request.result.createObjectStore("passkeys", { keyPath: "id" });
      if (oldVersion < 3) {
        request.result.createObjectStore("joins", { keyPath: ["account", "id"] });
        request.result.createObjectStore("looks", { keyPath: "id" });
      }
      request.result.createObjectStore("begun", { keyPath: ["account", "tenant"] });
    };
    // Older pages do not make way: a shell that is open there could not keep its secrets any more.
    request.onblocked = () => reject(new ConsoleError("store_blocked"));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

type Table = "entries" | "keys" | "shells" | "proofs" | "passkeys" | "joins" | "looks" | "begun";

/** For what is kept here and used apart: asks one table. */
export async function read<T>(table: Table, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const transaction = (await database()).transaction(table, "readonly");
  return asked(ask(transaction.objectStore(table)));
}

/** The same for a change. */
export async function write(table: Table, change: (store: IDBObjectStore) => void): Promise<void> {
  // On disk before it counts: a secret that is lost ends a shell.
  const transaction = (await database()).transaction(table, "readwrite", { durability: "strict" });
  change(transaction.objectStore(table));
  await done(transaction);
}

function entriesOf(tenant: string, from: number): IDBKeyRange {
  return IDBKeyRange.bound([tenant, from], [tenant, Number.MAX_SAFE_INTEGER]);
}

/** Customers whose log is kept, in hexadecimal. */
export async function tenants(): Promise<string[]> {
  const keys = await read("entries", (store) => store.getAllKeys());
  return [...new Set(keys.map((key) => (Array.isArray(key) ? String(key[0]) : "")))];
}

/** Entries of a log from number `from` on, without a gap between them. */
export async function entries(tenant: string, from: number): Promise<Bytes[]> {
  const found = await read<StoredEntry[]>("entries", (store) => store.getAll(entriesOf(tenant, from)));
  return found.filter(({ seq }, at) => seq === from + at).map((entry) => entry.bytes);
}

/** Keeps entries of a log, the first of them being number `from`. Those that are there already stay. */
export async function keepEntries(tenant: string, from: number, added: readonly Bytes[]): Promise<void> {
  await write("entries", (store) => {
    for (const [at, bytes] of added.entries()) {
      const entry: StoredEntry = { tenant, seq: from + at, bytes };
      const there = store.getKey([tenant, entry.seq]);
      there.onsuccess = () => {
        if (there.result === undefined) store.put(entry);
      };
    }
  });
}

/** Keeps the proof of a forged history. */
export async function keepProof(text: string): Promise<void> {
  const count = await read("proofs", (store) => store.count());
  if (count < PROOFS_MAX) await write("proofs", (store) => store.add(text));
}

export async function deviceKey(account: string): Promise<StoredKey | undefined> {
  return read<StoredKey | undefined>("keys", (store) => store.get(account));
}

/** Keeps a key unless another window was faster; returns the one that counts. */
export async function keepDeviceKey(account: string, key: StoredKey): Promise<StoredKey> {
  await write("keys", (store) => {
    const there = store.getKey(account);
    there.onsuccess = () => {
      if (there.result === undefined) store.put(key, account);
    };
  });
  return (await deviceKey(account)) ?? key;
}

export async function forgetDeviceKey(account: string): Promise<void> {
  await write("keys", (store) => store.delete(account));
}

/** Passkeys for signing that were made, or used, in this browser. */
export async function passkeys(account: string): Promise<StoredPasskey[]> {
  const all = await read<StoredPasskey[]>("passkeys", (store) => store.getAll());
  return all.filter((one) => one.account === account);
}

/** Whether a credential signs for any account of this browser. */
export async function isSigning(credential: Uint8Array): Promise<boolean> {
  const all = await read<StoredPasskey[]>("passkeys", (store) => store.getAll());
  return all.some((one) => equal(one.credential, credential));
}

export async function keepPasskey(passkey: StoredPasskey): Promise<void> {
  await write("passkeys", (store) => store.put(passkey));
}

export async function forgetPasskey(id: string): Promise<void> {
  await write("passkeys", (store) => store.delete(id));
}

/** An account's links. */
export async function joins(account: string): Promise<StoredJoin[]> {
  return read<StoredJoin[]>("joins", (store) => store.getAll(IDBKeyRange.bound([account], [account, "g"])));
}

export async function keepJoin(join: StoredJoin): Promise<void> {
  await write("joins", (store) => store.put(join));
}

export async function forgetJoin(account: string, id: string): Promise<void> {
  await write("joins", (store) => store.delete([account, id]));
}

export async function shells(): Promise<StoredShell[]> {
  return read<StoredShell[]>("shells", (store) => store.getAll());
}

export async function shell(id: string): Promise<StoredShell | undefined> {
  return read<StoredShell | undefined>("shells", (store) => store.get(id));
}

export async function keepShell(shell: StoredShell): Promise<void> {
  await write("shells", (store) => store.put(shell));
}

export async function forgetShell(id: string): Promise<void> {
  await write("shells", (store) => store.delete(id));
}

export async function looks(): Promise<StoredLook[]> {
  return read<StoredLook[]>("looks", (store) => store.getAll());
}

export async function keepLook(look: StoredLook): Promise<void> {
  await write("looks", (store) => store.put(look));
}

/** Keeps a view of a look that is still there; another window may have kept another one meanwhile. */
export async function keepView(look: string, channel: string, view: StoredView): Promise<void> {
  await write("looks", (store) => {
    const there = store.get(look) as IDBRequest<StoredLook | undefined>;
    there.onsuccess = () => {
      const kept = there.result;
      if (kept !== undefined) store.put({ ...kept, views: { ...kept.views, [channel]: view } });
    };
  });
}

export async function forgetLook(id: string): Promise<void> {
  await write("looks", (store) => store.delete(id));
}
