import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { agreementWords, gather, wordsOf } from "../../static/js/workspace/votes.js";

describe("answers to a disputed item", () => {
  test("are gathered by what they say, commonest first", () => {
    const rows = gather([
      { classes: ["dog"], name: "Ada" },
      { classes: ["cat"], name: "Ben" },
      { classes: ["cat"], name: "Cem" },
    ]);
    assert.deepEqual(rows, [
      { classes: ["cat"], names: ["Ben", "Cem"], count: 2 },
      { classes: ["dog"], names: ["Ada"], count: 1 },
    ]);
  });

  test("that name the same classes in another order are one", () => {
    assert.equal(gather([{ classes: ["a", "b"], name: "Ada" }, { classes: ["b", "a"], name: "Ben" }]).length, 1);
  });

  test("read as people say them, classes of earlier versions included", () => {
    assert.equal(wordsOf(["cat", "gone"], { cat: "Cat" }), "Cat, gone");
    assert.equal(wordsOf([], {}), "nothing applies");
    assert.equal(agreementWords({ agreement: 2 / 3, votes: 3 }), "67 % agree, 3 answers");
    assert.equal(agreementWords({}), "");
  });
});
