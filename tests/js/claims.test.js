import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Claims } from "../../static/js/workspace/claims.js";

const lease = (id) => ({ token: `t${id}`, item: { id } });
const words = { code: "all_done" };

/** `answers` are what the server says to one question after the other. */
function setUp({ answers = [], unsent = [], remembered = null, onFlush = () => {} } = {}) {
  const sent = [];
  const entries = unsent.map((item) => ({ body: { item } }));
  const outbox = { entries, get status() { return { unsent: this.entries.length }; }, flush: async () => onFlush(outbox) };
  const tab = { holder: "me", remembered, choose: (leases) => leases.find(({ item }) => item.id === remembered) ?? leases[0] ?? null };
  const send = async (url, { json, ...options }) => {
    sent.push({ url, json, options });
    return answers.shift();
  };
  return { claims: new Claims({ api: (path) => `/api/${path}`, tab, outbox, ahead: 2, send }), sent, outbox };
}

describe("asking for the next item", () => {
  test("skips what is held here already and asks for one more than that", async () => {
    const { claims, sent } = setUp({ answers: [{ leases: [lease(1), lease(2)], nothing: null }] });
    assert.equal((await claims.fetchNext({ exclude: ["t1"] })).token, "t2");
    assert.deepEqual(sent[0].json, { holder: "me", fresh: true, count: 2 });
  });

  test("only the page's first question asks for new tokens", async () => {
    const answers = [{ leases: [lease(1)], nothing: null }, { leases: [lease(1), lease(2)], nothing: null }];
    const { claims, sent } = setUp({ answers });
    await claims.fetchNext({ exclude: [] });
    await claims.fetchNext({ exclude: ["t1"] });
    assert.deepEqual(sent.map(({ json }) => json.fresh), [true, false]);
  });

  test("a reloaded page asks for enough to find the item it showed", async () => {
    const { claims, sent } = setUp({ answers: [{ leases: [lease(3), lease(1)], nothing: null }], remembered: 1 });
    assert.equal((await claims.fetchNext({ exclude: [] })).item.id, 1);
    assert.equal(sent[0].json.count, 3);
  });

  test("nothing is told with the server's reason", async () => {
    const { claims } = setUp({ answers: [{ leases: [], nothing: words }] });
    assert.equal(await claims.fetchNext({ exclude: [] }), null);
    assert.deepEqual([claims.nothing, claims.unsure], [words, false]);
  });

  test("where only answered items came back, the question is put again behind their answers", async () => {
    const answers = [{ leases: [lease(1)], nothing: null }, { leases: [], nothing: words }];
    const { claims, sent } = setUp({ answers, unsent: [1], onFlush: (outbox) => (outbox.entries = []) });
    assert.equal(await claims.fetchNext({ exclude: [] }), null);
    assert.equal(sent.length, 2);
    assert.deepEqual([claims.nothing, claims.unsure], [words, false]);
  });

  test("where those answers cannot be sent now, it is unsure, and an item is never given twice", async () => {
    const same = () => ({ leases: [lease(1)], nothing: null });
    const { claims, sent } = setUp({ answers: [same(), same()], unsent: [1] });
    assert.equal(await claims.fetchNext({ exclude: [] }), null);
    assert.equal(sent.length, 2);
    assert.equal(claims.unsure, true);
  });

  test("an answer that was undone makes its item free to show again", async () => {
    const same = () => ({ leases: [lease(1)], nothing: null });
    const { claims } = setUp({ answers: [same(), same(), same()] });
    claims.answered(lease(1));
    assert.equal(await claims.fetchNext({ exclude: [] }), null);
    claims.undone(lease(1));
    assert.equal((await claims.fetchNext({ exclude: [] })).token, "t1");
  });
});

describe("keeping and giving back", () => {
  test("claims that the server does not know any more are lost", async () => {
    const { claims } = setUp({ answers: [{ tokens: ["t2"] }] });
    assert.deepEqual(await claims.heartbeat(["t1", "t2"]), { lost: ["t1"] });
  });

  test("giving back outlives the page and complains to nobody", async () => {
    const { claims, sent } = setUp();
    await claims.release(["t1"]);
    assert.equal(sent[0].options.keepalive, true);
    assert.deepEqual(sent[0].json, { holder: "me", tokens: ["t1"] });
  });

  test("an answer comes back with its item and what had been chosen", async () => {
    const held = { ...lease(1), draft: [{ kind: "choice", classes: ["cat"] }] };
    const { claims, sent } = setUp({ answers: [null, { leases: [lease(2), held] }] });
    assert.deepEqual(await claims.takeBack({ kind: "annotation", id: "a", item_id: 1 }), { lease: held, regions: held.draft });
    assert.deepEqual(sent.map(({ url }) => url), ["/api/annotations/withdraw/", "/api/next/"]);
  });

  test("an item that is gone cannot come back, and that is said in words", async () => {
    const { claims } = setUp({ answers: [null, { leases: [] }] });
    await assert.rejects(claims.takeBack({ kind: "skip", id: "s", item_id: 1 }), /cannot be brought back/);
  });
});
