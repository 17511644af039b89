// What one tab remembers: who it is to the server, what can be undone, how fast it goes.
import { newId } from "../store/ids.js";

/**
 * Who this tab is to the server and which item it showed last: kept over reloads, so that a reload goes on with it.
 * A duplicated tab copies the storage but is no reload: it is somebody new.
 */
export class Tab {
  #storage;
  #place;

  constructor(storage, project, { id = newId(), navigation = performance.getEntriesByType?.("navigation")[0]?.type } = {}) {
    this.#storage = storage;
    this.#place = `annotator-item-${project}`;
    const kept = navigation === "reload" ? storage.getItem("annotator-holder") : null;
    this.holder = kept ?? id;
    this.remembered = kept ? Number(storage.getItem(this.#place)) || null : null;
    storage.setItem("annotator-holder", this.holder);
  }

  remember(itemId) {
    this.#storage.setItem(this.#place, String(itemId));
  }

  /** Of the claims that are free to show, the one on the remembered item (asked for once), else the first. */
  choose(leases) {
    const found = leases.find(({ item }) => item.id === this.remembered) ?? leases[0] ?? null;
    this.remembered = null;
    return found;
  }
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
