import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ApiError } from "../../static/js/store/api.js";
import { Prefetcher } from "../../static/js/store/prefetch.js";
import { deferred, fakeTimers, settle } from "./fakes.js";

function setUp({ items = 10, ...options } = {}) {
  const asked = [];
  const loaded = [];
  const released = [];
  let given = 0;
  const timers = fakeTimers();
  const fetchNext = async ({ exclude }) => {
    asked.push(exclude);
    if (given >= items) return null;
    given += 1;
    return { token: `t${given}`, item: { id: given } };
  };
  const prefetcher = new Prefetcher({ fetchNext, preload: async (lease) => void loaded.push(lease.token), release: (tokens) => released.push(...tokens), timers, ahead: 3, ...options });
  return { prefetcher, asked, loaded, released, timers, more: (n) => (items += n) };
}

describe("prefetching", () => {
  test("items come in the order in which they were served, with three ready behind the current one", async () => {
    const { prefetcher, loaded } = setUp();
    const seen = [];
    for (let i = 0; i < 4; i += 1) seen.push((await prefetcher.next()).token);
    await settle();
    assert.deepEqual(seen, ["t1", "t2", "t3", "t4"]);
    assert.equal(prefetcher.waiting, 3);
    assert.deepEqual(loaded, ["t1", "t2", "t3", "t4", "t5", "t6", "t7"]);
  });

  test("the first item does not wait for the others", async () => {
    const second = deferred();
    let calls = 0;
    const { prefetcher } = setUp({ fetchNext: () => (++calls === 1 ? Promise.resolve({ token: "a" }) : second.promise) });
    assert.equal((await prefetcher.next()).token, "a");
    assert.equal(prefetcher.waiting, 0);
  });

  test("one request at a time, each telling what is held", async () => {
    const { prefetcher, asked } = setUp();
    await prefetcher.next();
    await settle();
    assert.deepEqual(asked, [[], ["t1"], ["t1", "t2"], ["t1", "t2", "t3"]]);
  });

  test("nothing to do is null, and asking again looks again", async () => {
    const { prefetcher, more } = setUp({ items: 1 });
    let empty = 0;
    prefetcher.addEventListener("empty", () => (empty += 1));
    await prefetcher.next();
    await settle();
    assert.equal(await prefetcher.next(), null);
    assert.ok(empty >= 1);
    more(1);
    assert.equal((await prefetcher.next()).token, "t2");
  });

  test("a search that ends empty while somebody waits is repeated once", async () => {
    const gate = deferred();
    const answers = [Promise.resolve({ token: "a" }), gate.promise, Promise.resolve({ token: "b" }), Promise.resolve(null)];
    const { prefetcher } = setUp({ fetchNext: () => answers.shift() ?? Promise.resolve(null) });
    await prefetcher.next();
    await settle();
    const next = prefetcher.next();
    gate.resolve(null);
    assert.equal((await next).token, "b");
  });

  test("a server that repeats a lease does not make a loop", async () => {
    const { prefetcher } = setUp({ fetchNext: async () => ({ token: "same" }) });
    await prefetcher.next();
    await settle();
    assert.equal(prefetcher.waiting, 0);
  });

  test("without an item, the error reaches the one who waits; in the background it is an event", async () => {
    let fail = true;
    const { prefetcher } = setUp({ fetchNext: async () => { if (fail) throw new ApiError("No"); return { token: "a" }; } });
    await assert.rejects(prefetcher.next(), ApiError);
    fail = false;
    const errors = [];
    prefetcher.addEventListener("error", ({ detail }) => errors.push(detail.error));
    await prefetcher.next();
    assert.equal(prefetcher.current.token, "a");
  });

  test("a background failure is an event and leaves the current item alone", async () => {
    let calls = 0;
    const { prefetcher } = setUp({ fetchNext: async () => { if (++calls > 1) throw new ApiError("No"); return { token: "a" }; } });
    const errors = [];
    prefetcher.addEventListener("error", ({ detail }) => errors.push(detail.error.message));
    assert.equal((await prefetcher.next()).token, "a");
    await settle();
    assert.deepEqual(errors, ["No"]);
  });

  test("undo puts an item back in front and keeps the one it interrupts", async () => {
    const { prefetcher } = setUp();
    const first = await prefetcher.next();
    await prefetcher.next();
    prefetcher.putBack(first);
    assert.equal(prefetcher.current.token, "t1");
    assert.equal((await prefetcher.next()).token, "t2");
  });

  test("a picture that cannot be loaded ahead is no error", async () => {
    const { prefetcher } = setUp({ preload: () => Promise.reject(new Error("404")) });
    await prefetcher.next();
    await settle();
    assert.equal(prefetcher.waiting, 3);
  });
});

describe("leases", () => {
  test("the heartbeat names everything held; lost ones are dropped and replaced", async () => {
    const beats = [];
    const { prefetcher } = setUp({ heartbeat: async (tokens) => { beats.push(tokens); return { lost: ["t2"] }; } });
    const lost = [];
    prefetcher.addEventListener("lost", ({ detail }) => lost.push(...detail.tokens));
    await prefetcher.next();
    await settle();
    await prefetcher.beat();
    await settle();
    assert.deepEqual(beats, [["t1", "t2", "t3", "t4"]]);
    assert.deepEqual(lost, ["t2"]);
    assert.deepEqual(prefetcher.tokens, ["t1", "t3", "t4", "t5"]);
  });

  test("a heartbeat that fails keeps what is held", async () => {
    const { prefetcher } = setUp({ heartbeat: async () => { throw new ApiError("offline", { code: "offline" }); } });
    await prefetcher.next();
    await settle();
    await prefetcher.beat();
    assert.equal(prefetcher.tokens.length, 4);
  });

  test("closing the page gives everything back, once, and stops the heartbeat", async () => {
    const { prefetcher, released, timers } = setUp();
    await prefetcher.next();
    await settle();
    prefetcher.close();
    prefetcher.close();
    assert.deepEqual(released, ["t1", "t2", "t3", "t4"]);
    assert.equal(timers.count, 0);
  });

  test("a lease that arrives after closing is given back too", async () => {
    const gate = deferred();
    const { prefetcher, released } = setUp({ fetchNext: () => gate.promise });
    const waiting = prefetcher.next();
    prefetcher.close();
    gate.resolve({ token: "late" });
    assert.equal(await waiting, null);
    assert.deepEqual(released, ["late"]);
  });
});
