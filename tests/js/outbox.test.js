import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ApiError } from "../../static/js/store/api.js";
import { memoryJournal } from "../../static/js/store/journal.js";
import { statusWords } from "../../static/js/store/outbox-page.js";
import { Outbox } from "../../static/js/store/outbox.js";
import { deferred, fakeTimers, settle } from "./fakes.js";

/** A server that keeps each id once and answers what the script says, then 201. */
function server(...script) {
  const seen = [];
  const stored = new Map();
  async function send(url, { json, idempotencyKey }) {
    seen.push(idempotencyKey);
    const next = script.shift();
    if (next instanceof Error) throw next;
    if (next) await next;
    if (!stored.has(idempotencyKey)) stored.set(idempotencyKey, json);
    return { revision: 1 };
  }
  return { send, seen, stored };
}

function box(remote, { journal = memoryJournal(), timers = fakeTimers() } = {}) {
  let clock = 1000;
  const outbox = new Outbox({ journal, send: remote.send, timers, random: () => 1, now: () => clock++ });
  const states = [];
  outbox.addEventListener("status", ({ detail }) => states.at(-1) === detail.state || states.push(detail.state));
  return { outbox, journal, timers, states };
}

const work = (id, extra = {}) => ({ id, url: "/submit", body: { regions: [] }, ...extra });
const offline = () => new ApiError("The server cannot be reached.", { code: "offline" });

describe("sending", () => {
  test("work is in the journal before it is sent and leaves it when acknowledged", async () => {
    const gate = deferred();
    const remote = server(gate.promise);
    const { outbox, journal } = box(remote);
    await outbox.add(work("a"));
    assert.deepEqual((await journal.list()).map(({ id }) => id), ["a"]);
    gate.resolve();
    await outbox.flush();
    assert.deepEqual(await journal.list(), []);
    assert.deepEqual(outbox.entries, []);
  });

  test("the body carries the client-made id, and the answer comes back with the event", async () => {
    const remote = server();
    const { outbox } = box(remote);
    let told;
    outbox.addEventListener("acknowledged", ({ detail }) => (told = detail));
    await outbox.add(work("a", { body: { regions: [1] } }));
    await outbox.flush();
    assert.deepEqual(remote.stored.get("a"), { regions: [1], id: "a" });
    assert.equal(told.answer.revision, 1);
    assert.equal(told.entry.state, "acknowledged");
  });

  test("an id is made where none is given", async () => {
    const { outbox } = box(server());
    const entry = await outbox.add({ url: "/submit", body: {} });
    assert.match(entry.id, /^[0-9a-f-]{36}$/);
  });

  test("adding the same id twice sends it once", async () => {
    const gate = deferred();
    const remote = server(gate.promise);
    const { outbox } = box(remote);
    await outbox.add(work("a"));
    await outbox.add(work("a"));
    gate.resolve();
    await outbox.flush();
    assert.deepEqual(remote.seen, ["a"]);
  });

  test("everything is sent in the order in which it was done, one at a time", async () => {
    const first = deferred();
    const remote = server(first.promise);
    const { outbox } = box(remote);
    await outbox.add(work("a"));
    await outbox.add(work("b"));
    await outbox.add(work("c"));
    assert.deepEqual(remote.seen, ["a"]);
    first.resolve();
    await outbox.flush();
    assert.deepEqual(remote.seen, ["a", "b", "c"]);
  });
});

describe("a lost connection", () => {
  test("work waits, is tried again with growing pauses, and arrives once", async () => {
    const remote = server(offline(), offline());
    const { outbox, timers, states } = box(remote);
    await outbox.add(work("a"));
    await settle();
    assert.deepEqual(timers.delays, [1000]);
    timers.fire();
    await settle();
    assert.deepEqual(timers.delays, [2000]);
    timers.fire();
    await settle();
    assert.deepEqual([...remote.stored.keys()], ["a"]);
    assert.deepEqual(states, ["idle", "sending", "offline", "sending", "offline", "sending", "idle"]);
  });

  test("an answer that was lost on the way back is sent again under the same id", async () => {
    const remote = server();
    const lossy = { ...remote, send: async (...args) => { await remote.send(...args); if (remote.seen.length === 1) throw offline(); } };
    const { outbox, timers } = box(lossy);
    await outbox.add(work("a"));
    await settle();
    timers.fire();
    await settle();
    assert.deepEqual(remote.seen, ["a", "a"]);
    assert.equal(remote.stored.size, 1);
  });

  test("pauses do not grow for ever", async () => {
    const remote = server(...Array.from({ length: 12 }, offline));
    const { outbox, timers } = box(remote);
    await outbox.add(work("a"));
    for (let i = 0; i < 10; i += 1) {
      await settle();
      timers.fire();
    }
    await settle();
    assert.deepEqual(timers.delays, [60000]);
  });

  test("later work does not overtake what waits", async () => {
    const remote = server(offline());
    const { outbox } = box(remote);
    await outbox.add(work("a"));
    await settle();
    await outbox.add(work("b"));
    await settle();
    assert.deepEqual(remote.seen, ["a", "a", "b"]);
  });
});

