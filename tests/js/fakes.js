// Small stand-ins, shared by the tests: a clock whose timers fire when told, a page, an event target that records.

export function fakeTimers() {
  let serial = 0;
  const waiting = new Map();
  const set = (repeat) => (run, delay) => {
    serial += 1;
    waiting.set(serial, { run, delay, repeat });
    return serial;
  };
  return {
    setTimeout: set(false),
    setInterval: set(true),
    clearTimeout: (id) => waiting.delete(id),
    clearInterval: (id) => waiting.delete(id),
    get delays() {
      return [...waiting.values()].map(({ delay }) => delay);
    },
    get count() {
      return waiting.size;
    },
    fire() {
      for (const [id, { run, repeat }] of [...waiting]) {
        if (!repeat) waiting.delete(id);
        run();
      }
    },
  };
}

export class FakePage extends EventTarget {
  hidden = false;

  show(visible) {
    this.hidden = !visible;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

/** Let everything that waits on promises go on. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

export function answer(status, body, type = "application/json") {
  return new Response(body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body), { status, headers: { "Content-Type": type } });
}
