// Answers on their way to the server. Each is written to a journal before it is sent and leaves it only when the
// server has acknowledged or its author has discarded it: reload, sign-out and lost connections lose nothing.
import { ApiError, request } from "./api.js";
import { newId } from "./ids.js";

const FIRST = 1000;
const LONGEST = 60000;

/**
 * States of an entry: pending -> sending -> acknowledged, or refused (the server will not take it; it stays until
 * retried or discarded). An entry: {id, order, url, method, body, label, state, tries, error}.
 * Events (type, detail): "change" {entry}, "acknowledged" {entry, answer}, "refused" {entry, error},
 * "status" {state, unsent, refused, durable} with state idle | sending | offline | signed-out.
 */
export class Outbox extends EventTarget {
  #journal;
  #send;
  #timers;
  #random;
  #entries = [];
  #timer = null;
  #running = null;
  #state = "idle";
  #order = 0;
  #failures = 0;
  #unsafe = false;
  #now;

  constructor({ journal, send = request, timers = globalThis, random = Math.random, now = Date.now }) {
    super();
    this.#journal = journal;
    this.#send = send;
    this.#timers = timers;
    this.#random = random;
    this.#now = now;
  }

  get entries() {
    return [...this.#entries];
  }

  get status() {
    const refused = this.#entries.filter((entry) => entry.state === "refused").length;
    return { state: this.#state, unsent: this.#entries.length - refused, refused, durable: this.#journal.durable && !this.#unsafe };
  }

  /** Read what an earlier page left and begin to send it. */
  async restore() {
    const known = new Set(this.#entries.map((entry) => entry.id));
    for (const row of await this.#journal.list()) {
      if (known.has(row.id)) continue;
      this.#entries.push({ ...row, state: row.state === "refused" ? "refused" : "pending" });
    }
    this.#entries.sort((a, b) => a.order - b.order);
    this.#order = Math.max(this.#order, ...this.#entries.map((entry) => entry.order));
    this.flush();
    return this.entries;
  }

  /** Put work in; resolves once it is in the journal. `id` makes sending it twice harmless; the body carries it too. */
  async add({ id = newId(), url, method = "POST", body, label = "" }) {
    const present = this.#entries.find((entry) => entry.id === id);
    if (present) return present;
    this.#order = Math.max(this.#order + 1, this.#now());
    const entry = { id, order: this.#order, url, method, body: { ...body, id }, label, state: "pending", tries: 0, error: null };
    this.#entries.push(entry);
    this.#changed(entry);
    await this.#keep(entry);
    this.flush();
    return entry;
  }

  /** Take back what has not been sent yet; false where it is under way or gone. */
  async withdraw(id) {
    const entry = this.#entries.find((candidate) => candidate.id === id);
    if (!entry || entry.state === "sending" || entry.tries > 0) return false;
    await this.#drop(entry);
    return true;
  }

  /** Forget a refused entry, because its author said so. */
  async discard(id) {
    const entry = this.#entries.find((candidate) => candidate.id === id && candidate.state === "refused");
    if (entry) await this.#drop(entry);
  }

  /** Try again now: after signing in, coming back online, or for refused entries by id. */
  retry(id = null) {
    for (const entry of this.#entries) {
      if (entry.state === "refused" && entry.id === id) {
        Object.assign(entry, { state: "pending", error: null });
        this.#changed(entry);
      }
    }
    this.#failures = 0;
    return this.flush();
  }

  /** Send everything that waits, in order; resolves when it is empty or has to wait. */
  flush() {
    if (this.#timer !== null) this.#timers.clearTimeout(this.#timer);
    this.#timer = null;
    this.#running ??= this.#run().finally(() => (this.#running = null));
    return this.#running;
  }

  /** All that is unsent, as text of a JSON file that people can keep. */
  export() {
    return JSON.stringify({ format: "annotator-unsent", version: 1, exported: new Date(this.#now()).toISOString(), entries: this.#entries.map((entry) => this.#row(entry)) }, null, 2);
  }

  async #run() {
    let entry;
    while ((entry = this.#entries.find((candidate) => candidate.state === "pending"))) {
      entry.state = "sending";
      entry.tries += 1;
      this.#changed(entry);
      this.#setState("sending");
      try {
        const answer = await this.#send(entry.url, { method: entry.method, json: entry.body, idempotencyKey: entry.id, keepalive: JSON.stringify(entry.body).length < 30000 });
        this.#failures = 0;
        entry.state = "acknowledged";
        await this.#drop(entry);
        this.#emit("acknowledged", { entry, answer });
      } catch (error) {
        if (!(error instanceof ApiError)) {
          entry.state = "pending";
          throw error;
        }
        if (await this.#failed(entry, error)) return;
      }
    }
    this.#setState("idle");
  }

  /** Whether sending has to wait. */
  async #failed(entry, error) {
    entry.error = { code: error.code, message: error.message, hint: error.hint, status: error.status };
    if (error.status === 401 || error.code === "signed_out" || error.code === "csrf") {
      entry.state = "pending";
      this.#changed(entry);
      this.#setState("signed-out");
      return true;
    }
    if (error.transient) {
      entry.state = "pending";
      this.#changed(entry);
      this.#setState("offline");
      const pause = Math.min(LONGEST, FIRST * 2 ** this.#failures++);
      this.#timer = this.#timers.setTimeout(() => this.flush(), pause / 2 + (this.#random() * pause) / 2);
      return true;
    }
    entry.state = "refused";
    await this.#keep(entry);
    this.#changed(entry);
    this.#emit("refused", { entry, error });
    return false;
  }

  async #keep(entry) {
    // A full or failing disk must not stop the work: it is still sent, and the status says that it is not safe yet.
    this.#unsafe = await this.#journal.put(this.#row(entry)).then(() => false, () => true);
    this.#emit("status", this.status);
  }

  async #drop(entry) {
    this.#entries = this.#entries.filter((candidate) => candidate !== entry);
    await this.#journal.remove(entry.id).catch(() => {});
    this.#changed(entry);
  }

  #row({ id, order, url, method, body, label, state, error }) {
    return { id, order, url, method, body, label, state: state === "refused" ? "refused" : "pending", error };
  }

  #changed(entry) {
    this.#emit("change", { entry });
    this.#emit("status", this.status);
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#emit("status", this.status);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
