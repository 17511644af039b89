// Where unsent work is kept: IndexedDB, or memory where the browser forbids it. Both have put, remove and list.

export function memoryJournal() {
  const rows = new Map();
  return {
    durable: false,
    put: async (row) => void rows.set(row.id, structuredClone(row)),
    remove: async (id) => void rows.delete(id),
    list: async () => [...rows.values()].map((row) => structuredClone(row)).sort((a, b) => a.order - b.order),
  };
}

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Open the journal called `name`; one per user and project, so that nobody sends another person's work. */
export async function openJournal(name, indexedDB = globalThis.indexedDB) {
  if (!indexedDB) return memoryJournal();
  let database;
  try {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("rows", { keyPath: "id" });
    database = await settled(opening);
  } catch {
    return memoryJournal();
  }
  function change(act) {
    return new Promise((resolve, reject) => {
      const transaction = database.transaction("rows", "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
      act(transaction.objectStore("rows"));
    });
  }
  return {
    durable: true,
    put: (row) => change((store) => store.put(row)),
    remove: (id) => change((store) => store.delete(id)),
    async list() {
      const rows = await settled(database.transaction("rows").objectStore("rows").getAll());
      return rows.sort((a, b) => a.order - b.order);
    },
  };
}
