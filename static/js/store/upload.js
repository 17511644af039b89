// Uploads in pieces: announced, sent chunk by chunk, gone on with after a reload or a lost connection.
import { ApiError, get, post, request } from "./api.js";

const PAUSES = [1000, 2000, 4000, 8000, 15000, 30000]; // milliseconds between tries while the server is away
const TOGETHER = 4; // files on their way at a time

/** What tells this choice of files from another one, for finding an upload that was begun before. */
export function fingerprint(files) {
  let sum = 0;
  for (const { name, file } of files) {
    for (const char of `${name}|${file.size}|${file.lastModified ?? 0};`) sum = (Math.imul(sum, 31) + char.codePointAt(0)) >>> 0;
  }
  return `${files.length}-${files.reduce((total, { file }) => total + file.size, 0)}-${sum.toString(36)}`;
}

/** Whether the server's list is of these very files, in this order. */
function isSame(state, files) {
  return !state.complete && state.files.length === files.length && state.files.every((each, n) => each.size === files[n].file.size);
}

/**
 * Sends `files` [{name, file}] to `url` (the project's uploads); resolves to the number of the complete upload.
 *
 * `memory` remembers what was begun ({get, set, remove} by fingerprint), `onProgress(sent, total)` is told of bytes,
 * `onWait(error)` that the server cannot be reached and will be tried again (null when it is back).
 */
export class Upload {
  constructor({ url, files, memory, onProgress = () => {}, onWait = () => {}, api = { get, post, request }, wait = pause }) {
    Object.assign(this, { url, files, memory, onProgress, onWait, api, wait });
    this.key = fingerprint(files);
    this.total = files.reduce((sum, { file }) => sum + file.size, 0);
    this.stopping = new AbortController();
  }

  async send() {
    this.state = (await this.begun()) ?? (await this.begin());
    this.offsets = this.state.files.map((each) => each.offset);
    this.tell();
    const waiting = this.files.map((_, n) => n).filter((n) => this.offsets[n] < this.files[n].file.size);
    const worker = async () => {
      while (waiting.length) await this.sendFile(waiting.shift());
    };
    try {
      await Promise.all(Array.from({ length: TOGETHER }, worker));
      await this.insist(() => this.api.post(`${this.address}complete/`, {}, { signal: this.stopping.signal, timeout: 120000 }));
    } catch (error) {
      this.stopping.abort(); // the other workers
      throw error;
    }
    this.memory.remove(this.key);
    return this.state.id;
  }

  /** Stop sending; what has come stays for a day, so that it can be gone on with. */
  stop() {
    this.stopping.abort();
  }

  get address() {
    return `${this.url}${this.state.id}/`;
  }

  /** The upload of these files that was begun before, if the server still has it. */
  async begun() {
    const id = this.memory.get(this.key);
    if (!id) return null;
    try {
      const state = await this.insist(() => this.api.get(`${this.url}${id}/`));
      if (isSame(state, this.files)) return state;
    } catch (error) {
      if (error.status !== 404) throw error;
    }
    this.memory.remove(this.key);
    return null;
  }

  async begin() {
    const files = this.files.map(({ name, file }) => ({ name, size: file.size }));
    const state = await this.insist(() => this.api.post(this.url, { files }, { signal: this.stopping.signal }));
    this.memory.set(this.key, state.id);
    return state;
  }

  async sendFile(n) {
    const { file } = this.files[n];
    while (this.offsets[n] < file.size) {
      const offset = this.offsets[n];
      const chunk = file.slice(offset, offset + this.state.chunk_bytes);
      try {
        const answer = await this.insist(() => this.put(n, offset, chunk));
        this.offsets[n] = answer.offset;
      } catch (error) {
        // What was sent before the connection broke has come after all, or has not: the server knows.
        if (error.code !== "wrong_offset" || !(error.problem?.offset >= 0) || error.problem.offset === offset) throw error;
        this.offsets[n] = error.problem.offset;
      }
      this.tell();
    }
  }

  put(n, offset, chunk) {
    return this.api.request(`${this.address}?file=${n}&offset=${offset}`, {
      method: "PUT",
      body: chunk,
      headers: { "Content-Type": "application/octet-stream" },
      signal: this.stopping.signal,
      timeout: 120000,
    });
  }

  /** Try until it works or is refused for good. */
  async insist(act) {
    for (let tried = 0; ; tried += 1) {
      try {
        const answer = await act();
        if (tried) this.onWait(null);
        return answer;
      } catch (error) {
        if (!(error instanceof ApiError) || !error.transient) throw error;
        this.onWait(error);
        await this.wait(PAUSES[Math.min(tried, PAUSES.length - 1)], this.stopping.signal);
      }
    }
  }

  tell() {
    this.onProgress(this.offsets.reduce((sum, each) => sum + each, 0), this.total);
  }
}

/** Remembers uploads of one project in this browser; where it may not, an upload is begun anew after a reload. */
export function browserMemory(project, storage = globalThis.localStorage) {
  const name = (key) => `upload:${project}:${key}`;
  const safely = (act) => {
    try {
      return act();
    } catch {
      return null; // private windows, full storage
    }
  };
  return {
    get: (key) => Number(safely(() => storage.getItem(name(key)))) || null,
    set: (key, id) => safely(() => storage.setItem(name(key), String(id))),
    remove: (key) => safely(() => storage.removeItem(name(key))),
  };
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
  });
}
