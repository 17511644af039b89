import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromRegions, search, suggestions, toRegions, toggle, withHotkeys } from "../../static/js/tools/classes.js";

const named = (...names) => names.map((name) => ({ key: name.toLowerCase(), name }));
const keys = (classes) => withHotkeys(classes).map(({ hotkey }) => hotkey);

describe("hotkeys", () => {
  test("are the digits, then letters by their place, then none", () => {
    const many = Array.from({ length: 40 }, (_, i) => ({ key: `c${i}`, name: `C${i}` }));
    const given = keys(many);
    assert.deepEqual(given.slice(0, 12), ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "q", "w"]);
    assert.equal(given.at(-1), null);
    assert.equal(new Set(given.filter(Boolean)).size, 36);
  });

  test("a class's own key is kept and given to nobody else, wherever it stands", () => {
    assert.deepEqual(keys([{ key: "a" }, { key: "b", hotkey: "1" }, { key: "c", hotkey: "N" }]), ["2", "1", "n"]);
  });

  test("a class named by one character gets that key, so that the digit 3 is on 3", () => {
    assert.deepEqual(keys(named("0", "3", "Other", "Q", "1")), ["0", "3", "2", "q", "1"]);
    assert.deepEqual(keys([{ key: "a", name: "2" }, { key: "b", name: "1", hotkey: "2" }]), ["1", "2"]);
  });

  test("a reserved or doubly wanted key is replaced", () => {
    assert.deepEqual(keys([{ key: "a", hotkey: "/" }, { key: "b", hotkey: "x" }, { key: "c", hotkey: "X" }]), ["1", "x", "2"]);
  });
});

describe("choosing", () => {
  test("one: the new one replaces the old one", () => assert.deepEqual(toggle(["a"], "b", { multiple: false }), ["b"]));

  test("one: choosing it again keeps it", () => assert.deepEqual(toggle(["a"], "a", { multiple: false }), ["a"]));

  test("several: added and taken away", () => {
    assert.deepEqual(toggle(["a"], "b", { multiple: true }), ["a", "b"]);
    assert.deepEqual(toggle(["a", "b"], "a", { multiple: true }), ["b"]);
  });

  test("'none of these' stands alone", () => {
    const rules = { multiple: true, outliers: ["none"] };
    assert.deepEqual(toggle(["a", "b"], "none", rules), ["none"]);
    assert.deepEqual(toggle(["none"], "a", rules), ["a"]);
  });
});

describe("regions", () => {
  test("are the canonical form and come back from it", () => {
    assert.deepEqual(toRegions(["cat"]), [{ kind: "choice", classes: ["cat"] }]);
    assert.deepEqual(fromRegions(toRegions(["cat", "dog"]), named("Cat", "Dog")), ["cat", "dog"]);
  });

  test("of other kinds and of classes that are gone are left out", () => {
    assert.deepEqual(fromRegions([{ kind: "box" }, { kind: "choice", classes: ["old", "cat"] }], named("Cat")), ["cat"]);
    assert.deepEqual(fromRegions(undefined, named("Cat")), []);
  });
});

describe("search", () => {
  const classes = [...named("Card arrival", "Lost card", "Scarf"), { key: "top-up", name: "Top up", description: "by card" }, { key: "ete", name: "Été" }];

  test("beginnings come before words, words before middles, middles before descriptions", () => {
    assert.deepEqual(search(classes, "car"), ["card arrival", "lost card", "scarf", "top-up"]);
  });

  test("accents and case do not matter", () => assert.deepEqual(search(classes, "ETE"), ["ete"]));

  test("no words find everything, in order", () => assert.equal(search(classes, "  ").length, 5));
});

describe("suggestions", () => {
  const classes = named("A", "B", "C");

  test("one choice: the most probable class", () => {
    assert.deepEqual([...suggestions({ classes: { a: 0.2, b: 0.7, c: 0.1 } }, classes, { multiple: false })], [["b", 0.7]]);
  });

  test("several: all that are more likely than not", () => {
    assert.deepEqual([...suggestions({ classes: { a: 0.6, b: 0.9, c: 0.1 } }, classes, { multiple: true }).keys()], ["b", "a"]);
  });

  test("classes that are gone and values that are none are left out", () => {
    assert.deepEqual([...suggestions({ classes: { gone: 0.9, a: Number.NaN, b: 0.1 } }, classes, { multiple: false })], [["b", 0.1]]);
    assert.equal(suggestions(null, classes, { multiple: false }).size, 0);
  });
});
