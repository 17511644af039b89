// What one tab remembers: who it is to the server, what can be undone, how fast it goes.

/** This tab's id: kept over reloads, so that a reload gets the same items; a duplicated tab is told apart by its time origin. */
export function holderId(storage, { id = crypto.randomUUID(), navigation = performance.getEntriesByType?.("navigation")[0]?.type } = {}) {
  const kept = storage.getItem("annotator-holder");
  if (kept && navigation === "reload") return kept;
  storage.setItem("annotator-holder", id);
  return id;
}

/** The latest answers and skips, newest last; what undo walks through. */
export class History {
  #done = [];

  get size() {
    return this.#done.length;
  }

  /** Adopt the server's list (newest first) behind what this page has done meanwhile. */
  load(rows) {
    const known = new Set(this.#done.map(({ id }) => id));
    this.#done.unshift(...rows.filter(({ id }) => !known.has(id)).reverse());
  }

  add(entry) {
    this.#done.push(entry);
  }

  pop() {
    return this.#done.pop() ?? null;
  }
}

/** Answers of this session and their median time. */
export class Pace {
  #seconds = [];

  add(seconds) {
    this.#seconds.push(seconds);
  }

  get median() {
    const sorted = this.#seconds.toSorted((a, b) => a - b);
    const middle = sorted.length >> 1;
    if (!sorted.length) return 0;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  words() {
    return `${this.#seconds.length} done · ${this.median.toFixed(1)} s each`;
  }
}
