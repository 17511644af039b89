import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { backoff, connect, socketAddress } from "../../static/js/live.js";
import { FakePage, fakeTimers } from "./fakes.js";

class FakeSocket {
  static all = [];
  readyState = 0;

  constructor(url) {
    this.url = url;
    FakeSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(event) {
    this.onmessage({ data: typeof event === "string" ? event : JSON.stringify(event) });
  }

  close(code = 1006) {
    this.readyState = 3;
    this.onclose({ code });
  }
}

function setUp(page = new FakePage()) {
  const timers = fakeTimers();
  const fired = [];
  const live = connect("ws://x/", { fire: (name, detail) => fired.push([name, detail]), WebSocket: FakeSocket, page, timers, random: () => 1 });
  return { live, timers, fired, page, names: () => fired.map(([name]) => name), socket: () => FakeSocket.all.at(-1) };
}

beforeEach(() => {
  FakeSocket.all = [];
});

describe("events", () => {
  test("are fired under their type, and under their id where they have one", () => {
    const { socket, fired } = setUp();
    socket().open();
    socket().send({ type: "job", id: 17, state: "running" });
    assert.deepEqual(fired.slice(1), [["live:job", { type: "job", id: 17, state: "running" }], ["live:job:17", { type: "job", id: 17, state: "running" }]]);
  });

  test("what is not an event is ignored", () => {
    const { socket, names } = setUp();
    socket().open();
    for (const text of ["{", "null", "[]", "3", '{"id": 1}', '{"type": 4}']) socket().send(text);
    assert.deepEqual(names(), ["live:open"]);
  });
});

describe("a lost socket", () => {
  test("is opened again after a growing pause, and the page looks once at what it missed", () => {
    const { socket, timers, names } = setUp();
    socket().open();
    socket().close();
    assert.ok(timers.delays.includes(500));
    timers.fire();
    socket().close();
    assert.ok(timers.delays.includes(1000));
    timers.fire();
    const before = names().length;
    socket().open();
    assert.deepEqual(names().slice(before), ["live:open", "live:poll"]);
  });

  test("is replaced by polling until it is back", () => {
    const { socket, timers, names } = setUp();
    socket().close();
    timers.fire();
    timers.fire();
    assert.equal(names().filter((name) => name === "live:poll").length, 2);
    socket().open();
    assert.equal(timers.count, 0);
  });

  test("is not opened again where the server refused the person", () => {
    for (const code of [4401, 4403, 4404]) {
      const { socket, timers, names } = setUp();
      socket().open();
      socket().close(code);
      assert.equal(timers.count, 0);
      assert.equal(names().at(-1), "live:closed");
    }
  });
});

describe("a hidden page", () => {
  test("neither polls nor reconnects, and catches up when shown", () => {
    const { socket, timers, names, page } = setUp();
    socket().open();
    page.hidden = true;
    socket().close();
    timers.fire();
    assert.equal(FakeSocket.all.length, 1);
    assert.ok(!names().includes("live:poll"));
    page.show(true);
    assert.equal(FakeSocket.all.length, 2);
    assert.equal(names().at(-1), "live:poll");
  });

  test("opened in the background connects when first shown", () => {
    const page = new FakePage();
    page.hidden = true;
    setUp(page);
    assert.equal(FakeSocket.all.length, 0);
    page.show(true);
    assert.equal(FakeSocket.all.length, 1);
  });

  test("coming back does not open a second socket", () => {
    const { socket, page } = setUp();
    socket().open();
    page.show(false);
    page.show(true);
    assert.equal(FakeSocket.all.length, 1);
  });
});

test("stop ends everything", () => {
  const { live, socket, timers, page } = setUp();
  socket().close();
  live.stop();
  assert.equal(timers.count, 0);
  page.show(true);
  assert.equal(FakeSocket.all.length, 1);
});

test("pauses grow to half a minute and are spread", () => {
  assert.deepEqual([0, 1, 2, 20].map((n) => backoff(n, () => 1)), [500, 1000, 2000, 30000]);
  assert.equal(backoff(3, () => 0), 2000);
});

describe("the socket's address", () => {
  const proxied = { protocol: "https:", host: "label.example", hostname: "label.example", href: "https://label.example/p/1/" };
  const local = { protocol: "http:", host: "10.0.0.5:8000", hostname: "10.0.0.5", href: "http://10.0.0.5:8000/p/1/" };

  test("is the one that is set, with or without its path", () => {
    for (const url of ["wss://sockets.example/ws/", "wss://sockets.example", "https://sockets.example/ws"]) {
      assert.equal(socketAddress({ url, projectId: 4 }, proxied), "wss://sockets.example/ws/projects/4/");
    }
  });

  test("is this host at the socket's port, whatever name the host was reached by", () => {
    assert.equal(socketAddress({ port: "8001", projectId: 4 }, local), "ws://10.0.0.5:8001/ws/projects/4/");
  });

  test("is this site behind a proxy, and where nothing is set", () => {
    assert.equal(socketAddress({ port: "8001", projectId: 4 }, proxied), "wss://label.example/ws/projects/4/");
    assert.equal(socketAddress({ projectId: 4 }, local), "ws://10.0.0.5:8000/ws/projects/4/");
  });
});
