// What this browser keeps changes its form with a newer page, while older ones are open.

import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, test, vi } from "vitest";

/** The database as a page of a version has it. */
function open(version: number): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("cloud-doctor", version);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal("indexedDB", new IDBFactory());
});

test("an older page that keeps the database open: the newer one says so and does not wait for ever", async () => {
  await open(3);
  const { tenants } = await import("./store");
  await expect(tenants()).rejects.toMatchObject({ id: "store_blocked" });
});
