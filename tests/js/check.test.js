import assert from "node:assert/strict";
import { test } from "node:test";
import { tryForm, trySocket } from "../../static/js/pages/check.js";

function sockets(behave) {
  return class {
    constructor(url) {
      this.url = url;
      this.closed = 0;
      queueMicrotask(() => behave(this));
    }
    close() {
      this.closed += 1;
    }
  };
}

test("a socket that opens is open", async () => {
  assert.equal(await trySocket("ws://a/", { WebSocket: sockets((socket) => socket.onopen()) }), "open");
});

test("a socket that the application itself closes was reached", async () => {
  assert.equal(await trySocket("ws://a/", { WebSocket: sockets((socket) => socket.onclose({ code: 4404 })) }), "open");
});

test("a socket that fails or is cut off has failed", async () => {
  assert.equal(await trySocket("ws://a/", { WebSocket: sockets((socket) => socket.onerror()) }), "failed");
  assert.equal(await trySocket("ws://a/", { WebSocket: sockets((socket) => socket.onclose({ code: 1006 })) }), "failed");
});

test("a socket that never answers has failed after a while", async () => {
  let due;
  const timers = { setTimeout: (call) => ((due = call), 1), clearTimeout() {} };
  const trial = trySocket("ws://a/", { WebSocket: sockets(() => due()), timers });
  assert.equal(await trial, "failed");
});

test("an address that is none has failed", async () => {
  class Refusing {
    constructor() {
      throw new SyntaxError("no address");
    }
  }
  assert.equal(await trySocket("::", { WebSocket: Refusing }), "failed");
});

test("a form is accepted, refused, or gets no answer", async () => {
  const answers = (status) => ({ fetch: async () => ({ ok: status < 300, status }) });
  assert.equal(await tryForm("/x", "t", answers(204)), "accepted");
  assert.equal(await tryForm("/x", "t", answers(403)), "refused");
  assert.equal(await tryForm("/x", "t", answers(502)), "failed");
  const away = { fetch: async () => { throw new TypeError("no network"); } };
  assert.equal(await tryForm("/x", "t", away), "failed");
});

test("a form carries the token", async () => {
  let sent;
  const fetch = async (url, options) => ((sent = { url, ...options }), { ok: true, status: 204 });
  await tryForm("/admin/check/", "abc", { fetch });
  assert.deepEqual([sent.method, sent.headers["X-CSRFToken"], sent.url], ["POST", "abc", "/admin/check/"]);
});
