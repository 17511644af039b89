import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { problem } from "../../static/js/pages/import.js";

const limits = { maxBytes: 3 * 2 ** 20, maxFiles: 2 };
const file = (megabytes) => ({ size: megabytes * 2 ** 20 });

describe("files before they are sent", () => {
  test("fit within the limits", () => assert.equal(problem([file(1), file(2)], limits), ""));
  test("have to be chosen", () => assert.match(problem([], limits), /at least one/));
  test("may not be too many", () => assert.match(problem([file(0), file(0), file(0)], limits), /at most 2 files/));
  test("may not be too large together", () => assert.match(problem([file(2), file(2)], limits), /4 MiB; 3 MiB are allowed/));
});
