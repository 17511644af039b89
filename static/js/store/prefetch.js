// The next items, leased and loaded before they are needed.
import { ApiError } from "./api.js";

/**
 * Keeps up to `ahead` leased items ready behind the current one.
 *
 * Injected: `fetchNext({exclude})` resolves to {token, item, ...} or null when there is nothing for this person now;
 * `preload(lease)` loads its images; `heartbeat(tokens)` keeps leases alive and may resolve to {lost: [tokens]};
 * `release(tokens)` gives them back when the page closes and must work during unload (sendBeacon, keepalive).
 * Events: "ready" {lease}, "empty", "lost" {tokens}, "error" {error}.
 */
export class Prefetcher extends EventTarget {
  #ask;
  #timers;
  #queue = [];
  #current = null;
  #filling = null;
  #beat = null;
  #dry = false;
  #closed = false;

  constructor({ fetchNext, preload = async () => {}, heartbeat = async () => ({}), release = () => {}, ahead = 3, beatEvery = 30000, timers = globalThis }) {
    super();
    this.#ask = { fetchNext, preload, heartbeat, release };
    this.ahead = ahead;
    this.#timers = timers;
    this.#beat = timers.setInterval(() => this.beat(), beatEvery);
  }

  get current() {
    return this.#current;
  }

  get waiting() {
    return this.#queue.length;
  }

  /** The tokens this page holds. */
  get tokens() {
    return [this.#current, ...this.#queue].filter(Boolean).map((lease) => lease.token);
  }

  /** Go to the next item: at once when one is ready. Resolves to the lease, or null when there is none. */
  async next() {
    this.#current = null;
    // A search that had begun before this call may have ended with "nothing" for a reason that is gone: look once more.
    for (const again of this.#filling ? [true, false] : [false]) {
      if (this.#queue.length) break;
      this.#dry = false;
      await Promise.race([this.fill(), new Promise((resolve) => this.addEventListener("ready", resolve, { once: true }))]);
      if (!again) break;
    }
    this.#current = this.#queue.shift() ?? null;
    if (this.#current) {
      this.#dry = false;
      this.#fillQuietly();
    }
    return this.#current;
  }

  /** Bring an item back to the front (undo): the current one waits behind it. */
  putBack(lease) {
    if (this.#current) this.#queue.unshift(this.#current);
    this.#current = lease;
  }

  /** Fetch until enough are waiting; one request at a time, so that the order of the ranking holds. */
  fill() {
    this.#filling ??= this.#fill().finally(() => (this.#filling = null));
    return this.#filling;
  }

  #fillQuietly() {
    this.fill().catch((error) => this.#emit("error", { error }));
  }

  async #fill() {
    const wanted = () => (this.#current ? this.ahead : Math.max(1, this.ahead));
    while (!this.#closed && !this.#dry && this.#queue.length < wanted()) {
      const lease = await this.#ask.fetchNext({ exclude: this.tokens });
      if (!lease) {
        this.#dry = true;
        this.#emit("empty", {});
        return;
      }
      if (this.tokens.includes(lease.token)) return;
      if (this.#closed) return this.#ask.release([lease.token]);
      this.#queue.push(lease);
      // A picture that does not load is the canvas's to report, when the item is shown.
      Promise.resolve(this.#ask.preload(lease)).catch(() => {});
      this.#emit("ready", { lease });
    }
  }

  /** Keep the leases alive; those that were lost leave the queue. */
  async beat() {
    const tokens = this.tokens;
    if (!tokens.length) return;
    let lost;
    try {
      lost = (await this.#ask.heartbeat(tokens))?.lost ?? [];
    } catch (error) {
      if (error instanceof ApiError) return this.#emit("error", { error });
      throw error;
    }
    if (!lost.length) return;
    this.#queue = this.#queue.filter((lease) => !lost.includes(lease.token));
    this.#emit("lost", { tokens: lost });
    this.#fillQuietly();
  }

  /** Forget what waits without giving it back (the server already has), and fetch anew. */
  reset() {
    this.#queue = [];
    this.#dry = false;
    return this.fill();
  }

  /** Give everything back; call on pagehide. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#timers.clearInterval(this.#beat);
    const tokens = this.tokens;
    this.#queue = [];
    this.#current = null;
    if (tokens.length) this.#ask.release(tokens);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Load and decode an image now, so that showing it later is instant. */
export async function preloadImage(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
}

/** Close `prefetcher` when the page goes; a page that comes back from the back/forward cache is loaded anew. */
export function releaseOnLeave(prefetcher, page = window) {
  page.addEventListener("pagehide", () => prefetcher.close());
  page.addEventListener("pageshow", (event) => event.persisted && page.location.reload());
}
