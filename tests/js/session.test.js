import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newId } from "../../static/js/store/ids.js";
import { History, Pace, Tab } from "../../static/js/workspace/session.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

function fakeStorage() {
  const values = new Map();
  return { getItem: (name) => values.get(name) ?? null, setItem: (name, value) => values.set(name, value) };
}

const lease = (id) => ({ token: `t${id}`, item: { id } });

describe("ids", () => {
  test("are random UUIDs, also where the browser has no maker of its own", () => {
    const plain = { getRandomValues: (bytes) => crypto.getRandomValues(bytes) };
    const ids = Array.from({ length: 50 }, () => newId(plain));
    assert.ok(ids.every((id) => UUID.test(id)));
    assert.equal(new Set(ids).size, 50);
    assert.match(newId(), UUID);
  });
});

describe("a tab", () => {
  test("is the same after a reload, and somebody new in every other case", () => {
    const storage = fakeStorage();
    const first = new Tab(storage, 1, { id: "a", navigation: "navigate" });
    assert.equal(first.holder, "a");
    assert.equal(new Tab(storage, 1, { id: "b", navigation: "reload" }).holder, "a");
    assert.equal(new Tab(storage, 1, { id: "c", navigation: "navigate" }).holder, "c");
    assert.equal(new Tab(storage, 1, { id: "d", navigation: "back_forward" }).holder, "d");
  });

  test("goes on with the item it showed, once, and with the first where that is gone", () => {
    const storage = fakeStorage();
    new Tab(storage, 1, { id: "a", navigation: "navigate" }).remember(7);
    const again = new Tab(storage, 1, { id: "b", navigation: "reload" });
    assert.equal(again.remembered, 7);
    assert.equal(again.choose([lease(5), lease(7)]).item.id, 7);
    assert.equal(again.choose([lease(5), lease(7)]).item.id, 5);
    const gone = new Tab(storage, 1, { id: "b", navigation: "reload" });
    assert.equal(gone.choose([lease(5)]).item.id, 5);
    assert.equal(gone.choose([]), null);
  });

  test("remembers items of its own project only", () => {
    const storage = fakeStorage();
    new Tab(storage, 1, { id: "a", navigation: "navigate" }).remember(7);
    assert.equal(new Tab(storage, 2, { id: "b", navigation: "reload" }).remembered, null);
  });
});

describe("history and pace", () => {
  test("what the server knows lies behind what was done here", () => {
    const history = new History();
    history.add({ id: "new" });
    history.load([{ id: "new" }, { id: "late" }, { id: "early" }]);
    assert.deepEqual([history.pop().id, history.pop().id, history.pop().id, history.pop()], ["new", "late", "early", null]);
  });

  test("the pace is the median, which one long pause does not move", () => {
    const pace = new Pace();
    for (const seconds of [2, 300, 4]) pace.add(seconds);
    assert.equal(pace.words(), "3 done · 4.0 s each");
  });
});