describe("a reload", () => {
  test("what an earlier page left is sent, in its order, and what was under way is sent again", async () => {
    const journal = memoryJournal();
    const never = { send: () => new Promise(() => {}) };
    const before = box(never, { journal }).outbox;
    await before.add(work("a"));
    await before.add(work("b"));
    const remote = server();
    const { outbox } = box(remote, { journal });
    await outbox.restore();
    await outbox.flush();
    assert.deepEqual(remote.seen, ["a", "b"]);
    assert.deepEqual(await journal.list(), []);
  });

  test("refused work is still there and still refused", async () => {
    const journal = memoryJournal();
    const first = box(server(new ApiError("Unknown class", { status: 422, code: "invalid" })), { journal }).outbox;
    await first.add(work("a"));
    await settle();
    const remote = server();
    const { outbox } = box(remote, { journal });
    await outbox.restore();
    await settle();
    assert.deepEqual(remote.seen, []);
    assert.equal(outbox.entries[0].error.message, "Unknown class");
  });
});

describe("signed out", () => {
  test("work is kept, nothing is hammered, and it goes out after signing in", async () => {
    const remote = server(new ApiError("You are signed out.", { status: 401, code: "signed_out" }));
    const { outbox, timers, states } = box(remote);
    await outbox.add(work("a"));
    await settle();
    assert.equal(states.at(-1), "signed-out");
    assert.equal(timers.count, 0);
    await outbox.retry();
    assert.deepEqual([...remote.stored.keys()], ["a"]);
    assert.equal(outbox.status.state, "idle");
  });

  test("the words say what happened and what to do", () => {
    assert.match(statusWords({ state: "signed-out", unsent: 2, refused: 0, durable: true }), /signed out.*2 answers kept/i);
    assert.match(statusWords({ state: "offline", unsent: 1, refused: 0, durable: false }), /1 answer kept.*Keep this page open/);
    assert.equal(statusWords({ state: "sending", unsent: 1, refused: 0, durable: true }), "");
  });
});

describe("refused", () => {
  test("what the server will not take is kept and told, and does not hold up the rest", async () => {
    const remote = server(new ApiError("Class 'x' does not exist", { status: 422, code: "invalid", hint: "Reload" }));
    const { outbox } = box(remote);
    const refused = [];
    outbox.addEventListener("refused", ({ detail }) => refused.push(detail.entry.id));
    await outbox.add(work("a"));
    await outbox.add(work("b"));
    await settle();
    assert.deepEqual(refused, ["a"]);
    assert.deepEqual([...remote.stored.keys()], ["b"]);
    assert.deepEqual(outbox.status, { state: "idle", unsent: 0, refused: 1, durable: false });
  });

  test("it may be sent again or discarded", async () => {
    const journal = memoryJournal();
    const no = () => new ApiError("No", { status: 409, code: "conflict" });
    const remote = server(no(), no());
    const { outbox } = box(remote, { journal });
    await outbox.add(work("a"));
    await outbox.add(work("b"));
    await settle();
    await outbox.retry("a");
    await outbox.discard("b");
    assert.deepEqual([...remote.stored.keys()], ["a"]);
    assert.deepEqual(outbox.entries, []);
    assert.deepEqual(await journal.list(), []);
  });
});

describe("keeping it safe", () => {
  test("work is sent even when the journal fails, and the status says that it is not safe", async () => {
    const gate = deferred();
    const remote = server(gate.promise);
    const journal = { ...memoryJournal(), durable: true, put: () => Promise.reject(new Error("disk full")) };
    const { outbox } = box(remote, { journal });
    await outbox.add(work("a"));
    assert.equal(outbox.status.durable, false);
    gate.resolve();
    await outbox.flush();
    assert.deepEqual([...remote.stored.keys()], ["a"]);
  });

  test("unsent work can be taken away as a file", async () => {
    const { outbox } = box(server(offline()));
    await outbox.add(work("a", { body: { regions: [{ kind: "choice", classes: ["cat"] }] }, label: "cat" }));
    await settle();
    const file = JSON.parse(outbox.export());
    assert.equal(file.format, "annotator-unsent");
    assert.deepEqual(file.entries.map(({ id, body }) => [id, body.regions[0].classes]), [["a", ["cat"]]]);
  });

  test("undo takes back what was not tried yet, and says so when it is too late", async () => {
    const gate = deferred();
    const remote = server(gate.promise);
    const { outbox } = box(remote);
    await outbox.add(work("a"));
    await outbox.add(work("b"));
    assert.equal(await outbox.withdraw("b"), true);
    assert.equal(await outbox.withdraw("a"), false);
    gate.resolve();
    await outbox.flush();
    assert.deepEqual(remote.seen, ["a"]);
  });

  test("an error of our own is not swallowed and loses nothing", async () => {
    const { outbox } = box({ send: () => { throw new RangeError("bug"); } });
    let flushed;
    outbox.flush = () => (flushed = Outbox.prototype.flush.call(outbox));
    await assert.rejects(outbox.add(work("a")).then(() => flushed), { message: "bug" });
    assert.equal(outbox.entries[0].state, "pending");
  });
});
