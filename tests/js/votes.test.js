import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { agreementWords, gather, marksOf, modelWords, wordsOf } from "../../static/js/workspace/votes.js";

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

  test("stand beside the classes they name, with names where these are shown", () => {
    const answers = [{ classes: ["dog"], name: "Ada" }, { classes: ["cat", "dog"], name: "Ben" }];
    assert.deepEqual([...marksOf(answers)], [["dog", "2 ×"], ["cat", "1 ×"]]);
    assert.deepEqual([...marksOf(answers, { named: true })], [["dog", "2 × Ada, Ben"], ["cat", "1 × Ben"]]);
  });

  test("are followed by the model's, of this item and no other", () => {
    const page = { results: [{ item: 7, classes: { cat: 0.2, dog: 0.7, cow: 0.06, gone: 0.04 } }] };
    assert.equal(modelWords(page, 7, { cat: "Cat", dog: "Dog", cow: "Cow" }), "Dog 70 %, Cat 20 %, Cow 6 %");
    assert.match(modelWords(page, 8, {}), /not scored/);
    assert.match(modelWords({ results: [{ item: 7, classes: null }] }, 7, {}), /not scored/);
  });

  test("read as people say them, classes of earlier versions included", () => {
    assert.equal(wordsOf(["cat", "gone"], { cat: "Cat" }), "Cat, gone");
    assert.equal(wordsOf([], {}), "nothing applies");
    assert.equal(agreementWords({ agreement: 2 / 3, votes: 3 }), "67 % agree, 3 answers");
    assert.equal(agreementWords({}), "");
  });
});
